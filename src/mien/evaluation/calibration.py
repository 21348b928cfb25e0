"""How far a model's confidence can be believed: reliability by bins, and the one number that corrects it.

Temperature scaling and the expected calibration error follow Guo et al., "On Calibration of Modern Neural Networks",
ICML 2017; bins of equal mass follow Nguyen and O'Connor, "Posterior calibration and exploratory analysis for natural
language processing models", EMNLP 2015.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

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


def fit_temperature(logits: NDArray[np.floating], targets: NDArray[Any]) -> float:
    """The temperature, within TEMPERATURES, that makes the targets likeliest (least negative log-likelihood).

    logits is (N, C), logits or log-probabilities; targets is (N,) int, the true class, or (N, C) float whose rows add
    up to 1. Above 1 the model was overconfident, below 1 underconfident. Fit it on rows that the model was not
    trained on. Raises DataError on shapes that do not fit or no rows, MissingExtraError without scipy.
    """
    try:
        from scipy.optimize import minimize_scalar
    except ImportError:
        raise MissingExtraError("fitting a temperature", "train") from None
    if logits.ndim != 2 or len(logits) == 0 or targets.shape not in {logits.shape, logits.shape[:1]}:
        raise DataError(f"expected (N, C) logits and (N,) or (N, C) targets, got {logits.shape} and {targets.shape}")
    soft = targets if targets.ndim == 2 else np.eye(logits.shape[1])[targets]

    def loss(log_temperature: float) -> float:
        return -float((soft * _log_softmax(logits, np.exp(log_temperature))).sum(1).mean())

    low, high = np.log(TEMPERATURES)
    return float(np.exp(minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-6}).x))


def _log_softmax(logits: NDArray[np.floating], temperature: float) -> NDArray[np.float64]:
    scaled = np.asarray(logits, np.float64) / temperature
    scaled = scaled - scaled.max(1, keepdims=True)
    result: NDArray[np.float64] = scaled - np.log(np.exp(scaled).sum(1, keepdims=True))
    return result
