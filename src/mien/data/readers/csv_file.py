"""CSV text, plain or inside a .gz or .zip (told by content): where it is, its header, its rows one at a time."""

from __future__ import annotations

import csv
import gzip
import io
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Final

from mien.data.readers.rows import Options
from mien.errors import DataError, reason

GZIP: Final = b"\x1f\x8b"
ZIP: Final = b"PK"
_EVERY: Final = 256
_DAMAGED: Final = (EOFError, OSError, zlib.error, zipfile.BadZipFile, RuntimeError, NotImplementedError)


@dataclass(frozen=True, slots=True)
class CsvFile:
    """One CSV text: the file that it is in, and its name inside where that file is a zip."""

    path: Path
    member: str | None = None

    def __str__(self) -> str:
        return str(self.path) if self.member is None else f"{self.path}/{self.member}"

    @classmethod
    def find(cls, path: Path, *, ignore: str) -> CsvFile:
        """The CSV text of a file; of a zip, the one .csv inside, not counting those of the name to ignore.

        Raises DataError where the file cannot be read, or is a zip with none or several.
        """
        if _magic(path)[: len(ZIP)] != ZIP:
            return cls(path)
        names = [name for name in _members(path) if PurePosixPath(name).name != ignore]
        if len(names) != 1:
            raise DataError(f"{path}: expected one .csv in the zip, found {', '.join(names) or 'none'}")
        return cls(path, names[0])

    def beside(self, name: str) -> CsvFile | None:
        """The CSV text of this name in the same zip, or else in the same folder; None where there is none."""
        if self.member is not None:
            for member in _members(self.path):
                if PurePosixPath(member).name == name:
                    return CsvFile(self.path, member)
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
            with self.path.open("rb") as raw, self._unpacked(raw) as stream:
                text = io.TextIOWrapper(stream, encoding="utf-8-sig", newline="")
                for line, cells in enumerate(csv.reader(text), 1):
                    if line == 1 and any("\0" in cell for cell in cells):
                        raise DataError(f"{self}: expected CSV text, found binary data (unpack a tar archive first)")
                    yield cells
                    if line % _EVERY == 0:
                        options.report(min(raw.tell(), total), total)
                options.report(total, total)
        except (UnicodeDecodeError, csv.Error) as error:
            raise DataError(f"{self}: expected CSV text in UTF-8; after line {line}: {error}") from None
        except _DAMAGED as error:
            raise DataError(f"{self}: cannot be read on after line {line}: {error}") from None

    @contextmanager
    def _unpacked(self, raw: IO[bytes]) -> Iterator[IO[bytes]]:
        if self.member is not None:
            with zipfile.ZipFile(raw) as archive, archive.open(self.member) as stream:
                yield stream
        elif _magic(self.path)[: len(GZIP)] == GZIP:
            with gzip.GzipFile(fileobj=raw) as stream:
                yield stream  # type: ignore[misc]  # a GzipFile is an IO[bytes] in all but name
        else:
            yield raw


def column_index(file: object, header: tuple[str, ...], names: tuple[str, ...]) -> list[int]:
    """Where the columns of these names stand. Raises DataError, naming the file and those missing."""
    missing = [name for name in names if name not in header]
    if missing:
        raise DataError(f"{file}: missing column {', '.join(missing)}; it has {', '.join(header)}")
    return [header.index(name) for name in names]


def _magic(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(4)
    except OSError as error:
        raise DataError(f"{path}: cannot be opened: {reason(error)}") from None


def _members(path: Path) -> list[str]:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except _DAMAGED as error:
        raise DataError(f"{path}: not a whole zip: {error}") from None
    return [name for name in names if name.lower().endswith(".csv") and not name.startswith("__MACOSX/")]
