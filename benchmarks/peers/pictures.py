"""The pictures that the tools are timed on: scikit-image's astronaut, and a frame with her face in six sizes."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import skimage.data
from numpy.typing import NDArray

HEAD: Final = (slice(0, 240), slice(100, 340))
"""Rows and columns of the astronaut's head and shoulders; her face is about 95 pixels wide."""

FRAME: Final = (720, 1280)
PLACES: Final = ((20, 20, 480), (520, 20, 360), (900, 20, 320), (520, 430, 260), (800, 400, 220), (1050, 400, 180))
"""Left, top and side of each pasted head, pixels."""


def group() -> NDArray[np.uint8]:
    """A BGR frame of 1280x720: six heads, their faces 70 to 190 pixels wide, before grey noise that seed 0 draws."""
    head = _astronaut()[HEAD]
    noise = np.random.default_rng(0).normal(110, 12, (*FRAME, 3))
    frame = np.clip(noise, 0, 255).astype(np.uint8)
    for left, top, side in PLACES:
        how = cv2.INTER_AREA if side < head.shape[0] else cv2.INTER_CUBIC
        frame[top : top + side, left : left + side] = cv2.resize(head, (side, side), interpolation=how)
    return frame


def write_pictures(folder: Path) -> dict[str, Path]:
    """Write both for the timed calls, and the astronaut as a photo for the cold start. Their paths, by name."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = {"astronaut": folder / "astronaut.png", "group": folder / "group.png", "photo": folder / "photo.jpg"}
    options: list[tuple[Path, Any, list[int]]] = [
        (paths["astronaut"], _astronaut(), []),
        (paths["group"], group(), []),
        (paths["photo"], _astronaut(), [cv2.IMWRITE_JPEG_QUALITY, 92]),
    ]
    for path, image, how in options:
        cv2.imwrite(str(path), image, how)
    return paths


def _astronaut() -> NDArray[np.uint8]:
    """(512, 512, 3) BGR."""
    return np.asarray(cv2.cvtColor(skimage.data.astronaut(), cv2.COLOR_RGB2BGR), np.uint8)
