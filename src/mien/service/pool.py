"""A bounded number of threads for the work on pictures, and a bounded queue before them."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar

from mien.service.saturation import Saturation

T = TypeVar("T")

_WEIGHT = 0.1  # of the newest in the mean of how long work takes
RESTART_S = 5
"""Seconds after which a service that ends is likely to run again."""

_given_up: set[Future[Any]] = set()  # work that threads of closed pools have not ended: Python waits for it at its end


def is_work_left() -> bool:
    """Whether threads of a closed pool are still at work, so that this process could not end by itself."""
    return bool(_given_up)


class BusyError(Exception):
    """There is no worker for it now; after `retry_after_s` seconds it is worth another try."""

    def __init__(self, retry_after_s: int, why: str = "all workers are busy and the queue is full") -> None:
        super().__init__(f"{why}: try again in {retry_after_s} s")
        self.retry_after_s = retry_after_s


class Pool:
    """Work for threads: `workers` at once, of `submit` at most `queue` more in waiting.

    To be used from one event loop.
    """

    def __init__(self, workers: int, queue: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="mien")
        self._workers, self._most = workers, workers + queue
        self._saturation = Saturation(self._most, workers + queue // 2, clock)
        self._waiting: dict[Future[Any], asyncio.Future[Any]] = {}  # by the work, who waits for it
        self._mean_s = 0.05
        self._is_closing = False

    @property
    def waiting(self) -> int:
        """What waits for a worker."""
        return max(0, len(self._waiting) - self._workers)

    @property
    def is_full(self) -> bool:
        """Whether `submit` would raise BusyError."""
        return self._is_closing or len(self._waiting) >= self._most

    @property
    def is_overloaded(self) -> bool:
        """Whether it is full for most of the time, until half of the queue is free again."""
        return self._saturation.is_overloaded

    @property
    def is_closing(self) -> bool:
        """Whether nobody waits for work any more: what is at it may end early."""
        return self._is_closing

    async def submit(self, work: Callable[[], T]) -> T:
        """What the work returns, once a thread has done it. Raises BusyError at once where the queue is full."""
        self.check()
        return await self.wait(work)

    def check(self) -> None:
        """Raise BusyError where `submit` would."""
        if self._is_closing:
            raise _closing()
        if self.is_full:
            raise BusyError(max(1, math.ceil(len(self._waiting) * self._mean_s / self._workers)))

    async def wait(self, work: Callable[[], T]) -> T:
        """As `submit`, but refused only where the pool closes: for callers whose number is bounded, such as streams."""
        if self._is_closing:
            raise _closing()
        loop = asyncio.get_running_loop()
        result: asyncio.Future[T] = loop.create_future()
        future = self._threads.submit(self._timed, work)
        # It counts until its thread is done with it, even where nobody waits for it any more.
        self._waiting[future] = result
        self._saturation.update(len(self._waiting))
        future.add_done_callback(lambda done: _call(loop, self._done, done))
        try:
            return await result
        finally:
            future.cancel()  # unless a thread has it already

    def close(self) -> None:
        """Give up all work, at once: who waits gets BusyError, and nobody gets what threads have begun."""
        self._is_closing = True
        for future, result in self._waiting.items():
            if not result.done():
                result.set_exception(_closing())
            if not future.cancel() and not future.done():
                _given_up.add(future)
                future.add_done_callback(_given_up.discard)
        self._threads.shutdown(wait=False)

    def _timed(self, work: Callable[[], T]) -> T:
        began = time.perf_counter()
        try:
            return work()
        finally:
            self._mean_s += _WEIGHT * (time.perf_counter() - began - self._mean_s)

    def _done(self, future: Future[Any]) -> None:
        result = self._waiting.pop(future)
        self._saturation.update(len(self._waiting))
        if result.done():
            return  # nobody waits for it
        error = future.exception()
        if error is None:
            result.set_result(future.result())
        else:
            result.set_exception(error)


def _closing() -> BusyError:
    return BusyError(RESTART_S, "the service ends")


def _call(loop: asyncio.AbstractEventLoop, function: Callable[[Future[T]], None], future: Future[T]) -> None:
    with suppress(RuntimeError):  # the loop has ended
        loop.call_soon_threadsafe(function, future)
