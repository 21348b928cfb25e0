"""The service as one ASGI app."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from fastapi import APIRouter, FastAPI
from starlette.responses import PlainTextResponse, Response
from starlette.websockets import WebSocket

import mien
from mien.analyzer import Analyzer
from mien.service.access_log import AccessLog, Lines
from mien.service.browsers import Browsers
from mien.service.classify import classify_router
from mien.service.errors import Problem, problem_responses, respond_with_problems
from mien.service.explain import explain_router
from mien.service.guard import Guard
from mien.service.heads import Heads
from mien.service.in_flight import InFlight, Limits, SlowReaders
from mien.service.memory import Memory
from mien.service.metrics import Measured, Metrics
from mien.service.openapi import describe
from mien.service.pages import page_router
from mien.service.pool import Pool
from mien.service.predict import predict_router
from mien.service.request_ids import RequestIds
from mien.service.routes import ANY_PATH, RouteNames
from mien.service.schemas import StatusRecord
from mien.service.settings import FORMATS, Settings
from mien.service.stream import stream_router
from mien.service.uploads import BodyReader
from mien.service.video_jobs import VideoJobs
from mien.service.videos import video_router

_ABOUT: Final = """Reads seven emotions off the faces in pictures and streams, with AlexNet.

Pictures are processed in memory, never stored, and nothing of them is logged. Videos are jobs, stored until they are
processed. A live stream goes over the WebSocket `/v1/stream`: each binary message is a JPEG, PNG or WebP frame, each
response the JSON record of one. Errors are RFC 9457 problems.
"""

_WORKERS_PER_BATCH: Final = 4
"""A network on one core classifies about 1,100 faces/s; finding the faces of a photo takes a core 5 to 100 ms."""


def create_app(analyzer: Analyzer, settings: Settings | None = None) -> FastAPI:
    """The app that serves an analyzer."""
    settings = settings or Settings()
    pool = Pool(settings.workers, settings.queue)
    metrics = Metrics(lambda: pool.waiting, _about(analyzer))
    served = _served(analyzer, settings, metrics)
    lines = None if settings.access_log is None else Lines(settings.access_log)
    memory = Memory(settings.max_buffered, metrics)
    bodies = BodyReader(settings, memory)
    videos = VideoJobs(served, settings, metrics)
    routers = (
        predict_router(served, pool, metrics, bodies, memory),
        classify_router(served, settings, pool, metrics, bodies),
        explain_router(served, pool, metrics, bodies, memory),
        video_router(videos, settings),
        stream_router(served, settings, pool, metrics),
        _status_router(served, pool, metrics),
        page_router(served, settings),
        _no_other_stream(),
    )

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        try:
            yield
        finally:  # a second Ctrl-C cancels it
            pool.close()
            await videos.close()
            if lines is not None:
                lines.close()

    app = FastAPI(
        title="Mien",
        version=mien.__version__,
        description=_ABOUT,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,  # behind a proxy it would lead to http
        lifespan=lifespan,
    )
    app.state.in_flight = InFlight()  # the server reports it at its end
    app.add_middleware(Heads)
    app.add_middleware(Limits, settings=settings, metrics=metrics, in_flight=app.state.in_flight)
    app.add_middleware(Guard, settings=settings)
    app.add_middleware(Browsers, settings=settings)
    app.add_middleware(SlowReaders, settings=settings)
    names = RouteNames([*app.router.routes, *(route for router in routers for route in router.routes)])
    app.add_middleware(Measured, metrics=metrics, names=names)
    if lines is not None:
        app.add_middleware(AccessLog, names=names, lines=lines)
    app.add_middleware(RequestIds)
    respond_with_problems(app)
    for router in routers:
        app.include_router(router)
    describe(app, has_keys=bool(settings.api_keys))
    return app


def _about(analyzer: Analyzer) -> dict[str, str]:
    """What distinguishes one copy of the service from another."""
    return {"version": mien.__version__, "model": analyzer.model_id, "detector": analyzer.detector.name}


def _served(analyzer: Analyzer, settings: Settings, metrics: Metrics) -> Analyzer:
    """The analyzer within the service's bounds; the faces of requests at the same time go in one batch."""
    served = analyzer.with_options(max_pixels=settings.max_pixels, formats=tuple(FORMATS), reduce=True)
    if not settings.batching:
        return served
    batches = max(1, settings.workers // _WORKERS_PER_BATCH)
    return served.sharing_batches(metrics.batch_faces.observe, max_concurrent_batches=batches)


def _status_router(analyzer: Analyzer, pool: Pool, metrics: Metrics) -> APIRouter:
    """What the model is, and how the service is."""
    router = APIRouter(tags=["status"])
    card = json.loads(analyzer.card.to_json())

    @router.get("/v1/model", summary="The model's card", responses=problem_responses(401, 421))
    async def model() -> dict[str, Any]:
        """What the model is, what it saw, how well it does, and by which protocol that was measured."""
        return card  # type: ignore[no-any-return]

    @router.get(
        "/healthz", summary="Whether the service runs", response_model=StatusRecord, responses=problem_responses(421)
    )
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @router.get(
        "/readyz",
        summary="Whether it takes more work",
        response_model=StatusRecord,
        responses=problem_responses(421, 503),
    )
    async def readyz() -> dict[str, str]:
        if pool.is_overloaded or pool.is_closing:
            detail = "the service ends" if pool.is_closing else "the queue is full most of the time"
            raise Problem(503, detail, {"Retry-After": "1"})
        return {"status": "ready"}

    @router.get(
        "/metrics",
        summary="Figures for Prometheus",
        response_class=PlainTextResponse,
        responses=problem_responses(401, 421),
    )
    async def prometheus() -> Response:
        return metrics.response()

    return router


def _no_other_stream() -> APIRouter:
    """Refuses a WebSocket at another address."""
    router = APIRouter()

    @router.websocket(ANY_PATH)
    async def nothing(socket: WebSocket) -> None:
        await socket.send_denial_response(Problem(404, "streams are at /v1/stream").response())

    return router
