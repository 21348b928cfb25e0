"""What hides a face: where its head is, and an emoji, a blur or large pixels over it."""

from __future__ import annotations

import cmath
import math
from dataclasses import dataclass, replace
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.drawing.emoji import NO_EMOTION, SOLID, draw_emoji
from mien.types import Box, Detection, Face

CELLS: Final = 6
"""Cells across a covered head: three or four are left of the face's own height, each of one color."""

_RADIUS: Final = 1.35  # of a head, in halves of the diagonal of the face's box
_RISE: Final = 0.25  # by which a head's middle lies above the face's, in the same
_SOFT: Final = 1.2  # cells, the spread of the blur over them
_SEEN_THROUGH: Final = 1.5  # pixels of an emoji's outline, at most


@dataclass(frozen=True, slots=True)
class Head:
    """The circle that holds a whole head, in pixels, and by how much the face leans, clockwise in radians."""

    x: float
    y: float
    radius: float
    lean: float

    @classmethod
    def of(cls, face: Face | Detection, size: tuple[int, int]) -> Head:
        """The head of a face in a picture of this width and height.

        A face's box begins between the forehead and the hairline, ends between the mouth (Haar) and the chin (YuNet),
        and has the ears beside it. The circle holds one round the middle of the box, a tenth wider than that round its
        corners, however the head leans; and above it, as the face leans, the hair: half the height of YuNet's box.
        A box that ends at the picture's edge is taken to be as wide as it is high, for the face may go on there.
        """
        box = face.box
        width, height = box.width, box.height
        if box.x <= 1 or box.y <= 1 or box.x + width >= size[0] - 1 or box.y + height >= size[1] - 1:
            width = height = max(width, height)
        half = math.hypot(width, height) / 2
        angle, rise = lean(face), _RISE * half
        x, y = box.x + box.width / 2 + rise * math.sin(angle), box.y + box.height / 2 - rise * math.cos(angle)
        return cls(x, y, _RADIUS * half, angle)

    @property
    def square(self) -> Box:
        """The square of what covers it, which may reach over the picture's edge: an emoji's, with its outline."""
        side = (self.radius + _SEEN_THROUGH) / SOLID
        return Box(self.x - side / 2, self.y - side / 2, side, side)


def lean(face: Face | Detection) -> float:
    """By how much a face leans, clockwise in radians, by its eyes and mouth; 0 where it has no landmarks.

    Unlike `runtime.head_roll.face_roll` it is as continuous as the landmarks are, so that an emoji does not jump.
    """
    if face.landmarks is None:
        return 0.0
    right_eye, left_eye, _, right_mouth, left_mouth = (complex(*point) for point in face.landmarks)
    across = (left_eye - right_eye) + (left_mouth - right_mouth)
    down = (right_mouth - right_eye) + (left_mouth - left_eye)
    return cmath.phase(across + down / 1j)  # what points down in an upright face, turned to point across


def cover(canvas: NDArray[np.uint8], face: Face | Detection, theme: str) -> None:
    """Hide a face's whole head in a picture (H, W, 3) uint8 BGR, by a theme of `style.COVERING`.

    Of a Detection no emotion is known: its emoji shows none.
    """
    head = Head.of(face, (canvas.shape[1], canvas.shape[0]))
    if theme == "emoji":
        name, uncertain = (face.emotion, face.uncertain) if isinstance(face, Face) else (NO_EMOTION, False)
        draw_emoji(canvas, name, (head.x, head.y), head.square.width, roll=head.lean, uncertain=uncertain)
    else:
        _coarsen(canvas, head, soft=theme == "blur")


def _coarsen(canvas: NDArray[np.uint8], head: Head, *, soft: bool) -> None:
    """Leave of a head one color for each of its cells, with hard edges or soft ones.

    Either way all that can be told of it are these colors: a blur alone could be undone.
    """
    head = replace(head, radius=head.radius + _SEEN_THROUGH)
    height, width = canvas.shape[:2]
    left, right = (round(min(max(head.x + by, 0), width)) for by in (-head.radius, head.radius))
    top, bottom = (round(min(max(head.y + by, 0), height)) for by in (-head.radius, head.radius))
    if left >= right or top >= bottom:
        return
    area = canvas[top:bottom, left:right]
    across, down = (max(1, round(CELLS * side / (2 * head.radius))) for side in (right - left, bottom - top))
    cells = cv2.resize(area, (across, down), interpolation=cv2.INTER_AREA)
    if soft:
        cells = cv2.GaussianBlur(cells, (0, 0), _SOFT)
    way = cv2.INTER_CUBIC if soft else cv2.INTER_NEAREST
    coarse = cv2.resize(cells, (right - left, bottom - top), interpolation=way)
    x, y = np.arange(left, right) + 0.5 - head.x, np.arange(top, bottom) + 0.5 - head.y
    inside = x[None, :] ** 2 + y[:, None] ** 2 <= head.radius**2
    np.copyto(area, np.asarray(coarse, np.uint8), where=inside[:, :, None])
