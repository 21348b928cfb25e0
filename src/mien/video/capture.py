"""OpenCV's captures: cameras of this machine, and streams and videos at addresses, which its FFmpeg reads."""

from __future__ import annotations

import os
from fractions import Fraction
from typing import Final
from urllib.parse import urlsplit

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.errors import ConfigError, ImageError
from mien.images.decode import read_image
from mien.video.containers import shown_width


def _silence_log() -> None:
    """Keep OpenCV and its FFmpeg from writing to standard error of what is reported here in one line."""
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # AV_LOG_QUIET
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


def camera_name(camera: int | str) -> str:
    """What a camera is called: without the user and the password of its address."""
    text = str(camera)
    if "://" not in text:
        return f"camera {text}"
    address = urlsplit(text)
    return f"camera {address._replace(netloc=address.netloc.rpartition('@')[2]).geturl()}"


def check_address(text: str) -> None:
    """Raise ConfigError where a text with "://" is no address."""
    try:
        urlsplit(text)
    except ValueError as error:
        raise ConfigError(f"a camera's address is malformed: {error}") from error


def has_end(capture: cv2.VideoCapture) -> bool:
    """Whether it is a video with an end, not a camera."""
    return 0 < capture.get(cv2.CAP_PROP_FRAME_COUNT) < _MAX_FRAMES


_MAX_FRAMES: Final = 1e8
"""Of a video with an end; what has none gives no count, or a huge one."""


def open_capture(camera: int | str) -> cv2.VideoCapture | None:
    """The camera, with as few frames waiting in it as it can do with; None where it does not open."""
    _silence_log()
    capture = cv2.VideoCapture(camera)
    if not capture.isOpened():
        return None
    capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
    return capture


def read_capture(capture: cv2.VideoCapture) -> NDArray[np.uint8] | None:
    """The next picture (H, W, 3) uint8 BGR, whatever the camera makes it of; None where there is none."""
    try:
        there, image = capture.read()
        return _square(read_image(image), capture) if there and image is not None else None
    except (cv2.error, ImageError):
        return None


def _square(image: NDArray[np.uint8], capture: cv2.VideoCapture) -> NDArray[np.uint8]:
    """The picture with square pixels. Of addresses FFmpeg tells the pixels' shape; cameras of this machine do not."""
    wide, high = int(capture.get(cv2.CAP_PROP_SAR_NUM)), int(capture.get(cv2.CAP_PROP_SAR_DEN))
    height, stored = image.shape[:2]
    width = shown_width(stored, Fraction(wide, high)) if wide > 0 and high > 0 else stored
    if width == stored:
        return image
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


def opens(number: int) -> bool:
    """Whether there is a camera of this number."""
    capture = open_capture(number)
    if capture is None:
        return False
    capture.release()
    return True


def mirrored(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The picture with left and right exchanged."""
    return np.asarray(cv2.flip(image, 1), np.uint8)
