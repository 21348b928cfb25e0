"""Files wherever fsspec reaches: found, read and written whole, and tried again where a failure may pass."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from errno import EDQUOT, EFBIG, EINVAL, ELOOP, ENAMETOOLONG, ENOSPC, EROFS
from pathlib import Path
from secrets import token_hex
from typing import Any, Final, TypeAlias, TypeVar

from mien.errors import ConfigError, MienError, MissingExtraError, StorageError, one_line, reason

T = TypeVar("T")

FileSystem: TypeAlias = Any
"""fsspec's AbstractFileSystem, which has no types."""

_TRIES: Final = 4
_WAIT_S: Final = 0.25
_OLD: Final = timedelta(hours=1)
_FINAL: Final = frozenset({EDQUOT, EFBIG, EINVAL, ELOOP, ENAMETOOLONG, ENOSPC, EROFS})
_LASTING: Final = (
    *(FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError, FileExistsError),
    ValueError,  # of a name that cannot be one
    NotImplementedError,  # of a driver that cannot write
    ImportError,  # of a driver that is not there
)
_WHOLE_BY_NATURE: Final = frozenset({"abfs", "az", "gcs", "gs", "memory", "oss", "r2", "s3", "s3a"})
"""Where an object appears when all of it has arrived, so that writing aside would only copy it once more."""


def locate(url: str) -> tuple[FileSystem, str]:
    """The file system of a path or fsspec URL, and the path in it; a local path is made absolute.

    Raises MissingExtraError without fsspec, ConfigError where its driver is missing or the URL is invalid.
    """
    try:
        return _located(url)
    except MissingExtraError:
        raise
    except Exception as error:  # drivers raise nearly anything
        raise ConfigError(f"{url}: cannot be reached: {one_line(error)}") from error


def _located(url: str) -> tuple[FileSystem, str]:
    """As `locate`, with the driver's own errors."""
    try:
        from fsspec.core import url_to_fs
    except ImportError:
        raise MissingExtraError("annotating many pictures", "annotate") from None
    system, path = url_to_fs(url)
    return system, Path(os.path.abspath(path)).as_posix() if is_local(system) else str(path)  # noqa: PTH100 - keeps links


class Origin:
    """Where the paths of an input lie: those with :// in them are URLs, the others are in its own file system."""

    def __init__(self, url: str) -> None:
        self.system = locate(url)[0]

    def place(self, path: str) -> tuple[FileSystem, str]:
        """The file system of a path, and the path in it. Raises what the driver raises."""
        return _located(path) if "://" in path else (self.system, path)


def is_local(system: FileSystem) -> bool:
    """Whether it is this machine's own."""
    return "file" in _protocols(system)


def persistently(action: Callable[[], T], *, tries: int = _TRIES, wait_s: float = _WAIT_S) -> T:
    """What the action returns; it is tried again, after longer and longer waits, where its failure may pass.

    What cannot pass by waiting (no such file, no permission, a full disk) is raised at once, the rest after the last
    try.
    """
    for left in range(tries - 1, -1, -1):
        try:
            return action()
        except MienError:
            raise
        except Exception as error:  # drivers raise nearly anything
            if not left or not may_pass(error):
                raise
            time.sleep(wait_s * 2 ** (tries - 1 - left))
    raise ValueError(f"tries must be 1 or more, got {tries}")


def may_pass(error: Exception) -> bool:
    """Whether the same attempt may do better later."""
    cause = error.__cause__
    if isinstance(error, FileNotFoundError) and isinstance(cause, OSError) and not isinstance(cause, _LASTING):
        return True  # fsspec's http raises this for a server that is down
    return not isinstance(error, _LASTING) and getattr(error, "errno", None) not in _FINAL


def read_at_most(system: FileSystem, path: str, limit: int) -> bytes:
    """The first `limit` bytes of a file, or all that it has. Raises what the driver raises, after some tries."""

    def once() -> bytes:
        chunks, left = [], limit
        if is_local(system) and stat.S_ISFIFO(Path(path).stat().st_mode):
            raise ValueError("is a pipe, expected a file")  # reading it could wait for ever
        with Path(path).open("rb") if is_local(system) else system.open(path, "rb", cache_type="none") as file:
            while left > 0 and (chunk := file.read(left)):  # a stream may give less than it has
                chunks.append(chunk)
                left -= len(chunk)
        return b"".join(chunks)

    return persistently(once)


