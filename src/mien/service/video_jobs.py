"""Videos that are processed while their clients wait elsewhere: a bounded number, in a thread besides the workers."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from secrets import token_urlsafe
from threading import Event, Lock
from typing import Final, Literal

from mien.analyzer import Analyzer
from mien.errors import MienError, reason
from mien.reports.aggregate import Gatherer
from mien.reports.summary import to_report
from mien.reports.tables import table_of, write_csv
from mien.service.errors import Problem
from mien.service.metrics import Metrics
from mien.service.pool import RESTART_S, BusyError, Pool
from mien.service.settings import Settings
from mien.service.stream import MAX_PIXELS
from mien.service.temporary import TemporaryVideo
from mien.spool import Spool
from mien.video.reader import VideoFile

State = Literal["waiting", "running", "done", "failed"]

MAX_KEPT: Final = 64
"""Videos that have ended and can be asked about; past it the oldest one is forgotten."""

MAX_REPORTS: Final = 64_000_000
"""Bytes of all reports that are kept; past it the oldest one is forgotten."""

JSON: Final = "application/json"
CSV: Final = "text/csv"

_END_S: Final = 2.0


@dataclass(slots=True, eq=False)
class VideoJob:
    """One video: what is asked of it, how far it is, and its report by media type once it is done."""

    id: str
    every: float | None
    content: TemporaryVideo
    state: State = "waiting"
    progress: float | None = 0.0
    frames: int = 0
    error: str | None = None
    reports: dict[str, bytes] = field(default_factory=dict)
    gone: Event = field(default_factory=Event)
    owner: Lock = field(default_factory=Lock)
    """Who takes it closes the content: its thread, or `release` where it got none."""
    task: asyncio.Task[None] | None = None
    timer: asyncio.TimerHandle | None = None

    @property
    def has_ended(self) -> bool:
        """Whether nothing will change any more."""
        return self.state in ("done", "failed")

    def release(self) -> None:
        """Close the content, unless a thread is at it, which then does."""
        if self.owner.acquire(blocking=False):
            self.content.close()

    @property
    def size(self) -> int:
        """Bytes of its reports."""
        return sum(map(len, self.reports.values()))


class VideoJobs:
    """All videos of one service. To be used from one event loop."""

    def __init__(self, analyzer: Analyzer, settings: Settings, metrics: Metrics) -> None:
        self._analyzer, self._settings, self._metrics = analyzer, settings, metrics
        self._pool = Pool(1, 0)
        self._jobs: dict[str, VideoJob] = {}  # the oldest first
        self._arriving = 0
        metrics.videos.set_function(lambda: self._at_work)

    @property
    def _at_work(self) -> int:
        return self._arriving + sum(not job.has_ended for job in self._jobs.values())

    def find(self, name: str) -> VideoJob:
        """The job of this id. Raises Problem 404 where there is none, or none any more."""
        if name not in self._jobs:
            raise Problem(404, "there is no such video, or no more")
        return self._jobs[name]

    async def take(self, receive: Callable[[TemporaryVideo], Awaitable[None]], every: float | None) -> VideoJob:
        """A new job for the video that `receive` writes into a file. Raises Problem 503 where there are too many."""
        if self._pool.is_closing:
            self._metrics.rejected.labels("end").inc()
            raise Problem(503, "the service ends", {"Retry-After": str(RESTART_S)})
        if self._at_work >= self._settings.max_videos:
            self._metrics.rejected.labels("videos").inc()
            most = self._settings.max_videos
            raise Problem(503, f"{most} videos are at work: try again", {"Retry-After": "30"})
        self._arriving += 1
        try:
            content = TemporaryVideo()
            try:
                await receive(content)
            except BaseException:
                content.close()
                raise
        except OSError as error:
            raise Problem(503, f"the video cannot be stored: {reason(error)}", {"Retry-After": "60"}) from None
        finally:
            self._arriving -= 1
        job = VideoJob(token_urlsafe(24), every, content)
        self._jobs[job.id] = job
        job.task = asyncio.create_task(self._run(job))
        return job

    def drop(self, job: VideoJob) -> None:
        """Cancel a job where it has not ended, and forget it."""
        self._jobs.pop(job.id, None)
        job.gone.set()
        if job.task is not None:
            job.task.cancel()  # a thread that is at it sees that it is gone
        job.release()  # a task that is cancelled before it began does nothing
        if job.timer is not None:
            job.timer.cancel()

    async def close(self) -> None:
        """Cancel all jobs."""
        working = [job.task for job in self._jobs.values() if job.state == "running" and job.task is not None]
        for job in self._jobs.values():
            job.gone.set()
        try:
            if working:  # a thread notices it at the next piece of its video, and closes its file
                await asyncio.wait(working, timeout=_END_S)
        finally:
            self._pool.close()
            for job in list(self._jobs.values()):
                self.drop(job)

    async def _run(self, job: VideoJob) -> None:
        try:
            job.reports = await self._pool.wait(partial(_process, job, self._analyzer, self._settings, self._metrics))
            job.state, job.progress = "done", 1.0
        except (BusyError, _GoneError):
            return
        except MienError as error:
            job.state, job.error = "failed", str(error).replace(str(job.content.path), "the video")
        except Exception:
            logging.getLogger("uvicorn.error").exception("a video failed")
            job.state, job.error = "failed", "something went wrong here; the service's log has more"
        finally:
            job.release()
        self._metrics.videos_ended.labels(job.state).inc()
        self._keep(job)

    def _keep(self, job: VideoJob) -> None:
        """Let it be asked about for a time, and forget older ones where there are too many."""
        job.timer = asyncio.get_running_loop().call_later(self._settings.keep_seconds, self.drop, job)
        ended = [one for one in self._jobs.values() if one.has_ended]
        while len(ended) > MAX_KEPT or sum(one.size for one in ended) > MAX_REPORTS:
            self.drop(ended.pop(0))


class _GoneError(Exception):
    """Nobody waits for the video any more."""


def _process(job: VideoJob, analyzer: Analyzer, settings: Settings, metrics: Metrics) -> dict[str, bytes]:
    """The reports of a video, by media type. Raises MienError on one that cannot be read, or takes too long."""
    if not job.owner.acquire(blocking=False):
        raise _GoneError
    end = time.monotonic() + settings.video_seconds
    try:
        job.state = "running"
        return _reports(job, analyzer, settings, metrics, lambda: job.gone.is_set() or time.monotonic() > end)
    except MienError:
        if job.gone.is_set():
            raise _GoneError from None
        if time.monotonic() > end:
            raise MienError(f"the video took longer than {settings.video_seconds:g} s to process") from None
        raise
    finally:
        job.content.close()


def _reports(
    job: VideoJob, analyzer: Analyzer, settings: Settings, metrics: Metrics, is_over: Callable[[], bool]
) -> dict[str, bytes]:
    gatherer = Gatherer()
    most = min(MAX_PIXELS, settings.max_pixels)
    with VideoFile(job.content.path, every=job.every, max_pixels=most, is_over=is_over) as video, Spool() as spool:
        results = analyzer.stream(video)
        for result in results:
            spool.add(result)
            metrics.faces.inc(len(result.faces))
            job.frames += 1
            job.progress = min(1.0, (result.time_s or 0.0) / video.duration_s) if video.duration_s else None
        if is_over():
            raise MienError("it is over")
        persons = results.persons()
        for result in spool:
            gatherer.add(result.renumbered(persons).to_dict())
        problems = [problem.replace(video.name, "the video") for problem in video.problems]
    timeline, table = gatherer.timeline(), io.StringIO()
    write_csv(table_of([timeline]), table)
    text = json.dumps(to_report(timeline, problems), separators=(",", ":"), allow_nan=False)
    reports = {JSON: text.encode(), CSV: table.getvalue().encode()}
    if (size_of := sum(map(len, reports.values()))) > MAX_REPORTS:
        raise MienError(f"the video's report has {size_of:,} bytes, more than can be kept")
    return reports
