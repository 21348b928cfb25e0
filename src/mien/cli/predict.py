"""`mien predict`: the emotions of the faces in photos, or in a video."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from mien.cli import console
from mien.cli.console import report
from mien.cli.outputs import check_apart, record_files, records_to
from mien.emotions import EMOTION_COLORS

if TYPE_CHECKING:
    from rich.table import Table

    from mien.analyzer import Analyzer
    from mien.records import PictureRecord

_FEW = 3
_VIDEO = "Video"
_COLUMNS = ("source", "face", "emotion", "confidence", "x", "y", "width", "height", "uncertain")


def predict(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH", help="Photos, folders (searched with their subfolders), or glob patterns; or one video."
        ),
    ],
    *,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="DIR|FILE",
            help="Write copies of the photos into this folder, with their faces marked; of a video, into this file.",
        ),
    ] = None,
    json_lines_to: Annotated[
        str | None,
        typer.Option(
            "--json", metavar="FILE|-", help="Write JSON Lines, one photo or frame a line; - is standard output."
        ),
    ] = None,
    csv_to: Annotated[
        str | None, typer.Option("--csv", metavar="FILE|-", help="Write a table, one face a row; - is standard output.")
    ] = None,
    theme: Annotated[
        Literal["labels", "emoji", "minimal"],
        typer.Option(help="How --out marks faces; emoji covers each face that is found."),
    ] = "labels",
    emoji: Annotated[bool | None, typer.Option("--emoji/--no-emoji", help="Draw emoji as well.")] = None,
    labels: Annotated[bool | None, typer.Option("--labels/--no-labels", help="Draw labels.")] = None,
    detector: Annotated[
        Literal["auto", "haar", "yunet", "none"],
        typer.Option(help="Face detector; auto takes yunet where it is at hand; none: each photo is one face."),
    ] = "auto",
    detector_model: Annotated[
        Path | None, typer.Option(metavar="FILE", help="YuNet's ONNX file, instead of the one at hand.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(metavar="FILE|VERSION", help="An ONNX file, or the version of a shipped model; default: newest."),
    ] = None,
    min_face: Annotated[
        float | None, typer.Option(metavar="PX", min=0, help="Leave out faces smaller than this many pixels (20).")
    ] = None,
    min_face_score: Annotated[
        float | None,
        typer.Option(metavar="0..1", min=0, max=1, help="Leave out faces the detector is less sure of (0.7)."),
    ] = None,
    uncertain_below: Annotated[
        float | None,
        typer.Option(
            metavar="0..1", min=0, max=1, help="Mark faces as uncertain whose emotion is less probable than this (0.6)."
        ),
    ] = None,
    flip: Annotated[
        bool, typer.Option("--flip", help="Average over each face and its mirror image, where the network does not.")
    ] = False,
    threads: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="CPU threads for the networks; default: onnxruntime's choice."),
    ] = None,
    start: Annotated[
        float | None, typer.Option(metavar="SECONDS", min=0, rich_help_panel=_VIDEO, help="Begin the video there.")
    ] = None,
    end: Annotated[
        float | None, typer.Option(metavar="SECONDS", min=0, rich_help_panel=_VIDEO, help="End the video there.")
    ] = None,
    every: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", min=0, rich_help_panel=_VIDEO, help="Take one frame in so many seconds only."),
    ] = None,
    chart: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", rich_help_panel=_VIDEO, help="Draw each person's emotions over time (PNG, SVG, PDF)."
        ),
    ] = None,
    stats: Annotated[
        bool, typer.Option("--stats", rich_help_panel=_VIDEO, help="Print what each stage of the work took.")
    ] = False,
) -> None:
    """Name the emotion of every face in photos, or in a video.

    Prints a table, tab-separated where standard output is no terminal: of photos a line a face, of a video a line a
    person. An uncertain emotion has a question mark in the one, a yes in the other. A photo that cannot be read is
    reported, the others go on, and the exit code is 1. Ctrl-C ends a video early: what was done is kept.
    """
    from mien.analyzer import load
    from mien.errors import ConfigError
    from mien.options import MIN_FACE, MIN_FACE_SCORE
    from mien.types import UNCERTAIN_BELOW
    from mien.video.reader import is_video

    videos = [path for path in paths if is_video(path)]
    if videos and len(paths) > 1:
        raise ConfigError(f"a video goes alone: {videos[0]} is one, and there are {len(paths)} paths")
    for option, value in {"start": start, "end": end, "every": every, "chart": chart, "stats": stats or None}.items():
        if value is not None and not videos:
            raise ConfigError(f"--{option} goes with a video, and there is none")

    def analyzer(*, reduce: bool) -> Analyzer:
        return load(
            model,
            detector=detector,
            detector_model=detector_model,
            threads=threads,
            min_face=MIN_FACE if min_face is None else min_face,
            min_face_score=MIN_FACE_SCORE if min_face_score is None else min_face_score,
            uncertain_below=UNCERTAIN_BELOW if uncertain_below is None else uncertain_below,
            flip=flip,
            reduce=reduce,
        )

    if not videos:
        _predict_photos(paths, analyzer, out, json_lines_to, csv_to, {"theme": theme, "emoji": emoji, "labels": labels})
        return
    from mien.cli.video import predict_video
    from mien.drawing.style import Style

    predict_video(
        Path(videos[0]),
        analyzer(reduce=False),
        out=out,
        json_to=json_lines_to,
        csv_to=csv_to,
        chart=chart,
        style=Style.of(theme, emoji=emoji, labels=labels, tracks=True),
        start=start,
        end=end,
        every=every,
        stats=stats,
    )


def _predict_photos(
    paths: Sequence[str],
    make_analyzer: Callable[..., Analyzer],
    out: Path | None,
    json_to: str | None,
    csv_to: str | None,
    looks: Mapping[str, Any],
) -> None:
    """Photos; looks are the options of `Analysis.draw`."""
    import warnings

    from mien.errors import ConfigError, ImageError
    from mien.files import make_folder
    from mien.images.find import find_images
    from mien.images.save import drawn_paths, save_picture

    warnings.filterwarnings("ignore", module=r"PIL\.")  # of damaged EXIF blocks: the photo itself is read or reported
    found, lost = find_images(paths, skip=out)
    for item in lost:
        report(str(item))
    if not found:
        raise typer.Exit(2) if lost else ConfigError("there is no photo to analyse but those in --out itself")
    records = record_files(json_to, csv_to)
    check_apart(records, [image.path for image in found] if any(path.exists() for path in records) else [])
    analyzer = make_analyzer(reduce=out is None)
    drawn = drawn_paths(found, out) if out else [None] * len(found)
    if out:
        make_folder(out)
    failed = len(lost)
    with records_to(json_to, csv_to, analyzer.card.classes) as write, _counted(len(found)) as count:
        listing = None if "-" in (json_to, csv_to) else _Listing()
        for item in lost:
            write(_failure(item.source, str(item), analyzer.card.id))
        results = analyzer.try_many(image.path for image in found)
        for image, copy, result in zip(found, drawn, results, strict=True):
            if isinstance(result, ImageError):
                failed += 1
                report(str(result))
                write(_failure(str(image.path), str(result), analyzer.card.id))
            else:
                record = result.to_dict()
                write(record)
                if listing:
                    listing.add(record)
                if copy:
                    save_picture(result.draw(**looks), copy)
            count()
    if listing:
        listing.close()
    if out:
        console.err().print(f"drawn copies are in {console.escape(str(out))}", soft_wrap=True, highlight=False)
    if failed:
        raise typer.Exit(1)


class _Listing:
    """The faces on standard output: one table at the end on a terminal, else tab-separated lines as they come."""

    def __init__(self) -> None:
        self._table = _table() if console.is_terminal() else None
        if self._table is None:
            typer.echo("\t".join(_COLUMNS))

    def add(self, record: Mapping[str, Any]) -> None:
        """The faces of one photo; one without any gets a line that says so."""
        source = console.printable(record["source"])
        for number, face in enumerate(record["faces"], 1):
            place = [f"{face['box'][key]:.0f}" for key in _COLUMNS[4:8]]
            self._line(source, str(number), face["emotion"], f"{face['confidence']:.3f}", place, face["uncertain"])
        if not record["faces"]:
            self._line(source, "-", "no face", "-", ["-"] * 4, None)

    def _line(
        self, source: str, number: str, emotion: str, confidence: str, place: list[str], uncertain: bool | None
    ) -> None:
        if self._table is None:
            doubt = {None: "-", True: "yes", False: "no"}[uncertain]
            typer.echo("\t".join((source, number, emotion, confidence, *place, doubt)))
            return
        from rich.style import Style
        from rich.text import Text

        colour = Style(color="rgb({},{},{})".format(*EMOTION_COLORS[emotion])) if emotion in EMOTION_COLORS else ""
        box = "-" if place[0] == "-" else "{},{} {}x{}".format(*place)
        name = Text(f"{emotion}?" if uncertain else emotion, colour)
        self._table.add_row(Text(source, overflow="fold"), number, name, confidence, box)

    def close(self) -> None:
        """Print what is still to be printed."""
        if self._table is not None:
            console.out().print(self._table)


def _table() -> Table:
    from rich.box import SIMPLE
    from rich.table import Table

    return Table(*_COLUMNS[:4], "box", box=SIMPLE)


@contextmanager
def _counted(total: int) -> Iterator[Callable[[], None]]:
    """A progress bar where there are more than a few photos; yields what is called after each."""
    if total <= _FEW:
        yield lambda: None
        return
    with console.progress("{task.fields[speed]}") as bar:
        task = bar.add_task("photos", total=total, speed="")
        yield lambda: bar.update(task, advance=1, speed=f"{bar.tasks[task].speed or 0:.1f}/s")


def _failure(source: str, reason: str, model: str) -> PictureRecord:
    from mien.records import Origin, to_record

    return to_record([], Origin(source), model=model, error=reason)
