"""Small pictures of faces, cut out of the video at the moments that a report shows."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.errors import ImageError
from mien.reports.timeline import Moment
from mien.types import Box, Frame

Frames: TypeAlias = Callable[[float, float], Iterable[Frame]]
"""Gives the frames of a video that are shown from one time, in seconds, until before another, in order."""

SIDE: Final = 192
"""Pixels of a thumbnail's sides, at most."""

_AROUND: Final = 1.7
_EARLY_S: Final = 0.001
_LATE_S: Final = 0.5
_TOGETHER_S: Final = 3.0


def find_video(source: str | None, records: Path) -> Path | None:
    """The video that records are of, by its path, or by its name beside their file; None where it is at neither."""
    from mien.images.animation import moves

    if source is None:
        return None
    for path in (Path(source), records.parent / Path(source).name):
        if path.is_file() and moves(path):
            return path
    return None


def frames_of(path: str | os.PathLike[str]) -> Frames:
    """The frames of a video file; none from a time on at which it has ended. Raises at once as `VideoFile` does."""
    from mien.video.source import open_source

    open_source(Path(path)).close()

    def frames(start: float, end: float) -> Iterator[Frame]:
        try:
            video = open_source(Path(path), start=start, end=end)
        except ImageError:  # it was opened before, so it only ends too early
            return
        with video:
            yield from video

    return frames


def thumbnails(
    frames: Frames,
    moments: Iterable[Moment],
    size: tuple[int, int] | None,
    *,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[Moment, bytes]:
    """A JPEG of the face at each moment; none for a moment that the video does not have.

    size is width and height that the boxes refer to, or None for those of the frames. Moments that are near each other
    are read in one go, others by a search in the file, so that hours of video between them cost nothing. progress is
    called with the moments done and all.
    """
    wanted = sorted(set(moments), key=lambda moment: moment.time_s)
    found: dict[Moment, bytes] = {}
    done = 0
    for group in _groups(wanted):
        rest = list(group)
        for frame in frames(max(0.0, group[0].time_s - _EARLY_S), group[-1].time_s + _LATE_S):
            while rest and frame.time_s >= rest[0].time_s - _EARLY_S:
                moment = rest.pop(0)
                if frame.time_s <= moment.time_s + _LATE_S:
                    found[moment] = _jpeg(_cut(frame.image, moment.box, size))
            if not rest:
                break
        done += len(group)
        progress(done, len(wanted))
    return found


def _groups(moments: Sequence[Moment]) -> Iterator[list[Moment]]:
    group: list[Moment] = []
    for moment in moments:
        if group and moment.time_s - group[-1].time_s > _TOGETHER_S:
            yield group
            group = []
        group.append(moment)
    if group:
        yield group


def _cut(image: NDArray[np.uint8], box: Box, size: tuple[int, int] | None) -> NDArray[np.uint8]:
    """A square around the face with some room, moved into the picture where it would reach over the edge."""
    height, width = image.shape[:2]
    if size is not None:
        box = box.scaled(width / size[0], height / size[1])
    side = int(np.clip(_AROUND * max(box.width, box.height), 1, min(height, width)))
    left = int(np.clip(box.x + box.width / 2 - side / 2, 0, width - side))
    top = int(np.clip(box.y + box.height / 2 - side / 2, 0, height - side))
    return image[top : top + side, left : left + side]


def _jpeg(image: NDArray[np.uint8]) -> bytes:
    if image.shape[0] > SIDE:
        image = cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.uint8)
    whole, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 85])
    assert whole
    return data.tobytes()
