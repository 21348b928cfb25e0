"""Faces as they are drawn, and the arithmetic of boxes that finds a free place beside them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mien.drawing.covers import Head
from mien.drawing.style import Style
from mien.types import Box, Face

SMALLEST_TEXT: Final = 9
"""Height in pixels of the smallest text that is drawn."""

_TEXT_STEP: Final = 1.12


@dataclass(frozen=True, slots=True)
class Mark:
    """A face as it is drawn: the visible part of what marks it, the width of its lines and the height of its text.

    All in pixels. box is the face's, or in a theme that covers the square over the head.
    """

    face: Face
    box: Box
    line: float
    text: int

    @classmethod
    def of(cls, face: Face, size: tuple[int, int], style: Style) -> Mark:
        """Text and lines follow the face's size, within what suits a picture of this width and height, seen as a whole.

        Text grows by steps of an eighth, so that in a video it does not change with every frame.
        """
        box, short = face.box.clipped(*size), min(size)
        text = min(max(0.15 * box.width, 11, 0.016 * short), max(14, 0.036 * short))
        steps = round(math.log(text / SMALLEST_TEXT, _TEXT_STEP))
        text = SMALLEST_TEXT * _TEXT_STEP**steps
        if style.covers and face.box.area > 0:
            box = Head.of(face, size).square.clipped(*size)
        return cls(face, box, max(1.5, text / (12 if style.theme == "minimal" else 8)), round(text))


def in_order(marks: Sequence[Mark]) -> list[Mark]:
    """Who gets a place first: in a stream the tracks in the order they came, which stays; else the largest faces."""
    return sorted(marks, key=lambda mark: (mark.face.track or math.inf, -mark.box.area))


def corners(boxes: Sequence[Box]) -> NDArray[np.float64]:
    """(4, N): the left, top, right and bottom of N boxes."""
    rows = [(box.x, box.y, box.x + box.width, box.y + box.height) for box in boxes]
    return np.array(rows, np.float64).reshape(-1, 4).T


def overlap(box: Box, others: NDArray[np.float64]) -> float:
    """The area in square pixels that a box shares with others, given by their corners, summed."""
    left, top, right, bottom = others
    across = np.minimum(box.x + box.width, right) - np.maximum(box.x, left)
    down = np.minimum(box.y + box.height, bottom) - np.maximum(box.y, top)
    return float((np.maximum(across, 0) * np.maximum(down, 0)).sum())


def grown(box: Box, by: float) -> Box:
    """The box with this many pixels more on each side."""
    return Box(box.x - by, box.y - by, box.width + 2 * by, box.height + 2 * by)


def inside(box: Box, size: tuple[int, int]) -> bool:
    """Whether a box lies within a picture of this width and height."""
    return box.x >= 0 and box.y >= 0 and box.x + box.width <= size[0] and box.y + box.height <= size[1]
