"""Pixels of other types and depths, brought to eight bits by one rule, or refused with the reason."""

from __future__ import annotations

from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mien.errors import ImageError

DEPTHS: Final = (8, 10, 12, 14, 16)
"""The bit depths of cameras, microscopes and scanners."""

_ROUNDING: Final = 1e-3
"""How far floats may lie outside 0..1: interpolation and color conversions overshoot a little."""

_MEANT: Final = "uint8, bool, integers within 0..65535 or floats within 0..1"


def eight_bits(array: NDArray[Any]) -> NDArray[np.uint8]:
    """The array's values in 0..255, of (H, W) or (H, W, C); a fourth channel is alpha and has its own depth.

    Integers of more than eight bits are scaled by the smallest of DEPTHS that holds the highest value: what writes 12
    bits into 16 does not say so. Floats are within 0..1, bools are black and white. Raises ImageError on other values
    and types, and on floats so small that they were probably divided by 255 twice.
    """
    if array.dtype == np.uint8:
        return np.asarray(array, np.uint8)
    if array.dtype == np.bool_:
        return array.astype(np.uint8) * np.uint8(255)
    if array.ndim == 3 and array.shape[2] == 4:
        return np.dstack([eight_bits(array[:, :, :3]), eight_bits(array[:, :, 3:])])
    if np.issubdtype(array.dtype, np.integer):
        return _from_integers(array)
    if np.issubdtype(array.dtype, np.floating):
        return _from_floats(array)
    raise ImageError(f"expected an array of {_MEANT}, got {array.dtype}")


def _from_integers(array: NDArray[Any]) -> NDArray[np.uint8]:
    low, high = int(array.min()), int(array.max())
    depth = next((bits for bits in DEPTHS if high < 1 << bits), None)
    if low < 0 or depth is None:
        raise ImageError(f"expected an array of {_MEANT}, got {array.dtype} within {low}..{high}")
    white = (1 << depth) - 1
    return np.asarray((array.astype(np.uint32) * 255 + white // 2) // white, np.uint8)


def _from_floats(array: NDArray[Any]) -> NDArray[np.uint8]:
    low, high = float(array.min()), float(array.max())
    if not (low >= -_ROUNDING and high <= 1 + _ROUNDING):  # written so that NaN is refused as well
        advice = ": divide them by 255" if low >= 0 and 1 < high <= 255 else ""
        raise ImageError(f"expected floats within 0..1, got {low:.10g}..{high:.10g}{advice}")
    if high < 1.01 / 255 and bool(((array > 0) & (array < 0.99 / 255)).any()):
        raise ImageError(f"expected floats within 0..1, got at most {high:.2g}: they were perhaps divided by 255 twice")
    return np.asarray(np.rint(array.clip(0, 1) * 255), np.uint8)


def deep_file(image: Image.Image) -> bytes | None:
    """The file of a picture in colors of 16 bits, before it is decoded: Pillow keeps the upper eight of them. None of
    other pictures.
    """
    tiles, file = getattr(image, "tile", ()), getattr(image, "fp", None)
    if not tiles or file is None or ";16" not in str(tiles[0][3]) or not image.mode.startswith(("RGB", "LA")):
        return None
    file.seek(0)
    return bytes(file.read())


def with_all_bits(image: Image.Image, content: bytes) -> Image.Image:
    """A decoded picture, or, where the 16 bits of its file's colors use fewer, the same one scaled by those."""
    colors = np.asarray(image)[:, :, : 1 if image.mode == "LA" else 3]
    if colors.max() >= 1 << DEPTHS[-2] - 8:
        return image
    array = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    if array is None or array.ndim != 3 or array.shape[2] not in (3, 4) or array.shape[:2] != image.size[::-1]:
        raise ImageError("its colors have 16 bits of which few are used: scale them to 8 bits first")
    rgb = cv2.cvtColor(array, cv2.COLOR_BGR2RGB if array.shape[2] == 3 else cv2.COLOR_BGRA2RGBA)
    scaled = Image.fromarray(eight_bits(np.asarray(rgb)))
    scaled.getexif().update(image.getexif())
    return scaled
