"""A timeline as one JSON document: who was seen, what they showed, and when."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.files import make_folder, written_aside
from mien.reports.figures import figures_of
from mien.reports.spans import Span, SpanFigures, even_spans, in_spans, scenes
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
    fraction: float
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
    """What one person showed. Someone who leaves the picture and comes back may be two."""

    track: int
    tracks: list[int]
    """More than one where persons were joined by giving them one name."""
    name: str | None
    first_s: float
    last_s: float
    seen_s: float
    """Seconds seen in all."""
    uncertain_fraction: float
    emotion: str
    """The likeliest one for the longest time."""
    emotions: dict[str, EmotionSummary]
    stretches: list[StretchSummary]
    probabilities: dict[str, list[float | None]]
    """By emotion, the mean in each bin; null where the person was not seen."""


class EveryoneSummary(TypedDict):
    """What all persons showed together; each counts by the time seen."""

    seen_s: float
    """Of all persons in all."""
    uncertain_fraction: float
    emotion: str
    """The likeliest one for the longest time."""
    fractions: dict[str, float]
    """By emotion, the part 0..1 of the seconds seen in which it was the likeliest."""
    mean_probabilities: dict[str, float]
    transitions: dict[str, dict[str, int]]
    """How often one emotion was followed at once by another, of the same person; pairs that never were are left out."""


class SpanEmotion(TypedDict):
    """What a person showed of one emotion in a part of the video."""

    seconds: float
    fraction: float
    mean_probability: float
    began: int
    """Stretches of it that began there."""


class SpanPerson(TypedDict):
    """What one person showed in a part of the video."""

    track: int
    name: str | None
    seen_s: float
    uncertain_fraction: float
    emotions: dict[str, SpanEmotion]


class SpanSummary(TypedDict):
    """A part of the video, and the persons who were seen in it."""

    start_s: float
    end_s: float
    persons: list[SpanPerson]


class VideoReport(TypedDict):
    """What the faces in one video showed; times are in seconds from its beginning."""

    source: str | None
    model: str
    width: int | None
    height: int | None
    start_s: float
    end_s: float
    frames: int
    persons: list[PersonSummary]
    everyone: EveryoneSummary | None
    """Null where there are no persons."""
    scenes: list[SpanSummary]
    """A scene ends where no person stays in the picture; it is found by the faces alone."""
    bins: list[SpanSummary]
    """Parts of even length, where they were asked for."""
    brief_tracks: int
    """Tracks that were seen too shortly to be persons."""
    brief_numbers: list[int]
    """Those tracks."""
    brief_s: float
    edges_s: list[float]
    """Of the bins of `probabilities`: one more than there are bins."""
    problems: list[str]
    """What was damaged in the video, a line each."""


def to_report(timeline: Timeline, problems: Sequence[str] = (), *, every: float | None = None) -> VideoReport:
    """The timeline, ready for JSON: times to the millisecond, parts and probabilities to four digits.

    every is the length of the bins in seconds. Raises ConfigError where they are too many.
    """
    rows: dict[int, dict[str, EmotionSummary]] = {}
    for row in table_rows(timeline):
        rows.setdefault(row["track"], {})[row["emotion"]] = _emotion(row)
    width, height = timeline.size or (None, None)
    return {
        "source": timeline.source,
        "model": timeline.model,
        "width": width,
        "height": height,
        "start_s": round(timeline.start_s, 3),
        "end_s": round(timeline.end_s, 3),
        "frames": timeline.frames,
        "persons": [_person(person, timeline.classes, rows[person.track]) for person in timeline.persons],
        "everyone": _everyone(timeline) if timeline.persons else None,
        "scenes": _spans(timeline, scenes(timeline)),
        "bins": [] if every is None else _spans(timeline, even_spans(timeline, every)),
        "brief_tracks": len(timeline.brief.tracks),
        "brief_numbers": list(timeline.brief.tracks),
        "brief_s": round(timeline.brief.seconds, 3),
        "edges_s": [round(edge, 3) for edge in timeline.edges.tolist()],
        "problems": list(problems),
    }


def save_reports(timelines: Sequence[Timeline], path: Path, *, every: float | None = None) -> None:
    """Write a VideoReport for each video, a line of JSON each. Raises ConfigError where that fails."""
    make_folder(path.parent)
    with written_aside(path) as part, part.open("w", encoding="utf-8", newline="\n") as file:
        for timeline in timelines:
            print(json.dumps(to_report(timeline, every=every), allow_nan=False), file=file)


def _everyone(timeline: Timeline) -> EveryoneSummary:
    classes = timeline.classes
    figures = figures_of(timeline.persons, classes)
    return {
        "seen_s": round(figures.seconds, 3),
        "uncertain_fraction": round(figures.uncertain, 4),
        "emotion": figures.emotion,
        "fractions": {name: round(fraction, 4) for name, fraction in figures.fractions.items()},
        "mean_probabilities": {name: round(mean, 4) for name, mean in figures.mean.items()},
        "transitions": {
            name: {other: count for other, count in zip(classes, counts, strict=True) if count}
            for name, counts in zip(classes, figures.transitions.tolist(), strict=True)
        },
    }


def _spans(timeline: Timeline, spans: Sequence[Span]) -> list[SpanSummary]:
    found: list[SpanSummary] = [
        {"start_s": round(span.start_s, 3), "end_s": round(span.end_s, 3), "persons": []} for span in spans
    ]
    for person in timeline.persons:
        for summary, part in zip(found, in_spans(person, timeline.classes, spans), strict=True):
            if part.seconds > 0:
                summary["persons"].append(_span_person(person, part, timeline.classes))
    return found


def _span_person(person: Person, part: SpanFigures, classes: Sequence[str]) -> SpanPerson:
    return {
        "track": person.track,
        "name": person.name,
        "seen_s": round(part.seconds, 3),
        "uncertain_fraction": round(part.uncertain, 4),
        "emotions": {
            name: {
                "seconds": round(float(part.named[k]), 3),
                "fraction": round(float(part.named[k]) / part.seconds, 4),
                "mean_probability": round(float(part.mean[k]), 4),
                "began": int(part.began[k]),
            }
            for k, name in enumerate(classes)
        },
    }


def _emotion(row: dict[str, Any]) -> EmotionSummary:
    return {
        "seconds": row["seconds"],
        "fraction": round(row["fraction"], 4),
        "mean_probability": round(row["mean_probability"], 4),
        "stretches": row["stretches"],
        "longest_s": row["longest_s"],
        "peak_s": row["peak_s"],
        "peak_probability": None if row["peak_probability"] is None else round(row["peak_probability"], 4),
    }


def _person(person: Person, classes: Sequence[str], emotions: dict[str, EmotionSummary]) -> PersonSummary:
    return {
        "track": person.track,
        "tracks": list(person.tracks),
        "name": person.name,
        "first_s": round(person.first_s, 3),
        "last_s": round(person.last_s, 3),
        "seen_s": round(person.seconds, 3),
        "uncertain_fraction": round(person.uncertain, 4),
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
