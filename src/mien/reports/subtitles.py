"""A timeline as subtitles, SubRip (.srt) or WebVTT (.vtt): who shows what, a line for each person."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mien.files import make_folder, written_aside
from mien.reports.timeline import Person, Timeline

SUFFIXES: Final = frozenset({".srt", ".vtt"})

MOST_LINES: Final = 6
"""A subtitle shows at most this many persons: those who are seen for the longest time in the video."""

SHORTEST_S: Final = 0.2
"""No subtitle is shorter, but where nothing comes before it: what changes within it is shown as what lasts longest."""


@dataclass(frozen=True, slots=True)
class Line:
    """What is shown of one person: the label, the emotion, and whether the prediction is uncertain."""

    label: str
    emotion: str
    uncertain: bool


@dataclass(frozen=True, slots=True)
class Cue:
    """One subtitle: from when until when, in seconds, a line for each person, and how many persons have none."""

    start_s: float
    end_s: float
    lines: tuple[Line, ...]
    more: int


def cues(timeline: Timeline) -> list[Cue]:
    """The subtitles in the order of time, none over another, nor two with the same lines one right after the other."""
    persons = timeline.persons
    edges = _edges(persons)
    if len(edges) < 2:
        return []
    states = np.array([_states(person, edges) for person in persons])
    ranks = np.argsort(np.argsort([-person.seconds for person in persons], kind="stable"))
    found: list[Cue] = []
    for i, (start, end) in enumerate(pairwise(edges.tolist())):
        there = np.flatnonzero(states[:, i] >= 0)
        shown = sorted(sorted(there.tolist(), key=ranks.__getitem__)[:MOST_LINES])
        lines = tuple(_line(persons[k].label, int(states[k, i]), timeline.classes) for k in shown)
        more = len(there) - len(shown)
        if found and (found[-1].lines, found[-1].more, found[-1].end_s) == (lines, more, start):
            found[-1] = Cue(found[-1].start_s, end, lines, more)
        elif lines and end > max(start, 0):
            found.append(Cue(start, end, lines, more))
    return found


def _line(label: str, code: int, classes: Sequence[str]) -> Line:
    return Line(label, classes[code // 2], bool(code % 2))


def _edges(persons: Sequence[Person]) -> NDArray[np.float64]:
    """The times at which something changes, to the millisecond, but for those that follow another one too soon."""
    times: set[float] = set()
    for person in persons:
        for a, b in person.seen.runs(_codes(person)):
            times |= {round(float(person.seen.begin[a]), 3), round(float(person.seen.ends[b - 1]), 3)}
    kept: list[float] = []
    for time_s in sorted(times):
        if not kept or time_s - kept[-1] >= SHORTEST_S - 1e-9:
            kept.append(time_s)
    if kept and (last := max(times)) > kept[-1]:
        kept = [*kept[: max(1, len(kept) - 1)], last]
    return np.array(kept)


def _codes(person: Person) -> NDArray[np.int64]:
    """(N,): twice the prediction's class, and one more where it is uncertain."""
    return 2 * person.seen.predictions + person.seen.uncertain


def _states(person: Person, edges: NDArray[np.float64]) -> list[int]:
    """Between each two edges the code that holds for the longest time, -1 where the person is unseen for longer."""
    codes = _codes(person)
    there = np.unique(codes)
    lasting = person.seen.integrals(codes[:, None] == there, edges)
    unseen = np.diff(edges) - lasting.sum(1)
    return [int(code) for code in np.where(lasting.max(1) > unseen, there[lasting.argmax(1)], -1)]


def render_subtitles(timeline: Timeline, suffix: str) -> str:
    """The file's text; suffix is one of `SUFFIXES`."""
    if suffix == ".srt":
        blocks = [
            "\r\n".join([str(number), _times(cue, ","), *(_inert(text) for _, text in _texts(cue)), "\r\n"])
            for number, cue in enumerate(cues(timeline), 1)
        ]
        return "".join(blocks)
    blocks = ["WEBVTT", f"NOTE Predictions of {_escaped(timeline.model)}"]
    for cue in cues(timeline):
        voices = (f"<v {_escaped(who)}>{_escaped(text)}</v>" if who else _escaped(text) for who, text in _texts(cue))
        blocks.append("\n".join([_times(cue, "."), *voices]))
    return "\n\n".join(blocks) + "\n"


def _texts(cue: Cue) -> list[tuple[str | None, str]]:
    """The lines as they are read, each with whose it is."""
    mark = " (uncertain)"
    texts: list[tuple[str | None, str]] = [
        (line.label, f"{line.label}: {line.emotion}{mark if line.uncertain else ''}") for line in cue.lines
    ]
    return [*texts, (None, f"and {cue.more} more")] if cue.more else texts


def _times(cue: Cue, point: str) -> str:
    return f"{_time(cue.start_s, point)} --> {_time(cue.end_s, point)}"


def save_subtitles(timeline: Timeline, path: Path) -> None:
    """Write subtitles in the format that the path's suffix names, whole or not at all. Raises ConfigError."""
    make_folder(path.parent)
    with written_aside(path) as part:
        part.write_text(render_subtitles(timeline, path.suffix.lower()), encoding="utf-8", newline="")


def _time(seconds: float, point: str) -> str:
    """A time as hh:mm:ss and milliseconds; neither format has any before the video's beginning."""
    minutes, milliseconds = divmod(max(0, round(1000 * seconds)), 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{milliseconds // 1000:02}{point}{milliseconds % 1000:03}"


def _line_of(text: str) -> str:
    """The text as one line, without what is no text."""
    return re.sub(r"[\s\x00-\x1f\x7f-\x9f]+", " ", text.encode("utf-8", "replace").decode("utf-8")).strip()


def _escaped(text: str) -> str:
    return html.escape(_line_of(text), quote=False)


def _inert(text: str) -> str:
    """SubRip has no escapes: what players take for markup becomes signs that look alike."""
    return _line_of(text).translate(str.maketrans("<>{}", "‹›()"))
