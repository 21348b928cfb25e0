"""How far a model's confidence can be believed: reliability by bins, and the one number that corrects it.

Temperature scaling and the expected calibration error are those of Guo et al., "On Calibration of Modern Neural
Networks", ICML 2017; bins of equal mass follow Nguyen and O'Connor, "Posterior calibration and exploratory analysis for
natural language processing models", EMNLP 2015.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mien.errors import ConfigError, DataError, MissingExtraError

BINS: Final = 15
"""Bins of the expected calibration error, as in Guo et al."""

TEMPERATURES: Final = (0.05, 20.0)
"""The range in which a temperature is searched."""


@dataclass(frozen=True)
class Reliability:
    """Confidence against accuracy in B bins, from the least confident predictions to the most.

    confidence  (B,) float64, mean probability of the likeliest class, 0..1
    accuracy    (B,) float64, fraction of right predictions, 0..1
    count       (B,) int64, rows; none is 0
    """

    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    count: NDArray[np.int64]

    @property
    def ece(self) -> float:
        """The expected calibration error, 0..1: the mean over all rows of their bin's |accuracy - confidence|."""
        return float(np.average(np.abs(self.accuracy - self.confidence), weights=self.count))


def reliability(probabilities: NDArray[np.floating], truth: NDArray[np.integer], bins: int = BINS) -> Reliability:
    """Sort predictions into bins of equal mass by the probability of their likeliest class.

    probabilities is (N, C), 0..1; truth is (N,), the index of the true class. Without ties the bins are what
    `np.array_split` makes of the sorted predictions; equal confidences (to six decimals) always share a bin, so that
    the order of the rows never matters, and a bin may grow at its neighbours' expense, or vanish. Raises DataError when
    there is no row, ConfigError on fewer than one bin.
    """
    if bins < 1:
        raise ConfigError(f"bins must be at least 1, got {bins}")
    n = len(truth)
    if n == 0 or len(probabilities) != n:
        raise DataError(f"expected as many probabilities as labels and at least one, got {len(probabilities)} and {n}")
    confidence = probabilities.max(1).astype(np.float64)
    right = (probabilities.argmax(1) == truth).astype(np.float64)
    bins = min(bins, n)
    inner = np.arange(1, bins)
    level = confidence.round(6)  # what differs by rounding only is a tie
    edges = np.sort(level)[inner * (n // bins) + np.minimum(inner, n % bins)]
    _, of_bin = np.unique(np.searchsorted(edges, level, side="right"), return_inverse=True)
    count = np.bincount(of_bin)
    return Reliability(
        confidence=np.bincount(of_bin, confidence) / count,
        accuracy=np.bincount(of_bin, right) / count,
        count=count.astype(np.int64),
    )


def apply_temperature(logits: NDArray[np.floating], temperature: float) -> NDArray[np.float32]:
    """Softmax of logits / temperature: (N, C) logits or log-probabilities to (N, C) float32 probabilities."""
    return np.exp(_log_softmax(logits, temperature)).astype(np.float32)


def fit_temperature(logits: NDArray[np.floating], truth: NDArray[np.integer]) -> float:
    """The temperature, within TEMPERATURES, at which the mean confidence is the accuracy ("expectation consistency").

    logits is (N, C), logits or log-probabilities; truth is (N,), the index of the true class. Above 1 the model was
    overconfident, below 1 underconfident. Fit it on rows that the model was not trained on. After Clarte et al.,
    "Expectation consistency for calibration of neural networks", UAI 2023; the likeliest temperature (Guo et al.)
    depends on a few wrong labels, of which a confident model finds each very unlikely. The accuracy is (right + 1) /
    (N + 2), so that a few rows, all right, do not make it certain (the rule of succession). Raises DataError on shapes
    that do not fit or no rows, MissingExtraError without scipy.
    """
    try:
        from scipy.optimize import brentq
    except ImportError:
        raise MissingExtraError("fitting a temperature", "train") from None
    if logits.ndim != 2 or len(logits) == 0 or truth.shape != logits.shape[:1]:
        raise DataError(f"expected (N, C) logits and (N,) classes, got {logits.shape} and {truth.shape}")
    accuracy = ((logits.argmax(1) == truth).sum() + 1) / (len(truth) + 2)

    def excess(log_temperature: float) -> float:
        """By how much the mean confidence is above the accuracy: the less, the higher the temperature."""
        return float(np.exp(_log_softmax(logits, np.exp(log_temperature)).max(1)).mean() - accuracy)

    low, high = np.log(TEMPERATURES)
    if excess(low) <= 0 or excess(high) >= 0:
        return TEMPERATURES[0] if excess(low) <= 0 else TEMPERATURES[1]
    return float(np.exp(brentq(excess, low, high, xtol=1e-6)))


def _log_softmax(logits: NDArray[np.floating], temperature: float) -> NDArray[np.float64]:
    scaled = np.asarray(logits, np.float64) / temperature
    scaled = scaled - scaled.max(1, keepdims=True)
    result: NDArray[np.float64] = scaled - np.log(np.exp(scaled).sum(1, keepdims=True))
    return result
