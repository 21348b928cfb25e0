"""How many bytes of bodies and responses are held at once, and responses that are sent as the client reads them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Final

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from mien.service.errors import Problem
from mien.service.metrics import Metrics

PIECE: Final = 65_536
"""Bytes that are sent at a time; the next ones wait until the client has read them."""


class Memory:
    """A number of bytes that may be held at once."""

    def __init__(self, most: int, metrics: Metrics) -> None:
        self._most, self._rejected = most, metrics.rejected.labels("memory")
        self._held = 0

    def take(self, size: int) -> None:
        """Count `size` bytes as held. Raises Problem 503 where that is too much."""
        if self._held + size > self._most:
            self._rejected.inc()
            raise Problem(503, "too much is sent and fetched at once: try again", {"Retry-After": "1"})
        self._held += size

    def give(self, size: int) -> None:
        """Count `size` bytes as free again."""
        self._held -= size


class HeldResponse(StreamingResponse):
    """A response whose bytes count as held until the client has read them, or has gone."""

    def __init__(self, content: bytes, media_type: str, memory: Memory) -> None:
        memory.take(len(content))
        self._memory, self._size = memory, len(content)
        super().__init__(pieces(content), media_type=media_type, headers={"Content-Length": str(len(content))})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._memory.give(self._size)


class SharedResponse(StreamingResponse):
    """A response whose bytes are in memory anyhow, for all clients."""

    def __init__(self, content: bytes, media_type: str, headers: Mapping[str, str]) -> None:
        super().__init__(
            pieces(content), media_type=media_type, headers={**headers, "Content-Length": str(len(content))}
        )


async def pieces(content: bytes) -> AsyncIterator[bytes]:
    """The content, piece by piece."""
    for start in range(0, len(content), PIECE):
        yield content[start : start + PIECE]
