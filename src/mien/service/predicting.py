"""`POST /v1/predict`: pictures in, records out."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Query, Request
from starlette.responses import JSONResponse, Response

from mien.analysis import Analysis
from mien.analyzer import Analyzer
from mien.errors import ImageError
from mien.media.records import to_record
from mien.service.intake import Intake, Upload
from mien.service.metrics import Metrics
from mien.service.pool import BusyError, Pool
from mien.service.problems import Problem, answers, named, problem_of
from mien.service.settings import FORMATS, Settings

_RECORD: Final = {"$ref": "#/components/schemas/PictureRecord"}

_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            **{media_type: {"schema": {"type": "string", "format": "binary"}} for media_type in FORMATS.values()},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {
                        "file": {"type": "array", "items": {"type": "string", "format": "binary"}, "minItems": 1}
                    },
                    "required": ["file"],
                }
            },
        },
    }
}

_ANSWERS: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "One record for a raw body, a list of them for a form; with draw=1 the picture, faces marked.",
        "content": {
            "application/json": {
                "schema": {"oneOf": [_RECORD, {"type": "array", "items": _RECORD}]},
            },
            "image/png": {"schema": {"type": "string", "format": "binary"}},
        },
    },
    **answers(400, 401, 403, 408, 413, 415, 421, 422, 500, 503),
}


def predict_router(analyzer: Analyzer, settings: Settings, pool: Pool, metrics: Metrics) -> APIRouter:
    """The route, served by the analyzer in the pool's threads."""
    router, intake = APIRouter(), Intake(settings, metrics)

    @router.post(
        "/v1/predict",
        summary="The emotions of the faces in pictures",
        response_class=Response,
        responses=_ANSWERS,
        openapi_extra=_BODY,
        tags=["pictures"],
    )
    async def predict(
        request: Request,
        draw: Annotated[bool, Query(description="Answer a PNG with the faces marked; takes one picture.")] = False,
        theme: Annotated[Literal["labels", "emoji", "minimal"], Query(description="How faces are marked.")] = "labels",
    ) -> Response:
        """Give a picture as the body (JPEG, PNG or WebP), or several as the files of a form.

        A picture of a form that cannot be read has its `error` in its record, and the others go on; where none can be
        read, the answer is 422. Large JPEGs are decoded at a half, a quarter or an eighth of their size where that is
        enough, and drawn in that size; boxes are in pixels of the whole picture all the same.
        """
        async with intake.uploads(request) as (uploads, is_form):
            if draw and len(uploads) > 1:
                raise Problem(400, f"draw=1 takes one picture, got {len(uploads)}")
            try:
                if draw:
                    return await pool.submit(lambda: _drawn(analyzer, uploads[0], theme, metrics))
                records = await pool.submit(lambda: _records(analyzer, uploads, metrics))
            except BusyError as busy:
                metrics.rejected.labels("queue").inc()
                raise Problem(503, str(busy), {"Retry-After": str(busy.retry_after_s)}) from None
            except ImageError as error:
                raise problem_of(error) from None
        return JSONResponse(records if is_form else records[0])

    return router


def _records(analyzer: Analyzer, uploads: Sequence[Upload], metrics: Metrics) -> list[dict[str, Any]]:
    """A record a picture. Raises ImageError where a single one cannot be read, Problem where none of several can."""
    results = list(analyzer.try_many(upload.content for upload in uploads))
    errors = [result for result in results if isinstance(result, ImageError)]
    if len(errors) == len(results):
        if len(errors) == 1:
            raise errors[0]
        raise Problem(422, f"none of the {len(errors)} pictures can be read; the first: {named(errors[0])}")
    _count(metrics, [result for result in results if isinstance(result, Analysis)])
    return [_record(analyzer, result, upload) for result, upload in zip(results, uploads, strict=True)]


def _record(analyzer: Analyzer, result: Analysis | ImageError, upload: Upload) -> dict[str, Any]:
    if isinstance(result, Analysis):
        return {**result.to_dict(), "source": upload.name}
    why = named(result, upload.name or "the picture")
    return to_record((), model=analyzer.card.id, source=upload.name, width=None, height=None, error=why)


def _drawn(analyzer: Analyzer, upload: Upload, theme: str, metrics: Metrics) -> Response:
    analysis = analyzer.analyze(upload.content)
    _count(metrics, [analysis])
    buffer = BytesIO()
    analysis.draw(theme=theme).save(buffer, "PNG", compress_level=1)
    return Response(buffer.getvalue(), media_type="image/png")


def _count(metrics: Metrics, analyses: Sequence[Analysis]) -> None:
    metrics.pictures.inc(len(analyses))
    metrics.faces.inc(sum(len(analysis.faces) for analysis in analyses))
