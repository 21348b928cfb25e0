"""Fetching a file whole and right, or not at all. Nothing but the commands that say so imports this."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import secrets
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from mien.errors import DetectorError

_CHUNK: Final = 1 << 16
_TIMEOUT_S: Final = 30.0


def fetch(
    url: str, sha256: str, destination: Path, progress: Callable[[int, int], None] | None = None, *, size: int = 0
) -> Path:
    """Fetch a file whole and right, or not at all.

    url          http(s) address
    sha256       what the content must hash to, in hex
    destination  where it goes; its folder is made; a file that is there stays until the new one is verified
    progress     called with bytes received and bytes in all (0 where unknown)
    size         bytes expected, 0 for any: a longer answer is cut off, not stored

    Returns destination. Raises DetectorError where the address cannot be reached or answers with something else, or
    where destination cannot be written.
    """
    with _aside(destination) as aside:
        with aside.open("xb") as file:
            _download(url, file.write, progress, size)
        _verify(aside.read_bytes(), sha256, url)
    return destination


def place(source: Path, sha256: str, destination: Path) -> Path:
    """Copy a local file to destination, verified as `fetch` does it. Raises DetectorError likewise."""
    try:
        content = source.read_bytes()
    except OSError as error:
        raise DetectorError(f"{source}: cannot read: {error.strerror or error}") from error
    _verify(content, sha256, source)
    with _aside(destination) as aside:
        aside.write_bytes(content)
    return destination


def is_genuine(path: Path, sha256: str) -> bool:
    """Whether the file is there and hashes to sha256."""
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == sha256


@contextlib.contextmanager
def _aside(destination: Path) -> Iterator[Path]:
    """A free path beside destination, which becomes it at the end, or is removed when anything goes wrong."""
    aside = destination.with_name(f"{destination.name}.{secrets.token_hex(4)}.part")
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        yield aside
        aside.replace(destination)
    except OSError as error:
        raise DetectorError(f"{destination}: cannot write: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):
            aside.unlink()


def _verify(content: bytes, sha256: str, source: str | os.PathLike[str]) -> None:
    """Raise DetectorError, which names the source, unless the content hashes to sha256."""
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise DetectorError(
            f"{source}: expected SHA-256 {sha256}, got {found} ({len(content):,} bytes); nothing was kept"
        )


def _download(url: str, write: Callable[[bytes], int], progress: Callable[[int, int], None] | None, size: int) -> None:
    """Stream an address into `write`; every failure becomes a DetectorError that names the address."""
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as answer:
            total = int(answer.headers.get("Content-Length") or size)
            received = 0
            while chunk := answer.read(_CHUNK):
                received += write(chunk)
                if size and received > size:
                    raise DetectorError(f"{url}: expected {size:,} bytes, got more; nothing was kept")
                if progress:
                    progress(received, total)
    except urllib.error.HTTPError as error:
        reason = f"the server answered {error.code} {error.reason}"
        error.close()
        raise _unreachable(url, reason) from None
    except urllib.error.URLError as error:
        raise _unreachable(url, str(error.reason)) from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _unreachable(url, str(error) or type(error).__name__) from error
    if received < max(size, total):
        raise DetectorError(f"{url}: expected {max(size, total):,} bytes, got {received:,}; nothing was kept")


def _unreachable(url: str, reason: str) -> DetectorError:
    return DetectorError(
        f"cannot fetch {url}: {reason}; fetch the file by other means and name it with --detector-model FILE"
    )
