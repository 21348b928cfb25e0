"""Where weights lie: the models that Mien ships, and YuNet, which builds put into the package.

Without third-party packages at import: builds import this where there are none.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mien.errors import ModelError

_ASSETS: Final = Path(__file__).resolve().parent.parent / "assets"


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file that can be fetched: its name here, its address, the SHA-256 of its content in hex, its size in bytes (0
    for any).
    """

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
"""YuNet (Wu et al., Machine Intelligence Research, 2023), as the OpenCV zoo publishes it; its license is MIT."""


def user_cache() -> Path:
    """The folder for fetched files: $MIEN_CACHE, or the user's cache folder on this system. It may not exist yet."""
    if given := os.environ.get("MIEN_CACHE"):
        return Path(given)
    import platformdirs

    return platformdirs.user_cache_path("mien", appauthor=False)


def vendored_yunet() -> Path:
    """Where the package holds YuNet, whether it is there or not."""
    return _ASSETS / "vendor" / YUNET.name


def find_yunet() -> Path | None:
    """YuNet's file: the one that the package holds, else the one that `mien detector yunet` fetched, else None."""
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
    if not isinstance(model, (str, os.PathLike)) or not os.fspath(model):
        raise ModelError(f"expected a model's file or a shipped version, got {model!r}")
    path = Path(model)
    if path.is_dir():
        raise ModelError(f"{model}: expected a model's file, this is a folder")
    if not path.is_file():
        if path.suffix == ".onnx" or len(path.parts) > 1:
            raise ModelError(f"{model}: no such file")
        versions = ", ".join(shipped) or "none ships"
        raise ModelError(f"expected a model's file or a shipped version ({versions}), got {model}")
    return path


def _version_key(version: str) -> list[tuple[int, str]]:
    """Orders versions by their numbers, so that 10 comes after 9."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", version)]
