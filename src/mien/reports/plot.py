"""One person's timeline as HTML: pins for peaks, the band of predictions, the areas of probabilities, a time axis."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mien.emotions import EMOTIONS
from mien.reports.clock import axis_ticks, clock_time
from mien.reports.html import data, sign, text
from mien.reports.segments import band, runs_seen
from mien.reports.timeline import Person, Timeline


def plot(timeline: Timeline, person: Person) -> str:
    """The timeline: pins for peaks, the prediction as a band, the probabilities as stacked areas, a time axis."""

    def across(time_s: float) -> float:
        return 100 * (time_s - timeline.start_s) / timeline.seconds

    pins = "".join(
        f'<span class="pin" style="left:{left:.2f}%">{number}</span>'
        for number, left in enumerate(_apart([across(peak.moment.time_s) for peak in person.peaks]), 1)
    )
    spans = "".join(
        f'<span class="c{timeline.classes.index(name)}" style="left:{across(start):.2f}%;'
        f'width:{across(end) - across(start):.2f}%" title="{_span(timeline, start, end)}: {text(name)}">'
        f"{_caption(timeline.classes.index(name), name, across(end) - across(start))}</span>"
        for start, end, name in band(person, timeline)
    )
    ticks = axis_ticks(timeline.start_s, timeline.end_s)
    tenths = len(ticks) > 1 and ticks[1] - ticks[0] < 1
    marks = "".join(
        f'<span class="{_edge(across(tick))}" style="left:{across(tick):.2f}%">{clock_time(tick, tenths=tenths)}</span>'
        for tick in ticks
    )
    values = [
        None if np.isnan(row).any() else [round(100 * float(value)) for value in row] for row in person.probabilities
    ]
    read = data({"start": timeline.start_s, "end": timeline.end_s, "values": values})
    label = f"Timeline of {text(person.label)}; the figures are in the table below"
    return (
        f'<div class="timeline" role="group" aria-label="Timeline of {text(person.label)}">'
        f'<div aria-hidden="true">{pins}<div class="band">{spans}</div></div>'
        f'<svg viewBox="0 0 1000 100" preserveAspectRatio="none" role="img" aria-label="{label}">'
        f'{_areas(person)}</svg><div class="axis" aria-hidden="true">{marks}</div>'
        f'<script type="application/json">{read}</script></div>'
    )


def _span(timeline: Timeline, start_s: float, end_s: float) -> str:
    return f"{timeline.clock(start_s)} to {timeline.clock(end_s)}"


def _caption(k: int, name: str, width: float) -> str:
    """The name in a piece of the band, this many per cent of it wide; where it has no place on a wide screen, the sign.

    On a narrow screen the style sheet hides what does not fit.
    """
    if width > 1 + 0.65 * len(name):
        return f"<b>{text(name)}</b>"
    return sign(k, name) if width > 2.1 and name in EMOTIONS else ""


def _areas(person: Person) -> str:
    """A path a class, from the baseline up to the sum of the classes so far: the last one first, others over it."""
    bins, classes = person.probabilities.shape
    tops = np.cumsum(person.probabilities.astype(float), 1)
    tops = 100 - 100 * tops / tops[:, -1:]
    paths = []
    for k in reversed(range(classes)):
        steps = []
        for a, b in runs_seen(person):
            x = 1000 / bins * np.concatenate([[a], np.arange(a, b) + 0.5, [b]])
            y = tops[np.concatenate([[a], np.arange(a, b), [b - 1]]), k]
            line = "L".join(f"{left:.4g},{top:.3g}" for left, top in zip(x, y, strict=True))
            steps.append(f"M{x[0]:.4g},100L{line}L{x[-1]:.4g},100Z")
        paths.append(f'<path class="c{k}" d="{"".join(steps)}"/>')
    return "".join(paths)


def _apart(places: Sequence[float], least: float = 2.4) -> list[float]:
    """Rising places 0..100, moved where they must to be so far from each other."""
    moved: list[float] = []
    for place in places:
        moved.append(max(place, moved[-1] + least) if moved else place)
    limit = 100.0
    for i in reversed(range(len(moved))):
        moved[i] = min(moved[i], limit)
        limit = moved[i] - least
    return moved


def _edge(place: float) -> str:
    return "first" if place < 2 else "last" if place > 98 else "inner"
