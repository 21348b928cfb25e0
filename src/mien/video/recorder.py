"""What is shown of a live source, recorded into a video while it goes on."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.errors import ImageError
from mien.video.window import placed

if TYPE_CHECKING:
    from mien.video.writer import VideoWriter


class Recorder:
    """Records into one file after another, each from its first frame's time on. As a context manager it ends the last.

    Raises what VideoWriter raises: ConfigError where a file cannot be written, MissingExtraError without PyAV.
    """

    def __init__(self) -> None:
        self.path: Path | None = None
        self._writer: VideoWriter | None = None
        self._size = 0, 0
        self._first_s: float | None = None

    @property
    def is_on(self) -> bool:
        """Whether it records."""
        return self._writer is not None

    def length_s(self, now_s: float) -> float:
        """Seconds recorded until now, on the clock of the frames."""
        return 0.0 if self._first_s is None else now_s - self._first_s

    def start(self, path: Path) -> None:
        """Begin a file; an earlier one has ended."""
        from mien.video.writer import VideoWriter  # viewing alone needs none of it

        writer = VideoWriter(path)
        writer.__enter__()
        self.path, self._writer, self._first_s = path, writer, None

    def write(self, image: NDArray[np.uint8], time_s: float) -> None:
        """Add a frame (H, W, 3) uint8 BGR. One of another size than the first is fitted into it, with black edges."""
        assert self._writer is not None
        if self._first_s is None:
            self._first_s, self._size = time_s, (image.shape[1], image.shape[0])
        self._writer.write(_fitted(image, *self._size), time_s - self._first_s)

    def stop(self, error: BaseException | None = None) -> bool:
        """End the file, where one is being recorded, and tell whether it has a frame. It is kept unless it has none, or
        an error other than Ctrl-C ended it.
        """
        writer, self._writer = self._writer, None
        if writer is not None:
            if error is None and self._first_s is None:
                error = ImageError(f"{self.path}: there was no frame to record")
            writer.__exit__(None if error is None else type(error), error, None)
        return writer is not None and self._first_s is not None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop(error)


def _fitted(image: NDArray[np.uint8], across: int, down: int) -> NDArray[np.uint8]:
    if (image.shape[1], image.shape[0]) == (across, down):
        return image
    left, top, width, height = placed(image.shape[1], image.shape[0], across, down)
    whole = np.zeros((down, across, 3), np.uint8)
    whole[top : top + height, left : left + width] = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    return whole
