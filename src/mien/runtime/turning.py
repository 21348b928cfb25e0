"""Pictures turned about themselves: by multiples of 90 degrees, and, for a square of them, by any angle."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.types import Box, Detection

QUARTERS: Final = (90, 180, 270)
"""Degrees clockwise."""

_ROTATIONS: Final = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}


def turned(image: NDArray[np.uint8], degrees: int) -> NDArray[np.uint8]:
    """The picture turned clockwise by 0 degrees or one of QUARTERS."""
    return np.asarray(cv2.rotate(image, _ROTATIONS[degrees]), np.uint8) if degrees else image


def turned_back(face: Detection, degrees: int, width: int, height: int) -> Detection:
    """A detection in a picture that was turned clockwise, in pixels of the picture as it was, width x height."""
    if degrees == 0:
        return face
    box = face.box
    x, y = _point_back(box.x + box.width / 2, box.y + box.height / 2, degrees, width, height)
    across, down = (box.width, box.height) if degrees == 180 else (box.height, box.width)
    points = face.landmarks or ()
    landmarks = tuple(_point_back(a, b, degrees, width, height) for a, b in points)
    return replace(face, box=Box(x - across / 2, y - down / 2, across, down), landmarks=landmarks or None)


def _point_back(x: float, y: float, degrees: int, width: int, height: int) -> tuple[float, float]:
    return {90: (y, height - x), 180: (width - x, height - y), 270: (width - y, x)}[degrees]


def turned_upright(image: NDArray[np.uint8], square: Box, roll: float) -> tuple[NDArray[np.uint8], Box]:
    """What lies in the square once it is rolled clockwise about its centre, upright, and where the square is in that.

    image is (H, W) or (H, W, 3) uint8, roll is in degrees. The result has ceil(width) + 4 pixels a side: a border of
    two pixels at least is around the square. Bilinear interpolation; what lies beyond the edge repeats the edge.
    """
    side = math.ceil(square.width) + 4
    image, left, top = _around(image, square, side)
    turn = np.array(cv2.getRotationMatrix2D((0.0, 0.0), roll, 1.0), np.float64)
    # Pixels are unit squares, so the centre of pixel (0, 0) lies at (0.5, 0.5); cv2 counts from pixels' centres.
    centre = np.array([square.x - left + square.width / 2 - 0.5, square.y - top + square.height / 2 - 0.5])
    turn[:, 2] = (side - 1) / 2 - turn[:, :2] @ centre
    patch = cv2.warpAffine(image, turn, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    start = (side - square.width) / 2
    return np.asarray(patch, np.uint8), Box(start, start, square.width, square.height)


def _around(image: NDArray[np.uint8], square: Box, side: int) -> tuple[NDArray[np.uint8], int, int]:
    """What a square of this side about the square's centre can reach of the picture, and its left top corner there.

    cv2.warpAffine takes no picture of more than 32,766 pixels a side, such as a panorama.
    """
    parts: list[slice] = []
    for middle, length in (
        (square.y + square.height / 2, image.shape[0]),
        (square.x + square.width / 2, image.shape[1]),
    ):
        first = min(max(math.floor(middle - 0.71 * side) - 1, 0), length - 1)
        parts.append(slice(first, max(math.ceil(middle + 0.71 * side) + 1, first + 1)))
    return image[parts[0], parts[1]], parts[1].start, parts[0].start
