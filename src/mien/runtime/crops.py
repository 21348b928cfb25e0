"""From a detector's box to the 48x48 grey face that the network reads.

The rule, exact enough to be written again in another language (tests/runtime/golden holds it to its word):

1. The picture becomes grey by ITU-R BT.601 weights, 0.299 R + 0.587 G + 0.114 B, rounded, as OpenCV does it.
2. The box becomes a square by the detector's CropRule. It is neither rounded nor clipped.
3. The square is divided into 48x48 equal cells. A pixel of the crop is the mean of the picture over a window that is
   centred on its cell and as large as the cell, but at least one pixel of the picture wide and high. Pixels of the
   picture are unit squares ((0, 0) to (1, 1) is the first) that the window may cover in part; the outermost ones
   extend without end, so what lies beyond the edge repeats the edge. For large faces this is area averaging, for
   faces below 48 pixels it is bilinear interpolation, and a 48x48 square on whole pixels comes back as it is.
4. The mean is rounded, halves up; a millionth is added first, so that a half stays a half in any arithmetic.

A face that is rolled (head_roll.py) is cut from a square that is rolled with it: the picture is turned back around the
square's centre by bilinear interpolation, and 3 and 4 follow. Upright faces are never resampled so.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.errors import ConfigError, ImageError
from mien.runtime.turning import turned_upright
from mien.types import Box, CropRule

FACE_SIZE: Final = 48
"""Width and height of a face in pixels, as in FER2013 (Goodfellow et al., ICONIP 2013)."""


WHOLE_PICTURE: Final = CropRule()
"""The rule of a picture that is a face already: it is its own frame."""


def to_grey(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The (H, W, 3) uint8 picture in BGR order as (H, W) uint8. Raises ImageError on another shape or dtype."""
    check_picture(image)
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), np.uint8)


def check_picture(image: object) -> None:
    """Raise ImageError where it is no picture: an array (H, W, 3) of uint8, with a pixel at least."""
    if not isinstance(image, np.ndarray):
        raise ImageError(f"expected a picture of shape (H, W, 3) in uint8, got {type(image).__name__}")
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise ImageError(f"expected a picture of shape (H, W, 3) in uint8, got {image.shape} in {image.dtype}")


def crop_square(box: Box, rule: CropRule, roll: float = 0.0) -> Box:
    """The square that the rule makes of a box, in pixels of the picture; it may reach over the edge.

    roll is how many degrees the face is tilted clockwise. Of a face that lies on its side or stands on its head the
    rule goes by the box as it would be upright: turned to the nearest multiple of 90 degrees.
    """
    turns = round(roll / 90) % 4
    width, height = (box.height, box.width) if turns in (1, 3) else (box.width, box.height)
    across, down = (rule.x - 0.5) * width, (rule.y - 0.5) * height
    across, down = ((across, down), (-down, across), (-across, -down), (down, -across))[turns]
    side = rule.side * height
    x, y = box.x + box.width / 2 + across, box.y + box.height / 2 + down
    return Box(x - side / 2, y - side / 2, side, side)


def read_boxes(boxes: Iterable[Box | Sequence[float]]) -> list[Box]:
    """Boxes, each given as a Box or as (x, y, width, height). Raises ConfigError on what is neither."""
    if isinstance(boxes, Box) or not isinstance(boxes, Iterable):
        raise ConfigError(f"expected a list of boxes, got {type(boxes).__name__}")
    return [_read_box(box, number) for number, box in enumerate(boxes, 1)]


def _read_box(box: Box | Sequence[float], number: int) -> Box:
    if isinstance(box, Box):
        return box
    try:
        x, y, width, height = map(float, box)
    except (TypeError, ValueError):
        raise ConfigError(f"box {number}: expected mien.Box or (x, y, width, height), got {box!r}") from None
    return Box(x, y, width, height)


def check_box(box: Box, width: int, height: int, number: int) -> None:
    """Raise ConfigError, naming the box by its number, on one without size or with its centre outside the picture."""
    x, y = box.x + box.width / 2, box.y + box.height / 2
    if not (0 < box.width < math.inf and 0 < box.height < math.inf):
        raise ConfigError(f"box {number} has no size: {box.width:g} x {box.height:g}")
    if not (0 <= x < width and 0 <= y < height):
        raise ConfigError(f"the centre of box {number}, {x:g}, {y:g}, is outside the picture of {width} x {height}")


def crop_face(grey: NDArray[np.uint8], box: Box, rule: CropRule, roll: float = 0.0) -> NDArray[np.uint8]:
    """The face in a box as (48, 48) uint8, resampled as this module's head says.

    grey is (H, W) uint8; roll is how many degrees the face is tilted clockwise. Raises ConfigError where the square has
    no size, ImageError where the picture is not grey.
    """
    if grey.dtype != np.uint8 or grey.ndim != 2 or 0 in grey.shape:
        raise ImageError(f"expected a grey picture of shape (H, W) in uint8, got {grey.shape} in {grey.dtype}")
    square = crop_square(box, rule, roll)
    if not (square.width > 0 and all(map(math.isfinite, (square.x, square.y, square.width)))):
        raise ConfigError(f"expected a box of some size to cut a face from, got {box}")
    if roll != 0:
        grey, square = turned_upright(grey, square, roll)
    rows, down = _weights(square.y, square.height, grey.shape[0])
    columns, across = _weights(square.x, square.width, grey.shape[1])
    patch = grey[rows, columns]
    # A row of the crop at a time: a face of many megapixels then costs a few of its rows in float64, not all of it.
    means = np.empty((FACE_SIZE, patch.shape[1]))
    for index, weights in enumerate(down):
        used = np.flatnonzero(weights)
        band = slice(used[0], used[-1] + 1)
        means[index] = weights[band] @ patch[band]
    return np.floor(means @ across.T + (0.5 + 1e-6)).clip(0, 255).astype(np.uint8)


def stacked(crops: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Faces (N, 48, 48) uint8 of N crops, N from 0 on."""
    return np.stack(crops) if crops else np.empty((0, FACE_SIZE, FACE_SIZE), np.uint8)


def _weights(start: float, side: float, length: int) -> tuple[slice, NDArray[np.float64]]:
    """What one axis of the square takes from the picture.

    start and side are the square's, length is the picture's, in pixels. Returns the slice of pixels that count, and
    (48, pixels) weights, each row of sum 1.
    """
    cell = side / FACE_SIZE
    window = max(cell, 1.0)
    # Beyond the edge every window reads the same pixel; keeping near it keeps far squares exact.
    centres = (start + cell * (np.arange(FACE_SIZE) + 0.5)).clip(-window, length + window)
    low, high = (centres - window / 2)[:, None], (centres + window / 2)[:, None]
    first = min(max(math.floor(low[0, 0]), 0), length - 1)
    last = min(max(math.ceil(high[-1, 0]), first + 1), length)
    left = np.arange(first, last, dtype=np.float64)
    right = left + 1
    if first == 0:
        left[0] = -np.inf
    if last == length:
        right[-1] = np.inf
    covered = (np.minimum(high, right) - np.maximum(low, left)).clip(min=0.0)
    return slice(first, last), covered / covered.sum(axis=1, keepdims=True)
