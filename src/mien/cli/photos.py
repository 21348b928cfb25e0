"""`mien predict` on photos: read, detect, classify, list, draw and write, one photo after another."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from mien.cli import console
from mien.cli.interrupt import interruptible
from mien.cli.outputs import Outputs, check_apart
from mien.emotions import EMOTION_COLORS
from mien.errors import ConfigError, ImageError
from mien.files import make_folder
from mien.images.content import VIDEO_SUFFIXES
from mien.images.find import Search, passed_over
from mien.images.save import drawn_paths, is_picture_name, save_picture
from mien.records import Origin, PictureRecord, to_record

if TYPE_CHECKING:
    from rich.table import Table

    from mien.analysis import Analysis
    from mien.analyzer import Analyzer

_FEW = 3
_COLUMNS = ("source", "face", "emotion", "confidence", "x", "y", "width", "height", "uncertain")


def predict_photos(search: Search, make_analyzer: Callable[..., Analyzer], outputs: Outputs) -> None:
    """Read photos, report those that cannot be read, and exit with 1 where there were some. A signal, such as Ctrl-C,
    ends it after those that are being read; the exit code is the signal's.

    make_analyzer takes `reduce`: whether large photos may be decoded at a reduced size, which drawn copies may not.
    """
    warnings.filterwarnings("ignore", module=r"PIL\.")  # of damaged EXIF blocks: the photo itself is read or reported
    out, records = outputs.out, outputs.records
    found, missing = search.images, search.unfound
    for item in missing:
        console.report(str(item))
    if not found:
        raise typer.Exit(2) if missing else ConfigError("all photos are in the folder of --out: name another folder")
    check_apart(records.paths, [image.path for image in found] if any(map(Path.exists, records.paths)) else [])
    analyzer = make_analyzer(reduce=out is None)
    copies = drawn_paths(found, out) if out else [None] * len(found)
    if out:
        make_folder(out.parent if is_picture_name(out) else out)
    done, failed = 0, len(missing)
    with (
        interruptible() as exit_code,
        records.opened(analyzer.card.classes) as write,
        _counted(len(found)) as count,
    ):
        listing = None if records.on_stdout else _Listing()
        for item in missing:
            write(_failure(item.source, str(item), analyzer.model_id))
        results = analyzer.try_many(image.path for image in found if not exit_code())
        for result, image, copy in zip(results, found, copies, strict=False):
            done += 1
            if isinstance(result, ImageError):
                failed += 1
                console.report(str(result))
                write(_failure(str(image.path), str(result), analyzer.model_id))
            else:
                record = result.to_dict(landmarks=records.landmarks)
                write(record)
                if listing:
                    listing.add(record)
                _finish(result, copy, outputs)
            count()
    if listing:
        listing.close()
    _conclude(search)
    if out:
        console.log(f"the drawn copy is {out}" if out.is_file() else f"drawn copies are in {out}")
    if exit_code():
        console.log(f"interrupted after {done} of {len(found)} photos; what was done until then is saved")
        raise typer.Exit(exit_code())
    if failed:
        raise typer.Exit(1)


def _conclude(search: Search) -> None:
    """Say what was passed over."""
    if search.passed:
        console.note(passed_over(search.passed))
        if not VIDEO_SUFFIXES.isdisjoint(search.passed):
            console.note("videos are read with: pip install 'mien[video]'")


def _finish(result: Analysis, copy: Path | None, outputs: Outputs) -> None:
    """Write the drawn copy, if one is asked for, and say what of the file was not read."""
    if copy:
        save_picture(result.draw(**outputs.drawing.arguments()), copy)
    if result.frames > 1:
        console.note(f"{result.source}: the first of {result.frames} frames was read")


class _Listing:
    """The faces on standard output: one table at the end on a terminal, else tab-separated lines as they come."""

    def __init__(self) -> None:
        self._table = _table() if console.is_terminal() else None
        if self._table is None:
            typer.echo("\t".join(_COLUMNS))

    def add(self, record: Mapping[str, Any]) -> None:
        """The faces of one photo, one line each; or one line for a photo without faces."""
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
            in_words = {None: "-", True: "yes", False: "no"}[uncertain]
            typer.echo("\t".join((source, number, emotion, confidence, *place, in_words)))
            return
        from rich.style import Style
        from rich.text import Text

        color = Style(color="rgb({},{},{})".format(*EMOTION_COLORS[emotion])) if emotion in EMOTION_COLORS else ""
        box = "-" if place[0] == "-" else "{},{} {}x{}".format(*place)
        name = Text(f"{emotion}?" if uncertain else emotion, color)
        self._table.add_row(Text(source, overflow="fold"), number, name, confidence, box)

    def close(self) -> None:
        """Print the table, if there is one."""
        if self._table is not None:
            console.out().print(self._table)


def _table() -> Table:
    from rich.box import SIMPLE
    from rich.table import Table

    return Table(*_COLUMNS[:4], "box", box=SIMPLE)


@contextmanager
def _counted(total: int) -> Iterator[Callable[[], None]]:
    """A progress bar if there are more than a few photos; yields what is called after each."""
    if total <= _FEW:
        yield lambda: None
        return
    with console.progress("{task.fields[speed]}") as bar:
        task = bar.add_task("photos", total=total, speed="")
        yield lambda: bar.update(task, advance=1, speed=f"{bar.tasks[task].speed or 0:.1f}/s")


def _failure(source: str, reason: str, model: str) -> PictureRecord:
    return to_record([], Origin(source), model=model, error=reason)
