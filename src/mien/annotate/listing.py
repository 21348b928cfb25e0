"""What INPUT names: pictures in a folder, a glob or a list, or Parquet files that hold pictures; in a fixed order."""

from __future__ import annotations

import glob
import os
import re
import sys
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from errno import EINVAL
from itertools import takewhile
from pathlib import Path, PurePath, PurePosixPath
from typing import Any, Final, Literal

from mien.annotate.storage import FileSystem, is_local, locate, may_pass, persistently, walk
from mien.errors import ConfigError, StorageError, reason
from mien.images.content import HEAD, HEIF_SUFFIXES, IMAGE_SUFFIXES, Content, content_of
from mien.images.find import is_picture, kind_of, passed_over
from mien.images.heif import can_read_heif

LIST_SUFFIXES: Final = frozenset({".txt", ".lst", ".list"})
"""Files that hold a path or URL a line."""

STDIN: Final = "-"
"""The INPUT that stands for a list on standard input."""

Kind = Literal["pictures", "parquet"]

_EXPECTED: Final = (
    "expected a folder, a glob pattern, a picture, a list of paths (.txt, a path a line), Parquet files with a column "
    "of image bytes, or an fsspec URL of one of these"
)


@dataclass(frozen=True)
class Naming:
    """How a path in the input's file system is shown: as the user named the input, the rest as it lies below that.

    root is a path there, shown stands in its place, tail follows (of a chained URL: `::photos.zip`), and scheme goes
    before paths that lie elsewhere.
    """

    root: str
    shown: str
    tail: str = ""
    scheme: str = ""

    def source(self, path: str) -> str:
        """The text that rows carry, always valid Unicode: what is no text in a name is written as \\udcXX."""
        below = self.below(path)
        if "://" in path:
            named = path
        elif path == self.root:
            named = self.shown
        elif below != path:
            named = (self.shown if self.shown.endswith("/") or not self.shown else f"{self.shown}/") + below
        else:
            named = self.scheme + path
        return (named + self.tail).encode("utf-8", "backslashreplace").decode()

    def below(self, path: str) -> str:
        """The path below the root (the name of a root that is a file), the same wherever the input lies; one that
        lies elsewhere as it is.
        """
        if path == self.root:
            return path.rpartition("/")[2]
        return path if "://" in path else path.removeprefix(f"{self.root.rstrip('/')}/")


@dataclass
class Listing:
    """An input and its paths.

    url     where it is, wherever Mien is run from: an absolute path or a URL
    kind    pictures, or Parquet files that hold them
    naming  how its paths are shown
    paths   the files, in their order; can be gone through once. A path with :// in it is a URL, others are in the
            input's own file system
    unreadable
            folders, and later Parquet files, that could not be read, with the reason; filled as `paths` is gone through
    passed  how many other files were passed over, by their kind; filled likewise
    """

    url: str
    kind: Kind
    naming: Naming
    paths: Iterator[str]
    unreadable: list[str] = field(default_factory=list)
    passed: Counter[str] = field(default_factory=Counter)


def list_input(name: str, *, skip: tuple[FileSystem, str] | None = None) -> Listing:
    """List an input.

    name is a path or fsspec URL of a folder, a picture, a list or a Parquet file, a glob pattern of pictures or Parquet
    files, or "-". skip is a folder to pass over, in its file system: the one that results are written to.

    Folders and patterns are searched for pictures (`images.find.is_picture`) or for .parquet; other files are counted,
    hidden ones ignored. In a storage elsewhere content decides only where a name has no suffix: it costs a request. A
    list holds a path or URL a line, in UTF-8; relative ones count from the list's own folder. Raises ConfigError on
    what is not there or is nothing of that, StorageError where it cannot be read; and, as `paths` is gone through,
    ConfigError where there are pictures and Parquet files at once.
    """
    if not name.strip():
        raise ConfigError(f"INPUT is empty: {_EXPECTED}")
    if name == STDIN:
        here = Path.cwd().as_posix()
        if sys.stdin is None:
            raise ConfigError("there is no standard input to read a list from")
        return Listing(STDIN, "pictures", Naming(here, ""), _lines(sys.stdin.buffer, here))
    system, path = locate(name)
    head, _, tail = name.partition("::")
    head, tail = Path(head).as_posix() if is_local(system) and "://" not in head else head, f"::{tail}" if tail else ""
    scheme = "" if is_local(system) else f"{head.partition('://')[0]}://"
    url = path if is_local(system) else _everywhere(name)
    information = _information(system, path, name)
    if information is None and glob.has_magic(head):
        fixed = _fixed_part(head)
        root = locate(fixed + tail if fixed or tail else ".")[1]
        if root and _information(system, root, name) is None:
            raise ConfigError(f"{name}: no such file or folder")
        listing = Listing(url, "pictures", Naming(root, fixed, tail, scheme), iter(()))
        found = _matching(system, root, head[len(fixed) :], _on_unreadable(listing))
        _fill(listing, found, system, skip, name)
        return listing
    if information is None and path:
        raise ConfigError(f"{name}: no such file or folder")
    if information is None or information["type"] == "directory":
        listing = Listing(url, "pictures", Naming(path, "" if head == "." else head, tail, scheme), iter(()))
        _fill(listing, walk(system, path, _on_unreadable(listing)), system, skip, name)
        return listing
    suffix = PurePosixPath(path).suffix.lower() if information["type"] != "other" else ""
    if suffix in LIST_SUFFIXES:
        folder = path.rpartition("/")[0]
        listed = _lines_of(system, path, folder, name)
        return Listing(url, "pictures", Naming(folder, "", tail, scheme), listed)
    if information["type"] != "other" and (kind := _kind(path, system)):
        return Listing(url, kind, Naming(path, head, tail, scheme), iter([path]))
    raise ConfigError(f"{name}: {_EXPECTED}")


