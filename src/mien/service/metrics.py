"""Figures for Prometheus: numbers of requests, faces and frames, how long they took, what waits, what was refused."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mien.service.routes import RouteNames

SWITCHED: Final = 101
"""The status of a WebSocket's handshake (RFC 6455, 4.2.2)."""

_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
_SIZES = (1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """The counters of one service, in a separate registry."""

    def __init__(self, waiting: Callable[[], int], about: Mapping[str, str] | None = None) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # they double what Prometheus has to store
        registry = self._registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        Info("mien", "The service.", registry=registry).info(dict(about or {}))
        self.requests = Counter(
            "mien_requests",
            "Requests by route and status; 101: accepted WebSockets.",
            ["route", "status"],
            registry=registry,
        )
        self.request_seconds = Histogram(
            "mien_request_seconds",
            "Seconds until a request's response.",
            ["route"],
            registry=registry,
            buckets=_SECONDS,
        )
        self.pictures = Counter("mien_pictures", "Pictures that were read.", registry=registry)
        self.faces = Counter("mien_faces", "Faces that were classified, in pictures and frames.", registry=registry)
        self.batch_faces = Histogram(
            "mien_batch_faces", "Faces that were classified together.", registry=registry, buckets=_SIZES
        )
        self.streams = Gauge("mien_streams", "Streams that are open.", registry=registry)
        self.frames = Counter("mien_frames", "Frames of streams.", registry=registry)
        self.frame_seconds = Histogram(
            "mien_frame_seconds", "Seconds until a frame's response.", registry=registry, buckets=_SECONDS
        )
        self.videos = Gauge("mien_videos", "Videos that arrive, wait or are processed.", registry=registry)
        self.videos_ended = Counter("mien_videos_ended", "Videos that were processed.", ["state"], registry=registry)
        self.rejected = Counter("mien_rejected", "What was refused for load.", ["reason"], registry=registry)
        for reason in ("queue", "memory", "streams", "videos", "requests", "end"):
            self.rejected.labels(reason)
        queue = Gauge("mien_queue", "Requests that wait for a worker.", registry=registry)
        queue.set_function(waiting)

    def response(self) -> Response:
        """All of them in Prometheus' text format."""
        return Response(generate_latest(self._registry), media_type=CONTENT_TYPE_LATEST)


class Measured:
    """ASGI middleware that counts and times requests by their route, never by their path.

    A WebSocket is a request that gets its response when it is accepted, with 101, or refused.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, names: RouteNames) -> None:
        self._app, self._metrics, self._names = app, metrics, names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the app respond, and count it."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        route, began, status = self._names.of(scope), time.perf_counter(), 0

        def count() -> None:
            self._metrics.requests.labels(route, str(status or 500)).inc()
            self._metrics.request_seconds.labels(route).observe(time.perf_counter() - began)

        async def watched(message: Message) -> None:
            nonlocal status
            if not status and (status := response_status(message)) == SWITCHED:
                count()
            await send(message)

        try:
            await self._app(scope, receive, watched)
        finally:
            if status != SWITCHED:
                count()


def response_status(message: Message) -> int:
    """The HTTP status of the response that a message begins, SWITCHED for a WebSocket; 0 where it begins none."""
    match message["type"]:
        case "http.response.start" | "websocket.http.response.start":
            return int(message["status"])
        case "websocket.accept":
            return SWITCHED
        case _:
            return 0
