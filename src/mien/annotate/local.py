"""The local engine: worker processes with a session each. One that crashes loses its own shard only."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from ctypes import c_int64
from multiprocessing.sharedctypes import RawArray
from typing import Any, Final

from mien.annotate.engine import Job
from mien.annotate.worker import Report, Worker
from mien.cpus import usable_cpus
from mien.errors import ConfigError, reason
from mien.signals import ignore_ending, sheltered

_REPORT_S: Final = 0.25
_STOP: Final = -1
_MOST_FAILED_STARTS: Final = 5
_NO_WORKERS: Final = (
    "worker processes end before they read a picture: memory may be short; and a script that calls annotate must do so "
    "below `if __name__ == '__main__':`, or with workers=0"
)


class Stopped(BaseException):
    """A worker was asked to stop; no Exception, so nothing that handles errors catches it."""


def work_here(job: Job, on_progress: Callable[[int], object]) -> Iterator[Report]:
    """Process shards in this process. on_progress gets the number of pictures read of shards that are not done."""
    worker = Worker(job.url, job.providers, job.run)
    for shard in job.shards:
        yield worker.work(shard, lambda number: on_progress(number + 1))
        on_progress(0)


def work_in_processes(job: Job, workers: int, on_progress: Callable[[int], object]) -> Iterator[Report]:
    """Process shards in N processes; the reports come in any order. Close it to stop early.

    A shard whose worker crashed is tried again (`quarantine` finds the picture). on_progress is as in `work_here`.
    """
    pools = _Pools(job, min(workers, len(job.shards)))
    try:
        pools.begin()
        while pools.running:
            done, _ = wait(pools.running, timeout=_REPORT_S, return_when=FIRST_COMPLETED)
            for future in done:
                slot, shard = pools.running.pop(future)
                try:
                    report = future.result()
                except BrokenProcessPool:
                    pools.restart(slot, shard)
                else:
                    pools.failed_starts = 0
                    yield report
                pools.give(slot)
            on_progress(pools.pictures())
    finally:
        pools.stop()


class _Pools:
    """A pool of one process for each slot, so that a crash ends one worker only; and the shards that wait."""

    def __init__(self, job: Job, workers: int) -> None:
        self._job, self._workers = job, workers
        self._context = multiprocessing.get_context("spawn")  # onnxruntime's threads do not survive a fork
        self._read = RawArray(c_int64, workers + 1)  # without locks, which a killed process would hold for ever
        self._waiting = deque(job.shards)
        self._slots: list[ProcessPoolExecutor] = []
        self.running: dict[Future[Report], tuple[int, int]] = {}
        self.failed_starts = 0

    def begin(self) -> None:
        """Start the workers. Raises ConfigError where the system has no room for them."""
        try:
            for slot in range(self._workers):
                self._slots.append(self._pool(slot))
                self.give(slot)
        except OSError as error:
            raise ConfigError(
                f"worker {len(self._slots)} of {self._workers} cannot begin: {reason(error)}: lower workers"
            ) from error

    def give(self, slot: int) -> None:
        """Give a worker the next shard, if one waits."""
        self._read[slot] = 0
        if not self._waiting:
            return
        shard = self._waiting.popleft()
        with sheltered():
            try:
                future = self._slots[slot].submit(_work, shard)
            except BrokenProcessPool:  # it crashed while it had nothing to do
                self._slots[slot] = self._pool(slot)
                future = self._slots[slot].submit(_work, shard)
        self.running[future] = slot, shard

    def restart(self, slot: int, shard: int) -> None:
        """Put another worker in the place of one that crashed. Raises ConfigError where none gets to a picture."""
        self.failed_starts = 0 if self._read[slot] else self.failed_starts + 1
        if self.failed_starts >= _MOST_FAILED_STARTS:
            raise ConfigError(_NO_WORKERS)
        self._slots[slot].shutdown(wait=False)
        self._slots[slot] = self._pool(slot)
        self._waiting.appendleft(shard)

    def pictures(self) -> int:
        """The pictures read of shards that are not done."""
        return sum(self._read[: self._workers])

    def stop(self) -> None:
        """End the workers: each at its next picture."""
        self._read[_STOP] = 1
        for pool in self._slots:
            pool.shutdown(wait=True, cancel_futures=True)

    def _pool(self, slot: int) -> ProcessPoolExecutor:
        overlap = self._job.providers is not None or self._workers < usable_cpus()
        arguments = (self._job, overlap, self._read, slot)
        with sheltered():  # its locks already need a process, that of the resource tracker
            return ProcessPoolExecutor(1, mp_context=self._context, initializer=_begin, initargs=arguments)


_mine: dict[str, Any] = {}


def _begin(job: Job, overlap: bool, read: Any, slot: int) -> None:
    """What a worker process does first."""
    import cv2

    ignore_ending()  # where nothing was inherited
    threading.Thread(target=_end_with_driver, daemon=True).start()
    cv2.setNumThreads(1)  # there is a process for each core
    _mine.update(worker=Worker(job.url, job.providers, job.run, overlap=overlap), read=read, slot=slot)


def _end_with_driver() -> None:
    """End when the driver is gone, killed perhaps: the result would reach nobody."""
    driver = multiprocessing.parent_process()
    if driver is not None:
        driver.join()
        os._exit(1)


def _work(shard: int) -> Report:
    read, slot = _mine["read"], _mine["slot"]

    def on_picture(number: int) -> None:
        if read[_STOP]:
            raise Stopped
        read[slot] = number + 1

    report: Report = _mine["worker"].work(shard, on_picture)
    return report
