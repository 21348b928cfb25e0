"""ASGI middleware that bounds what clients can hold: requests in flight, and responses that they do not read."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mien.service.errors import Problem
from mien.service.memory import PIECE
from mien.service.metrics import Metrics
from mien.service.pool import RESTART_S
from mien.service.settings import Settings

_ALWAYS: Final = frozenset({"/healthz", "/metrics"})
"""Small responses on how the service is. Refused under load, they would make it look broken."""


class SlowReaderError(OSError):
    """The client does not read the response. Starlette takes an OSError for the end of a WebSocket's connection."""


@dataclass(slots=True)
class InFlight:
    """How many requests have no complete response yet. Streams do not count: the server closes them at its end."""

    requests: int = 0


class SlowReaders:
    """Ends responses that the client does not read in time, of whatever kind.

    The server buffers little, so `send` waits until the client reads.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app, self._seconds = app, settings.body_seconds + PIECE / settings.min_rate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the app respond, piece by piece."""

        async def timed(message: Message) -> None:
            for piece in _pieces(message):
                try:
                    async with asyncio.timeout(self._seconds):
                        await send(piece)
                except TimeoutError:
                    raise SlowReaderError("the client does not read the response") from None

        await self._app(scope, receive, timed)


class Limits:
    """Refuses requests past `max_requests`. One that the server cancels, as its time at the end is over, gets a
    response too.
    """

    def __init__(self, app: ASGIApp, settings: Settings, metrics: Metrics, in_flight: InFlight) -> None:
        self._app, self._settings, self._in_flight = app, settings, in_flight
        self._rejected = metrics.rejected.labels("requests")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on to the app, or refuse it."""
        if scope["type"] == "http":
            await self._respond(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _respond(self, scope: Scope, receive: Receive, send: Send) -> None:
        has_begun = False

        async def watched(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        problem = self._objection(scope)
        self._in_flight.requests += 1
        try:
            await (problem.response() if problem else self._app)(scope, receive, watched)
        except asyncio.CancelledError:
            if has_begun:
                raise
            detail = f"the service ends: try again in {RESTART_S} s"
            await Problem(503, detail, {"Retry-After": str(RESTART_S)}).response()(scope, receive, send)
        finally:
            self._in_flight.requests -= 1

    def _objection(self, scope: Scope) -> Problem | None:
        headers = Headers(scope=scope)
        if "transfer-encoding" in headers and "content-length" in headers:
            # A proxy may go by the other one, and then take a part of the body for the next request (RFC 9112, 6.1).
            return Problem(400, "got both Content-Length and Transfer-Encoding", {"Connection": "close"})
        path: str = scope["path"].removeprefix(self._settings.root_path)
        if self._in_flight.requests >= self._settings.max_requests and path not in _ALWAYS:
            self._rejected.inc()
            detail = f"{self._settings.max_requests} requests are in flight: try again"
            return Problem(503, detail, {"Retry-After": "1", "Connection": "close"})
        return None


def _pieces(message: Message) -> Iterator[Message]:
    """The message, a large body in several: each gets the time of a piece, not of whatever came before it."""
    body: bytes = message.get("body", b"")
    last = max(0, len(body) - 1) // PIECE * PIECE
    for start in range(0, last, PIECE):
        yield {**message, "body": body[start : start + PIECE], "more_body": True}
    yield {**message, "body": body[last:]} if last else message
