"""Live frames: from a camera, or from a video or a folder of pictures that stands in for one."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from time import perf_counter
from typing import Final, Self, TypeAlias
from urllib.parse import urlsplit
from urllib.request import url2pathname

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.errors import ConfigError, ImageError
from mien.images.content import HEIF_SUFFIXES, IMAGE_SUFFIXES, is_video
from mien.images.decode import read_image
from mien.images.find import find_images
from mien.types import Frame

PATIENCE_S: Final = 10.0
"""How long a camera that gives no picture is asked again."""

PICTURE_RATE: Final = 30.0
"""Frames a second of a folder of pictures."""

_FIRST_PAUSE_S: Final = 0.1
_LONGEST_PAUSE_S: Final = 2.0
_LATEST_S: Final = 1.0
_CAMERAS_TRIED: Final = range(4)

_Player: TypeAlias = Callable[[], Generator[Frame, None, None]]


@dataclass(frozen=True, slots=True)
class Clock:
    """The time that live sources go by: seconds that rise, and a wait of up to N seconds that the event may end."""

    now: Callable[[], float] = perf_counter
    wait: Callable[[Event, float], object] = field(default=Event.wait)


SYSTEM_CLOCK: Final = Clock()


class Live:
    """A live source: a context manager that iterates Frames as they come, upright, timed from the first one.

    It is iterated once, and may be by another thread than the one that opened it. Raises ImageError where it fails for
    good. name is what results and messages call it: "camera 0", or the path.
    """

    def __init__(self, name: str, clock: Clock) -> None:
        self.name = name
        self._clock = clock
        self._closing = Event()
        self._began: float | None = None

    def __iter__(self) -> Iterator[Frame]:
        raise NotImplementedError

    def now_s(self) -> float:
        """The time now on the clock of the frames' `time_s`, in seconds; 0 before the first frame."""
        return 0.0 if self._began is None else self._clock.now() - self._began

    def close(self) -> None:
        """End soon, wherever it waits; from any thread. The thread that iterates lets go of camera or file."""
        self._closing.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


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

    camera  a camera's number; its path (/dev/video0) or address (rtsp://..., http://...); a video file, which is played
            at its own pace; or a folder, a pattern or one file of pictures, in the order of their names
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
    if is_number or is_address or text.startswith("/dev/"):
        if loop:
            raise ConfigError(f"{_name(text)}: a camera never ends, so there is nothing to loop")
        if is_number and int(text) > _LAST_NUMBER:
            raise ConfigError(f"{_name(text)} cannot be opened; cameras have numbers up to {_LAST_NUMBER:,}")
        mirror = not is_address if mirror is None else mirror
        return Camera(int(text) if is_number else text, mirror=mirror, report=report, clock=clock)
    path = Path(text)
    if path.is_file() and (is_video(path) or path.suffix.lower() not in IMAGE_SUFFIXES | HEIF_SUFFIXES):
        play = _video_player(path, report)
    else:
        play = _picture_player(text, rate, report)
    return Playback(text, play, loop=loop, mirror=bool(mirror), clock=clock)


_LAST_NUMBER: Final = 2**31 - 1
"""OpenCV takes a C int."""


class Camera(Live):
    """A camera that OpenCV opens. One that stops giving pictures is opened again and again for PATIENCE_S."""

    def __init__(
        self, camera: int | str, *, mirror: bool, report: Callable[[str], object], clock: Clock = SYSTEM_CLOCK
    ) -> None:
        super().__init__(_name(camera), clock)
        self._camera, self._mirror, self._report = camera, mirror, report
        _quieten()
        capture = _opened(camera)
        if capture is None:
            raise ConfigError(f"{self.name}: cannot be opened; {_advice(camera)}")
        self._capture = capture

    def __iter__(self) -> Iterator[Frame]:
        index = 0
        try:
            while not self._closing.is_set():
                image = _read(self._capture)
                if image is None:
                    image = self._find_again()
                if image is None:
                    return
                now = self._clock.now()
                self._began = now if self._began is None else self._began
                yield Frame(_mirrored(image) if self._mirror else image, index, now - self._began)
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
            capture = None if self._closing.is_set() else _opened(self._camera)
            if capture is not None:
                self._capture = capture
                image = _read(capture)
                if image is not None:
                    self._report(f"{self.name}: is back after {self._clock.now() - lost:.1f} s")
                    return image
        return None


