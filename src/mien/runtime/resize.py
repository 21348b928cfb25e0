"""Smaller and larger copies of a picture, as the detectors see it."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray


def scaled(image: NDArray[np.uint8], scale: float) -> NDArray[np.uint8]:
    """The picture itself, or a copy `scale` times as wide and high, no side below 1.

    Area averaging where it shrinks, bilinear interpolation where it grows.
    """
    height, width = image.shape[:2]
    size = max(1, round(width * scale)), max(1, round(height * scale))
    if size == (width, height):
        return image
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, size, interpolation=how), np.uint8)


def fitted(image: NDArray[np.uint8], min_side: int, max_side: int) -> NDArray[np.uint8]:
    """The picture itself, or a copy scaled so that its longer side lies in between, no side below 1."""
    longer = max(image.shape[:2])
    return scaled(image, min(max(longer, min_side), max_side) / longer)
