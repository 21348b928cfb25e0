"""Whether a queue is full for so long that others should get the work."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

FULL_S: Final = 5.0
"""Seconds that a queue is full, less those that it is not, until it is overloaded."""


class Saturation:
    """The state of a queue of at most `most` items: overloaded or not.

    A burst that fills it for a moment does not overload it; being full for most of the time does. It is overloaded
    until no more than `mark` items are left.
    """

    def __init__(self, most: int, mark: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._most, self._mark, self._clock = most, min(mark, most - 1), clock
        self._now, self._full_s = clock(), 0.0
        self._is_full = self._is_overloaded = False

    @property
    def is_overloaded(self) -> bool:
        """Whether others should get the work."""
        self._pass_time()
        return self._is_overloaded

    def update(self, count: int) -> None:
        """Take note of how many items the queue holds from now on."""
        self._pass_time()
        self._is_full = count >= self._most
        if count <= self._mark:
            self._full_s, self._is_overloaded = 0.0, False

    def _pass_time(self) -> None:
        now = self._clock()
        passed, self._now = now - self._now, now
        self._full_s = max(0.0, self._full_s + passed if self._is_full else self._full_s - passed)
        self._full_s = min(self._full_s, FULL_S)
        self._is_overloaded |= self._is_full and self._full_s >= FULL_S
