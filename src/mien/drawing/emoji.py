"""Mien's own emoji: one for each emotion, and a plain one, tinted, for custom classes.

They are drawn as SVG, beside which lie the PNGs that `scripts/draw_emoji.py` makes of them.
"""

from __future__ import annotations

import math
from functools import cache, lru_cache
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mien.drawing.canvas import blank, blend
from mien.drawing.colors import class_color
from mien.emotions import EMOTIONS

EMOJI_FOLDER: Final = Path(__file__).parents[1] / "assets" / "emoji"
NO_EMOTION: Final = ""
"""The name of the emoji that shows none: grey, for a face that was not read."""
SOLID: Final = 61.5 / 128
"""Radius of the circle that every emoji covers, in sides of its square: half a unit less than its outline."""
_PLAIN, _UNCERTAIN = "plain", "uncertain"
_GREY: Final = (176, 176, 180)
_FADED: Final = 0.35
"""How much of its color the emoji of an uncertain face keeps."""


def draw_emoji(
    canvas: NDArray[np.uint8],
    name: str,
    centre: tuple[float, float],
    side: float,
    *,
    roll: float = 0.0,
    uncertain: bool,
) -> None:
    """Draw the emoji of a class so that its square has this side in pixels; roll is clockwise, in radians.

    An uncertain one is pale and has a question mark.
    """
    height, width = canvas.shape[:2]
    reach = side * (abs(math.cos(roll)) + abs(math.sin(roll))) / 2 + 1
    left, right = (min(max(x, 0), width) for x in (math.floor(centre[0] - reach), math.ceil(centre[0] + reach)))
    top, bottom = (min(max(y, 0), height) for y in (math.floor(centre[1] - reach), math.ceil(centre[1] + reach)))
    if left >= right or top >= bottom:
        return
    # Half-sized copies first, by area: then linear interpolation leaves no pixel out.
    source = _shrunk(name, uncertain, max(0, math.floor(math.log2(512 / max(side, 1)))))
    scale = side / source.shape[0]
    cos, sin = scale * math.cos(roll), scale * math.sin(roll)
    half = source.shape[0] / 2 - 0.5  # OpenCV counts from the middle of the first pixel
    x, y = centre[0] - left - 0.5, centre[1] - top - 0.5
    matrix = np.array([[cos, -sin, x - cos * half + sin * half], [sin, cos, y - sin * half - cos * half]])
    patch = cv2.warpAffine(source, matrix, (right - left, bottom - top), flags=cv2.INTER_LINEAR)
    blend(canvas, patch.astype(np.uint8, copy=False), left, top)


@lru_cache(maxsize=128)
def _shrunk(name: str, uncertain: bool, halvings: int) -> NDArray[np.uint8]:
    if halvings == 0:
        return _artwork(name, uncertain)
    finer = _shrunk(name, uncertain, halvings - 1)
    side = finer.shape[0] // 2
    return finer if side < 8 else cv2.resize(finer, (side, side), interpolation=cv2.INTER_AREA).astype(np.uint8)


def _artwork(name: str, uncertain: bool) -> NDArray[np.uint8]:
    """(512, 512, 4) uint8, BGR and alpha, premultiplied."""
    art = _png(name if name in EMOTIONS else _PLAIN)
    if name not in EMOTIONS:
        color = class_color(name) if name != NO_EMOTION else _GREY
        tint = np.array([*color[::-1], 255], np.float32) / 255
        art = np.rint(art * tint).astype(np.uint8)
    if uncertain:
        grey = cv2.cvtColor(art[:, :, :3], cv2.COLOR_BGR2GRAY)[:, :, None].astype(np.float32)
        pale = blank(art.shape[1], art.shape[0])
        pale[:, :, :3] = np.rint(grey + _FADED * (art[:, :, :3] - grey))
        pale[:, :, 3] = art[:, :, 3]
        blend(pale, _png(_UNCERTAIN), 0, 0)
        art = pale
    return art


@cache
def _png(name: str) -> NDArray[np.uint8]:
    with Image.open(EMOJI_FOLDER / f"{name}.png") as image:
        red, green, blue, alpha = np.moveaxis(np.asarray(image.convert("RGBA"), np.float32), 2, 0)
    part = alpha / 255
    art: NDArray[np.uint8] = np.rint(np.dstack([blue * part, green * part, red * part, alpha])).astype(np.uint8)
    return art
