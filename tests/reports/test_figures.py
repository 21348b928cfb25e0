"""Figures of several persons: weighted by the time seen, with the changes from one emotion to another counted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from mien.emotions import EMOTIONS
from mien.reports.figures import figures_of, transitions

if TYPE_CHECKING:
    from .conftest import Videos


def counted(counts: np.ndarray) -> dict[tuple[str, str], int]:
    return {(EMOTIONS[a], EMOTIONS[b]): int(counts[a, b]) for a, b in np.argwhere(counts)}


def test_changes_are_counted_and_breaks_are_none(videos: Videos) -> None:
    (person,) = videos.timeline(videos.moods("hhhsshhhss" + "--" + "nnnhh" + "--" + "hhh")).persons
    assert counted(transitions(person, EMOTIONS)) == {
        ("happiness", "surprise"): 2,
        ("surprise", "happiness"): 1,
        ("neutral", "happiness"): 1,
    }


def test_everyone_counts_by_the_time_seen(videos: Videos) -> None:
    timeline = videos.timeline(videos.moods("h" * 30 + "n" * 10, "-" * 30 + "s" * 10))
    figures = figures_of(timeline.persons, timeline.classes)
    assert figures.seconds == pytest.approx(10)
    assert figures.fractions["happiness"] == pytest.approx(0.6)
    assert sum(figures.fractions.values()) == pytest.approx(1)
    assert sum(figures.mean.values()) == pytest.approx(1, abs=1e-5)
    assert (figures.emotion, figures.uncertain) == ("happiness", 0)
    assert counted(figures.transitions) == {("happiness", "neutral"): 1}
    (first, second) = timeline.persons
    alone = figures_of([second], timeline.classes)
    assert (alone.seconds, alone.fractions["surprise"]) == (pytest.approx(second.seconds), 1)
    assert figures_of([first], timeline.classes).mean == pytest.approx(first.mean)
