"""How `mien predict` reads a video: once to read and draw its faces, and again to draw the persons' numbers.

The first pass decodes, reads faces, draws and encodes, with a thread for each slow stage. Only its end shows which
tracks are one person. Records are written then; and where numbers are drawn that have changed, a second pass decodes,
draws and encodes once more. What the first one drew is whole: it stays where a signal ends the second.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

import typer

from mien.cli import console
from mien.cli.interrupt import handled, interruptible
from mien.cli.outputs import Outputs, check_apart
from mien.cli.stage_times import StageTimes
from mien.concurrency import Behind, ReadAhead
from mien.covering import covered
from mien.drawing.draw import draw_frame
from mien.drawing.style import Style
from mien.errors import ImageError
from mien.reports.aggregate import Gatherer
from mien.spool import Spool
from mien.types import Frame
from mien.video.source import FrameSource, open_source
from mien.video.writer import VideoWriter

if TYPE_CHECKING:
    from rich.progress import Progress

    from mien.analysis import Analysis
    from mien.analyzer import Analyzer
    from mien.reports.timeline import Timeline

_AHEAD = 4


@dataclass(frozen=True, slots=True)
class Excerpt:
    """The part of a video that is read, in seconds, and the seconds from one frame to the next. None: all of it.

    rate is that of pictures in a folder, in frames/s; None for video files. persons is how many it shows; None where
    that is not known.
    """

    start: float | None = None
    end: float | None = None
    every: float | None = None
    rate: float | None = None
    persons: int | None = None

    def of(self, path: Path, is_over: Callable[[], bool]) -> FrameSource:
        """The video's frames within the excerpt, until `is_over` returns true."""
        return open_source(path, rate=self.rate, start=self.start, end=self.end, every=self.every, is_over=is_over)


@dataclass(frozen=True, slots=True)
class Reading:
    """What reading a video gave: its persons, what is worth knowing, its damage, and the exit code of a signal that
    ended it early, else 0.
    """

    timeline: Timeline
    notes: list[str]
    problems: list[str]
    exit_code: int


def read_video(
    path: Path,
    analyzer: Analyzer,
    outputs: Outputs,
    excerpt: Excerpt,
    times: StageTimes,
    *,
    keep_part: bool = True,
) -> Reading:
    """Read a video and write what is asked for.

    Without keep_part a video that a signal ended early leaves no file, and typer's Exit is raised.
    """
    out, records, chart = outputs.out, outputs.records, outputs.chart
    check_apart(outputs.files, [path])
    gatherer = Gatherer()
    if chart is not None:
        from mien.reports.chart import check_chart, save_chart

        check_chart(chart)
    with (
        handled() as exit_code,
        excerpt.of(path, lambda: bool(exit_code())) as video,
        interruptible(),
        records.opened(analyzer.card.classes) as write,
        Spool() as spool,
        VideoWriter(out, source=video) if out else nullcontext() as writer,
        console.progress("{task.fields[speed]}") as bar,
    ):
        passes = _Passes(excerpt, outputs.drawing.style(tracks=True), times, spool, bar, exit_code)
        numbers = passes.first(analyzer, video, writer)
        notes = [*video.notes, *_unmet(excerpt.persons, numbers, video.name), *(writer.problems if writer else [])]
        if writer and passes.are_drawn(numbers) and not passes.second(path, writer, numbers):
            numbers = {track: track for track in numbers}
            if not exit_code():
                notes.append(f"{video.name}: gave other frames when read again, so tracks were not joined")
        if exit_code() and not keep_part:
            raise typer.Exit(exit_code())
        for result in spool:
            record = result.renumbered(numbers).to_dict(landmarks=records.landmarks)
            gatherer.add(record)
            write(record)
    if chart is not None:
        save_chart(gatherer.timeline(), chart)
    return Reading(gatherer.timeline(), notes, video.problems, exit_code())


