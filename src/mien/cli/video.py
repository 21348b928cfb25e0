"""`mien predict` on a video: decode, read faces, draw and write, with a thread for each slow stage."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
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
from mien.reports.aggregate import Gatherer
from mien.reports.numbers import missing_numbers
from mien.video.source import FrameSource, open_source
from mien.video.writer import VideoWriter

if TYPE_CHECKING:
    from mien.analysis import Analysis
    from mien.analyzer import Analyzer
    from mien.reports.timeline import Timeline

_AHEAD = 4
PERSON_HEADS = ("person", "first_s", "last_s", "seconds", "emotion", "share")


@dataclass(frozen=True, slots=True)
class Excerpt:
    """The part of a video that is read, in seconds, and the seconds from one frame to the next. None: all of it.

    rate is that of pictures in a folder, in frames/s; None for video files.
    """

    start: float | None = None
    end: float | None = None
    every: float | None = None
    rate: float | None = None

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


def predict_video(path: Path, analyzer: Analyzer, outputs: Outputs, excerpt: Excerpt, *, stats: bool) -> None:
    """Read a video and list its persons. Exits with 130 if Ctrl-C ended it early, or as another signal asks for.

    Damage in the video is reported, and the exit code is 1 then.
    """
    times = StageTimes()
    reading = read_video(path, analyzer, outputs, excerpt, times)
    if not outputs.records.on_stdout:
        list_persons(reading.timeline)
    if outputs.out:
        console.log(f"the annotated video is {outputs.out}")
    if stats:
        times.show()
    report_on(reading)
    if reading.exit_code:
        console.log(f"interrupted at {reading.timeline.end_s:.1f} s; what was done until then is saved")
        raise typer.Exit(reading.exit_code)
    if reading.problems:
        raise typer.Exit(1)


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
    style = outputs.drawing.style(tracks=True)
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
        VideoWriter(out, source=video) if out else nullcontext() as writer,
        _counted(video) as count,
        ReadAhead(times.each("decode", video), _AHEAD) as frames,
        Behind(_drawing(writer, style, times), _AHEAD) if writer else nullcontext(lambda result: None) as show,
    ):

        def recorded() -> Iterator[Analysis]:
            for result in analyzer.stream(frames, source=str(path)):
                times.add(result.stages)
                record = result.to_dict(landmarks=records.landmarks)
                gatherer.add(record)
                write(record)
                count(result.time_s or 0.0)
                yield result
                if exit_code():
                    return

        # What is drawn then lags behind what is recorded.
        for result in covered(recorded()) if writer and style.covers else recorded():
            show(result)
        if exit_code() and not keep_part:
            raise typer.Exit(exit_code())
    if chart is not None:
        save_chart(gatherer.timeline(), chart)
    notes = [*video.notes, *(writer.problems if writer else [])]
    return Reading(gatherer.timeline(), notes, video.problems, exit_code())


def report_on(reading: Reading) -> None:
    """Print notes and damage."""
    for line in reading.notes:
        console.note(line)
    for problem in reading.problems:
        console.report(problem)


def _drawing(writer: VideoWriter, style: Style, times: StageTimes) -> Callable[[Analysis], None]:
    """What draws a result and writes it, and measures both."""

    def draw(result: Analysis) -> None:
        with times.timed("draw"):
            drawn = draw_frame(result.image, result.faces, style, result.unreported)
        with times.timed("encode"):
            writer.write(drawn, result.time_s or 0.0)

    return draw


def list_persons(timeline: Timeline) -> None:
    """The persons on standard output: a table on a terminal, else tab-separated lines. Missing numbers are noted."""
    for sentence in missing_numbers(timeline):
        console.note(sentence)
    print_table(PERSON_HEADS, person_rows(timeline))


def person_rows(timeline: Timeline) -> list[tuple[str, ...]]:
    """The cells of each person's line under PERSON_HEADS."""
    return [
        (
            person.number,
            f"{person.first_s:.1f}",
            f"{person.last_s:.1f}",
            f"{person.seconds:.1f}",
            person.emotion,
            f"{100 * person.fractions[person.emotion]:.0f} %",
        )
        for person in timeline.persons
    ]


def print_table(heads: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    """Print the rows on standard output: as a table on a terminal, else as tab-separated lines."""
    if not console.is_terminal():
        typer.echo("\n".join("\t".join(row) for row in (heads, *rows)))
        return
    from rich.box import SIMPLE
    from rich.table import Table
    from rich.text import Text

    table = Table(*heads, box=SIMPLE)
    for row in rows:
        table.add_row(*map(Text, row))
    console.out().print(table if rows else "no face was seen for long enough to report it")


@contextmanager
def _counted(video: FrameSource) -> Iterator[Callable[[float], None]]:
    """A progress bar over the video's seconds, with frames/s; yields what is called with each frame's time."""
    first = video.start or 0.0
    last = min(video.duration_s or 0.0, video.end or float("inf"))
    with console.progress("{task.fields[speed]}") as bar:
        task = bar.add_task("seconds", total=max(1, round(last - first)) if last else None, speed="")
        began, frames = perf_counter(), 0

        def count(time_s: float) -> None:
            nonlocal frames
            frames += 1
            speed = frames / max(1e-9, perf_counter() - began)
            bar.update(task, completed=int(time_s - first), speed=f"{speed:.0f} frames/s")

        yield count
