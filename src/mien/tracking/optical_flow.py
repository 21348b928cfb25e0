"""Following faces from one frame to the next by optical flow, at a fraction of a detector's cost.

A grid of points in each box is followed by pyramidal Lucas-Kanade flow (Bouguet, Intel, 2001), forth and back. Points
that do not come back to where they began are dropped, and the box moves by the medians of what is left, as in Median
Flow (Kalal, Mikolajczyk and Matas, ICPR 2010). All faces of a frame share one call each way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.types import Box

SMALL_SIDE: Final = 480
"""Flow is computed on a copy whose longer side has at most this many pixels."""

_ALONG: Final = np.linspace(0.15, 0.85, 6)  # points along each side: a box's rim shows what is behind the face
_GRID: Final = np.stack(np.meshgrid(_ALONG, _ALONG), -1).reshape(-1, 2)
_WINDOW: Final = (11, 11)
_LEVELS: Final = 3  # of the pyramid, above the picture itself: a window then reaches some 40 pixels
_STOP: Final = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 10, 0.03)
_RETURN: Final = 1.0  # pixels of the small copy by which a point may miss where it began
_FEWEST: Final = 8  # points, of the 36, that must be left
_SPREAD: Final = 0.06  # sides of the box that the median point may be off the box's motion
_GROWTH: Final = 1.3  # a face does not grow or shrink by more from one frame to the next

Points = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Small:
    """A frame's reduced copy: color (h, w, 3) uint8 BGR, grey (h, w) uint8, and how many times smaller it is."""

    color: NDArray[np.uint8]
    grey: NDArray[np.uint8]
    factor: int


def reduced(image: NDArray[np.uint8]) -> Small:
    """The reduced copy of a picture (H, W, 3) uint8 BGR.

    The factor is a power of two: bilinear sampling then averages four pixels each, cheaply and without a shift.
    """
    height, width = image.shape[:2]
    factor = 1
    while max(height, width) > SMALL_SIDE * factor:
        factor *= 2
    if factor == 1:
        color = image.copy()  # the caller may fill its array anew
    else:
        size = max(1, width // factor), max(1, height // factor)
        whole = image[: max(1, size[1] * factor), : max(1, size[0] * factor)]
        color = np.asarray(cv2.resize(whole, size, interpolation=cv2.INTER_LINEAR), np.uint8)
    return Small(color, np.asarray(cv2.cvtColor(color, cv2.COLOR_BGR2GRAY), np.uint8), factor)


def follow(
    before: Small, after: Small, boxes: Sequence[Box], fronts: Sequence[Sequence[Box]] | None = None
) -> list[Box | None]:
    """Where the faces in these boxes of one frame are in the next, in pixels of the whole picture.

    fronts are, for each box, the boxes of the faces that stand before it: points within those are theirs. None stands
    for a face whose motion is unknown: too few points could be followed, they disagree, or it left the picture.
    """
    if not boxes or before.grey.shape != after.grey.shape:
        return [None] * len(boxes)
    scale = 1 / before.factor
    boxes = [box.scaled(scale, scale) for box in boxes]
    height, width = before.grey.shape
    starts = [((box.x, box.y) + _GRID * (box.width, box.height)).astype(np.float32) for box in boxes]
    inside = [
        (points >= 0).all(1) & (points <= (width - 1, height - 1)).all(1) & ~_within(points, hidden, scale)
        for points, hidden in zip(starts, fronts or [()] * len(boxes), strict=True)
    ]
    starts = [points[kept] for points, kept in zip(starts, inside, strict=True)]
    ends, good = _flow(before.grey, after.grey, np.concatenate(starts))
    cuts = np.cumsum([len(points) for points in starts])[:-1]
    moved = [
        _moved(box, start[kept], end[kept])
        for box, start, end, kept in zip(boxes, starts, np.split(ends, cuts), np.split(good, cuts), strict=True)
    ]
    return [
        None if box is None or not _is_seen(box, width, height) else box.scaled(before.factor, before.factor)
        for box in moved
    ]


def _within(points: Points, boxes: Sequence[Box], scale: float) -> NDArray[np.bool_]:
    """Which of the points (n, 2) of the small copy lie in any of the boxes of the whole picture."""
    hidden = np.zeros(len(points), bool)
    for box in boxes:
        corner, size = (box.x * scale, box.y * scale), (box.width * scale, box.height * scale)
        hidden |= ((points >= corner) & (points <= np.add(corner, size))).all(1)
    return hidden


def _flow(before: NDArray[np.uint8], after: NDArray[np.uint8], points: Points) -> tuple[Points, NDArray[np.bool_]]:
    """Where the points (n, 2) went, and which of them come back to where they began."""
    if not len(points):
        return points, np.zeros(0, bool)
    options: dict[str, Any] = {"winSize": _WINDOW, "maxLevel": _LEVELS, "criteria": _STOP}
    shape = (len(points), 1, 2)
    starts = points.reshape(shape)
    ends, forth, _ = cv2.calcOpticalFlowPyrLK(before, after, starts, np.empty(shape, np.float32), **options)
    back, home, _ = cv2.calcOpticalFlowPyrLK(after, before, ends, np.empty(shape, np.float32), **options)
    missed = np.abs(back[:, 0] - points).max(1)
    return np.asarray(ends[:, 0], np.float32), (forth[:, 0] > 0) & (home[:, 0] > 0) & (missed <= _RETURN)


def _moved(box: Box, start: Points, end: Points) -> Box | None:
    """The box by its points; all in pixels of the small copy."""
    if len(start) < _FEWEST:
        return None
    rows, columns = np.triu_indices(len(start), 1)
    apart = np.hypot(*(start[rows] - start[columns]).T)
    scale = float(np.median(np.hypot(*(end[rows] - end[columns]).T) / apart))
    centre = np.array([box.x + box.width / 2, box.y + box.height / 2])
    shifts = end - centre - scale * (start - centre)  # of the centre, as each point shows it
    shift = np.median(shifts, axis=0)
    spread = float(np.median(np.abs(shifts - shift).max(1)))
    if not 1 / _GROWTH <= scale <= _GROWTH or spread > _SPREAD * max(box.width, box.height):
        return None
    x, y = (centre + shift).tolist()
    return Box(x - scale * box.width / 2, y - scale * box.height / 2, scale * box.width, scale * box.height)


def _is_seen(box: Box, width: int, height: int) -> bool:
    """Whether the middle of a box is in the picture."""
    return 0 <= box.x + box.width / 2 <= width and 0 <= box.y + box.height / 2 <= height
