"""What several persons showed together, and how often one emotion followed another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from mien.reports.timeline import Person

_TOGETHER_S = 1e-6


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one person or several; each counts by the time that they were seen.

    seconds      in which they were seen, of all persons in all
    fractions    of that time, the part 0..1 in which each class was the prediction; they add up to 1
    uncertain    of that time, the part 0..1 in which the prediction was uncertain
    mean         mean probability 0..1 of each class over that time
    transitions  (C, C) int64: how often the class of the column followed that of the row, of one person without a break
    """

    seconds: float
    fractions: Mapping[str, float]
    uncertain: float
    mean: Mapping[str, float]
    transitions: NDArray[np.int64]

    @property
    def emotion(self) -> str:
        """The class that was the prediction for the longest time."""
        return max(self.fractions, key=self.fractions.__getitem__)


def figures_of(persons: Sequence[Person], classes: Sequence[str]) -> Figures:
    """The figures of one or more persons, of one video or several."""
    seconds = sum(person.seconds for person in persons)
    weights = [person.seconds / seconds for person in persons]

    def together(values: Sequence[float]) -> float:
        return sum(weight * value for weight, value in zip(weights, values, strict=True))

    return Figures(
        seconds,
        {name: together([person.fractions[name] for person in persons]) for name in classes},
        together([person.uncertain for person in persons]),
        {name: together([person.mean[name] for person in persons]) for name in classes},
        sum((transitions(person, classes) for person in persons), np.zeros((len(classes),) * 2, np.int64)),
    )


def transitions(person: Person, classes: Sequence[str]) -> NDArray[np.int64]:
    """(C, C): how often the class of the column followed that of the row at once. Of a class to itself: 0."""
    counts = np.zeros((len(classes),) * 2, np.int64)
    places = {name: k for k, name in enumerate(classes)}
    for before, after in pairwise(person.stretches):
        if after.start_s - before.end_s <= _TOGETHER_S and before.emotion != after.emotion:
            counts[places[before.emotion], places[after.emotion]] += 1
    return counts
