"""Figures for parts of a video: bins of even length, and scenes.

Scenes come from the persons in the records alone, which hold no pictures. A scene ends where nobody stays: from one
frame with faces to the next, no person is in both at a place that a face can move to in that time; or where nobody is
to be seen for `EMPTY_S` seconds. So a cut that leaves one face where it was is not found, and someone alone who gives
way to someone else begins a scene without a cut.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mien.errors import ConfigError
from mien.reports.seen import Seen
from mien.reports.timeline import Person, Timeline

EMPTY_S: Final = 5.0
"""A scene ends where no person is in the picture for longer than this many seconds."""

Every: TypeAlias = float | Literal["scene"]
"""How a video is divided: by bins of this many seconds, or by scene."""

MOST_CELLS: Final = 200_000
"""Bins times persons, at most."""

_FARTHEST: Final = 4.0  # sides of its box that a face moves by from one frame to the next at most
_GROWTH: Final = (0.5, 0.7)  # of the logarithm of a side: at once, and by the second, up to one


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a video, in seconds."""

    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class SpanFigures:
    """What one person showed in a span.

    seconds      in which the person was seen in it
    uncertain    of these, the part 0..1 in which the prediction was uncertain, NaN where there is none
    named        (C,) float64: the seconds in which each class was the prediction
    mean         (C,) float64: mean probability of each class, NaN where the person was not seen
    began        (C,) int64: how many stretches of each class began in it
    """

    span: Span
    seconds: float
    uncertain: float
    named: NDArray[np.float64]
    mean: NDArray[np.float64]
    began: NDArray[np.int64]


def spans_of(timeline: Timeline, every: Every) -> tuple[Span, ...]:
    """The bins of this length, in seconds, or the scenes. Raises ConfigError as `even_spans` does."""
    return scenes(timeline) if every == "scene" else even_spans(timeline, float(every))


def even_spans(timeline: Timeline, seconds: float) -> tuple[Span, ...]:
    """Bins of this length, which begin at its multiples; the first and the last are as short as the video has it.

    Raises ConfigError on a length that is none, or makes too many.
    """
    if not 0 < seconds < math.inf:
        raise ConfigError(f"a bin must last longer than 0 seconds, got {seconds:g}")
    count = timeline.seconds / seconds
    if count * max(1, len(timeline.persons)) > MOST_CELLS:
        raise ConfigError(f"bins of {seconds:g} s would be {count:.0f} for each person: choose longer ones")
    first = math.floor(timeline.start_s / seconds + 1e-9)
    inner = [k * seconds for k in range(first + 1, math.ceil(timeline.end_s / seconds - 1e-9))]
    edges = [timeline.start_s, *inner, timeline.end_s]
    return tuple(Span(a, b) for a, b in pairwise(edges))


def scenes(timeline: Timeline) -> tuple[Span, ...]:
    """The scenes, from their first face to the end of their last; between them nobody is to be seen."""
    found: list[Span] = []
    start = end = begun = math.nan
    before: dict[int, _Place] = {}
    for begin, until, faces in _by_frame([person.seen for person in timeline.persons]):
        elapsed = begin - begun
        stays = any(person in before and before[person].reaches(place, elapsed) for person, place in faces.items())
        if not (stays and begin - end <= EMPTY_S):
            if before:
                found.append(Span(start, end))
            start = begin
        before, end, begun = faces, until, begin
    return tuple([*found, Span(start, end)] if before else found)


@dataclass(frozen=True, slots=True)
class _Place:
    x: float
    y: float
    side: float

    def reaches(self, other: _Place, elapsed: float) -> bool:
        """Whether a face may come from here to there in that many seconds."""
        if min(self.side, other.side) <= 0:
            return False
        growth = abs(math.log(other.side / self.side))
        away = math.dist((self.x, self.y), (other.x, other.y)) / self.side
        return away <= min(1 + 4 * elapsed, _FARTHEST) and growth <= _GROWTH[0] + _GROWTH[1] * min(elapsed, 1)


def _by_frame(persons: Sequence[Seen]) -> Iterator[tuple[float, float, dict[int, _Place]]]:
    """Each frame that shows someone: when it begins and ends, and where each person is, in the order of time."""
    frame: tuple[float, float, dict[int, _Place]] | None = None
    place = -1
    rows = heapq.merge(*(_rows(number, seen) for number, seen in enumerate(persons)))
    for at, number, begin, end, where in rows:
        if frame is None or at != place:
            if frame is not None:
                yield frame
            frame, place = (begin, end, {}), at
        frame[2][number] = where
    if frame is not None:
        yield frame


def _rows(number: int, seen: Seen) -> Iterator[tuple[int, int, float, float, _Place]]:
    boxes = seen.boxes.astype(float)
    middles = boxes[:, :2] + boxes[:, 2:] / 2
    sides = np.sqrt(np.maximum(boxes[:, 2:], 0).prod(1))
    columns = (seen.places, seen.begin, seen.ends, middles[:, 0], middles[:, 1], sides)
    for place, begin, end, x, y, side in zip(*(column.tolist() for column in columns), strict=True):
        yield place, number, begin, end, _Place(x, y, side)


def in_spans(person: Person, classes: Sequence[str], spans: Sequence[Span]) -> list[SpanFigures]:
    """The person's figures in each of the spans, which are in the order of time and do not overlap."""
    edges = np.array([edge for span in spans for edge in (span.start_s, span.end_s)])
    seen = person.seen
    named = seen.integrals(seen.named(), edges)[::2]
    sums = seen.integrals(np.column_stack([seen.probabilities, seen.uncertain]), edges)[::2]
    seconds = named.sum(1)
    visible = seconds > 1e-6
    seconds = np.where(visible, seconds, 0.0)
    fractions = np.where(visible[:, None], sums / np.where(visible, seconds, 1.0)[:, None], np.nan)
    began = np.zeros((len(spans), len(classes)), np.int64)
    for stretch in person.stretches:
        at = int(np.searchsorted(edges, stretch.start_s + 1e-9, side="right")) - 1
        if at >= 0 and at % 2 == 0:
            began[at // 2, classes.index(stretch.emotion)] += 1
    return [
        SpanFigures(span, float(seconds[i]), float(fractions[i, -1]), named[i], fractions[i, :-1], began[i])
        for i, span in enumerate(spans)
    ]
