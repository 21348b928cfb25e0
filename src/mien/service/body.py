"""The body of one request as it comes, within bounds of size, time and memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from fastapi import Request
from starlette.requests import ClientDisconnect

from mien.service.errors import Problem
from mien.service.memory import Memory
from mien.service.settings import Settings


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a body may be: of up to `size` bytes; and how slowly it may come, as Pace has it."""

    size: int
    rate: int
    seconds: float
    most_seconds: float


class Pace:
    """The deadline of a body, which what arrives moves on. Times are in seconds of a clock that never falls.

    It is `seconds` away at first, and never farther. Each second that passes uses up one, each `rate` bytes give one
    back. So a body of at least that rate arrives whole however large it is, with pauses of less than `seconds`; one
    that comes more slowly, or stops, is given up. So is all that takes `most_seconds`.
    """

    def __init__(self, bounds: Bounds, now: float) -> None:
        self._bounds, self._end = bounds, now + bounds.most_seconds
        self.deadline = min(now + bounds.seconds, self._end)

    def progress(self, size: int, now: float) -> None:
        """Take note of `size` bytes that have arrived."""
        later = self.deadline + size / self._bounds.rate
        self.deadline = min(later, now + self._bounds.seconds, self._end)

    def problem(self) -> Problem:
        """The response once the deadline has passed."""
        if self.deadline >= self._end:
            return Problem(408, f"the body took longer than {self._bounds.most_seconds:g} s to arrive")
        rate, seconds = self._bounds.rate, self._bounds.seconds
        return Problem(408, f"the body came too slowly: less than {rate:,} bytes/s for {seconds:g} s")


async def arriving(request: Request, bounds: Bounds) -> AsyncGenerator[bytes]:
    """A body as it comes. Raises Problem on one that is encoded, too large, too slow or cut off."""
    if any(encoding.lower() != "identity" for encoding in request.headers.getlist("content-encoding")):
        raise Problem(415, "expected a body without Content-Encoding: pictures and videos are compressed already")
    length = request.headers.get("content-length", "0")
    if length.isdecimal() and int(length) > bounds.size:
        raise Problem(413, f"the body has {int(length):,} bytes, at most {bounds.size:,} are accepted")
    stream, clock = request.stream(), asyncio.get_running_loop().time
    pace, size = Pace(bounds, clock()), 0
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
        if size > bounds.size:
            raise Problem(413, f"the body has more than the {bounds.size:,} bytes that are accepted")
        yield chunk


class Body:
    """The body of a request. What it holds counts until `free`."""

    def __init__(self, request: Request, settings: Settings, memory: Memory) -> None:
        self._request, self._memory, self._held = request, memory, 0
        self._bounds = Bounds(
            settings.max_body, settings.min_rate, settings.body_seconds, most_seconds=settings.max_body_seconds
        )

    async def content(self) -> bytes:
        """All of it. Raises Problem as `chunks` does."""
        return b"".join([chunk async for chunk in self.chunks()])

    async def chunks(self) -> AsyncGenerator[bytes]:
        """The body as it comes, counted. Raises Problem as `arriving` does, and 503 where there is too much."""
        async for chunk in arriving(self._request, self._bounds):
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
