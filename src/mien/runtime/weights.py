"""Where weights lie, and how a file is fetched: the models that Mien ships, and YuNet, which the user fetches once."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import re
import secrets
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import platformdirs

from mien.errors import DetectorError, ModelError

_ASSETS: Final = Path(__file__).resolve().parent.parent / "assets"
_CHUNK: Final = 1 << 16
_TIMEOUT_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file that can be fetched: its name here, where it is, the SHA-256 of its content in hex, its size in bytes."""

    name: str
    url: str
    sha256: str
    size: int


YUNET: Final = RemoteFile(
    name="face_detection_yunet_2026may.onnx",
    url="https://github.com/opencv/opencv_zoo/raw/main/models/face_detection_yunet/face_detection_yunet_2026may.onnx",
    sha256="ebafce4e3c118d6554634be5c27ab333b4c047a9a8c3faf1d7cf93101c22f0f0",
    size=229_738,
)
"""YuNet (Wu et al., Machine Intelligence Research, 2023), as the OpenCV zoo publishes it; its licence is MIT."""


def user_cache() -> Path:
    """The folder for fetched files: $MIEN_CACHE, or the user's cache folder on this system. It may not exist yet."""
    return Path(os.environ.get("MIEN_CACHE") or platformdirs.user_cache_path("mien", appauthor=False))


def vendored_yunet() -> Path:
    """Where a released wheel holds YuNet, whether it is there or not."""
    return _ASSETS / "vendor" / YUNET.name


def find_yunet() -> Path | None:
    """YuNet's file: the one that the wheel holds, else the one that `mien detector yunet` fetched, else None."""
    return next((path for path in (vendored_yunet(), user_cache() / YUNET.name) if path.is_file()), None)


def shipped_models() -> dict[str, Path]:
    """The models inside the package, by version (a file's name without its suffix), oldest first."""
    files = (_ASSETS / "models").glob("*.onnx")
    return {path.stem: path for path in sorted(files, key=lambda path: _version_key(path.stem))}


def find_model(model: str | os.PathLike[str] | None = None) -> Path:
    """The file of a model: None for the newest that ships, else a shipped model's version, or a path.

    Raises ModelError where there is none.
    """
    shipped = shipped_models()
    if model is None:
        if not shipped:
            raise ModelError("this copy of Mien ships no model: give an ONNX file")
        return list(shipped.values())[-1]
    if isinstance(model, str) and model in shipped:
        return shipped[model]
    path = Path(model)
    if not path.is_file():
        versions = ", ".join(shipped) or "none ships"
        raise ModelError(f"expected a model's file or a shipped version ({versions}), got {model}")
    return path


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


def _version_key(version: str) -> list[tuple[int, str]]:
    """Orders versions by their numbers, so that 10 comes after 9."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", version)]
