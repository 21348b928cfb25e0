"""Fetching a file whole and right, or not at all. Only commands that fetch import this."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import urllib.error
import urllib.request
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Final

from mien.errors import ConfigError, DetectorError, MienError, reason
from mien.files import make_folder, written_aside
from mien.runtime.weights import RemoteFile

_CHUNK: Final = 1 << 16
_TIMEOUT_S: Final = 30.0
_DETECTOR_BY_HAND: Final = "fetch the file by other means and name it: `detector_model=FILE`"


def fetch(
    file: RemoteFile,
    destination: Path,
    progress: Callable[[int, int], None] | None = None,
    *,
    error: type[MienError] = DetectorError,
    by_hand: str = _DETECTOR_BY_HAND,
) -> Path:
    """Fetch a file whole and right, or not at all.

    file         its http(s) address, the SHA-256 of its content, and its size, 0 for any: a longer response is cut off
    destination  where it goes; its folder is made; a file that is there stays until the new one is verified
    progress     called with bytes received and bytes in all (0 where unknown)
    error        what is raised, for a caller whose file is no detector
    by_hand      what the user can do instead where the address cannot be reached

    Returns destination. Raises `error` where the address cannot be reached or sends something else, or where
    destination cannot be written.
    """
    with _raised_as(error), _aside(destination) as aside:
        try:
            with aside.open("xb") as part, contextlib.closing(_chunks(file, progress)) as chunks:
                for chunk in chunks:
                    part.write(chunk)
        except _Unreachable as unreachable:
            raise _Failure(f"cannot fetch {file.url}: {unreachable}; {by_hand}") from unreachable.__cause__
        _verify(aside.read_bytes(), file.sha256, file.url)
    return destination


def place(
    source: Path,
    sha256: str,
    destination: Path,
    *,
    error: type[MienError] = DetectorError,
    convert: Callable[[bytes], bytes] | None = None,
) -> Path:
    """Copy a local file to destination, verified as `fetch` does it. Raises `error` likewise.

    convert  makes the wanted content from a file's that hashes to something else; the result is verified in its stead
    """
    with _raised_as(error):
        try:
            content = source.read_bytes()
        except OSError as unread:
            raise _Failure(f"{source}: cannot read: {reason(unread)}") from unread
        if convert is not None and _hash(content) != sha256:
            content = convert(content)
        _verify(content, sha256, source)
        with _aside(destination) as aside:
            aside.write_bytes(content)
    return destination


def is_genuine(path: Path, sha256: str) -> bool:
    """Whether the file is there and hashes to sha256."""
    return path.is_file() and _hash(path.read_bytes()) == sha256


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class _Failure(Exception):  # noqa: N818 (it never leaves this file)
    """Why there is no file, in one line; what the caller sees is an error of the kind that it asked for."""


class _Unreachable(_Failure):
    """Why an address gave no whole response."""


@contextlib.contextmanager
def _raised_as(error: type[MienError]) -> Iterator[None]:
    """Raise a failure within as `error`."""
    try:
        yield
    except _Failure as failure:
        raise error(str(failure)) from failure.__cause__


@contextlib.contextmanager
def _aside(destination: Path) -> Iterator[Path]:
    """`written_aside` in a folder that is made as needed; it fails as this file does."""
    try:
        make_folder(destination.parent)
        with written_aside(destination) as part:
            yield part
    except ConfigError as error:
        raise _Failure(str(error)) from error.__cause__


def _verify(content: bytes, sha256: str, source: str | os.PathLike[str]) -> None:
    """Fail, naming the source, unless the content hashes to sha256."""
    found = _hash(content)
    if found != sha256:
        raise _Failure(f"{source}: expected SHA-256 {sha256}, got {found} ({len(content):,} bytes); nothing was saved")


def _chunks(file: RemoteFile, progress: Callable[[int, int], None] | None) -> Generator[bytes]:
    """The content of an address as it comes. It is written outside, so that a full disk is not taken for the network.

    Fails where the address cannot be reached or gives more or fewer bytes than expected.
    """
    url, size = file.url, file.size
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as response:
            total = int(response.headers.get("Content-Length") or size)
            received = 0
            while chunk := response.read(_CHUNK):
                received += len(chunk)
                if size and received > size:
                    raise _Failure(f"{url}: expected {size:,} bytes, got more; nothing was saved")
                yield chunk
                if progress:
                    progress(received, total)
    except urllib.error.HTTPError as error:
        reason = f"the server answered {error.code} {error.reason}"
        error.close()
        raise _Unreachable(reason) from None
    except urllib.error.URLError as error:
        raise _Unreachable(str(error.reason)) from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _Unreachable(str(error) or type(error).__name__) from error
    if received < max(size, total):
        raise _Failure(f"{url}: expected {max(size, total):,} bytes, got {received:,}; nothing was saved")
