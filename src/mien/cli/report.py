"""`mien report`: the emotions in a video, as a page and as tables."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mien.cli import console
from mien.cli.outputs import check_apart

if TYPE_CHECKING:
    from mien.reports.timeline import Moment, Timeline

Records = Annotated[
    Path, typer.Argument(metavar="RECORDS", help="The JSON Lines that `mien predict VIDEO --json RECORDS` wrote.")
]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out",
        "-o",
        metavar="FILE",
        help="The page to write.",
        show_default="RECORDS with the suffix .html, unless only tables are asked for",
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
    Path | None, typer.Option(metavar="FILE", help="Write a table with one row per person and emotion (CSV).")
]
Parquet = Annotated[Path | None, typer.Option(metavar="FILE", help="Write the same table as Parquet.")]


def report(
    records: Records,
    *,
    out: Out = None,
    video: Video = None,
    thumbnails: Thumbnails = True,
    csv: Csv = None,
    parquet: Parquet = None,
) -> None:
    """Report the emotions in a video: per person the fraction of time in each emotion, a timeline, peaks.

    The page is one HTML file that opens offline. It shows faces if the video is available.
    """
    from mien.reports.page import save_page, wanted_moments
    from mien.reports.tables import check_parquet, save_csv, save_parquet
    from mien.reports.thumbnails import find_video

    page = out if out or csv or parquet else records.with_suffix(".html")
    written = [path for path in (page, csv, parquet) if path is not None]
    check_apart(written, [records, *([video] if video else [])])
    if parquet:
        check_parquet()
    timeline = _read(records)
    named = find_video(timeline.source, records)
    check_apart(written, [named] if named else [])
    if csv:
        save_csv(timeline, csv)
    if parquet:
        save_parquet(timeline, parquet)
    if page:
        faces = _faces(timeline, wanted_moments(timeline), records, video) if thumbnails else {}
        save_page(timeline, page, thumbnails=faces)
    for path in written:
        console.log(f"wrote {path}")


def _read(records: Path) -> Timeline:
    from mien.reports.load import read_timeline

    with console.progress() as bar:
        task = bar.add_task("reading", total=100)
        return read_timeline(
            records, progress=lambda done, total: bar.update(task, completed=100 * done // max(total, 1))
        )


def _faces(timeline: Timeline, moments: list[Moment], records: Path, video: Path | None) -> dict[Moment, bytes]:
    """Thumbnails. None if no video is named and the one found cannot be used, which is noted."""
    from mien.errors import MienError
    from mien.reports.thumbnails import find_video, frames_of, thumbnails

    path = video or find_video(timeline.source, records)
    if path is None:
        console.note("the page shows no faces: the video is not available (--video FILE names it)")
        return {}
    try:
        with console.progress() as bar:
            task = bar.add_task("thumbnails", total=len(moments))
            faces = thumbnails(
                frames_of(path),
                moments,
                timeline.size,
                progress=lambda done, total: bar.update(task, completed=done, total=total),
            )
    except MienError as error:
        if video:
            raise
        console.note(f"the page shows no faces: {error}")
        return {}
    if len(faces) < len(set(moments)):
        console.note(
            f"{path} has only {len(faces)} of the {len(set(moments))} moments to show: is it the video of the records?"
        )
    return faces
