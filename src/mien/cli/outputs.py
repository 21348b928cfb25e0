"""Where results go: that no file is written over another, and records as JSON Lines, as a table, or both."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from mien.errors import ConfigError

if TYPE_CHECKING:
    from mien.records import PictureRecord


def check_apart(written: Sequence[Path], read: Sequence[Path]) -> None:
    """Raise ConfigError where a file would be written over one that is read, or twice. Devices and pipes may be."""
    before = {path.resolve(): "is read from" for path in read}
    for path in written:
        place = path.resolve()
        if place.exists() and not place.is_file():
            continue
        if place in before:
            raise ConfigError(f"{path} {before[place]}: name another file to write")
        before[place] = "is written already"


def record_files(json_to: str | None, csv_to: str | None) -> list[Path]:
    """The files among where records go: not "-", standard output."""
    return [Path(name) for name in (json_to, csv_to) if name is not None and name != "-"]


@contextmanager
def records_to(
    json_to: str | None, csv_to: str | None, classes: Sequence[str]
) -> Iterator[Callable[[PictureRecord], None]]:
    """A function that writes a record to JSON Lines and its faces to a CSV table, each where it is asked for.

    "-" is standard output. The files appear when the context ends well. Raises ConfigError where both are "-".
    """
    from mien.records import csv_rows, json_lines

    if json_to == csv_to == "-":
        raise ConfigError("--json and --csv cannot both go to standard output")
    with ExitStack() as stack:
        writers: list[Callable[[PictureRecord], None]] = []
        if json_to is not None:
            writers.append(stack.enter_context(json_lines(json_to)))
        if csv_to is not None:
            writers.append(stack.enter_context(csv_rows(csv_to, classes)))

        def write(record: PictureRecord) -> None:
            for writer in writers:
                writer(record)

        yield write
