"""`mien predict` on a video: it is read, and its persons are listed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from mien.cli import console
from mien.cli.outputs import Outputs
from mien.cli.stage_times import StageTimes
from mien.cli.two_passes import Excerpt, Reading, read_video
from mien.files import make_folder
from mien.reports.numbers import missing_numbers
from mien.video.writer import FORMS

if TYPE_CHECKING:
    from mien.analyzer import Analyzer
    from mien.reports.timeline import Timeline

PERSON_HEADS = ("person", "first_s", "last_s", "seconds", "emotion", "fraction")


def predict_video(path: Path, analyzer: Analyzer, outputs: Outputs, excerpt: Excerpt, *, stats: bool) -> None:
    """Read a video and list its persons. Exits with 130 if Ctrl-C ended it early, or as another signal asks for.

    Damage in the video is reported, and the exit code is 1 then.
    """
    if (out := outputs.out) is not None and (out.is_dir() or not out.suffix):
        make_folder(out)
        outputs = replace(outputs, out=out / video_name(Path(path.name)))
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


def report_on(reading: Reading) -> None:
    """Print notes and damage."""
    for line in reading.notes:
        console.note(line)
    for problem in reading.problems:
        console.report(problem)


def list_persons(timeline: Timeline) -> None:
    """The persons on standard output: a table on a terminal, else tab-separated lines. Missing numbers are noted."""
    for sentence in missing_numbers(timeline):
        console.note(sentence)
    print_table(PERSON_HEADS, person_rows(timeline) or [nobody(timeline)])


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


def nobody(timeline: Timeline) -> tuple[str, ...]:
    """The cells of the line that stands for a video without persons."""
    return (*("-",) * (len(PERSON_HEADS) - 2), "seen too shortly" if timeline.brief.tracks else "no face", "-")


def video_name(path: Path) -> Path:
    """The name of an annotated video in a folder: the video's, with `.mp4` added where that form is not written."""
    return path if path.suffix.lower() in FORMS else path.with_name(f"{path.name}.mp4")


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
    console.out().print(table)
