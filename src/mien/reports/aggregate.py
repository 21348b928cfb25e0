"""From records to a timeline: time is counted in seconds, not frames.

A frame lasts until the next one, whatever the frame rate does. Where the next one is far away (a cut, a camera that was
gone) it lasts as long as the median frame, and so does the last one.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mien.errors import DataError
from mien.reports.timeline import Brief, Moment, Peak, Person, Stretch, Timeline
from mien.reports.validate import SeenFace, check_frame
from mien.types import Box

GAP_S: Final = 1.0
"""A frame lasts no longer than this many seconds, or three times the median frame if that is longer."""

BRIEF_S: Final = 1.0
"""A track that was seen for less than this many seconds gets no timeline (in a short video: a quarter)."""

MOST_BINS: Final = 400
"""A timeline has at most this many bins, of 0.1 s or one frame at least."""

PEAK_FROM: Final = 0.5
"""The least probability of a peak; besides, the face must not count as uncertain."""

PEAKS_APART_S: Final = 5.0
"""Peaks of one person and emotion are at least this many seconds apart, and a 30th of the video's length."""

MOST_PEAKS: Final = 6
"""How many peaks a person has at most: two of an emotion, and the second only where there is room."""

_LONE_FRAME_S: Final = 0.04
"""What a frame lasts when it is the only one."""

_UNREMARKABLE: Final = "neutral"


class Gatherer:
    """Takes the records of a video one by one; keeps some 70 bytes for each face in each frame."""

    def __init__(self) -> None:
        self._source: str | None = None
        self._model = ""
        self._size: tuple[int, int] | None = None
        self._classes: tuple[str, ...] = ()
        self._times = array("d")
        self._indices = array("q")
        self._records = self._unread = 0
        self._tracks: dict[int, _Track] = {}

    def add(self, record: Mapping[str, Any]) -> None:
        """Take the next record, as `Analysis.to_dict` makes it. Raises DataError where it is not one of this video."""
        frame = check_frame(record)
        if self._records == 0:
            self._source, self._model = frame.source, frame.model
        elif frame.source != self._source:
            raise DataError(f"is of another video, {frame.source!r}: a report is of one, here of {self._source!r}")
        elif frame.model != self._model:
            raise DataError(f"is by another model, {frame.model!r}: those before it are by {self._model!r}")
        self._records += 1
        if frame.error is not None:
            self._unread += 1
            return
        if self._times and frame.time_s < self._times[-1]:
            raise DataError(f"time_s goes back, from {self._times[-1]:g} to {frame.time_s:g}")
        self._size = self._size or frame.size
        self._times.append(frame.time_s)
        self._indices.append(-1 if frame.index is None else frame.index)
        for face in frame.faces:
            self._add_face(face)

    def _add_face(self, face: SeenFace) -> None:
        self._classes = self._classes or face.classes
        if face.classes != self._classes:
            raise DataError(f"has the classes {list(face.classes)}: before it they are {list(self._classes)}")
        place = len(self._times) - 1
        track = self._tracks.setdefault(face.track, _Track())
        if track.places and track.places[-1] == place:
            raise DataError(f"has track {face.track} twice")
        track.places.append(place)
        track.predictions.append(self._classes.index(face.emotion))
        track.uncertain.append(face.uncertain)
        track.probabilities.extend(face.probabilities)
        track.boxes.extend(face.box)

    def timeline(self) -> Timeline:
        """What the records so far say. Raises DataError where there is none of a frame that could be read."""
        if not self._times:
            raise DataError("holds no frame that could be read" if self._records else "holds no records")
        times = np.array(self._times)
        lasting = frame_durations(times)
        start, end = float(times[0]), float(times[-1] + lasting[-1])
        bins = int(np.clip(round((end - start) / max(0.1, np.median(lasting))), 1, MOST_BINS))
        clock = _Clock(times, lasting, np.array(self._indices), np.linspace(start, end, bins + 1))
        persons, brief_seconds = [], 0.0
        for number, track in self._tracks.items():
            seen = _Seen.of(track, len(self._classes), clock)
            if seen.seconds < min(BRIEF_S, 0.25 * (end - start)):
                brief_seconds += seen.seconds
            else:
                persons.append(_person(number, seen, self._classes, clock))
        return Timeline(
            source=self._source,
            model=self._model,
            size=self._size,
            classes=self._classes,
            start_s=start,
            end_s=end,
            frames=len(times),
            unread=self._unread,
            persons=tuple(sorted(persons, key=lambda person: (person.first_s, person.track))),
            brief=Brief(len(self._tracks) - len(persons), brief_seconds),
            edges=clock.edges,
        )


def frame_durations(times: NDArray[np.float64]) -> NDArray[np.float64]:
    """How long each frame lasts, in seconds, by the times (N,) at which frames begin, which do not fall."""
    gaps = np.diff(times)
    median = float(np.median(gaps[gaps > 0])) if np.any(gaps > 0) else _LONE_FRAME_S
    return np.append(np.where(gaps <= max(GAP_S, 3 * median), gaps, median), median)


class _Track:
    """The faces of one track as they come: the place of the frame, the prediction's class, and so on."""

    __slots__ = ("boxes", "places", "predictions", "probabilities", "uncertain")

    def __init__(self) -> None:
        self.places = array("q")
        self.predictions = array("q")
        self.uncertain = bytearray()
        self.probabilities = array("f")
        self.boxes = array("f")


