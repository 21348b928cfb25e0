"""From records to a timeline: time is counted in seconds, not frames.

A frame lasts until the next one, whatever the frame rate does. Where the next one is far away (a cut, a camera that was
gone) it lasts as long as the median frame, and so does the last one.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mien.errors import ConfigError, DataError
from mien.reports.numbers import check_name, ranges
from mien.reports.seen import Footage, Seen, Track
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
_NO_NAMES: Final[Mapping[int, str]] = MappingProxyType({})


class Gatherer:
    """Takes the records of a video one by one; keeps some 70 bytes for each face in each frame.

    video is its place, from 1 on, among several that are reported together; None where it is the only one.
    """

    def __init__(self, video: int | None = None) -> None:
        self._video = video
        self._source: str | None = None
        self._model = ""
        self._size: tuple[int, int] | None = None
        self._classes: tuple[str, ...] = ()
        self._times = array("d")
        self._indices = array("q")
        self._records = self._unread = 0
        self._tracks: dict[int, Track] = {}

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
        track = self._tracks.setdefault(face.track, Track())
        if track.places and track.places[-1] == place:
            raise DataError(f"has track {face.track} twice")
        track.places.append(place)
        track.predictions.append(self._classes.index(face.emotion))
        track.uncertain.append(face.uncertain)
        track.probabilities.extend(face.probabilities)
        track.boxes.extend(face.box)

    def timeline(self, names: Mapping[int, str] = _NO_NAMES) -> Timeline:
        """What the records so far say; names are those of persons, by track, and tracks of one name are one person.

        Raises DataError where there is no record of a frame that could be read, ConfigError where a name is of a track
        that is not there, or two tracks of one name are in one frame.
        """
        if not self._times:
            raise DataError("holds no frame that could be read" if self._records else "holds no records")
        times = np.array(self._times)
        lasting = frame_durations(times)
        start, end = float(times[0]), float(times[-1] + lasting[-1])
        bins = int(np.clip(round((end - start) / max(0.1, np.median(lasting))), 1, MOST_BINS))
        edges = np.linspace(start, end, bins + 1)
        footage = Footage(times, lasting, np.array(self._indices), edges, self._classes, self._video)
        least = min(BRIEF_S, 0.25 * (end - start))
        persons, brief, brief_seconds = [], list[int](), 0.0
        for tracks, name in self._grouped(names):
            seen = _joined([self._tracks[track] for track in tracks], tracks, name, footage)
            if seen.seconds < least and (name is None or seen.seconds == 0):
                brief += tracks
                brief_seconds += seen.seconds
            else:
                persons.append(_person(tracks, name, seen, footage))
        persons.sort(key=lambda person: (person.first_s, person.track))
        return Timeline(
            video=self._video,
            source=self._source,
            model=self._model,
            size=self._size,
            classes=self._classes,
            start_s=start,
            end_s=end,
            frames=len(times),
            unread=self._unread,
            persons=tuple(persons),
            brief=Brief(tuple(sorted(brief)), brief_seconds),
            edges=edges,
        )

    def _grouped(self, names: Mapping[int, str]) -> list[tuple[tuple[int, ...], str | None]]:
        """The tracks of each person, in the order of time, with the name."""
        for name in names.values():
            check_name(name)
        if unknown := sorted(set(names) - set(self._tracks)):
            there = f"those there are {ranges(sorted(self._tracks))}" if self._tracks else "there is none"
            raise ConfigError(f"there is no person {unknown[0]}: {there}")
        groups: dict[str | int, list[int]] = {}
        for track in self._tracks:
            groups.setdefault(names.get(track, track), []).append(track)
        return [(tuple(tracks), key if isinstance(key, str) else None) for key, tracks in groups.items()]


def frame_durations(times: NDArray[np.float64]) -> NDArray[np.float64]:
    """How long each frame lasts, in seconds, by the times (N,) at which frames begin, which do not fall."""
    gaps = np.diff(times)
    median = float(np.median(gaps[gaps > 0])) if np.any(gaps > 0) else _LONE_FRAME_S
    return np.append(np.where(gaps <= max(GAP_S, 3 * median), gaps, median), median)


def _joined(faces: list[Track], tracks: tuple[int, ...], name: str | None, footage: Footage) -> Seen:
    try:
        return Seen.of(faces, footage)
    except ConfigError as error:
        raise ConfigError(f"persons {ranges(tracks)} cannot all be {name!r}: {error}") from None


def _person(tracks: tuple[int, ...], name: str | None, seen: Seen, footage: Footage) -> Person:
    classes, edges = footage.classes, footage.edges
    weights = seen.lasting / seen.seconds
    runs = seen.runs(seen.predictions)
    predictions = seen.integrals(seen.named(), edges)
    in_bins = predictions.sum(1, keepdims=True)
    visible = in_bins > 1e-6 * (edges[1] - edges[0])
    sums = seen.integrals(seen.probabilities, edges)
    peaks = _peaks(seen, runs, classes, max(PEAKS_APART_S, (edges[-1] - edges[0]) / 30))

    def moment(i: int) -> Moment:
        index = int(seen.indices[i])
        box = Box(*map(float, seen.boxes[i]))
        return Moment(float(seen.begin[i]), None if index < 0 else index, box, footage.video)

    return Person(
        number=str(tracks[0]) if footage.video is None else f"{footage.video}.{tracks[0]}",
        name=name,
        tracks=tracks,
        first_s=float(seen.begin[0]),
        last_s=float(seen.ends[-1]),
        seconds=seen.seconds,
        frames=len(seen.begin),
        fractions=dict(zip(classes, map(float, weights @ seen.named()), strict=True)),
        uncertain=float(weights @ seen.uncertain),
        mean=dict(zip(classes, map(float, weights @ seen.probabilities), strict=True)),
        stretches=tuple(
            Stretch(float(seen.begin[a]), float(seen.ends[b - 1]), classes[seen.predictions[a]]) for a, b in runs
        ),
        peaks=tuple(Peak(classes[seen.predictions[i]], seen.strength(i), moment(i)) for i in peaks),
        portrait=moment(int(np.argmax(seen.boxes[:, 2] * seen.boxes[:, 3]))),
        probabilities=np.where(visible, sums / np.where(visible, in_bins, 1), np.nan).astype(np.float32),
        predictions=predictions.astype(np.float32),
        seen=seen,
    )


def _peaks(seen: Seen, runs: list[tuple[int, int]], classes: tuple[str, ...], apart: float) -> list[int]:
    """The strongest faces of the strongest stretches of each class, `apart` seconds apart, in the order of time."""
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
