"""Pictures that are a video: an animation's frames, or the pictures of a folder at a rate."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Final, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.errors import ConfigError, ImageError
from mien.images.animation import animation_frames
from mien.images.decode import read_image
from mien.images.find import find_images
from mien.images.limits import MAX_PIXELS
from mien.types import Frame
from mien.video.convert import UNSPECIFIED, usual_matrix
from mien.video.frame_reader import FrameReader
from mien.video.problems import CHANGES_SIZE, Problems
from mien.video.reader import check_range

MAX_RATE: Final = 1000.0
"""Frames a second of a folder."""

_TICK: Final = Fraction(1, 60_000)


@dataclass(frozen=True, slots=True)
class _Shown:
    """A picture: what reads it, or raises ImageError; when it is shown, and how long, in seconds."""

    read: Callable[[], NDArray[np.uint8]]
    time_s: float
    seconds: float


_Play: TypeAlias = Generator[_Shown, None, None]


class PictureSequence(FrameReader):
    """A video of pictures, which gives frames as `mien.VideoFile` does, with the same attributes; it has no sound.

    path               the animation, or the folder
    play               the pictures in turn
    rate               frames a second, about
    duration_s         seconds; None where only reading would tell
    start, end, every  as in `VideoFile`; pictures that are left out are not read
    is_over            as in `VideoFile`

    All frames have the first one's size; others are scaled. A picture that cannot be read is left out, and `problems`
    names it. Raises ImageError where there is none that can be read.
    """

    has_audio: Final = False
    zero_s: Final = 0.0
    lead_s: Final = 0.0
    time_base: Final = _TICK

    def __init__(
        self,
        path: Path,
        play: _Play,
        *,
        rate: float,
        duration_s: float | None,
        start: float | None = None,
        end: float | None = None,
        every: float | None = None,
        is_over: Callable[[], bool] = lambda: False,
    ) -> None:
        check_range(start, end, every)
        self.path, self.rate, self.duration_s = path, rate, duration_s
        self.start, self.end, self.every = start, end, every
        self.end_s: float | None = None
        """When the last frame ceases to be shown, in seconds; None as long as not all were read."""
        self._play, self._is_over = play, is_over
        self._is_closed = False
        self._problems = Problems()
        self._failures: list[str] = []
        self._size: tuple[int, int] | None = None
        frames = self._kept()
        first = next(frames, None)
        if first is None:
            self.close()
            raise ImageError(self._why_none())
        self._frames = chain([first], frames)

    def close(self) -> None:
        """Close the file; no more frames come."""
        self._is_closed = True
        with suppress(ValueError):  # another thread is reading it, and closes it in the end
            self._play.close()

    @property
    def colors(self) -> tuple[int, int, int]:
        """The frames' matrix coefficients, primaries and transfer characteristics, by the numbers of ITU-T H.273."""
        return usual_matrix(self._size[1] if self._size else 0), UNSPECIFIED, UNSPECIFIED

    @property
    def problems(self) -> list[str]:
        """What was wrong with the pictures, as far as they were read, a line each."""
        return [*self._failures, *self._problems.lines(self.name)]

    @property
    def notes(self) -> list[str]:
        """What is worth knowing of how the pictures are read and no damage: nothing."""
        return []

    def _kept(self) -> Iterator[Frame]:
        """The frames that are asked for."""
        due, end_s, has_begun = self.start or 0.0, 0.0, False
        try:
            for index, shown in enumerate(self._play):
                if self._is_over():
                    return
                if self.end is not None and shown.time_s >= self.end:
                    end_s = self.end
                    break
                end_s = shown.time_s + shown.seconds
                if shown.time_s < due - 1e-6 or (image := self._read(shown)) is None:
                    continue
                yield Frame(image, index, shown.time_s)
                if self.every is not None:
                    due = due if has_begun else shown.time_s
                    due += self.every * (1 + int((shown.time_s - due) / self.every + 1e-6))
                has_begun = True
        except ImageError as error:  # of an animation: nothing behind it can be read
            self._failures.append(str(error))
        self.end_s = None if self._is_closed else end_s

    def _read(self, shown: _Shown) -> NDArray[np.uint8] | None:
        """The picture in the size of the first one; None where it cannot be read."""
        try:
            image = shown.read()
        except ImageError as error:
            self._failures.append(str(error))
            return None
        size = image.shape[1], image.shape[0]
        self._size = self._size or size
        if size == self._size:
            return image
        self._problems.add(CHANGES_SIZE, shown.time_s)
        return np.asarray(cv2.resize(image, self._size, interpolation=cv2.INTER_AREA), np.uint8)

    def _why_none(self) -> str:
        """Why there is no frame, in a line."""
        if self._failures:
            return self._failures[0]
        if self.start and self.end_s is not None:
            return f"{self.name}: ends at {self.end_s:.2f} s, before the start at {self.start:g} s"
        return f"{self.name}: has no frame that can be read"


def animation(
    path: Path,
    *,
    start: float | None = None,
    end: float | None = None,
    every: float | None = None,
    max_pixels: int = MAX_PIXELS,
    is_over: Callable[[], bool] = lambda: False,
) -> PictureSequence:
    """The video that an animated GIF, WebP, PNG or AVIF is; played once. The options are those of `VideoFile`."""
    frames = animation_frames(path, max_pixels)
    first = next(frames, None)
    if first is None:
        raise ImageError(f"{path}: has no frame that can be read")

    def play() -> _Play:
        time_s = 0.0
        with closing(frames):
            for image, seconds in chain([first], frames):
                yield _Shown(partial(_itself, image), time_s, seconds)
                time_s += seconds

    return PictureSequence(
        path, play(), rate=1 / first[1], duration_s=None, start=start, end=end, every=every, is_over=is_over
    )


def picture_folder(
    path: Path,
    rate: float,
    *,
    start: float | None = None,
    end: float | None = None,
    every: float | None = None,
    is_over: Callable[[], bool] = lambda: False,
) -> PictureSequence:
    """The video that a folder's or a pattern's pictures are, `rate` a second, in `natural_order`.

    Raises ConfigError on a rate outside 0..MAX_RATE, and where there is no picture.
    """
    if not 0 < rate <= MAX_RATE:
        raise ConfigError(f"rate must be within 0..{MAX_RATE:g} frames/s, got {rate:g}")
    search = find_images([path])
    if not search.images:
        raise ConfigError(f"{search.unfound[0]}")
    found = natural_order([image.path for image in search.images])

    def play() -> _Play:
        for index, picture in enumerate(found):
            yield _Shown(partial(read_image, picture), index / rate, 1 / rate)

    duration_s = len(found) / rate
    return PictureSequence(
        path, play(), rate=rate, duration_s=duration_s, start=start, end=end, every=every, is_over=is_over
    )


def natural_order(paths: Sequence[Path]) -> list[Path]:
    """The paths sorted so that numbers in names count as such: frame2 comes before frame10.

    >>> [path.name for path in natural_order([Path("f10.png"), Path("f9.png"), Path("F1.png")])]
    ['F1.png', 'f9.png', 'f10.png']
    """
    return sorted(paths, key=lambda path: ([_natural(part) for part in path.parts], path))


def _natural(name: str) -> list[tuple[int, str]]:
    """A name as what it is sorted by: each number, and the text around it."""
    return [(int(part), "") if part.isdecimal() else (-1, part.casefold()) for part in re.split(r"(\d+)", name) if part]


def _itself(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return image
