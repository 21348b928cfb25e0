"""`mien predict` on a video: read, find and follow faces, judge, draw and write, with a thread for each slow stage."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

import typer

from mien.cli import console
from mien.cli.interrupt import interruptible
from mien.cli.outputs import check_apart, record_files, records_to
from mien.cli.stage_times import StageTimes
from mien.drawing.style import Style

if TYPE_CHECKING:
    from mien.analysis import Analysis
    from mien.analyzer import Analyzer
    from mien.reports.timeline import Timeline
    from mien.video.reader import VideoFile

_AHEAD = 4
_HEADS = ("person", "first_s", "last_s", "seconds", "emotion", "share")


def predict_video(
    path: Path,
    analyzer: Analyzer,
    *,
    out: Path | None,
    json_to: str | None,
    csv_to: str | None,
    chart: Path | None,
    style: Style,
    start: float | None,
    end: float | None,
    every: float | None,
    stats: bool,
) -> None:
    """Analyse a video; the options are those of `mien predict`. Exits 130 when Ctrl-C ended it early.

    What was damaged in the video is reported, and the exit code is 1 then.
    """
    from mien.concurrency import Behind, ReadAhead
    from mien.drawing.draw import draw_frame
    from mien.reports.aggregate import Gatherer
    from mien.video.reader import VideoFile
    from mien.video.writer import VideoWriter

    check_apart([*filter(None, (out, chart)), *record_files(json_to, csv_to)], [path])
    gatherer, times = Gatherer(), StageTimes()
    if chart is not None:
        from mien.reports.chart import check_chart, save_chart

        check_chart(chart)
    with (
        VideoFile(path, start=start, end=end, every=every) as video,
        interruptible() as interrupted,
        records_to(json_to, csv_to, analyzer.card.classes) as write,
        VideoWriter(out, source=video) if out else nullcontext() as writer,
        _counted(video) as count,
    ):

        def draw(result: Analysis) -> None:
            assert writer is not None
            with times.timed("draw"):
                drawn = draw_frame(result.image, result.faces, style)
            with times.timed("encode"):
                writer.write(drawn, result.time_s or 0.0)

        with (
            ReadAhead(times.each("decode", video), _AHEAD) as frames,
            Behind(draw, _AHEAD) if writer else nullcontext(lambda result: None) as show,
        ):
            for result in analyzer.stream(frames, source=str(path)):
                times.add(result.stages)
                record = result.to_dict()
                gatherer.add(record)
                write(record)
                show(result)
                count(result.time_s or 0.0)
                if interrupted():
                    break
    if chart is not None:
        save_chart(gatherer.timeline(), chart)
    if "-" not in (json_to, csv_to):
        _list(gatherer.timeline())
    if out:
        console.err().print(f"the annotated video is {console.escape(str(out))}", soft_wrap=True, highlight=False)
    if stats:
        times.show()
    for problem in writer.problems if writer else []:
        console.note(problem)
    for problem in video.problems:
        console.report(problem)
    if interrupted():
        console.err().print(f"interrupted at {gatherer.timeline().end_s:.1f} s: what was done until then is kept")
        raise typer.Exit(130)
    if video.problems:
        raise typer.Exit(1)


def _list(timeline: Timeline) -> None:
    """The persons on standard output: a table on a terminal, else tab-separated lines."""
    rows = [
        (
            str(person.track),
            f"{person.first_s:.1f}",
            f"{person.last_s:.1f}",
            f"{person.seconds:.1f}",
            person.emotion,
            f"{100 * person.fractions[person.emotion]:.0f} %",
        )
        for person in timeline.persons
    ]
    if not console.is_terminal():
        typer.echo("\n".join("\t".join(row) for row in (_HEADS, *rows)))
        return
    from rich.box import SIMPLE
    from rich.table import Table

    table = Table(*_HEADS, box=SIMPLE)
    for row in rows:
        table.add_row(*row)
    console.out().print(table if rows else "no face was seen for long enough to tell of it")


@contextmanager
def _counted(video: VideoFile) -> Iterator[Callable[[float], None]]:
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
