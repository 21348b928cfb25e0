"""Live frames: from a camera, or from a video or a folder of pictures that stands in for one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit
from urllib.request import url2pathname

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.errors import ConfigError, ImageError
from mien.images.animation import moves
from mien.images.content import HEIF_SUFFIXES, IMAGE_SUFFIXES
from mien.types import Frame
from mien.video.capture import camera_name, check_address, has_end, mirrored, open_capture, opens, read_capture
from mien.video.live import SYSTEM_CLOCK, Clock, Live
from mien.video.playback import PICTURE_RATE, Playback, address_player, picture_player, video_player

PATIENCE_S: Final = 10.0
"""How long a camera that gives no picture is asked again."""

_FIRST_PAUSE_S: Final = 0.1
_LONGEST_PAUSE_S: Final = 2.0
_CAMERAS_TRIED: Final = range(4)


def open_live(
    camera: str | int,
    *,
    loop: bool = False,
    mirror: bool | None = None,
    rate: float = PICTURE_RATE,
    report: Callable[[str], object] = lambda line: None,
    clock: Clock = SYSTEM_CLOCK,
) -> Live:
    """The live source of this name.

    camera  a camera's number; its path (/dev/video0) or address (rtsp://..., http://...); a video file or an animated
            picture, or the address of a video with an end, which is played once at its own pace; or a folder, a pattern
            or one file of pictures, in the order of their names and of the numbers in them
    loop    a video or a folder starts again at its end, while the frames' time goes on
    mirror  left and right change places, as in a mirror; None: only for a camera of this machine
    rate    frames a second of a folder
    report  is given a line when a camera is lost or comes back, or when a picture cannot be read; by whichever thread
            iterates

    Raises ConfigError where there is no such camera, file or folder, ImageError on a file that cannot be read.
    """
    if not 0 < rate <= 1000:
        raise ConfigError(f"rate must be within 0..1000 frames/s, got {rate:g}")
    text = str(camera).strip()
    if not text:
        raise ConfigError("a camera's name is empty; expected its number or address, a video, or a folder of pictures")
    if text.lower().startswith("file://"):
        text = url2pathname(urlsplit(text).path)
    is_number, is_address = text.isascii() and text.isdigit(), "://" in text
    if is_number and (len(text) > len(str(_LAST_NUMBER)) or int(text) > _LAST_NUMBER):
        raise ConfigError(f"camera {text[:20]} cannot be opened; cameras have numbers up to {_LAST_NUMBER:,}")
    if is_address:
        check_address(text)
    capture = open_capture(text) if is_address else None
    if capture is not None and has_end(capture):
        film = address_player(text, capture, report)
        return Playback(camera_name(text), film, loop=loop, mirror=bool(mirror), clock=clock)
    if is_number or is_address or text.startswith("/dev/"):
        if loop:
            raise ConfigError(f"{camera_name(text)}: a camera never ends, so there is nothing to loop")
        mirror = not is_address if mirror is None else mirror
        if capture is None and not is_address:
            capture = open_capture(int(text) if is_number else text)
        return Camera(int(text) if is_number else text, capture, mirror=mirror, report=report, clock=clock)
    path = Path(text)
    if path.is_file() and (moves(path) or path.suffix.lower() not in IMAGE_SUFFIXES | HEIF_SUFFIXES):
        play = video_player(path, report)
    else:
        play = picture_player(text, rate, report)
    return Playback(text, play, loop=loop, mirror=bool(mirror), clock=clock)


_LAST_NUMBER: Final = 2**31 - 1
"""OpenCV takes a C int."""


class Camera(Live):
    """A camera that OpenCV opens. One that stops giving pictures is opened again and again for PATIENCE_S.

    capture is the camera, opened, or None where it does not open. Raises ConfigError then.
    """

    def __init__(
        self,
        camera: int | str,
        capture: cv2.VideoCapture | None,
        *,
        mirror: bool,
        report: Callable[[str], object],
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        super().__init__(camera_name(camera), clock)
        self._camera, self._mirror, self._report = camera, mirror, report
        if capture is None:
            raise ConfigError(f"{self.name}: cannot be opened; {_advice(camera)}")
        self._capture = capture

    def __iter__(self) -> Iterator[Frame]:
        index = 0
        try:
            while not self._closing.is_set():
                image = read_capture(self._capture)
                if image is None:
                    image = self._find_again()
                if image is None:
                    return
                now = self._clock.now()
                self._began = now if self._began is None else self._began
                yield Frame(mirrored(image) if self._mirror else image, index, now - self._began)
                index += 1
        finally:
            self._capture.release()

    def _find_again(self) -> NDArray[np.uint8] | None:
        """The next picture, once there is one again; None once closed. Raises ImageError when patience ends."""
        lost = self._clock.now()
        self._report(f"{self.name}: gives no picture; trying again for {PATIENCE_S:g} s")
        pause = _FIRST_PAUSE_S
        while not self._closing.is_set():
            left = lost + PATIENCE_S - self._clock.now()
            if left <= 0:
                what = "gave no picture" if self._began is None else "gone"
                raise ImageError(f"{self.name}: {what} for {PATIENCE_S:g} s")
            self._capture.release()  # some systems open a camera only once
            self._clock.wait(self._closing, min(pause, left))
            pause = min(2 * pause, _LONGEST_PAUSE_S)
            capture = None if self._closing.is_set() else open_capture(self._camera)
            if capture is not None:
                self._capture = capture
                image = read_capture(capture)
                if image is not None:
                    self._report(f"{self.name}: is back after {self._clock.now() - lost:.1f} s")
                    return image
        return None


def _advice(camera: int | str) -> str:
    if "://" in str(camera):
        return "is the address right, and may this computer reach it?"
    there = [number for number in _CAMERAS_TRIED if number != camera and opens(number)]
    if there:
        return f"cameras that open here: {', '.join(map(str, there))}"
    return (
        f"no camera opens here, of {_CAMERAS_TRIED[0]} to {_CAMERAS_TRIED[-1]}; is it plugged in, and may this program "
        "use it? A video or a folder of pictures can stand in for one"
    )
