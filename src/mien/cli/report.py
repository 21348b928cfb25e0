"""`mien report`: the emotions in one video or several, as a page, as subtitles and as tables."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mien.cli import console
from mien.cli.outputs import check_apart
from mien.errors import ConfigError

if TYPE_CHECKING:
    from mien.reports.spans import Every
    from mien.reports.timeline import Moment, Timeline

Records = Annotated[
    list[Path],
    typer.Argument(
        metavar="RECORDS",
        help="The JSON Lines that `mien predict VIDEO --json RECORDS` wrote; several are reported together.",
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out",
        "-o",
        metavar="FILE",
        help="The page to write, or subtitles: a name that ends in .srt or .vtt.",
        show_default="the first RECORDS with the suffix .html, unless only tables are asked for",
    ),
]
Name = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NUMBER=NAME",
        help="Name a person: 2=Anna; of several records 1.2=Anna is person 2 of the first. Persons of one name become"
        " one. Give it once for each person.",
        show_default=False,
    ),
]
Bin = Annotated[
    str | None,
    typer.Option(
        metavar="SECONDS|scene",
        help="Add figures for each part of the video this long, or for each scene, to the page and the tables.",
        show_default=False,
    ),
]
Video = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="The video, for thumbnails.", show_default="the file that the records name, or beside them"
    ),
]
Thumbnails = Annotated[
    bool, typer.Option("--thumbnails/--no-thumbnails", help="Whether the page shows faces cut out of the video.")
]
Csv = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="Write a table with one row per person and emotion (CSV), with --bin also per part."
    ),
]
Parquet = Annotated[Path | None, typer.Option(metavar="FILE", help="Write the same table as Parquet.")]
Json = Annotated[Path | None, typer.Option(metavar="FILE", help="Write all figures as JSON Lines, one line per video.")]


def report(
    records: Records,
    *,
    out: Out = None,
    name: Name = None,
    bin: Bin = None,
    video: Video = None,
    thumbnails: Thumbnails = True,
    csv: Csv = None,
    parquet: Parquet = None,
    json: Json = None,
) -> None:
    """Report the emotions in a video: per person the fraction of time in each emotion, a timeline, peaks.

    The page is one HTML file that opens offline. It shows faces if the video is available. Subtitles show each
    person's emotion over the video.
    """
    from mien.reports.load import read_timelines
    from mien.reports.page import save_page
    from mien.reports.subtitles import SUFFIXES, save_subtitles
    from mien.reports.summary import save_reports
    from mien.reports.tables import check_parquet, save_csv, save_parquet, table_of
    from mien.reports.thumbnails import find_video

    main = out if out or csv or parquet or json else records[0].with_suffix(".html")
    written = [path for path in (main, csv, parquet, json) if path is not None]
    check_apart(written, [*records, *([video] if video else [])])
    subtitles = main if main and main.suffix.lower() in SUFFIXES else None
    page = None if subtitles else main
    names, every = _names(name or [], records), _every(bin)
    _check(records, video, subtitles, every_is_used=every is None or written != [subtitles])
    if parquet:
        check_parquet()
    with console.progress() as bar:
        task = bar.add_task("reading", total=100)
        timelines = read_timelines(
            records,
            names=names,
            progress=lambda done, total: bar.update(task, completed=100 * done // max(total, 1)),
        )
    found = [find_video(timeline.source, path) for timeline, path in zip(timelines, records, strict=True)]
    check_apart(written, [path for path in found if path])
    if csv:
        save_csv(table_of(timelines, every), csv)
    if parquet:
        save_parquet(table_of(timelines, every), parquet)
    if json:
        save_reports(timelines, json, every=None if every == "scene" else every)
    if page:
        faces = _faces(timelines, [video] if video else found, is_named=video is not None) if thumbnails else {}
        save_page(timelines, page, thumbnails=faces, every=every)
    if subtitles:
        save_subtitles(timelines[0], subtitles)
    for path in written:
        console.log(f"wrote {path}")


def _check(records: Sequence[Path], video: Path | None, subtitles: Path | None, *, every_is_used: bool) -> None:
    """Raise ConfigError on options that do not go together."""
    several = len(records) > 1
    if len({path.resolve() for path in records}) < len(records):
        raise ConfigError("a file of records is given twice")
    if several and subtitles:
        raise ConfigError(
            f"{subtitles.name}: subtitles are of one video, and there are {len(records)} files of records"
        )
    if several and video:
        raise ConfigError("--video names the video of one file of records; keep videos beside their records")
    if not every_is_used:
        raise ConfigError("--bin goes with a page or a table: subtitles have no figures")


def _every(text: str | None) -> Every | None:
    if text is None or text == "scene":
        return "scene" if text else None
    try:
        return float(text)
    except ValueError:
        raise ConfigError(f"--bin takes a number of seconds or scene, got {text!r}") from None


def _names(given: Sequence[str], records: Sequence[Path]) -> dict[tuple[int, int], str]:
    """The names by the place of the records, from 1 on, and the person's number."""
    names: dict[tuple[int, int], str] = {}
    for one in given:
        match = re.fullmatch(r"(?:([0-9]{1,9})\.)?([0-9]{1,18})=(.*)", one, re.DOTALL)
        if match is None:
            raise ConfigError(f"--name takes NUMBER=NAME, as in 2=Anna, got {one!r}")
        place, number, name = match[1], int(match[2]), match[3].strip()
        if place is None and len(records) > 1:
            raise ConfigError(f"--name {one}: say of which records, as in 1.{one} for person {number} of {records[0]}")
        key = int(place or 1), number
        if not 1 <= key[0] <= len(records):
            raise ConfigError(f"--name {one}: no records have the number {key[0]}")
        if key in names:
            raise ConfigError(f"--name {one}: this person has the name {names[key]!r} already")
        names[key] = name
    return names


def _faces(timelines: Sequence[Timeline], videos: Sequence[Path | None], *, is_named: bool) -> dict[Moment, bytes]:
    """Thumbnails. None of a video that is not there, or, unless the user named it, cannot be used, which is noted."""
    from mien.errors import MienError
    from mien.reports.page import shown_persons, wanted_moments

    shown = shown_persons(timelines)
    faces: dict[Moment, bytes] = {}
    for timeline, path in zip(timelines, videos, strict=True):
        of_which = "" if timeline.video is None else f" of {timeline.name}"
        if path is None:
            hint = "" if of_which else " (--video FILE names it)"
            console.note(f"the page shows no faces{of_which}: the video is not available{hint}")
            continue
        try:
            faces |= _cut(timeline, wanted_moments(timeline, shown), path)
        except MienError as error:
            if is_named:
                raise
            console.note(f"the page shows no faces{of_which}: {error}")
    return faces


def _cut(timeline: Timeline, moments: list[Moment], path: Path) -> dict[Moment, bytes]:
    from mien.reports.thumbnails import frames_of, thumbnails

    with console.progress() as bar:
        task = bar.add_task("thumbnails", total=len(moments))
        faces = thumbnails(
            frames_of(path),
            moments,
            timeline.size,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    if len(faces) < len(set(moments)):
        console.note(
            f"{path} has only {len(faces)} of the {len(set(moments))} moments to show: is it the video of the records?"
        )
    return faces
