"""What comes of wrong API keys: a delay, and now and then a line in the log."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Final

DELAY_S: Final = 1.0
"""Seconds until a wrong key has its response."""

MAX_DELAYED: Final = 64
"""Requests that wait for such a response at once. One more has it at once, and loses its connection."""

LINE_S: Final = 60.0
"""Seconds from one line in the log to the next, at least."""

_log = logging.getLogger("mien.service")


class WrongKeys:
    """Slows down who guesses keys, and reports it. Who knows a key is never delayed."""

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._clock, self._sleep = clock, sleep
        self._delayed, self._unreported, self._next_line = 0, 0, clock()

    async def delay(self, client: tuple[str, int | None] | None) -> bool:
        """Take note of a wrong key from this client and wait; False where too many wait already."""
        self._report((client and client[0]) or "an unknown address")
        if self._delayed >= MAX_DELAYED:
            return False
        self._delayed += 1
        try:
            await self._sleep(DELAY_S)
        finally:
            self._delayed -= 1
        return True

    def _report(self, address: str) -> None:
        self._unreported += 1
        if (now := self._clock()) >= self._next_line:
            others = self._unreported - 1
            _log.warning("a wrong API key came from %s%s", address, f", and {others} more before" if others else "")
            self._unreported, self._next_line = 0, now + LINE_S
