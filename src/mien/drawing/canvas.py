"""Painting on arrays: shapes with smooth edges, text, and patches that are made once and blended often.

A canvas is (H, W, 3) uint8 in BGR order, or (H, W, 4) with alpha, premultiplied, which makes it a patch. Only the
pixels that change are touched, so a frame of a video costs what is drawn on it, not what it measures.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from mien.drawing.colors import Color
from mien.types import Box

_FONT_FILE: Final = Path(__file__).parents[1] / "assets" / "fonts" / "DejaVuSans.ttf"


def blank(width: int, height: int) -> NDArray[np.uint8]:
    """A patch of which nothing is seen yet."""
    return np.zeros((height, width, 4), np.uint8)


def blend(canvas: NDArray[np.uint8], patch: NDArray[np.uint8], left: int, top: int) -> None:
    """Lay a patch over the canvas, its left top corner at these pixels; what reaches over the edge is left out."""
    height, width = canvas.shape[:2]
    patch = patch[max(0, -top) : max(0, height - top), max(0, -left) : max(0, width - left)]
    left, top = max(0, left), max(0, top)
    if patch.size == 0:
        return
    area = canvas[top : top + patch.shape[0], left : left + patch.shape[1]]
    through = cv2.merge([255 - patch[:, :, 3]] * canvas.shape[2])
    laid = patch if canvas.shape[2] == 4 else cv2.cvtColor(patch, cv2.COLOR_BGRA2BGR)
    area[:] = cv2.add(cv2.multiply(area, through, scale=1 / 255), laid).reshape(area.shape)


@dataclass(frozen=True, slots=True)
class Rounded:
    """A rectangle with rounded corners; with a stroke only its border; with corners too, only the corners' arms.

    All in pixels: radius of the corners, stroke the width of the border, corners the length of an arm.
    """

    box: Box
    radius: float
    stroke: float | None = None
    corners: float | None = None


def fill(canvas: NDArray[np.uint8], shape: Rounded, color: Color, *, opacity: float = 1.0) -> None:
    """Paint a shape in a color, of an opacity 0..1."""
    box, radius, stroke = shape.box, shape.radius, shape.stroke
    height, width = canvas.shape[:2]
    for window in _windows(shape):
        left, right = (min(max(round(x), 0), width) for x in (window.x, window.x + window.width))
        top, bottom = (min(max(round(y), 0), height) for y in (window.y, window.y + window.height))
        if left >= right or top >= bottom:
            continue
        across = abs(np.arange(left, right) + 0.5 - box.x - box.width / 2) - (box.width / 2 - radius)
        down = abs(np.arange(top, bottom) + 0.5 - box.y - box.height / 2) - (box.height / 2 - radius)
        # How far each pixel's centre lies outside of the shape; from -0.5 to 0.5 it is covered in part.
        outside = np.hypot(np.maximum(across, 0)[None, :], np.maximum(down, 0)[:, None])
        outside += np.minimum(np.maximum(across[None, :], down[:, None]), 0) - radius
        if stroke is not None:
            outside = abs(outside + stroke / 2) - stroke / 2
        _paint(canvas[top:bottom, left:right], np.clip(0.5 - outside, 0, 1) * opacity, color)


def _windows(shape: Rounded) -> Iterator[Box]:
    """The parts of the shape's box, apart from each other and on whole pixels, that it has pixels in."""
    box, stroke, corners = shape.box, shape.stroke, shape.corners
    left, top = math.floor(box.x), math.floor(box.y)
    right, bottom = math.ceil(box.x + box.width), math.ceil(box.y + box.height)
    width, height = right - left, bottom - top
    edge = math.ceil(max(shape.radius, stroke or 0)) + 1
    if stroke is None or 2 * edge >= min(width, height):
        yield Box(left, top, width, height)
    elif corners is not None:
        arm = min(math.ceil(max(corners, edge)), width // 2, height // 2)
        for x in (left, right - arm):
            yield Box(x, top, arm, edge)
            yield Box(x, bottom - edge, arm, edge)
        for x in (left, right - edge):
            yield Box(x, top + edge, edge, arm - edge)
            yield Box(x, bottom - arm, edge, arm - edge)
    else:
        yield Box(left, top, width, edge)
        yield Box(left, bottom - edge, width, edge)
        yield Box(left, top + edge, edge, height - 2 * edge)
        yield Box(right - edge, top + edge, edge, height - 2 * edge)


def write(canvas: NDArray[np.uint8], place: tuple[float, float], text: str, height: int, ink: Color) -> None:
    """Write text of this height in pixels, its left edge and the middle of its line at the place."""
    width, tall = math.ceil(text_width(text, height)) + 2, 2 * height
    mask = Image.new("L", (width, tall))
    ImageDraw.Draw(mask).text((place[0] % 1, tall / 2 + place[1] % 1), text, 255, _font(height), anchor="lm")
    left, top = math.floor(place[0]), math.floor(place[1]) - tall // 2
    cover = np.asarray(mask, np.float32)[max(0, -top) :, max(0, -left) :] / 255
    area = canvas[max(0, top) : max(0, top + tall), max(0, left) : max(0, left + width)]
    _paint(area, cover[: area.shape[0], : area.shape[1]], ink)


@lru_cache(maxsize=512)
def text_width(text: str, height: int) -> float:
    """Width in pixels of a text of this height."""
    return _font(height).getlength(text)


def _paint(area: NDArray[np.uint8], cover: NDArray[np.floating], color: Color) -> None:
    """Mix a color into an area as far as each pixel is covered, 0..1."""
    goal: Sequence[int] = (*color[::-1], 255)[: area.shape[2]]
    mixed = area + (np.array(goal, np.float32) - area) * cover.astype(np.float32)[:, :, None]
    area[:] = np.rint(mixed)


@lru_cache(maxsize=64)
def _font(height: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(_FONT_FILE), height)
