"""What frames are read from at one's own pace: a video file, an animation, or a folder of pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from mien.images.animation import is_animation
from mien.types import Frame
from mien.video.pictures import animation, picture_folder
from mien.video.reader import VideoFile


class FrameSource(Protocol):
    """What `VideoFile` offers, and others as it does."""

    path: Path
    start: float | None
    end: float | None
    every: float | None
    rate: float
    duration_s: float | None

    @property
    def name(self) -> str:
        """The path, as text."""
        ...

    @property
    def time_base(self) -> Fraction:
        """The unit of its timestamps, in seconds."""
        ...

    @property
    def has_audio(self) -> bool:
        """Whether there is sound."""
        ...

    @property
    def zero_s(self) -> float:
        """Where time_s 0 lies on the clock that pictures and sound share, in seconds."""
        ...

    @property
    def lead_s(self) -> float:
        """How many seconds the sound begins before the pictures, 0 or more."""
        ...

    @property
    def end_s(self) -> float | None:
        """When the last frame ceases to be shown, in seconds; None as long as not all frames were read."""
        ...

    @property
    def colors(self) -> tuple[int, int, int]:
        """The frames' matrix coefficients, primaries and transfer characteristics, by the numbers of ITU-T H.273."""
        ...

    @property
    def problems(self) -> list[str]:
        """What was wrong, as far as it was read, a line each."""
        ...

    @property
    def notes(self) -> list[str]:
        """What is worth knowing of how it is read and no damage, a line each."""
        ...

    def __enter__(self) -> Self:
        """Itself."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        ...

    def __iter__(self) -> Iterator[Frame]:
        """The frames, each once."""
        ...

    def close(self) -> None:
        """Close it; no more frames come."""
        ...


def open_source(
    path: Path,
    *,
    rate: float | None = None,
    start: float | None = None,
    end: float | None = None,
    every: float | None = None,
    is_over: Callable[[], bool] = lambda: False,
) -> FrameSource:
    """The frames of a video file or an animation; with a rate, of a folder or a pattern of pictures.

    The other options are those of `VideoFile`. Raises ImageError and ConfigError as it does.
    """
    if rate is not None:
        return picture_folder(path, rate, start=start, end=end, every=every, is_over=is_over)
    if is_animation(path):
        return animation(path, start=start, end=end, every=every, is_over=is_over)
    return VideoFile(path, start=start, end=end, every=every, is_over=is_over)
