"""The WebSocket `/v1/stream`: frames in, one record for each out, and one tracker a connection."""

from __future__ import annotations

import asyncio
import json
import time
from asyncio import FIRST_COMPLETED, ensure_future
from collections import deque
from contextlib import suppress
from functools import partial
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Query
from starlette.responses import Response
from starlette.types import Message
from starlette.websockets import WebSocket, WebSocketDisconnect

from mien.analyzer import Analyzer
from mien.errors import ImageError
from mien.images.decode import read_image
from mien.records import Origin, PictureRecord, to_record
from mien.service.errors import Problem, named, problem_responses
from mien.service.metrics import Metrics
from mien.service.pool import RESTART_S, Pool
from mien.service.settings import FORMATS, Settings
from mien.types import Frame

PROTOCOL: Final = "mien.v1"
"""The subprotocol that is selected where a client offers it."""

UNSUPPORTED: Final = 1003
"""The close code for a text message (RFC 6455, 7.4.1)."""

TOO_LARGE: Final = 1009
"""The close code for a frame of too many bytes (RFC 6455, 7.4.1)."""

FAILED: Final = 1011
"""The close code for an internal error (RFC 6455, 7.4.1)."""

IDLE: Final = 4408
"""The close code for a stream that sent no frame for too long: HTTP's 408, in the range for private use."""

MAX_PIXELS: Final = 4096 * 4096
"""The largest frame of a stream or video, whatever the limit for pictures: several are held at once."""

_MESSAGES: Final[dict[str, Any]] = {
    "subprotocol": PROTOCOL,
    "client": {kind: {"schema": {"type": "string", "format": "binary"}} for kind in FORMATS.values()},
    "server": {"application/json": {"schema": {"$ref": "#/components/schemas/PictureRecord"}}},
    "closeCodes": {
        str(UNSUPPORTED): "a text message came",
        str(TOO_LARGE): "a frame of too many bytes",
        str(FAILED): "an internal error, or a client that sent no pong",
        "1012": "the service ends or restarts: connect again",
        str(IDLE): "no frame came for too long",
    },
}
"""What OpenAPI has no words for: the messages in either direction, and why a stream is closed."""

_QUERY: Final = {"smooth": "1", "landmarks": "0"}
"""What the address may ask for, each 0 or 1, and what holds without it."""

_RETRY_AFTER: Final = {"Retry-After": str(RESTART_S)}


def stream_router(analyzer: Analyzer, settings: Settings, pool: Pool, metrics: Metrics) -> APIRouter:
    """The route, its frames processed by the analyzer in the pool's threads."""
    router, streams = APIRouter(), _Streams(analyzer, settings, pool, metrics)

    @router.get(
        "/v1/stream",
        summary="A live stream, by WebSocket",
        status_code=426,
        response_class=Response,
        responses={
            101: {"description": "The stream is open; a `Sec-WebSocket-Protocol` of mien.v1 is selected if offered."},
            **problem_responses(400, 401, 403, 421, 426, 503),
        },
        openapi_extra={"x-websocket": _MESSAGES},
        tags=["pictures"],
    )
    async def no_stream(
        smooth: Annotated[Literal["0", "1"], Query(description="Whether probabilities are smoothed.")] = "1",
        landmarks: Annotated[Literal["0", "1"], Query(description="Whether faces have their landmarks.")] = "0",
    ) -> Response:
        """Each binary message is a frame, and its response a text message. A browser offers its key as a subprotocol:
        `mien.key.` with the key in base64url without padding after it.
        """
        raise Problem(426, "expected a WebSocket", {"Upgrade": "websocket"})

    @router.websocket("/v1/stream")
    async def stream(socket: WebSocket) -> None:
        await streams.serve(socket)

    return router


