"""The path of a stream's frames: faces are detected at intervals, followed between, classified and smoothed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from numbers import Real
from time import perf_counter
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mien.analysis import Analysis
from mien.errors import ConfigError
from mien.runtime.crops import check_picture
from mien.runtime.detectors import found_by
from mien.runtime.head_pose import head_pose
from mien.tracking.joining import CONFIDENT_SCORE, TrackSummary, join_tracks
from mien.tracking.smoothing import Smoother
from mien.tracking.tracker import SHOWN_S, Tracked, Tracker
from mien.types import Detection, Detector, Face, Frame

SEARCH_S: Final = 1.0
"""Seconds for which every frame is searched after a face was lost: it may be back in any of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamOptions:
    """How a stream is followed. Raises ConfigError on a value outside its range.

    uncertain_below 0..1, as in `Face`
    detect_every    0..10 seconds between detections, by the frames' own time, and half of that while an uncertain
                    detection waits to be confirmed; 0 detects on every frame
    smooth          whether probabilities are smoothed over time; else each frame is classified by itself
    live            whether frames are dropped where the work takes too long: detection, the slowest part, then takes at
                    most half of the time (more where it takes longer than 0.3 s), so that a slow detector cannot take
                    every frame that is left
    """

    uncertain_below: float
    detect_every: float
    smooth: bool
    live: bool

    def __post_init__(self) -> None:
        if not 0 <= self.detect_every <= 10:
            raise ConfigError(f"detect_every must be within 0..10 seconds, got {self.detect_every}")


class FaceStream:
    """The faces of one stream, frame by frame. It keeps the stream's tracks, so each stream needs its own.

    detector  finds faces; one that takes whole pictures as faces runs on every frame
    selected  those of all detections that are to be reported
    classify  the picture and N faces in it to probabilities (N, C) float32
    embed     the picture and N faces in it to vectors (N, D) float32, as `runtime/face_embedding.py` makes them
    classes   the names of the C classes
    """

    def __init__(
        self,
        detector: Detector,
        selected: Callable[[Iterable[Detection]], list[Detection]],
        classify: Callable[[NDArray[np.uint8], Sequence[Detection]], NDArray[np.float32]],
        embed: Callable[[NDArray[np.uint8], Sequence[Detection]], NDArray[np.float32]],
        classes: Sequence[str],
        options: StreamOptions,
    ) -> None:
        self._detector, self._selected, self._classify, self._classes = detector, selected, classify, classes
        self._options = options
        self._detect_every = 0.0 if detector.whole_picture else options.detect_every
        self._tracker = Tracker(embed)
        self._smoother = Smoother(len(classes)) if options.smooth else None
        self._time_s = self._detected_s = -math.inf
        # seconds from a detection to the next one: usually, and at least where detection is slow
        self._interval_s = self._pause_s = 0.0
        self._count = self._sought = 0
        self._search_until_s = -math.inf

    def summaries(self) -> list[TrackSummary]:
        """What is known of each track that was reported so far."""
        return self._tracker.summaries()

    def faces(self, frame: Frame) -> tuple[tuple[Face, ...], dict[str, float]]:
        """The faces of the next frame, from left to right, and the milliseconds of each stage.

        A frame on which faces were detected has the stages detect and track, another one only track; classify follows
        where there are faces. Raises ImageError on a frame that is no picture, ConfigError on what is no frame and on a
        time that goes back.
        """
        if not isinstance(frame, Frame):
            raise ConfigError(f"expected mien.Frame(image, index, time_s), got {type(frame).__name__}")
        check_picture(frame.image)
        if not isinstance(frame.time_s, Real):
            raise ConfigError(f"expected a frame's time in seconds, got {frame.time_s!r}")
        if not self._time_s <= frame.time_s < math.inf:
            raise ConfigError(f"expected a frame's time of {max(self._time_s, 0):g} s or later, got {frame.time_s}")
        self._time_s = frame.time_s
        stages: dict[str, float] = {}
        tracked = self._track(frame, stages)
        if not tracked:
            return (), stages
        with _timed(stages, "classify"):
            rows = self._classify(frame.image, [one.detection for one in tracked])
            if self._smoother is not None:
                rows = np.stack(
                    [
                        self._smoother.smooth(one.track, row, frame.time_s)
                        for one, row in zip(tracked, rows, strict=True)
                    ]
                )
        faces = tuple(
            Face(
                one.detection.box,
                one.detection.score,
                dict(zip(self._classes, row, strict=True)),
                one.detection.landmarks,
                self._options.uncertain_below,
                one.track,
                head_pose(one.detection.landmarks),
            )
            for one, row in zip(tracked, rows.tolist(), strict=True)
        )
        return faces, stages

    def _track(self, frame: Frame, stages: dict[str, float]) -> Sequence[Tracked]:
        """The faces that are there, each with its id.

        A detection runs at once where the picture changed as at a cut, and on each frame for SEARCH_S after a face was
        lost, until it is there again.
        """
        since = frame.time_s - self._detected_s + 1e-6
        if since < max(self._interval_s, self._pause_s):
            with _timed(stages, "track"):
                tracked = self._tracker.followed(frame.image, frame.time_s)
            searches = _certain(tracked) < self._count or frame.time_s <= self._search_until_s
            if not (searches or self._tracker.needs_detection) or since < self._pause_s:
                return tracked
        with _timed(stages, "detect"):
            found = self._selected(found_by(self._detector, frame.image))
        with _timed(stages, "track"):
            tracked = self._tracker.detected(found, frame.image, frame.time_s)
        count = _certain(tracked)
        if count < self._count:
            self._sought, self._search_until_s = max(self._count, self._sought), frame.time_s + SEARCH_S
        elif count >= self._sought or frame.time_s > self._search_until_s:
            self._sought, self._search_until_s = 0, -math.inf
        self._detected_s, self._count = frame.time_s, count
        self._interval_s = self._detect_every / 2 if self._tracker.is_waiting else self._detect_every
        if self._options.live:
            # A pause beyond SHOWN_S would hide faces that are there.
            self._pause_s = min(2 * stages["detect"] / 1000, SHOWN_S / 2)
        return tracked


class StreamResults(Iterator[Analysis]):
    """One Analysis for each frame of a stream, as the frames come; then, which tracks are one person."""

    def __init__(self, results: Iterator[Analysis], stream: FaceStream) -> None:
        self._results, self._stream = results, stream

    def __next__(self) -> Analysis:
        """The next frame's."""
        return next(self._results)

    def persons(self, count: int | None = None) -> dict[int, int | None]:
        """The number of the person whom each track so far belongs to, for `Analysis.renumbered`.

        Tracks of one person are joined, and persons have the numbers from 1 on in the order in which they appear. A
        track that is hardly a face is nobody: None. With a count, tracks are joined until no more persons than these
        are left; who were in a frame together are never joined. Raises ConfigError on a count below 1.
        """
        return join_tracks(self._stream.summaries(), count)


def _certain(tracked: Sequence[Tracked]) -> int:
    """How many of the faces are worth a search when they are lost: what is hardly a face comes and goes."""
    return sum(one.detection.score is None or one.detection.score >= CONFIDENT_SCORE for one in tracked)


@contextmanager
def _timed(stages: dict[str, float], name: str) -> Iterator[None]:
    began = perf_counter()
    yield
    stages[name] = stages.get(name, 0.0) + 1000 * (perf_counter() - began)
