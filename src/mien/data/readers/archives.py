"""What a file of text may be packed in: .gz, .zip, .tar or .tar.gz, known by content. It is read as a stream.

Of a tar nothing is unpacked: members that are no plain files are passed over, and one block is in memory at a time.
The records that give a member a longer name or other attributes are passed over too, whatever size they claim.
"""

from __future__ import annotations

import gzip
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader, RawIOBase
from pathlib import Path, PurePosixPath
from typing import IO, Final, Literal, TypeAlias

from mien.data.readers.leftovers import is_left_behind
from mien.errors import DataError, reason

Kind: TypeAlias = Literal["plain", "zip", "tar"]

DAMAGED: Final = (
    EOFError,
    OSError,
    zlib.error,
    zipfile.BadZipFile,
    RuntimeError,
    NotImplementedError,
    UnicodeDecodeError,  # a name of a zip
)
"""What reading a damaged archive raises."""

_GZIP: Final = b"\x1f\x8b"
_ZIP: Final = b"PK"
_BLOCK: Final = tarfile.BLOCKSIZE
_CHUNK: Final = 1 << 16
_MOST: Final = 100
"""Names that are listed: there should be one."""

_WITHOUT_CONTENT: Final = frozenset(
    {tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE}
)
"""Members that no content follows, whatever size they claim."""


def kind_of(path: Path) -> Kind:
    """What a file is packed in. A gzipped text counts as plain. Raises DataError where it cannot be opened."""
    try:
        with path.open("rb") as raw:
            if raw.read(len(_ZIP)) == _ZIP:
                return "zip"
            raw.seek(0)
            with _ungzipped(raw) as stream:
                return "tar" if _header(stream.read(_BLOCK)) is not None else "plain"
    except (EOFError, zlib.error, gzip.BadGzipFile):
        return "plain"  # reading it says what is wrong
    except OSError as error:
        raise DataError(f"{path}: cannot be opened: {reason(error)}") from None


def members(path: Path, kind: Kind, suffix: str) -> tuple[str, ...]:
    """The names of the files with this suffix in a zip or tar, less what is left behind.

    Raises DataError where it is damaged.
    """
    names: list[str] = []
    try:
        with path.open("rb") as raw:
            for name in _names(raw, kind):
                parts = [part for part in PurePosixPath(name).parts if part != ".."]
                if name.lower().endswith(suffix) and not any(map(is_left_behind, parts)):
                    names = [*names, name][:_MOST]
    except DAMAGED as error:
        raise DataError(f"{path}: not a whole {kind}: {error}") from None
    return tuple(names)


@contextmanager
def unpacked(raw: IO[bytes], kind: Kind, member: str | None) -> Iterator[IO[bytes]]:
    """The text in an open file, or the member of this name in it, as a stream that closes with it."""
    if kind == "zip":
        with zipfile.ZipFile(raw) as archive, archive.open(str(member)) as stream:
            yield stream
        return
    with _ungzipped(raw) as stream:
        if kind == "plain":
            yield stream
            return
        for info in _walk(stream):
            if info.name == member:
                yield BufferedReader(_Member(stream, info.size), _CHUNK)
                return
        raise EOFError(f"{member} is missing in the tar")


def _names(raw: IO[bytes], kind: Kind) -> Iterator[str]:
    if kind == "zip":
        with zipfile.ZipFile(raw) as archive:
            yield from archive.namelist()
    elif kind == "tar":
        with _ungzipped(raw) as stream:
            yield from (info.name for info in _walk(stream))


class _Member(RawIOBase):
    """The next bytes of a stream, as a file; fewer raise EOFError."""

    def __init__(self, stream: IO[bytes], size: int) -> None:
        self._stream, self._left = stream, size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # as the buffered reader calls it
        data = self._stream.read(min(len(buffer), self._left))
        if self._left and not data:
            raise EOFError("the tar ends within it")
        buffer[: len(data)] = data
        self._left -= len(data)
        return len(data)


@contextmanager
def _ungzipped(raw: IO[bytes]) -> Iterator[IO[bytes]]:
    begin = raw.read(len(_GZIP))
    raw.seek(0)
    if begin == _GZIP:
        with gzip.GzipFile(fileobj=raw) as stream:
            yield stream  # type: ignore[misc]  # a GzipFile is an IO[bytes] in all but name
    else:
        yield raw


def _walk(stream: IO[bytes]) -> Iterator[tarfile.TarInfo]:
    """The plain files of a tar. The stream stands at the content of each while it is yielded."""
    offset = 0
    while len(block := stream.read(_BLOCK)) == _BLOCK:
        offset += _BLOCK
        info = _header(block)
        if info is None:
            if any(block):
                raise OSError(f"no member's header at byte {offset - _BLOCK:,}")
            return  # blocks of zeros end a tar
        if info.isreg() and info.type != tarfile.GNUTYPE_SPARSE:
            yield info
        if info.type not in _WITHOUT_CONTENT:
            offset = _pass(stream, offset + -(-info.size // _BLOCK) * _BLOCK)
    if block:
        raise EOFError("it ends within a member's header")


def _pass(stream: IO[bytes], offset: int) -> int:
    """Read on to this place; it is returned."""
    while (left := offset - stream.tell()) > 0:
        if not stream.read(min(left, _CHUNK)):
            raise EOFError("it ends within a member")
    return offset


def _header(block: bytes) -> tarfile.TarInfo | None:
    """What the block describes, or None where it is no header of a member, whose checksum tells."""
    try:
        info = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return None
    return info if info.size >= 0 else None
