"""What is gained by leaving out what the model is uncertain of: the risk-coverage curve, and the certain part.

El-Yaniv and Wiener, "On the foundations of noise-free selective classification", JMLR 11, 2010; the area under the
curve (AURC) is that of Geifman, Uziel and El-Yaniv, "Bias-reduced uncertainty estimation for deep neural classifiers",
ICLR 2019.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.errors import ConfigError, DataError
from mien.evaluation.intervals import Interval, wilson
from mien.types import UNCERTAIN_BELOW


@dataclass(frozen=True)
class RiskCoverage:
    """Risk against coverage at each of K thresholds of confidence, the highest threshold first.

    threshold  (K,) float64, falling; rows at least as confident are predicted, 0..1
    coverage   (K,) float64, rising to 1: the fraction of rows predicted
    risk       (K,) float64, the fraction of wrong predictions among these, 0..1
    """

    threshold: NDArray[np.float64]
    coverage: NDArray[np.float64]
    risk: NDArray[np.float64]

    @property
    def aurc(self) -> float:
        """The area under the curve, 0..1, the less the better: the mean risk over the thresholds that rows set."""
        return float(np.diff(self.coverage, prepend=0.0) @ self.risk)


@dataclass(frozen=True, slots=True)
class CertainPart:
    """The rows whose likeliest class has at least the probability threshold: `mien.Face.uncertain` marks the others.

    fraction is of all rows, 0..1; accuracy is theirs, with its 95 % Wilson interval: both are None where none is
    certain.
    """

    threshold: float
    fraction: float
    accuracy: float | None
    accuracy_ci95: Interval | None

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and lists, fit for JSON."""
        interval = None if self.accuracy_ci95 is None else list(self.accuracy_ci95)
        return {
            "threshold": self.threshold,
            "fraction": self.fraction,
            "accuracy": self.accuracy,
            "accuracy_ci95": interval,
        }


def risk_coverage(probabilities: NDArray[np.floating], truth: NDArray[np.integer]) -> RiskCoverage:
    """The curve of probabilities (N, C), 0..1, against the true classes (N,), by the likeliest class's probability.

    Rows of equal confidence (to six decimals) are predicted together, so the order of the rows never matters. Raises
    DataError when there is no row.
    """
    confidence, right = _checked(probabilities, truth)
    threshold, group = np.unique(-confidence.round(6), return_inverse=True)  # what differs by rounding only is a tie
    predicted = np.bincount(group).cumsum()
    wrong = np.bincount(group, ~right).cumsum()
    return RiskCoverage(threshold=-threshold, coverage=predicted / len(right), risk=wrong / predicted)


def certain_part(
    probabilities: NDArray[np.floating], truth: NDArray[np.integer], threshold: float = UNCERTAIN_BELOW
) -> CertainPart:
    """How many of the rows are certain, and how many of those are right.

    probabilities is (N, C), 0..1; truth is (N,), the index of the true class. Raises DataError when there is no row,
    ConfigError on a threshold outside 0..1.
    """
    if not 0 <= threshold <= 1:
        raise ConfigError(f"threshold must be within 0..1, got {threshold}")
    confidence, right = _checked(probabilities, truth)
    certain = right[confidence >= threshold]
    hits, n = int(certain.sum()), len(certain)
    fraction = n / len(right)
    if not n:
        return CertainPart(threshold, fraction, None, None)
    return CertainPart(threshold, fraction, hits / n, wilson(hits, n))


def _checked(
    probabilities: NDArray[np.floating], truth: NDArray[np.integer]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The confidence of each row's prediction, and whether it is right."""
    n = len(truth)
    if n == 0 or len(probabilities) != n:
        raise DataError(f"expected as many probabilities as labels and at least one, got {len(probabilities)} and {n}")
    return probabilities.max(1).astype(np.float64), probabilities.argmax(1) == truth
