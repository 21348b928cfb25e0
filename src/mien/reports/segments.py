"""What chart and page draw of a person: the times seen, and the prediction over time, no finer than the bins."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from mien.reports.timeline import Person, Timeline


def runs_seen(person: Person) -> list[tuple[int, int]]:
    """The bins from a to before b, one after the other, in which the person was seen."""
    seen = ~np.isnan(person.probabilities).any(1)
    borders = np.flatnonzero(np.diff(np.concatenate([[False], seen, [False]]).astype(np.int8)))
    return [(int(a), int(b)) for a, b in borders.reshape(-1, 2)]


def band(person: Person, timeline: Timeline) -> list[tuple[float, float, str]]:
    """Pieces of the time seen: start and end in seconds, and the class that was the prediction for most of each bin."""
    pieces: list[tuple[float, float, str]] = []
    for a, b in runs_seen(person):
        longest = person.predictions[a:b].argmax(1)
        borders = [a, *(a + 1 + np.flatnonzero(np.diff(longest))), b]
        for left, right in pairwise(borders):
            name = timeline.classes[longest[left - a]]
            pieces.append((float(timeline.edges[left]), float(timeline.edges[right]), name))
    return pieces
