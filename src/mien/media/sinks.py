"""Where results go: files that are whole or absent, JSON Lines and CSV."""

from __future__ import annotations

import csv
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Any, Final, TextIO

from mien.errors import ConfigError
from mien.media.records import ROW_COLUMNS, to_rows
from mien.media.sources import FoundImage

if TYPE_CHECKING:
    from PIL.Image import Image

_KEPT: Final = frozenset({".jpg", ".jpeg", ".png"})


@contextmanager
def written_aside(path: Path) -> Iterator[Path]:
    """A path to write to, in the folder of `path`; renamed to it in the end, or removed when anything goes wrong.

    Raises ConfigError where the file cannot be written. A device or a pipe is written as it is.
    """
    target = Path(os.path.realpath(path))  # a link stays a link
    if target.is_dir():
        raise ConfigError(f"{path}: is a folder, expected a file to write")
    is_device = target.exists() and not target.is_file()
    part = target if is_device else target.with_name(f".{token_hex(8)}.part")
    try:
        yield part
        if not is_device:
            part.replace(target)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        if not is_device:
            with suppress(OSError):
                part.unlink(missing_ok=True)


@contextmanager
def json_lines(destination: str) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """A function that writes a record as one line of JSON, to a file or, for "-", to standard output.

    The file appears when the context ends well. The lines are plain ASCII, so that no console or file name breaks them.
    """
    if destination == "-":
        yield lambda record: print(json.dumps(record), file=sys.stdout, flush=True)
        return
    with written_aside(Path(destination)) as part, part.open("w", encoding="utf-8", newline="\n") as file:
        yield lambda record: print(json.dumps(record), file=file)


@contextmanager
def csv_rows(destination: str, classes: Sequence[str]) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """A function that writes the faces of a record as rows of CSV, to a file or, for "-", to standard output.

    The first row names the columns: ROW_COLUMNS, then `p_` with each class's name. A cell without a value is empty. The
    file is UTF-8, and appears when the context ends well; what is no text in a name is written as \\udcXX.
    """
    columns = [*ROW_COLUMNS, *(f"p_{name}" for name in classes)]
    with ExitStack() as stack:
        if destination == "-":
            file: TextIO = sys.stdout
        else:
            part = stack.enter_context(written_aside(Path(destination)))
            file = stack.enter_context(part.open("w", encoding="utf-8", errors="backslashreplace", newline=""))
        rows = csv.DictWriter(file, columns, lineterminator="\n")
        rows.writeheader()

        def write(record: Mapping[str, Any]) -> None:
            rows.writerows(to_rows(record))
            if destination == "-":
                file.flush()

        yield write


def make_folder(path: Path) -> None:
    """Make a folder and those above it, where they are not there yet. Raises ConfigError where that fails."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be made a folder: {error.strerror or error}") from error


def save_picture(image: Image, path: Path) -> None:
    """Write a picture as JPEG or PNG by the suffix of the path; folders are made as needed. Raises ConfigError."""
    make_folder(path.parent)
    with written_aside(path) as part:
        if path.suffix.lower() == ".png":
            image.save(part, "PNG", compress_level=4)
        else:
            image.save(part, "JPEG", quality=92, subsampling=0)


def drawn_paths(found: Sequence[FoundImage], folder: Path) -> list[Path]:
    """Where the drawn copy of each picture goes: below `folder` as it lies below the folders that were named.

    So equal names in several folders keep apart. JPEG and PNG keep their names, others get `.png` added. Raises
    ConfigError where a copy would take the place of one of the pictures.
    """
    roots = [Path(os.path.abspath(image.root)) for image in found]  # noqa: PTH100 - resolve() would follow links
    try:
        common = Path(os.path.commonpath(roots)) if roots else Path()
    except ValueError:  # several drives of Windows: each becomes a folder
        common = None
    drawn = []
    for image, root in zip(found, roots, strict=True):
        path = root / image.path.relative_to(image.root)
        below = path.relative_to(common) if common else Path(path.drive.replace(":", "").strip("\\/"), *path.parts[1:])
        drawn.append(folder / (below if below.suffix.lower() in _KEPT else below.with_name(below.name + ".png")))
    originals = {_identity(image.path) for image in found} - {None}
    for path in drawn:
        if _identity(path) in originals:
            raise ConfigError(f"{path} is one of the pictures and would be overwritten: name another folder")
    return drawn


def _identity(path: Path) -> tuple[int, int] | None:
    """What tells whether two paths are one file, or None where there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