class _Streams:
    """All streams of one service, of which `max_streams` may be open at once."""

    def __init__(self, analyzer: Analyzer, settings: Settings, pool: Pool, metrics: Metrics) -> None:
        self._analyzer, self._settings, self._pool, self._metrics = analyzer, settings, pool, metrics
        self._open = 0

    async def serve(self, socket: WebSocket) -> None:
        """Serve one client until it leaves, or is closed for a reason."""
        given = {name: socket.query_params.get(name, default) for name, default in _QUERY.items()}
        for name, value in given.items():
            if value not in ("0", "1"):
                await socket.send_denial_response(Problem(400, f"{name} must be 0 or 1").response())
                return
        if self._open >= self._settings.max_streams:
            self._metrics.rejected.labels("streams").inc()
            detail = f"all {self._settings.max_streams} streams are taken: try again"
            await socket.send_denial_response(Problem(503, detail, _RETRY_AFTER).response())
            return
        self._open += 1
        try:
            with self._metrics.streams.track_inprogress(), suppress(WebSocketDisconnect):  # the client may leave
                session = _Session(self._analyzer, self._settings, **{name: given[name] == "1" for name in given})
                await self._serve(socket, session)
        finally:
            self._open -= 1

    async def _serve(self, socket: WebSocket, session: _Session) -> None:
        await socket.accept(PROTOCOL if PROTOCOL in socket.scope["subprotocols"] else None)
        try:
            await self._talk(socket, session)
        except _EndError as end:
            await socket.close(end.code, end.reason)
        except WebSocketDisconnect:
            raise
        except Exception:
            with suppress(WebSocketDisconnect):
                await socket.close(FAILED, "something went wrong here; the service's log has more")
            raise

    async def _talk(self, socket: WebSocket, session: _Session) -> None:
        """Respond frame by frame. The next message is awaited at the same time, to notice a client that leaves."""
        receiving = ensure_future(socket.receive())
        working: asyncio.Future[PictureRecord] | None = None
        try:
            while True:
                content, began = await self._frame(receiving), time.perf_counter()
                receiving = ensure_future(socket.receive())
                working = ensure_future(self._pool.wait(partial(session.record, content, began)))
                await asyncio.wait([receiving, working], return_when=FIRST_COMPLETED)
                if receiving.done():
                    _check_presence(receiving.result())
                record = await working
                self._metrics.frame_seconds.observe(time.perf_counter() - began)
                self._metrics.frames.inc()
                self._metrics.faces.inc(len(record["faces"]))
                await socket.send_text(json.dumps(record, ensure_ascii=False, separators=(",", ":")))
        finally:
            receiving.cancel()
            if working is not None:
                working.cancel()

    async def _frame(self, receiving: asyncio.Future[Message]) -> bytes:
        """The next frame's file. Raises WebSocketDisconnect where the client left, _EndError where it must."""
        seconds = self._settings.idle_seconds
        await asyncio.wait([receiving], timeout=seconds)
        if not receiving.done():
            raise _EndError(IDLE, f"no frame came for {seconds:g} s")
        message = receiving.result()
        _check_presence(message)
        content: bytes | None = message.get("bytes")
        if content is None:
            raise _EndError(UNSUPPORTED, "expected frames, in binary messages")
        if len(content) > (most := self._settings.max_frame):
            raise _EndError(TOO_LARGE, f"a frame has {len(content):,} bytes, at most {most:,} are accepted")
        return content


class _Session:
    """Who is in one stream. Frames are given one after the other, from any thread."""

    def __init__(self, analyzer: Analyzer, settings: Settings, *, smooth: bool, landmarks: bool) -> None:
        self._model, self._max_pixels = analyzer.model_id, min(MAX_PIXELS, settings.max_pixels)
        self._frames: deque[Frame] = deque()
        self._results = analyzer.stream(iter(self._frames.popleft, None), live=True, smooth=smooth)
        self._count, self._began, self._landmarks = 0, 0.0, landmarks

    def record(self, content: bytes, now: float) -> PictureRecord:
        """The record of a frame's file that came at this time, in seconds of a clock that never falls."""
        index = self._count
        self._count += 1
        if index == 0:
            self._began = now
        time_s = now - self._began
        try:
            image = read_image(content, max_pixels=self._max_pixels, formats=tuple(FORMATS))
        except ImageError as error:
            why = named(error, "the frame")
            return to_record((), Origin(None, frame=index, time_s=time_s), model=self._model, error=why)
        self._frames.append(Frame(image, index, time_s))
        return next(self._results).to_dict(landmarks=self._landmarks)


class _EndError(Exception):
    """The stream is closed, with this code and reason."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code, self.reason = code, reason


def _check_presence(message: Message) -> None:
    """Raise WebSocketDisconnect where the message is that the client left."""
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message["code"])
