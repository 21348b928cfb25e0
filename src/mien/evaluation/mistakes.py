"""Which rows a model gets wrong: the most confident of them, the frequent confusions, and labels that may be wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mien.errors import DataError

HARDLY_ANY: Final = 0.1
"""A class that at most this part of a row's votes named was named by hardly any voter: one of ten."""


@dataclass(frozen=True)
class Pair:
    """Rows of one true class that were taken for another one.

    truth, predicted  the classes' indices
    rows              (n,) int64, the most confident first
    """

    truth: int
    predicted: int
    rows: NDArray[np.int64]


def wrong_rows(probabilities: NDArray[np.floating], truth: NDArray[np.integer]) -> NDArray[np.int64]:
    """The rows (M,) int64 whose likeliest class is not the true one, the most confident first, equal ones in order.

    probabilities is (N, C), 0..1; truth is (N,), the index of the true class. Raises DataError where they do not fit.
    """
    _check(probabilities, truth)
    wrong = np.flatnonzero(probabilities.argmax(1) != truth)
    return wrong[np.argsort(-probabilities[wrong].max(1, initial=0), kind="stable")]


def frequent_pairs(probabilities: NDArray[np.floating], truth: NDArray[np.integer], most: int) -> list[Pair]:
    """The most frequent confusions, at most `most` of them, the most frequent first, then by the classes' order.

    Arguments and errors are those of `wrong_rows`.
    """
    wrong = wrong_rows(probabilities, truth)
    predicted = probabilities.argmax(1)
    found: dict[tuple[int, int], list[int]] = {}
    for row in wrong.tolist():
        found.setdefault((int(truth[row]), int(predicted[row])), []).append(row)
    ordered = sorted(found.items(), key=lambda one: (-len(one[1]), one[0]))[:most]
    return [Pair(*classes, np.array(rows, np.int64)) for classes, rows in ordered]


def suspected_labels(
    probabilities: NDArray[np.floating],
    truth: NDArray[np.integer],
    *,
    votes: NDArray[np.floating] | None = None,
) -> NDArray[np.int64]:
    """The rows (M,) int64 whose label may be wrong, the most suspect first.

    Confident learning (Northcutt, Jiang and Chuang, "Confident learning: estimating uncertainty in dataset labels",
    JAIR 70, 2021): a class's threshold is the mean probability of the class over the rows that have its label. A row is
    suspected where its likeliest class is not its label and reaches that class's threshold. The order is that of the
    margin by which the class is likelier than the label. It takes probabilities of faces that the model did not learn.

    With votes (N, C), the fraction 0..1 of a row's voters who named each class, the label is what voters agreed on: a
    row counts only where hardly any of them named the likeliest class (HARDLY_ANY). Other arguments and errors are
    those of `wrong_rows`.
    """
    _check(probabilities, truth)
    rows = np.arange(len(truth))
    predicted = probabilities.argmax(1)
    confidence = probabilities[rows, predicted].astype(np.float64)
    suspected = (predicted != truth) & (confidence >= _thresholds(probabilities, truth)[predicted])
    if votes is not None:
        if votes.shape != probabilities.shape:
            raise DataError(f"expected votes {probabilities.shape}, as the probabilities, got {votes.shape}")
        suspected &= votes[rows, predicted] <= HARDLY_ANY + 1e-6
    found = np.flatnonzero(suspected)
    return found[np.argsort((probabilities[rows, truth] - confidence)[found], kind="stable")]


def _thresholds(probabilities: NDArray[np.floating], truth: NDArray[np.integer]) -> NDArray[np.float64]:
    """By class (C,): the mean probability of the class over its own rows; infinite where it has none."""
    n = np.bincount(truth, minlength=probabilities.shape[1])
    total = np.bincount(truth, probabilities[np.arange(len(truth)), truth], minlength=probabilities.shape[1])
    return np.where(n > 0, total / np.maximum(n, 1), np.inf)


def _check(probabilities: NDArray[np.floating], truth: NDArray[np.integer]) -> None:
    if probabilities.ndim != 2 or truth.shape != probabilities.shape[:1]:
        raise DataError(f"expected probabilities (N, C) and N labels, got {probabilities.shape} and {truth.shape}")
