"""`/v1/videos`: a video in, an id out; then how far it is, and its report."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field
from starlette.responses import JSONResponse, Response

from mien.errors import MissingExtraError
from mien.service.body import Bounds, arriving
from mien.service.errors import Problem, problem_responses
from mien.service.memory import SharedResponse
from mien.service.settings import Settings
from mien.service.temporary import TemporaryVideo
from mien.service.video_jobs import CSV, JSON, State, VideoJob, VideoJobs
from mien.video.containers import import_av

MIN_RATE: Final = 50_000
"""Bytes per second that count as progress of a video: only a few may arrive at once."""

_BINARY: Final = "application/octet-stream"


class VideoRecord(BaseModel):
    """How far a video is."""

    id: str
    state: State
    progress: float | None = Field(description="0 to 1 of its length; null where the file does not name that.")
    frames: int = Field(description="That were processed.")
    error: str | None = Field(description="Why it failed, in one line; null unless it did.")


_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {kind: {"schema": {"type": "string", "format": "binary"}} for kind in (_BINARY, "video/*")},
    }
}

_REPORT: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "Who was seen, what they showed, and when; as CSV a row for each person and emotion.",
        "content": {
            JSON: {"schema": {"$ref": "#/components/schemas/VideoReport"}},
            CSV: {"schema": {"type": "string"}},
        },
    },
    **problem_responses(400, 401, 404, 409, 421),
}


_TAKEN: Final[dict[int | str, dict[str, Any]]] = {
    202: {"headers": {"Location": {"description": "The video's address.", "schema": {"type": "string"}}}},
    **problem_responses(400, 401, 403, 404, 408, 413, 415, 421, 500, 501, 503),
}


def video_router(jobs: VideoJobs, settings: Settings) -> APIRouter:
    """The routes for videos."""
    router = APIRouter(tags=["videos"], prefix="/v1/videos")

    @router.post(
        "",
        summary="Take a video to process",
        status_code=202,
        response_model=VideoRecord,
        responses=_TAKEN,
        openapi_extra=_BODY,
    )
    async def take(
        request: Request,
        every: Annotated[
            float | None, Query(gt=0, le=3600, allow_inf_nan=False, description="Process one frame per N seconds.")
        ] = None,
    ) -> Response:
        """Give a video file as the body. It is held in a temporary file until it is processed."""
        _check(request, settings)
        job = await jobs.take(lambda content: _receive(request, content, settings), every)
        location = f"{settings.root_path}/v1/videos/{job.id}"
        return JSONResponse(_record(job), 202, {"Location": location})

    @router.get(
        "/{video}",
        summary="How far a video is",
        response_model=VideoRecord,
        responses=problem_responses(401, 404, 421),
    )
    async def state(video: str) -> dict[str, Any]:
        return _record(jobs.find(video))

    @router.delete(
        "/{video}",
        summary="Cancel a video, or forget its report",
        status_code=204,
        responses=problem_responses(401, 403, 404, 421),
    )
    async def remove(video: str) -> Response:
        jobs.drop(jobs.find(video))
        return Response(status_code=204)

    @router.get("/{video}/report", summary="What a video shows", response_class=Response, responses=_REPORT)
    async def report(
        request: Request,
        video: str,
        form: Annotated[
            Literal["json", "csv"] | None,
            Query(alias="format", description="By default as Accept asks for; else JSON."),
        ] = None,
    ) -> Response:
        job = jobs.find(video)
        if job.state != "done":
            raise Problem(409, f"the video has no report: {job.error or job.state}")
        kind = _wanted(request, form)
        return SharedResponse(job.reports[kind], kind, {"Vary": "Accept"})

    return router


def _wanted(request: Request, form: Literal["json", "csv"] | None) -> str:
    """The media type of a report: as asked for, else as Accept has it, else JSON."""
    accepted = request.headers.get("accept", "").lower()
    return CSV if form == "csv" or (form is None and CSV in accepted and JSON not in accepted) else JSON


def _record(job: VideoJob) -> dict[str, Any]:
    progress = None if job.progress is None else round(job.progress, 3)
    return {"id": job.id, "state": job.state, "progress": progress, "frames": job.frames, "error": job.error}


def _check(request: Request, settings: Settings) -> None:
    """Raise Problem on a video that is refused before a byte of it is read."""
    if not settings.max_video:
        raise Problem(404, "this service takes no videos: start it with `mien serve --max-video BYTES`")
    try:
        import_av()
    except MissingExtraError as error:
        raise Problem(501, str(error)) from None
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()[:100]
    if kind != _BINARY and not kind.startswith("video/"):
        raise Problem(
            415, f"expected a video file as the body, video/... or {_BINARY}, got {kind or 'no content type'}"
        )


async def _receive(request: Request, content: TemporaryVideo, settings: Settings) -> None:
    """Write the body into the file, as it comes. Raises Problem on one that is empty, and as `arriving` does."""
    bounds = Bounds(settings.max_video, MIN_RATE, settings.body_seconds, most_seconds=settings.video_seconds)
    async for chunk in arriving(request, bounds):
        await asyncio.to_thread(content.file.write, chunk)
    await asyncio.to_thread(content.file.flush)
    if not content.file.tell():
        raise Problem(400, "the body is empty, expected a video")
