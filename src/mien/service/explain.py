"""`POST /v1/explain`: a picture in, and which parts of its faces spoke for an emotion out."""

from __future__ import annotations

from functools import partial
from io import BytesIO
from threading import Event
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request
from starlette.responses import JSONResponse, Response

from mien.analyzer import Analyzer
from mien.explanation import Explanation
from mien.service.errors import Problem, problem_responses
from mien.service.json_body import SCHEMA
from mien.service.memory import HeldResponse, Memory
from mien.service.metrics import Metrics
from mien.service.openapi import BINARY, pictures_body
from mien.service.pool import Pool
from mien.service.predict import refusals, while_there
from mien.service.uploads import BodyReader, Upload

MAX_FACES: Final = 8
"""Of one picture, the largest: each costs as much as classifying more than a hundred."""

_BODY: Final = pictures_body(SCHEMA, {"file": BINARY})

_RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "The picture's record with a map for each face; with draw=1 the maps over the faces.",
        "content": {
            "application/json": {"schema": {"$ref": "#/components/schemas/ExplanationRecord"}},
            "image/png": {"schema": {"type": "string", "format": "binary"}},
        },
    },
    **problem_responses(400, 401, 403, 408, 413, 415, 421, 422, 500, 503),
}


def explain_router(analyzer: Analyzer, pool: Pool, metrics: Metrics, bodies: BodyReader, memory: Memory) -> APIRouter:
    """The route, served by the analyzer in the pool's threads."""
    router = APIRouter()
    few = analyzer.with_options(max_faces=min(MAX_FACES, analyzer.options.max_faces or MAX_FACES))

    @router.post(
        "/v1/explain",
        summary="Which parts of the faces in a picture spoke for an emotion",
        response_class=Response,
        responses=_RESPONSES,
        openapi_extra=_BODY,
        tags=["pictures"],
    )
    async def explain(
        request: Request,
        draw: Annotated[bool, Query(description="Get a PNG: each face, its map over it, its probabilities.")] = False,
        emotion: Annotated[
            str | None, Query(description="The class to ask about, of the model's; else each face's likeliest.")
        ] = None,
    ) -> Response:
        """Give one picture, as to /v1/predict. The largest faces are explained, up to 8. A map shows what the model
        reacted to, not what the person feels.
        """
        if emotion is not None and emotion not in few.card.classes:
            raise Problem(400, f"emotion: expected one of {', '.join(few.card.classes)}")
        with refusals(pool, metrics):
            pool.check()  # before a body is read that cannot be processed
            async with bodies.given(request) as given:
                if len(given.uploads) > 1:
                    raise Problem(400, f"expected one picture, got {len(given.uploads)}")
                work = partial(_explained, few, given.uploads[0], emotion, draw=draw)
                explanation, png = await while_there(request, Event(), pool.submit(work))
                name = given.uploads[0].name
        metrics.pictures.inc()
        metrics.faces.inc(len(explanation.faces))
        if png is not None:
            return HeldResponse(png, "image/png", memory)
        return JSONResponse({**explanation.to_dict(), "source": name})

    return router


def _explained(
    analyzer: Analyzer, upload: Upload, emotion: str | None, *, draw: bool
) -> tuple[Explanation, bytes | None]:
    """The explanation, and if it is to be drawn its PNG file."""
    explanation = analyzer.explain(upload.content, emotion=emotion)
    if not draw:
        return explanation, None
    buffer = BytesIO()
    explanation.draw().save(buffer, "PNG", compress_level=1)
    return explanation, buffer.getvalue()