class Playback(Live):
    """A video or pictures, given out at the pace of their timestamps, as a camera would.

    play begins anew on each call. What takes longer to read than to show is played as fast as it can be read.
    """

    def __init__(self, name: str, play: _Player, *, loop: bool, mirror: bool, clock: Clock = SYSTEM_CLOCK) -> None:
        super().__init__(name, clock)
        self._play, self._loop, self._mirror = play, loop, mirror

    def __iter__(self) -> Iterator[Frame]:
        index, offset, interval = 0, 0.0, 1 / PICTURE_RATE
        while True:
            first: float | None = None
            time_s: float | None = None
            with closing(self._play()) as frames:
                for frame in frames:
                    first = frame.time_s if first is None else first
                    due = offset + frame.time_s - first
                    interval = interval if time_s is None else due - time_s
                    time_s = due
                    if not self._await(time_s):
                        return
                    yield Frame(_mirrored(frame.image) if self._mirror else frame.image, index, time_s)
                    index += 1
            if time_s is None:
                raise ImageError(f"{self.name}: has no frame that can be read")
            if not self._loop:
                return
            offset = time_s + interval

    def _await(self, time_s: float) -> bool:
        """Wait until a frame of this time is due; False once closed."""
        if self._began is None:
            self._began = self._clock.now() - time_s
        late = self.now_s() - time_s
        if late < 0:
            self._clock.wait(self._closing, -late)
        elif late > _LATEST_S:
            self._began += late
        return not self._closing.is_set()


def _video_player(path: Path, report: Callable[[str], object]) -> _Player:
    """What plays a video. Raises ImageError where the file holds none."""
    from mien.video.reader import VideoFile  # cameras and pictures do without

    reported: set[str] = set()  # once, not in each round

    def play() -> Generator[Frame, None, None]:
        with VideoFile(path) as video:
            yield from video
        for problem in video.problems:
            if problem not in reported:
                reported.add(problem)
                report(problem)

    with VideoFile(path):
        return play


def _picture_player(name: str, rate: float, report: Callable[[str], object]) -> _Player:
    """What plays the pictures of a folder, a pattern or a file. Raises ConfigError where there is none."""
    search = find_images([name])
    found = search.images
    if not found:
        raise ConfigError(
            f"{search.unfound[0]}; expected a camera's number or address, a video, or a folder of pictures"
        )
    unreadable: set[int] = set()  # reported once, not in each round

    def play() -> Generator[Frame, None, None]:
        for index, picture in enumerate(found):
            if index in unreadable:
                continue
            try:
                image = read_image(picture.path)
            except ImageError as error:
                unreadable.add(index)
                report(str(error))
                continue
            yield Frame(image, index, index / rate)

    return play


def _opened(camera: int | str) -> cv2.VideoCapture | None:
    """The camera, with as few frames waiting in it as it can do with; None where it does not open."""
    capture = cv2.VideoCapture(camera)
    if not capture.isOpened():
        return None
    capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
    return capture


def _read(capture: cv2.VideoCapture) -> NDArray[np.uint8] | None:
    """The next picture (H, W, 3) uint8 BGR, whatever the camera makes it of; None where there is none."""
    try:
        there, image = capture.read()
        return read_image(image) if there and image is not None else None
    except (cv2.error, ImageError):
        return None


def _mirrored(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(cv2.flip(image, 1), np.uint8)


def _name(camera: int | str) -> str:
    """What a camera is called: without the user and the password of its address."""
    text = str(camera)
    if "://" not in text:
        return f"camera {text}"
    address = urlsplit(text)
    return f"camera {address._replace(netloc=address.netloc.rpartition('@')[2]).geturl()}"


def _advice(camera: int | str) -> str:
    if "://" in str(camera):
        return "is the address right, and may this computer reach it?"
    there = [number for number in _CAMERAS_TRIED if number != camera and _opens(number)]
    if there:
        return f"cameras that open here: {', '.join(map(str, there))}"
    return (
        f"no camera opens here, of {_CAMERAS_TRIED[0]} to {_CAMERAS_TRIED[-1]}; is it plugged in, and may this program "
        "use it? A video or a folder of pictures can stand in for one"
    )


def _opens(number: int) -> bool:
    capture = _opened(number)
    if capture is None:
        return False
    capture.release()
    return True


def _quieten() -> None:
    """Keep OpenCV and its FFmpeg from writing to standard error of what is reported here in one line."""
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # AV_LOG_QUIET
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
