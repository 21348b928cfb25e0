"""How well a model does on labelled faces: figures with intervals, from probabilities, whatever made them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.errors import DataError
from mien.evaluation.calibration import reliability
from mien.evaluation.intervals import Interval, wilson
from mien.evaluation.selective import CertainPart, certain_part, risk_coverage


@dataclass(frozen=True, slots=True)
class Confusion:
    """One way of being wrong: count rows of class truth were called predicted, fraction (0..1) of all rows of truth."""

    truth: str
    predicted: str
    count: int
    fraction: float

    def __str__(self) -> str:
        return f"{self.truth} → {self.predicted} {100 * self.fraction:.0f} %"


@dataclass(frozen=True)
class Metrics:
    """What `evaluate` found. All fractions are 0..1.

    classes        C names, in the order of the matrix
    n              rows evaluated
    accuracy       fraction of rows whose likeliest class is the true one
    macro_f1       mean F1 over the classes that have rows, each class counting alike
    accuracy_ci95, macro_f1_ci95  95 % bootstrap intervals, (low, high)
    ece            expected calibration error of the likeliest class, 15 bins of equal mass
    aurc           area under the risk-coverage curve, the less the better
    certain        the rows that are not uncertain, by the default threshold, and the accuracy on them
    recall         by class; None where the class has no rows
    recall_ci95    by class: 95 % Wilson score interval, (low, high); None where the class has no rows
    precision      by class; None where the class was never predicted
    f1             by class; None where the class has no rows, 0 where it has some and none was found
    support        rows by class
    confusion      (C, C) int64, rows the truth, columns the prediction
    """

    classes: tuple[str, ...]
    n: int
    accuracy: float
    accuracy_ci95: Interval
    macro_f1: float
    macro_f1_ci95: Interval
    ece: float
    aurc: float
    certain: CertainPart
    recall: Mapping[str, float | None]
    recall_ci95: Mapping[str, Interval | None]
    precision: Mapping[str, float | None]
    f1: Mapping[str, float | None]
    support: Mapping[str, int]
    confusion: NDArray[np.int64]

    def worst_confusions(self, k: int = 5) -> list[Confusion]:
        """The k most frequent mistakes, as fractions of their true class, the worst first; or fewer."""
        found = [
            Confusion(truth, predicted, int(count), int(count) / self.support[truth])
            for truth, row in zip(self.classes, self.confusion, strict=True)
            for predicted, count in zip(self.classes, row, strict=True)
            if truth != predicted and count > 0
        ]
        return sorted(found, key=lambda one: (-one.fraction, -one.count, one.truth, one.predicted))[:k]

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, lists and dicts, fit for JSON."""
        return {
            "n": self.n,
            "accuracy": self.accuracy,
            "accuracy_ci95": list(self.accuracy_ci95),
            "macro_f1": self.macro_f1,
            "macro_f1_ci95": list(self.macro_f1_ci95),
            "ece": self.ece,
            "aurc": self.aurc,
            "certain": self.certain.to_dict(),
            "recall": dict(self.recall),
            "recall_ci95": {name: None if ends is None else list(ends) for name, ends in self.recall_ci95.items()},
            "precision": dict(self.precision),
            "f1": dict(self.f1),
            "support": dict(self.support),
            "classes": list(self.classes),
            "confusion": self.confusion.tolist(),
        }


def report(metrics: Metrics, *, protocol: str, split: str) -> dict[str, Any]:
    """What `mien evaluate --json` prints: the figures, and what they were measured on."""
    return {"protocol": protocol, "split": split, **metrics.to_dict()}