@dataclass(frozen=True, slots=True)
class _Passes:
    """What both passes over a video go by; spool holds the first one's results."""

    excerpt: Excerpt
    style: Style
    times: StageTimes
    spool: Spool
    bar: Progress
    exit_code: Callable[[], int]

    def first(self, analyzer: Analyzer, video: FrameSource, writer: VideoWriter | None) -> dict[int, int | None]:
        """Read the faces, and draw them with the numbers of their tracks; gives the number of each track's person."""
        count = _counter(self.bar, video, "seconds")
        with (
            ReadAhead(self.times.each("decode", video), _AHEAD) as frames,
            Behind(self._drawing(writer), _AHEAD) if writer else nullcontext(lambda result: None) as show,
        ):
            results = analyzer.stream(frames, source=str(video.path))

            def stored() -> Iterator[Analysis]:
                for result in results:
                    self.times.add(result.stages)
                    self.spool.add(result)
                    count(result.time_s or 0.0)
                    yield result
                    if self.exit_code():
                        return

            # What is drawn then lags behind what is stored.
            for result in covered(stored()) if writer and self.style.covers else stored():
                show(result)
        return results.persons(self.excerpt.persons)

    def are_drawn(self, numbers: Mapping[int, int | None]) -> bool:
        """Whether the numbers of persons would be drawn otherwise than those of tracks."""
        if self.style.labels:
            return any(person != track for track, person in numbers.items())
        return None in numbers.values() and not self.style.covers

    def second(self, path: Path, writer: VideoWriter, numbers: Mapping[int, int | None]) -> bool:
        """Draw the video again, in place of the writer's, with the numbers of persons.

        False, and the writer's stays, where a signal comes, or other frames than at first.
        """
        if self.exit_code():
            return False
        drawn = 0
        try:
            with (
                self.excerpt.of(path, lambda: bool(self.exit_code())) as video,
                VideoWriter(writer.path, source=video) as redrawn,
                ReadAhead(self.times.each("decode", video), _AHEAD) as frames,
                Behind(self._drawing(redrawn), _AHEAD) as show,
            ):
                count = _counter(self.bar, video, "drawing")
                results = _with_pictures(self.spool, frames)
                for result in covered(results) if self.style.covers else results:
                    show(result.renumbered(numbers))
                    count(result.time_s or 0.0)
                    drawn += 1
                is_whole = drawn == len(self.spool) and not self.exit_code()
                (writer if is_whole else redrawn).discard()
        except ImageError:
            return False
        return is_whole

    def _drawing(self, writer: VideoWriter) -> Callable[[Analysis], None]:
        """What draws a result and writes it, and measures both."""

        def draw(result: Analysis) -> None:
            with self.times.timed("draw"):
                drawn = draw_frame(result.image, result.faces, self.style, result.unreported)
            with self.times.timed("encode"):
                writer.write(drawn, result.time_s or 0.0)

        return draw


def _with_pictures(results: Iterable[Analysis], frames: Iterable[Frame]) -> Iterator[Analysis]:
    """The results with the pictures of their frames, as long as these are the same."""
    for frame, result in zip(frames, results, strict=False):
        if (frame.time_s, frame.image.shape[1::-1]) != (result.time_s, result.size):
            return
        yield replace(result, image=frame.image)


def _unmet(persons: int | None, numbers: Mapping[int, int | None], name: str) -> Iterator[str]:
    """A line where there are not as many persons as were asked for."""
    found = len(set(numbers.values()) - {None})
    if persons is not None and found != persons:
        why = "some of them are in one frame" if found > persons else "no more were found"
        yield f"{name}: --persons {persons} gives {found}, as {why}"


def _counter(bar: Progress, video: FrameSource, what: str) -> Callable[[float], None]:
    """A line of a progress bar over the video's seconds, with frames/s; gives what is called with each frame's time."""
    first = video.start or 0.0
    last = min(video.duration_s or 0.0, video.end or float("inf"))
    task = bar.add_task(what, total=max(1, round(last - first)) if last else None, speed="")
    began, frames = perf_counter(), 0

    def count(time_s: float) -> None:
        nonlocal frames
        frames += 1
        speed = frames / max(1e-9, perf_counter() - began)
        bar.update(task, completed=int(time_s - first), speed=f"{speed:.0f} frames/s")

    return count
