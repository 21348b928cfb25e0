"""The local engine: worker processes with a session each. One that dies takes only its own shard along."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from ctypes import c_int64
from multiprocessing.sharedctypes import RawArray
from pathlib import Path
from typing import Any, Final

from mien.annotate.worker import Report, Worker
from mien.errors import ConfigError, reason

_TELL_S: Final = 0.25
_STOP: Final = -1
_STILLBORN: Final = 5
_NO_WORKERS: Final = (
    "worker processes end before they look at a picture: memory may be short; and a script that calls annotate must do "
    "so below `if __name__ == '__main__':`, or with workers=0"
)


class Stopped(BaseException):
    """A worker was told to stop; no error, so nothing on the way takes it for one."""


def work_here(
    url: str, providers: Sequence[str] | None, run: str, shards: Sequence[int], tell: Callable[[int], object]
) -> Iterator[Report]:
    """Work off shards in this process. `tell` is told how many pictures were looked at of shards that are not done."""
    worker = Worker(url, providers, run)
    for shard in shards:
        yield worker.work(shard, lambda number: tell(number + 1))
        tell(0)


def work_in_processes(
    url: str,
    providers: Sequence[str] | None,
    run: str,
    shards: Sequence[int],
    tell: Callable[[int], object],
    *,
    workers: int,
) -> Iterator[Report]:
    """Work off shards in so many processes; the reports come in any order. Close it to stop early.

    A shard whose worker died is tried again (`attempts` sees to what killed it). `tell` is as in `work_here`.
    """
    workers = min(workers, len(shards))
    context = multiprocessing.get_context("spawn")  # onnxruntime's threads do not survive a fork
    looked = RawArray(c_int64, workers + 1)  # without locks, which a killed process would keep
    waiting = deque(shards)
    running: dict[Future[Report], tuple[int, int]] = {}
    stillborn = 0

    overlap = providers is not None or workers < usable_cpus()

    def begin(slot: int) -> ProcessPoolExecutor:
        arguments = (url, providers, run, overlap, looked, slot)
        return ProcessPoolExecutor(1, mp_context=context, initializer=_begin, initargs=arguments)

    def give(slot: int) -> None:
        looked[slot] = 0
        if not waiting:
            return
        shard = waiting.popleft()
        with _deaf():
            try:
                running[slots[slot].submit(_work, shard)] = slot, shard
            except BrokenProcessPool:  # it died while it had nothing to do
                slots[slot] = begin(slot)
                running[slots[slot].submit(_work, shard)] = slot, shard

    slots: list[ProcessPoolExecutor] = []
    try:
        try:
            for slot in range(workers):
                slots.append(begin(slot))
                give(slot)
        except OSError as error:
            raise ConfigError(
                f"worker {len(slots)} of {workers} cannot begin: {reason(error)}: lower workers"
            ) from error
        while running:
            done, _ = wait(running, timeout=_TELL_S, return_when=FIRST_COMPLETED)
            for future in done:
                slot, shard = running.pop(future)
                try:
                    yield future.result()
                    stillborn = 0
                except BrokenProcessPool:
                    stillborn = 0 if looked[slot] else stillborn + 1
                    if stillborn >= _STILLBORN:
                        raise ConfigError(_NO_WORKERS) from None
                    slots[slot].shutdown(wait=False)
                    slots[slot] = begin(slot)
                    waiting.appendleft(shard)
                give(slot)
            tell(sum(looked[:workers]))
    finally:
        _stop(slots, looked)


def usable_cpus() -> int:
    """The processors that this process may use, by its affinity and, in a container, its quota."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with suppress(OSError, ValueError):
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        cpus = min(cpus, max(1, round(int(quota) / int(period))))
    return cpus


@contextmanager
def _deaf() -> Iterator[None]:
    """Start processes that do not hear Ctrl-C, not even while they import: the driver tells them to stop."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _stop(slots: Sequence[ProcessPoolExecutor], looked: Any) -> None:
    """End the workers: each at its next picture."""
    looked[_STOP] = 1
    for pool in slots:
        pool.shutdown(wait=True, cancel_futures=True)


_mine: dict[str, Any] = {}


def _begin(url: str, providers: Sequence[str] | None, run: str, overlap: bool, looked: Any, slot: int) -> None:
    """What a worker process does first."""
    import cv2

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it was started deaf, but Python may have heard
    threading.Thread(target=_end_with_driver, daemon=True).start()
    cv2.setNumThreads(1)  # there is a process for each core
    _mine.update(worker=Worker(url, providers, run, overlap=overlap), looked=looked, slot=slot)


def _end_with_driver() -> None:
    """End when the driver is gone, killed perhaps: nobody would take the work."""
    driver = multiprocessing.parent_process()
    if driver is not None:
        driver.join()
        os._exit(1)


def _work(shard: int) -> Report:
    looked, slot = _mine["looked"], _mine["slot"]

    def look(number: int) -> None:
        if looked[_STOP]:
            raise Stopped
        looked[slot] = number + 1

    report: Report = _mine["worker"].work(shard, look)
    return report
