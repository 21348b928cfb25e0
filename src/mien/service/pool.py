"""A bounded number of threads for the work on pictures, and a bounded queue before them."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

_WEIGHT = 0.1  # of the newest in the mean of how long work takes


class BusyError(Exception):
    """The queue is full; after so many seconds it is worth another try."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(f"all workers are busy and the queue is full: try again in {retry_after_s} s")
        self.retry_after_s = retry_after_s


class Pool:
    """Work for threads: `workers` at once, of `submit` at most `queue` more in waiting.

    To be used from one event loop.
    """

    def __init__(self, workers: int, queue: int) -> None:
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="mien")
        self._workers, self._most = workers, workers + queue
        self._pending = 0
        self._mean_s = 0.05

    @property
    def waiting(self) -> int:
        """What waits for a worker."""
        return max(0, self._pending - self._workers)

    @property
    def is_full(self) -> bool:
        """Whether `submit` would raise BusyError."""
        return self._pending >= self._most

    async def submit(self, work: Callable[[], T]) -> T:
        """What the work returns, once a thread has done it. Raises BusyError at once where the queue is full."""
        if self.is_full:
            raise BusyError(max(1, math.ceil(self._pending * self._mean_s / self._workers)))
        return await self.wait(work)

    async def wait(self, work: Callable[[], T]) -> T:
        """As `submit`, but never refused: for callers whose number is bounded, such as streams."""
        loop = asyncio.get_running_loop()
        self._pending += 1
        future = self._threads.submit(self._timed, work)
        # It counts until its thread is done with it, even where nobody waits for it any more.
        future.add_done_callback(lambda done: _call(loop, self._done, done))
        return await asyncio.wrap_future(future)

    def close(self) -> None:
        """Let the threads end what they do; what waits is given up."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _timed(self, work: Callable[[], T]) -> T:
        began = time.perf_counter()
        try:
            return work()
        finally:
            self._mean_s += _WEIGHT * (time.perf_counter() - began - self._mean_s)

    def _done(self, future: Future[T]) -> None:
        self._pending -= 1


def _call(loop: asyncio.AbstractEventLoop, function: Callable[[Future[T]], None], future: Future[T]) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(function, future)
