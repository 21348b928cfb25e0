"""Fetching a file whole and right, or not at all. Nothing but the commands that say so imports this."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import secrets
import urllib.error
import urllib.request
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Final

from mien.errors import DetectorError, MienError, reason

_CHUNK: Final = 1 << 16
_TIMEOUT_S: Final = 30.0
_DETECTOR_BY_HAND: Final = "fetch the file by other means and name it: `detector_model=FILE`"


def fetch(
    url: str,
    sha256: str,
    destination: Path,
    progress: Callable[[int, int], None] | None = None,
    *,
    size: int = 0,
    error: type[MienError] = DetectorError,
    by_hand: str = _DETECTOR_BY_HAND,
) -> Path:
    """Fetch a file whole and right, or not at all.

    url          http(s) address
    sha256       what the content must hash to, in hex
    destination  where it goes; its folder is made; a file that is there stays until the new one is verified
    progress     called with bytes received and bytes in all (0 where unknown)
    size         bytes expected, 0 for any: a longer answer is cut off, not stored
    error        what is raised, for a caller whose file is no detector
    by_hand      what the user can do instead where the address cannot be reached

    Returns destination. Raises `error` where the address cannot be reached or answers with something else, or where
    destination cannot be written.
    """
    with _raised_as(error), _aside(destination) as aside:
        try:
            with aside.open("xb") as file, contextlib.closing(_chunks(url, progress, size)) as chunks:
                for chunk in chunks:
                    file.write(chunk)
        except _Unreachable as unreachable:
            raise _Failure(f"cannot fetch {url}: {unreachable}; {by_hand}") from unreachable.__cause__
        _verify(aside.read_bytes(), sha256, url)
    return destination


def place(source: Path, sha256: str, destination: Path, *, error: type[MienError] = DetectorError) -> Path:
    """Copy a local file to destination, verified as `fetch` does it. Raises `error` likewise."""
    with _raised_as(error):
        try:
            content = source.read_bytes()
        except OSError as unread:
            raise _Failure(f"{source}: cannot read: {reason(unread)}") from unread
        _verify(content, sha256, source)
        with _aside(destination) as aside:
            aside.write_bytes(content)
    return destination


def is_genuine(path: Path, sha256: str) -> bool:
    """Whether the file is there and hashes to sha256."""
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == sha256


class _Failure(Exception):  # noqa: N818 (it never leaves this file)
    """Why there is no file, in one line; what the caller sees is an error of the kind that it asked for."""


class _Unreachable(_Failure):
    """Why an address gave no whole answer."""


@contextlib.contextmanager
def _raised_as(error: type[MienError]) -> Iterator[None]:
    """Raise a failure within as `error`."""
    try:
        yield
    except _Failure as failure:
        raise error(str(failure)) from failure.__cause__


@contextlib.contextmanager
def _aside(destination: Path) -> Iterator[Path]:
    """A free path beside destination, which becomes it at the end, or is removed when anything goes wrong."""
    aside = destination.with_name(f"{destination.name}.{secrets.token_hex(4)}.part")
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        yield aside
        aside.replace(destination)
    except OSError as error:
        raise _Failure(f"{destination}: cannot write: {reason(error)}") from error
    finally:
        with contextlib.suppress(OSError):
            aside.unlink()


def _verify(content: bytes, sha256: str, source: str | os.PathLike[str]) -> None:
    """Fail, naming the source, unless the content hashes to sha256."""
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise _Failure(f"{source}: expected SHA-256 {sha256}, got {found} ({len(content):,} bytes); nothing was kept")


def _chunks(url: str, progress: Callable[[int, int], None] | None, size: int) -> Generator[bytes]:
    """The content of an address as it comes. It is written outside, so that a full disk is not taken for the network.

    Fails where the address cannot be reached or gives more or fewer bytes than expected.
    """
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as answer:
            total = int(answer.headers.get("Content-Length") or size)
            received = 0
            while chunk := answer.read(_CHUNK):
                received += len(chunk)
                if size and received > size:
                    raise _Failure(f"{url}: expected {size:,} bytes, got more; nothing was kept")
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
        raise _Failure(f"{url}: expected {max(size, total):,} bytes, got {received:,}; nothing was kept")
