"""Decoded frames as pictures: BGR in the video's own colors, HDR as SDR, opaque, upright, with square pixels."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.video import hdr
from mien.video.containers import import_av, shown_width

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

HD_HEIGHT: Final = 720
"""From this number of lines on, a video that does not name its colors is taken for BT.709, below for BT.601."""

BT709: Final = 1
BT601: Final = 5
BT2020: Final = 9
UNSPECIFIED: Final = 2
NO_MATRIX: Final = (0, UNSPECIFIED, 3)
"""A video's matrix coefficients (ITU-T H.273, table 4): those that are used here, and those that name none of YUV:
identity, unspecified, reserved."""


class Converter:
    """Turns the frames of one video into (H, W, 3) uint8, BGR, C-contiguous, upright, all in the first one's size.

    pixel_aspect is the width of a stored frame's pixel by its height. Frames get square pixels, by scaling their width
    as players do: a face must not come out squeezed.
    """

    def __init__(self, first: VideoFrame, pixel_aspect: Fraction) -> None:
        self._reformatter = import_av().video.reformatter.VideoReformatter()
        self._matrix = _display_matrix(first)
        self.hdr = hdr.TRANSFERS.get(first.color_trc)
        """What HDR the video is, "PQ" or "HLG"; None: SDR."""
        self.stored_size = first.width, first.height
        """Width and height of frames as they are stored."""
        self._shown_size = shown_width(first.width, pixel_aspect), first.height
        lies = abs(self._matrix[0, 1]) > abs(self._matrix[0, 0])
        self.size = self._shown_size[::-1] if lies else self._shown_size
        """Width and height of the pictures."""

    def convert(self, frame: VideoFrame) -> NDArray[np.uint8]:
        """The frame as a picture of SDR; transparency is laid over white, another size is scaled."""
        if frame.color_trc in hdr.TRANSFERS:
            deep = self._reformatter.reformat(
                frame,
                *self._shown_size,
                "bgr48le",
                src_colorspace=None if frame.colorspace not in NO_MATRIX else BT2020,
                threads=1,
            )
            return _upright(hdr.to_sdr(deep.to_ndarray(), frame.color_trc, frame.color_primaries), self._matrix)
        clear = any(component.is_alpha for component in frame.format.components) or frame.format.name == "pal8"
        converted = self._reformatter.reformat(
            frame,
            *self._shown_size,
            "bgra" if clear else "bgr24",
            src_colorspace=None if frame.colorspace not in NO_MATRIX else usual_matrix(frame.height),
            threads=1,
        )
        image = converted.to_ndarray()
        return _upright(_over_white(image) if clear else image, self._matrix)


def usual_matrix(height: int) -> int:
    """The matrix coefficients of a video of this height that does not name them."""
    return BT709 if height >= HD_HEIGHT else BT601


def _display_matrix(frame: VideoFrame) -> NDArray[np.int32]:
    """How the file wants its frames turned and mirrored: a step right becomes (m00, m01), a step down (m10, m11)."""
    try:
        matrix = frame.side_data["DISPLAYMATRIX"]  # type: ignore[typeddict-item]
    except KeyError:
        return np.eye(2, dtype=np.int32)
    return np.frombuffer(bytes(matrix), np.int32).reshape(3, 3)[:2, :2]


def _upright(image: NDArray[np.uint8], matrix: NDArray[np.int32]) -> NDArray[np.uint8]:
    """The image turned by right angles and mirrored by the display matrix."""
    if abs(matrix[0, 1]) > abs(matrix[0, 0]):
        image, across, down = np.asarray(cv2.transpose(image), np.uint8), matrix[1, 0] < 0, matrix[0, 1] < 0
    else:
        across, down = matrix[0, 0] < 0, matrix[1, 1] < 0
    if across or down:
        image = np.asarray(cv2.flip(image, -1 if across and down else 1 if across else 0), np.uint8)
    return np.ascontiguousarray(image)


def _over_white(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(H, W, 4) BGRA laid over white: (H, W, 3)."""
    opacity = image[:, :, 3:].astype(np.uint16)
    mixed = image[:, :, :3] * opacity + 255 * (255 - opacity)
    return np.asarray((mixed + 127) // 255, np.uint8)
