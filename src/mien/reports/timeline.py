"""The result types: who showed what and when in one video. `aggregate.py` makes them of records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mien.reports.clock import clock_time, spoken_time
from mien.reports.seen import Seen
from mien.types import Box

SHORT_S: Final = 600.0
"""Times in a video shorter than this many seconds are shown with tenths of a second."""


@dataclass(frozen=True, slots=True)
class Moment:
    """Where a face was: the time in seconds, the index of the frame, the box in pixels, and which of several videos."""

    time_s: float
    frame: int | None
    box: Box
    video: int | None = None


@dataclass(frozen=True, slots=True)
class Stretch:
    """A time without a break or a change in which a person was given one emotion, in seconds."""

    start_s: float
    end_s: float
    emotion: str

    @property
    def seconds(self) -> float:
        """How long it lasted."""
        return self.end_s - self.start_s


@dataclass(frozen=True, slots=True)
class Peak:
    """The strongest moment of a stretch: the emotion and its probability then, 0..1."""

    emotion: str
    probability: float
    moment: Moment


@dataclass(frozen=True, slots=True)
class Person:
    """What one person showed: a track, or several that the user gave one name.

    number          the track's number, as it is drawn in the video; of several videos "1.2" is track 2 of the first
    name            as the user gave it, or None
    tracks          the tracks, in the order of time
    first_s, last_s when the person was seen first, and until when, in seconds
    seconds         how long the person was seen in all
    frames          in how many frames
    fractions       of that time, the part 0..1 in which each class was the prediction; they add up to 1
    uncertain       of that time, the part 0..1 in which the prediction was uncertain
    mean            mean probability 0..1 of each class over that time
    stretches       in the order of time; their lengths add up to `seconds`
    peaks           in the order of time; none of neutral, which is what is left when nothing stands out
    portrait        when the face was largest
    probabilities   (B, C) float32: mean probability of each class in each bin, NaN where the person was not seen
    predictions     (B, C) float32: in each bin, the seconds in which each class was the prediction
    seen            the faces that all this was computed from
    """

    number: str
    name: str | None
    tracks: tuple[int, ...]
    first_s: float
    last_s: float
    seconds: float
    frames: int
    fractions: Mapping[str, float]
    uncertain: float
    mean: Mapping[str, float]
    stretches: tuple[Stretch, ...]
    peaks: tuple[Peak, ...]
    portrait: Moment
    probabilities: NDArray[np.float32] = field(repr=False, compare=False)
    predictions: NDArray[np.float32] = field(repr=False, compare=False)
    seen: Seen = field(repr=False, compare=False)

    @property
    def track(self) -> int:
        """The first track."""
        return self.tracks[0]

    @property
    def label(self) -> str:
        """The name, or "Person" and the number."""
        return f"Person {self.number}" if self.name is None else self.name

    @property
    def emotion(self) -> str:
        """The class that was the prediction for the longest time."""
        return max(self.fractions, key=self.fractions.__getitem__)


@dataclass(frozen=True, slots=True)
class Brief:
    """The tracks that were seen too shortly for a timeline, in rising order, and their seconds in all."""

    tracks: tuple[int, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class Timeline:
    """What the faces in one video showed.

    video       its place among several that are reported together, from 1 on; None where it is the only one
    source      the video as the records name it, or None
    model       id of the model
    size        width and height of the video in pixels, or None where no frame could be read
    classes     in the records' order; none where no face was found
    start_s     time of the first frame, in seconds
    end_s       when the last frame ends
    frames      how many there are, and `unread` how many could not be read
    edges       (B + 1,) float64: the bins of the persons' `probabilities`, in seconds
    persons     in the order in which they came, without the brief ones
    """

    video: int | None
    source: str | None
    model: str
    size: tuple[int, int] | None
    classes: tuple[str, ...]
    start_s: float
    end_s: float
    frames: int
    unread: int
    persons: tuple[Person, ...]
    brief: Brief
    edges: NDArray[np.float64] = field(repr=False, compare=False)

    @property
    def seconds(self) -> float:
        """From the first frame to the end of the last."""
        return self.end_s - self.start_s

    def clock(self, time_s: float) -> str:
        """A time in the video as people read it, with tenths of a second where the video is short."""
        return clock_time(time_s, tenths=self.seconds < SHORT_S)

    def spoken(self, seconds: float) -> str:
        """A length of time in words, with tenths of a second where the video is short."""
        return spoken_time(seconds, tenths=self.seconds < SHORT_S)

    @property
    def name(self) -> str:
        """The video's name without its folders."""
        return "video" if self.source is None else Path(self.source).name or self.source

    def longest_seen(self, most: int) -> tuple[Person, ...]:
        """The persons who were seen for the longest time, at most N, in the order in which they came."""
        kept = sorted(self.persons, key=lambda person: -person.seconds)[:most]
        return tuple(person for person in self.persons if any(person is one for one in kept))
