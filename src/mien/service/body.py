"""The body of one request as it comes, within bounds of size, time and memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from fastapi import Request
from starlette.requests import ClientDisconnect

from mien.service.errors import Problem
from mien.service.memory import Memory
from mien.service.settings import Settings


class Pace:
    """The deadline of a body, which what arrives moves on. Times are in seconds of a clock that never falls.

    It is `body_seconds` away at first, and never farther. Each second that passes uses up one, each `min_rate` bytes
    give one back. So a body of at least that rate arrives whole however large it is, with pauses of less than
    `body_seconds`; one that comes more slowly, or stops, is given up. So is all that takes `max_body_seconds`.
    """

    def __init__(self, settings: Settings, now: float) -> None:
        self._settings, self._end = settings, now + settings.max_body_seconds
        self.deadline = min(now + settings.body_seconds, self._end)

    def progress(self, size: int, now: float) -> None:
        """Take note of `size` bytes that have arrived."""
        later = self.deadline + size / self._settings.min_rate
        self.deadline = min(later, now + self._settings.body_seconds, self._end)

    def problem(self) -> Problem:
        """The response once the deadline has passed."""
        if self.deadline >= self._end:
            return Problem(408, f"the body took longer than {self._settings.max_body_seconds:g} s to arrive")
        rate, seconds = self._settings.min_rate, self._settings.body_seconds
        return Problem(408, f"the body came too slowly: less than {rate:,} bytes/s for {seconds:g} s")


class Body:
    """The body of a request. What it holds counts until `free`."""

    def __init__(self, request: Request, settings: Settings, memory: Memory) -> None:
        self._request, self._settings, self._memory = request, settings, memory
        self._held = 0

    async def content(self) -> bytes:
        """All of it. Raises Problem as `chunks` does."""
        return b"".join([chunk async for chunk in self.chunks()])

    async def chunks(self) -> AsyncGenerator[bytes]:
        """The body as it comes, counted. Raises Problem on one that is too large, too slow or cut off."""
        most, size = self._settings.max_body, 0
        length = self._request.headers.get("content-length", "0")
        if length.isdecimal() and int(length) > most:
            raise Problem(413, f"the body has {int(length):,} bytes, at most {most:,} are accepted")
        stream, clock = self._request.stream(), asyncio.get_running_loop().time
        pace = Pace(self._settings, clock())
        while True:
            try:
                async with asyncio.timeout_at(pace.deadline):
                    chunk = await anext(stream, None)
            except TimeoutError:
                raise pace.problem() from None
            except ClientDisconnect:
                raise Problem(400, "the client went away before the body was whole") from None
            if chunk is None:
                return
            pace.progress(len(chunk), clock())
            size += len(chunk)
            if size > most:
                raise Problem(413, f"the body has more than the {most:,} bytes that are accepted")
            self.hold(len(chunk))
            yield chunk

    def hold(self, size: int) -> None:
        """Count `size` more bytes as held. Raises Problem 503 where that is too much."""
        self._memory.take(size)
        self._held += size

    def keep(self, size: int) -> None:
        """Count no more than `size` bytes as held."""
        self._memory.give(self._held - size)
        self._held = size

    def free(self) -> None:
        """Count nothing of it as held any more."""
        self.keep(0)
