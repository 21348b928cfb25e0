"""`POST /v1/predict`: pictures in, records out."""

from __future__ import annotations

import asyncio
from asyncio import ensure_future
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from io import BytesIO
from threading import Event
from typing import Annotated, Any, Final, Literal, TypeVar

from fastapi import APIRouter, Query, Request
from starlette.responses import JSONResponse, Response

from mien.analysis import Analysis
from mien.analyzer import Analyzer
from mien.errors import ImageError
from mien.records import Origin, PictureRecord, to_record
from mien.service.errors import Problem, named, problem_of, problem_responses
from mien.service.json_body import SCHEMA
from mien.service.memory import HeldResponse, Memory
from mien.service.metrics import Metrics
from mien.service.openapi import BINARY, pictures_body
from mien.service.pool import RESTART_S, BusyError, Pool
from mien.service.uploads import BodyReader, Upload

T = TypeVar("T")

_RECORD: Final = {"$ref": "#/components/schemas/PictureRecord"}

_BODY: Final = pictures_body(SCHEMA, {"file": {"type": "array", "items": BINARY, "minItems": 1}})

_RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "A list of records for a form or `images`, else one record; with draw=1 a picture with marks.",
        "content": {
            "application/json": {
                "schema": {"oneOf": [_RECORD, {"type": "array", "items": _RECORD}]},
            },
            "image/png": {"schema": {"type": "string", "format": "binary"}},
        },
    },
    **problem_responses(400, 401, 403, 408, 413, 415, 421, 422, 500, 503),
}


def predict_router(analyzer: Analyzer, pool: Pool, metrics: Metrics, bodies: BodyReader, memory: Memory) -> APIRouter:
    """The route, served by the analyzer in the pool's threads."""
    router = APIRouter()

    @router.post(
        "/v1/predict",
        summary="The emotions of the faces in pictures",
        response_class=Response,
        responses=_RESPONSES,
        openapi_extra=_BODY,
        tags=["pictures"],
    )
    async def predict(
        request: Request,
        draw: Annotated[bool, Query(description="Get a PNG with the faces marked; for one picture.")] = False,
        theme: Annotated[
            Literal["labels", "emoji", "blur", "pixelate", "minimal"],
            Query(description="How faces are marked; emoji, blur and pixelate cover the whole head."),
        ] = "labels",
        landmarks: Annotated[bool, Query(description="Let each face have its landmarks, or null.")] = False,
    ) -> Response:
        """Give a picture as the body (JPEG, PNG or WebP), or several as the files of a form. Or give JSON, with base64
        or data URIs in `image` or `images`. What the bytes are counts, not the Content-Type.

        A picture of a form that cannot be read has its `error` in its record, and the others go on; where none can be
        read, the response is 422. Large JPEGs are decoded at a half, a quarter or an eighth of their size where that is
        enough, and drawn in that size; boxes are in pixels of the whole picture all the same.
        """
        left = Event()
        with refusals(pool, metrics):
            pool.check()  # before a body is read that cannot be processed
            async with bodies.given(request) as given:
                if draw and len(given.uploads) > 1:
                    raise Problem(400, f"draw=1 takes one picture, got {len(given.uploads)}")
                if draw:
                    drawing = partial(_drawn, analyzer, given.uploads[0], theme)
                    png, faces = await while_there(request, left, pool.submit(drawing))
                else:
                    is_over = partial(_is_over, left, pool)
                    reading = partial(_records, analyzer, given.uploads, is_over, landmarks=landmarks)
                    records = await while_there(request, left, pool.submit(reading))
        if draw:  # the body is freed by now
            metrics.pictures.inc()
            metrics.faces.inc(faces)
            return HeldResponse(png, "image/png", memory)
        metrics.pictures.inc(sum(record["error"] is None for record in records))
        metrics.faces.inc(sum(len(record["faces"]) for record in records))
        return JSONResponse(records if given.is_list else records[0])

    return router


@contextmanager
def refusals(pool: Pool, metrics: Metrics) -> Iterator[None]:
    """Let what the pool refuses, and a picture that cannot be read, be a problem."""
    try:
        yield
    except BusyError as busy:
        metrics.rejected.labels("end" if pool.is_closing else "queue").inc()
        raise Problem(503, str(busy), {"Retry-After": str(busy.retry_after_s)}) from None
    except ImageError as error:
        raise problem_of(error) from None


async def while_there(request: Request, left: Event, work: Awaitable[T]) -> T:
    """What comes of the work. Where the client leaves, the event is set, and what has not begun is given up."""
    working, leaving = ensure_future(work), ensure_future(request.receive())
    try:
        await asyncio.wait([working, leaving], return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            left.set()
            raise Problem(400, "the client went away")
        return await working
    finally:
        working.cancel()
        leaving.cancel()


def _is_over(left: Event, pool: Pool) -> bool:
    return left.is_set() or pool.is_closing


def _records(
    analyzer: Analyzer, uploads: Sequence[Upload], is_over: Callable[[], bool], *, landmarks: bool
) -> list[PictureRecord]:
    """A record a picture; pictures are freed as soon as they are classified.

    Raises ImageError where a single one cannot be read, Problem where none of several can, and where it is over: the
    client has left, or the service ends.
    """
    records, errors = [], []
    for result, upload in zip(analyzer.try_many(upload.content for upload in uploads), uploads, strict=True):
        records.append(_record(analyzer, result, upload, landmarks=landmarks))
        if isinstance(result, ImageError):
            errors.append(result)
        if is_over():
            raise Problem(503, "the service ends", {"Retry-After": str(RESTART_S)})
    if len(errors) == len(records):
        if len(errors) == 1:
            raise errors[0]
        raise Problem(422, f"none of the {len(errors)} pictures can be read; the first is {records[0]['error']}")
    return records


def _record(analyzer: Analyzer, result: Analysis | ImageError, upload: Upload, *, landmarks: bool) -> PictureRecord:
    if isinstance(result, Analysis):
        return {**result.to_dict(landmarks=landmarks), "source": upload.name}
    why = named(result, upload.name or "the picture")
    return to_record((), Origin(upload.name), model=analyzer.model_id, error=why)


def _drawn(analyzer: Analyzer, upload: Upload, theme: str) -> tuple[bytes, int]:
    """The picture with its faces marked, as a PNG file, and their number."""
    buffer, analysis = BytesIO(), analyzer.analyze(upload.content)
    analysis.draw(theme=theme).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue(), len(analysis.faces)