def evaluate(
    probabilities: NDArray[np.floating],
    truth: NDArray[np.integer],
    *,
    classes: Sequence[str],
    resamples: int = 2000,
    seed: int = 0,
) -> Metrics:
    """Evaluate probabilities (N, C), 0..1, whose rows add up to 1, against the true classes (N,), each 0..C-1.

    The prediction is the likeliest class, the first one where several are. The intervals are 2.5 and 97.5 percentiles
    over bootstrap resamples of the rows (Efron and Tibshirani, 1993). Accuracy and F1 depend on a row only by its pair
    of truth and prediction, so drawing the confusion matrix anew from its own multinomial is that bootstrap, exactly. A
    class's recall, which may rest on few rows, has the Wilson score interval instead (`intervals.wilson`). Raises
    DataError on no rows, on shapes that do not fit, and on values that are no probabilities or classes.
    """
    _check(probabilities, truth, len(classes))
    n, c = probabilities.shape
    confusion = np.bincount(truth * c + probabilities.argmax(1), minlength=c * c).reshape(c, c).astype(np.int64)
    support, predicted, hits = confusion.sum(1), confusion.sum(0), confusion.diagonal()
    f1 = _f1(support, predicted, hits)
    accuracy_ci95, macro_f1_ci95 = _bootstrap(confusion, resamples, seed)
    return Metrics(
        classes=tuple(classes),
        n=n,
        accuracy=float(hits.sum() / n),
        accuracy_ci95=accuracy_ci95,
        macro_f1=float(np.nanmean(f1)),
        macro_f1_ci95=macro_f1_ci95,
        ece=reliability(probabilities, truth).ece,
        aurc=risk_coverage(probabilities, truth).aurc,
        certain=certain_part(probabilities, truth),
        recall=_by_class(classes, _ratio(hits, support)),
        recall_ci95={
            name: wilson(int(found), int(rows)) if rows else None
            for name, found, rows in zip(classes, hits, support, strict=True)
        },
        precision=_by_class(classes, _ratio(hits, predicted)),
        f1=_by_class(classes, f1),
        support=dict(zip(classes, support.tolist(), strict=True)),
        confusion=confusion,
    )


def _check(probabilities: NDArray[np.floating], truth: NDArray[np.integer], c: int) -> None:
    n = len(truth)
    if n == 0:
        raise DataError("there are no rows to evaluate")
    if probabilities.shape != (n, c) or truth.shape != (n,):
        raise DataError(f"expected ({n}, {c}) probabilities for {n} labels and {c} classes, got {probabilities.shape}")
    if not np.issubdtype(truth.dtype, np.integer) or truth.min() < 0 or truth.max() >= c:
        raise DataError(f"labels must be integers 0..{c - 1}, got {truth.dtype} {truth.min()}..{truth.max()}")
    sums = probabilities.sum(1)
    if not (np.isfinite(sums).all() and probabilities.min() >= 0 and np.abs(sums - 1).max() < 0.01):
        raise DataError("each row of probabilities must be 0 or more and add up to 1; at least one is not or does not")


def _bootstrap(confusion: NDArray[np.int64], resamples: int, seed: int) -> tuple[Interval, Interval]:
    """95 % intervals of accuracy and macro-F1."""
    n, c = int(confusion.sum()), len(confusion)
    cells = np.flatnonzero(confusion)  # the others can't be drawn
    truth, prediction = np.divmod(cells, c)
    draws = np.random.default_rng(seed).multinomial(n, confusion.ravel()[cells] / n, size=resamples)
    to_truth, to_prediction = np.eye(c)[truth], np.eye(c)[prediction]
    hits = draws @ (to_truth * to_prediction)
    f1 = _f1(draws @ to_truth, draws @ to_prediction, hits)
    return _interval(hits.sum(1) / n), _interval(np.nanmean(f1, axis=1))


def _interval(values: NDArray[np.float64]) -> Interval:
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)


def _f1(support: NDArray[Any], predicted: NDArray[Any], hits: NDArray[Any]) -> NDArray[np.float64]:
    """2 TP / (2 TP + FP + FN) along the last axis, NaN where a class has no rows."""
    return np.where(support > 0, _ratio(2 * hits, support + predicted), np.nan)


def _ratio(part: NDArray[Any], whole: NDArray[Any]) -> NDArray[np.float64]:
    """part / whole, NaN where whole is 0."""
    result = np.full(np.shape(part), np.nan)
    np.divide(part, whole, out=result, where=whole > 0)
    return result


def _by_class(classes: Sequence[str], values: NDArray[np.float64]) -> dict[str, float | None]:
    return {name: None if np.isnan(value) else float(value) for name, value in zip(classes, values, strict=True)}