def _information(system: FileSystem, path: str, name: str) -> dict[str, Any] | None:
    """What the file system reports of a path, or None where there is nothing."""
    try:
        return dict(persistently(lambda: system.info(path))) if path else None
    except (FileNotFoundError, NotADirectoryError) as error:
        if may_pass(error):
            raise StorageError(f"{name}: cannot be read: {reason(error)}") from error
        return None
    except OSError as error:
        if error.errno == EINVAL:  # Windows, of a pattern: no such name can be
            return None
        raise StorageError(f"{name}: cannot be read: {reason(error)}") from error
    except Exception as error:  # drivers raise nearly anything
        raise StorageError(f"{name}: cannot be read: {reason(error)}") from error


def _matching(
    system: FileSystem, root: str, pattern: str, unreadable: Callable[[str, Exception], object]
) -> Iterator[str]:
    """The files below a folder whose paths there match a pattern, in the order of `walk`."""
    from fsspec.utils import glob_translate

    matches = re.compile(glob_translate(pattern)).match
    start = f"{root.rstrip('/')}/"
    for path in walk(system, root, unreadable, None if "**" in pattern else pattern.count("/")):
        if matches(path.removeprefix(start)):
            yield path


def _fill(
    listing: Listing,
    paths: Iterator[str],
    system: FileSystem,
    skip: tuple[FileSystem, str] | None,
    name: str,
) -> None:
    """Give a listing its kind, by the first file, and those of the paths that are of it."""
    passed = None if skip is None or skip[0] != system else _below(listing.naming.root, skip[1], system)
    own = (path for path in paths if not (passed and path.startswith(passed)))
    wanted = (path for path in own if _kind(path, system) or _counted(path, listing))
    first = next(wanted, None)
    if first is None:
        if listing.unreadable:
            raise StorageError(listing.unreadable[0])
        others = f" ({passed_over(listing.passed)})" if listing.passed else ""
        raise ConfigError(f"{name}: holds no pictures and no .parquet files{others}; {_EXPECTED}")
    listing.kind = _kind(first, system) or "pictures"
    listing.paths = _of_one_kind(first, wanted, listing.kind, name)


def _below(root: str, folder: str, system: FileSystem) -> str | None:
    """Where a folder lies below a root, as paths below that begin; None where it does not, or is the root itself."""

    def real(path: str) -> str:
        return f"{(PurePath(os.path.realpath(path)).as_posix() if is_local(system) else path).rstrip('/')}/"

    start, below = real(root), real(folder)
    if below == start or not below.startswith(start):
        return None
    return f"{root.rstrip('/')}/{below.removeprefix(start)}"


def _everywhere(url: str) -> str:
    """A URL whose last part, where that is a path of this machine, is absolute."""
    *before, last = url.split("::")
    return "::".join([*before, last if "://" in last else locate(last)[1]])


def _of_one_kind(first: str, others: Iterator[str], kind: Kind, name: str) -> Iterator[str]:
    yield first
    for path in others:
        if (PurePosixPath(path).suffix.lower() == ".parquet") != (kind == "parquet"):
            raise ConfigError(
                f"{name}: holds pictures and Parquet files ({first}, {path}): name the ones or the others, by a pattern"
            )
        yield path


def _kind(path: str, system: FileSystem) -> Kind | None:
    """What a file is; None of what is passed over."""
    suffix = PurePosixPath(path).suffix.lower()
    if suffix == ".parquet":
        return "parquet"
    if is_local(system):
        return "pictures" if is_picture(Path(path)) else None
    if suffix in IMAGE_SUFFIXES or (suffix in HEIF_SUFFIXES and can_read_heif()):
        return "pictures"
    return "pictures" if not suffix and _remote_content(path, system) == "picture" else None


def _remote_content(path: str, system: FileSystem) -> Content | None:
    try:
        return content_of(persistently(lambda: system.cat_file(path, 0, HEAD)))
    except Exception:  # drivers raise nearly anything
        return None


def _counted(path: str, listing: Listing) -> bool:
    """False; the file is counted as passed over."""
    listing.passed[kind_of(Path(path))] += 1
    return False


def _on_unreadable(listing: Listing) -> Callable[[str, Exception], object]:
    return lambda folder, error: listing.unreadable.append(
        f"{listing.naming.source(folder)}: cannot be read: {reason(error)}"
    )


def _lines_of(system: FileSystem, path: str, folder: str, name: str) -> Iterator[str]:
    try:
        with system.open(path, "rb") as file:
            yield from _lines(file, folder)
    except ConfigError:
        raise
    except Exception as error:  # drivers raise nearly anything
        raise StorageError(f"{name}: cannot be read: {reason(error)}") from error


def _lines(file: Iterator[bytes], folder: str) -> Iterator[str]:
    """The paths in a list; what is no UTF-8 in them stays, as os.fsdecode does."""
    for number, line in enumerate(file):
        if number == 0 and line.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
            raise ConfigError("the list is in UTF-16, expected UTF-8")
        text = line.removeprefix(b"\xef\xbb\xbf") if number == 0 else line
        path = text.rstrip(b"\r\n").decode("utf-8", "surrogateescape")
        if path:
            yield path if "://" in path or os.path.isabs(path) else f"{folder.rstrip('/')}/{path}"  # noqa: PTH117


def _fixed_part(pattern: str) -> str:
    """What comes before the first part with a wildcard."""
    return "".join(f"{part}/" for part in takewhile(lambda part: not glob.has_magic(part), pattern.split("/")))
