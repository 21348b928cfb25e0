"""A timeline as one JSON document: who was seen, what they showed, and when."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.reports.tables import table_rows
from mien.reports.timeline import Person, Timeline

if sys.version_info >= (3, 12):
    from typing import TypedDict
else:
    from typing_extensions import TypedDict  # pydantic reads the types below


class EmotionSummary(TypedDict):
    """What a person showed of one emotion."""

    seconds: float
    """In which it was the likeliest."""
    share: float
    """The same as a part 0..1 of the seconds seen."""
    mean_probability: float
    stretches: int
    """Times without a break or a change."""
    longest_s: float
    peak_s: float | None
    """When it was strongest; null where it never stood out."""
    peak_probability: float | None


class StretchSummary(TypedDict):
    """A time without a break or a change in which one emotion was the likeliest."""

    start_s: float
    end_s: float
    emotion: str


class PersonSummary(TypedDict):
    """What one track showed. Someone who leaves the picture and comes back may have two."""

    track: int
    first_s: float
    last_s: float
    seen_s: float
    """Seconds seen in all."""
    uncertain_share: float
    emotion: str
    """The likeliest one for the longest time."""
    emotions: dict[str, EmotionSummary]
    stretches: list[StretchSummary]
    probabilities: dict[str, list[float | None]]
    """By emotion, the mean in each bin; null where the person was not seen."""


class VideoReport(TypedDict):
    """What the faces in one video showed; times are in seconds from its beginning."""

    model: str
    width: int | None
    height: int | None
    start_s: float
    end_s: float
    frames: int
    persons: list[PersonSummary]
    brief_tracks: int
    """Tracks that were seen too shortly to be persons."""
    brief_s: float
    edges_s: list[float]
    """Of the bins of `probabilities`: one more than there are bins."""
    problems: list[str]
    """What was damaged in the video, a line each."""


def to_report(timeline: Timeline, problems: Sequence[str] = ()) -> VideoReport:
    """The timeline, ready for JSON: times to the millisecond, parts and probabilities to four digits."""
    rows: dict[int, dict[str, EmotionSummary]] = {}
    for row in table_rows(timeline):
        rows.setdefault(row["track"], {})[row["emotion"]] = _emotion(row)
    width, height = timeline.size or (None, None)
    return {
        "model": timeline.model,
        "width": width,
        "height": height,
        "start_s": round(timeline.start_s, 3),
        "end_s": round(timeline.end_s, 3),
        "frames": timeline.frames,
        "persons": [_person(person, timeline.classes, rows[person.track]) for person in timeline.persons],
        "brief_tracks": timeline.brief.tracks,
        "brief_s": round(timeline.brief.seconds, 3),
        "edges_s": [round(edge, 3) for edge in timeline.edges.tolist()],
        "problems": list(problems),
    }


def _emotion(row: dict[str, Any]) -> EmotionSummary:
    return {
        "seconds": row["seconds"],
        "share": round(row["share"], 4),
        "mean_probability": round(row["mean_probability"], 4),
        "stretches": row["stretches"],
        "longest_s": row["longest_s"],
        "peak_s": row["peak_s"],
        "peak_probability": None if row["peak_probability"] is None else round(row["peak_probability"], 4),
    }


def _person(person: Person, classes: Sequence[str], emotions: dict[str, EmotionSummary]) -> PersonSummary:
    return {
        "track": person.track,
        "first_s": round(person.first_s, 3),
        "last_s": round(person.last_s, 3),
        "seen_s": round(person.seconds, 3),
        "uncertain_share": round(person.uncertain, 4),
        "emotion": person.emotion,
        "emotions": emotions,
        "stretches": [
            {"start_s": round(one.start_s, 3), "end_s": round(one.end_s, 3), "emotion": one.emotion}
            for one in person.stretches
        ],
        "probabilities": {name: _bins(person.probabilities[:, index]) for index, name in enumerate(classes)},
    }


def _bins(values: NDArray[np.float32]) -> list[float | None]:
    return [None if value != value else round(value, 4) for value in values.tolist()]  # noqa: PLR0124 - NaN