class Folder:
    """A folder that Mien writes to, wherever it lies. Names in it have forward slashes.

    Failures that do not pass become StorageError, in one line that names the file.
    """

    def __init__(self, url: str) -> None:
        if not url.strip():
            raise ConfigError("expected a folder or URL to write to, got an empty text")
        self.url = url
        self._system, self._path = locate(url)

    def place(self) -> tuple[FileSystem, str]:
        """Its file system, and its path in that."""
        return self._system, self._path

    @property
    def everywhere(self) -> str:
        """Its URL, or absolute path, for other processes."""
        return self._path if is_local(self._system) else self.url

    def path(self, name: str) -> str:
        """The path of a file in it, as its file system has it."""
        return f"{self._path.rstrip('/')}/{name}"

    def check(self) -> None:
        """Raise ConfigError where a file stands in its place."""
        if self._trying("read", "", lambda: self._system.isfile(self._path)):
            raise ConfigError(f"{self.url}: is a file, expected a folder or URL to write to")

    def names(self, below: str = "") -> list[str]:
        """The names of the files and folders right below one in it; none where that is not there."""
        place = self.path(below) if below else self._path

        def once() -> list[str]:
            self._system.invalidate_cache(place)
            try:
                entries = (entry.rstrip("/") for entry in self._system.ls(place, detail=False))
            except FileNotFoundError:
                return []
            return sorted(entry.rsplit("/", 1)[-1] for entry in entries if entry != place.rstrip("/"))

        return self._trying("listed", below, once)

    def read(self, name: str) -> bytes | None:
        """All bytes of a file, or None where it is not there."""

        def once() -> bytes | None:
            try:
                return bytes(self._system.cat_file(self.path(name)))
            except FileNotFoundError:
                return None

        return self._trying("read", name, once)

    def write(self, name: str, content: bytes) -> None:
        """Write a file, which appears under its name when it is whole; one that is there is replaced.

        That holds locally and on object stores; elsewhere it is as good as the driver's `mv`.
        """
        self._trying("written", name, lambda: self._write(self.path(name), content))

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""

        def once() -> None:
            with suppress(FileNotFoundError):
                self._system.rm_file(self.path(name))

        self._trying("removed", name, once)

    def clean(self, below: str = "") -> None:
        """Remove what writers that were killed an hour ago or longer left beside the files of a folder."""
        for name in self.names(below):
            place = f"{below}/{name}" if below else name
            if name.startswith(".") and name.endswith(".part") and self._is_old(place):
                self.remove(place)

    def _is_old(self, name: str) -> bool:
        with suppress(Exception):  # it has gone, or this driver knows no times
            changed: datetime = self._system.modified(self.path(name))
            zone = changed.tzinfo or UTC
            return datetime.now(UTC) - changed.replace(tzinfo=zone) > _OLD
        return False

    def _write(self, path: str, content: bytes) -> None:
        parent, _, name = path.rpartition("/")
        if _WHOLE_BY_NATURE.intersection(_protocols(self._system)):
            self._system.pipe_file(path, content)
            return
        aside = f"{parent}/.{name}.{token_hex(4)}.part"
        self._system.makedirs(parent, exist_ok=True)
        try:
            if is_local(self._system):
                with Path(aside).open("xb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                Path(aside).replace(path)
            else:
                self._system.pipe_file(aside, content)
                self._system.mv(aside, path)
        except BaseException:
            with suppress(Exception):
                self._system.rm_file(aside)
            raise

    def _trying(self, what: str, name: str, action: Callable[[], T]) -> T:
        try:
            return persistently(action)
        except Exception as error:  # drivers raise nearly anything
            raise StorageError(f"{self.url}: {name or 'it'} cannot be {what}: {reason(error)}") from error


def walk(
    system: FileSystem, folder: str, unreadable: Callable[[str, Exception], object], depth: int | None = None
) -> Iterator[str]:
    """The paths of all files below a folder, sorted by name in each folder, its files before its folders.

    depth is how many folders deep they may lie, None for any. Hidden files and folders and what is no file, as a pipe,
    are passed over, links to folders not followed. `unreadable` is called with a folder that cannot be read. (The walk
    of fsspec itself, and with it its glob, drops such a folder in silence.)
    """
    waiting = [(folder, 0)]
    while waiting:
        here, below = waiting.pop()
        try:
            entries = persistently(lambda here=here: system.ls(here, detail=True))  # type: ignore[misc]
        except Exception as error:  # drivers raise nearly anything
            unreadable(here, error)
            continue
        kinds = [(entry["name"].rstrip("/"), "link" if entry.get("islink") else entry["type"]) for entry in entries]
        shown = sorted(of for of in kinds if not of[0].rsplit("/", 1)[-1].startswith(".") and of[0] != here)
        yield from (path for path, kind in shown if kind not in ("directory", "other"))
        if depth is None or below < depth:
            waiting += [(path, below + 1) for path, kind in reversed(shown) if kind == "directory"]


def _protocols(system: FileSystem) -> tuple[str, ...]:
    protocol = system.protocol
    return (protocol,) if isinstance(protocol, str) else tuple(protocol)
