"""CSV text, plain or inside a .gz, .zip or .tar (`archives`): where it is, its header, its rows one at a time."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from mien.data.readers import archives
from mien.data.readers.rows import Options
from mien.errors import DataError

_EVERY: Final = 256
_SHOWN: Final = 10


@dataclass(frozen=True, slots=True)
class CsvFile:
    """One CSV text: the file that it is in, what that is, and in an archive its name and those of all .csv there."""

    path: Path
    kind: archives.Kind = "plain"
    member: str | None = None
    members: tuple[str, ...] = ()

    def __str__(self) -> str:
        return str(self.path) if self.member is None else f"{self.path}/{self.member}"

    @classmethod
    def find(cls, path: Path, *, ignore: str) -> CsvFile:
        """The CSV text of a file; of a zip or tar, the one .csv inside, not counting those of the name to ignore.

        Raises DataError where the file cannot be read, or is an archive with none or several.
        """
        kind = archives.kind_of(path)
        if kind == "plain":
            return cls(path)
        members = archives.members(path, kind, ".csv")
        names = [name for name in members if PurePosixPath(name).name != ignore]
        if len(names) != 1:
            found = ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "") or "none"
            raise DataError(f"{path}: expected one .csv in the {kind}, found {found}")
        return cls(path, kind, names[0], members)

    def beside(self, name: str) -> CsvFile | None:
        """The CSV text of this name in the same archive, or else in the same folder; None where there is none."""
        for member in self.members:
            if PurePosixPath(member).name == name:
                return CsvFile(self.path, self.kind, member, self.members)
        path = self.path.with_name(name)
        return CsvFile(path) if path.is_file() and path != self.path else None

    def header(self) -> tuple[str, ...]:
        """The names of the columns, in lower case, without spaces around. Raises DataError where there is no text."""
        return tuple(name.strip().lower() for name in next(self._lines(Options()), []))

    def rows(self, options: Options, *, has_header: bool = True) -> Iterator[list[str]]:
        """Yield the cells of each row, spaces around them taken off; empty lines are no rows.

        Raises DataError where the file is damaged or is not CSV text.
        """
        lines = self._lines(options)
        if has_header:
            next(lines, None)
        for cells in lines:
            if cells:
                yield [cell.strip() for cell in cells]

    def _lines(self, options: Options) -> Iterator[list[str]]:
        line = 0
        try:
            total = self.path.stat().st_size
            with self.path.open("rb") as raw, archives.unpacked(raw, self.kind, self.member) as stream:
                text = io.TextIOWrapper(stream, encoding="utf-8-sig", newline="")
                for line, cells in enumerate(csv.reader(text), 1):
                    if line == 1 and any("\0" in cell for cell in cells):
                        raise DataError(f"{self}: expected CSV text, found binary data")
                    yield cells
                    if line % _EVERY == 0:
                        options.report(min(raw.tell(), total), total)
                options.report(total, total)
        except (UnicodeDecodeError, csv.Error) as error:
            raise DataError(f"{self}: expected CSV text in UTF-8; after line {line}: {error}") from None
        except archives.DAMAGED as error:
            raise DataError(f"{self}: cannot be read on after line {line}: {error}") from None


def column_index(file: object, header: tuple[str, ...], names: tuple[str, ...]) -> list[int]:
    """Where the columns of these names stand. Raises DataError, naming the file and those missing."""
    missing = [name for name in names if name not in header]
    if missing:
        raise DataError(f"{file}: missing column {', '.join(missing)}; it has {', '.join(header)}")
    return [header.index(name) for name in names]
