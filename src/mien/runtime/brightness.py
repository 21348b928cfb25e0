"""Dark pictures made bright enough for the detector, which finds hardly any face below a tenth of the usual light."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

_STEP: Final = 8
_FRACTION: Final = 0.99


def brightened(image: NDArray[np.uint8], *, dark: int, bright: int) -> NDArray[np.uint8]:
    """The (H, W, 3) uint8 picture; where 99 of 100 values are below `dark`, all are scaled so that these are below
    `bright`.

    Every eighth pixel of every eighth row is looked at. A picture that is black but for a hundredth stays as it is.
    """
    sample = image[::_STEP, ::_STEP]
    counts = np.bincount(sample.ravel(), minlength=256).cumsum()
    level = int(np.searchsorted(counts, _FRACTION * sample.size))
    if not 1 < level < dark:
        return image
    scaled = np.floor(np.arange(256) * (bright / level) + 0.5).clip(0, 255)
    return np.asarray(cv2.LUT(image, scaled.astype(np.uint8)), np.uint8)