@dataclass(frozen=True, slots=True)
class _Clock:
    """The video's frames: when each begins, how long it lasts, its index (-1: unknown); and the edges of the bins."""

    times: NDArray[np.float64]
    lasting: NDArray[np.float64]
    indices: NDArray[np.int64]
    edges: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Seen:
    """A track's N faces as arrays, with when each began and how long it lasted."""

    begin: NDArray[np.float64]
    lasting: NDArray[np.float64]
    indices: NDArray[np.int64]
    predictions: NDArray[np.int64]
    uncertain: NDArray[np.bool_]
    probabilities: NDArray[np.float32]
    boxes: NDArray[np.float32]

    @classmethod
    def of(cls, track: _Track, classes: int, clock: _Clock) -> _Seen:
        places = np.array(track.places)
        return cls(
            clock.times[places],
            clock.lasting[places],
            clock.indices[places],
            np.array(track.predictions),
            np.array(track.uncertain, np.bool_),
            np.array(track.probabilities).reshape(-1, classes),
            np.array(track.boxes).reshape(-1, 4),
        )

    @property
    def seconds(self) -> float:
        return float(self.lasting.sum())

    @property
    def ends(self) -> NDArray[np.float64]:
        return self.begin + self.lasting

    def moment(self, i: int) -> Moment:
        index = int(self.indices[i])
        return Moment(float(self.begin[i]), None if index < 0 else index, Box(*map(float, self.boxes[i])))

    def strength(self, i: int) -> float:
        """The probability of the prediction."""
        return float(self.probabilities[i, self.predictions[i]])


def _person(number: int, seen: _Seen, classes: tuple[str, ...], clock: _Clock) -> Person:
    weights = seen.lasting / seen.seconds
    named = np.eye(len(classes))[seen.predictions]
    runs = _runs(seen)
    predictions = _integrals(seen, named, clock.edges)
    in_bins = predictions.sum(1, keepdims=True)
    visible = in_bins > 1e-6 * (clock.edges[1] - clock.edges[0])
    sums = _integrals(seen, seen.probabilities, clock.edges)
    apart = max(PEAKS_APART_S, (clock.edges[-1] - clock.edges[0]) / 30)
    peaks = _peaks(seen, runs, classes, apart)
    return Person(
        track=number,
        first_s=float(seen.begin[0]),
        last_s=float(seen.ends[-1]),
        seconds=seen.seconds,
        frames=len(seen.begin),
        fractions=dict(zip(classes, map(float, weights @ named), strict=True)),
        uncertain=float(weights @ seen.uncertain),
        mean=dict(zip(classes, map(float, weights @ seen.probabilities), strict=True)),
        stretches=tuple(
            Stretch(float(seen.begin[a]), float(seen.ends[b - 1]), classes[seen.predictions[a]]) for a, b in runs
        ),
        peaks=tuple(Peak(classes[seen.predictions[i]], seen.strength(i), seen.moment(i)) for i in peaks),
        portrait=seen.moment(int(np.argmax(seen.boxes[:, 2] * seen.boxes[:, 3]))),
        probabilities=np.where(visible, sums / np.where(visible, in_bins, 1), np.nan).astype(np.float32),
        predictions=predictions.astype(np.float32),
    )


def _runs(seen: _Seen) -> list[tuple[int, int]]:
    """The faces from a to before b that have one prediction, without a break between their frames."""
    broken = seen.begin[1:] - seen.ends[:-1] > 1e-6
    borders = (np.flatnonzero(broken | (seen.predictions[1:] != seen.predictions[:-1])) + 1).tolist()
    return list(zip([0, *borders], [*borders, len(seen.begin)], strict=True))


def _integrals(seen: _Seen, values: NDArray[Any], edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """(B, K): the integral over each bin of values (N, K), each of which holds while its frame lasts, and 0 between.

    As a function of its upper end an integral is linear but for corners where frames begin and end, so that
    interpolating between these is exact.
    """
    corners = np.maximum.accumulate(np.stack([seen.begin, seen.ends], 1).ravel())
    result = np.empty((len(edges) - 1, values.shape[1]))
    for k in range(values.shape[1]):
        steps = np.zeros(len(corners))
        steps[1::2] = values[:, k] * seen.lasting
        result[:, k] = np.diff(np.interp(edges, corners, np.cumsum(steps)))
    return result


def _peaks(seen: _Seen, runs: list[tuple[int, int]], classes: tuple[str, ...], apart: float) -> list[int]:
    """The strongest faces of the strongest stretches of each class, `apart_s` seconds apart, in the order of time."""
    strongest = [a + int(np.argmax(seen.probabilities[a:b, seen.predictions[a]])) for a, b in runs]
    first: dict[int, int] = {}
    second: dict[int, int] = {}
    for i in sorted(strongest, key=seen.strength, reverse=True):
        prediction = int(seen.predictions[i])
        if classes[prediction] == _UNREMARKABLE or seen.uncertain[i] or seen.strength(i) < PEAK_FROM:
            continue
        if prediction not in first:
            first[prediction] = i
        elif prediction not in second and abs(seen.begin[i] - seen.begin[first[prediction]]) >= apart:
            second[prediction] = i
    return sorted([*first.values(), *second.values()][:MOST_PEAKS])
