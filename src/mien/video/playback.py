"""Videos and pictures that stand in for a camera: they are given out at the pace of their timestamps."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Final, TypeAlias

import cv2

from mien.errors import ConfigError, ImageError
from mien.images.decode import read_image
from mien.images.find import find_images
from mien.types import Frame
from mien.video.capture import camera_name, mirrored, open_capture, read_capture
from mien.video.live import SYSTEM_CLOCK, Clock, Live
from mien.video.pictures import natural_order

PICTURE_RATE: Final = 30.0
"""Frames a second of a folder of pictures."""

_LATEST_S: Final = 1.0

Player: TypeAlias = Callable[[], Generator[Frame, None, None]]


class Playback(Live):
    """A video or pictures, given out at the pace of their timestamps, as a camera would.

    play begins anew on each call. What takes longer to read than to show is played as fast as it can be read.
    """

    def __init__(self, name: str, play: Player, *, loop: bool, mirror: bool, clock: Clock = SYSTEM_CLOCK) -> None:
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
                    yield Frame(mirrored(frame.image) if self._mirror else frame.image, index, time_s)
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


def video_player(path: Path, report: Callable[[str], object]) -> Player:
    """What plays a video. Raises ImageError where the file holds none."""
    from mien.video.source import open_source  # cameras and pictures do without

    reported: set[str] = set()  # once, not in each round

    def play() -> Generator[Frame, None, None]:
        with open_source(path) as video:
            yield from video
        for problem in video.problems:
            if problem not in reported:
                reported.add(problem)
                report(problem)

    with open_source(path):
        return play


def address_player(address: str, opened: cv2.VideoCapture, report: Callable[[str], object]) -> Player:
    """What plays the video at an address that has an end, opened for the first round."""
    waiting = [opened]

    def play() -> Generator[Frame, None, None]:
        capture = waiting.pop() if waiting else open_capture(address)
        if capture is None:
            raise ImageError(f"{camera_name(address)}: cannot be opened again")
        try:
            rate, time_s, index = capture.get(cv2.CAP_PROP_FPS) or PICTURE_RATE, -1.0, 0
            while (image := read_capture(capture)) is not None:
                at_s = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
                time_s = at_s if at_s > time_s else time_s + 1 / rate
                yield Frame(image, index, time_s)
                index += 1
            end_s = capture.get(cv2.CAP_PROP_FRAME_COUNT) / rate
            if time_s + 1 < 0.95 * end_s:
                report(f"{camera_name(address)}: ends at {max(0.0, time_s):.1f} s, before its end at {end_s:.1f} s")
        finally:
            capture.release()

    return play


def picture_player(name: str, rate: float, report: Callable[[str], object]) -> Player:
    """What plays the pictures of a folder, a pattern or a file. Raises ConfigError where there is none."""
    search = find_images([name])
    if not search.images:
        raise ConfigError(
            f"{search.unfound[0]}; expected a camera's number or address, a video, or a folder of pictures"
        )
    found = natural_order([image.path for image in search.images])
    unreadable: set[int] = set()  # reported once, not in each round

    def play() -> Generator[Frame, None, None]:
        for index, picture in enumerate(found):
            if index in unreadable:
                continue
            try:
                image = read_image(picture)
            except ImageError as error:
                unreadable.add(index)
                report(str(error))
                continue
            yield Frame(image, index, index / rate)

    return play
