"""Ways to smooth the predictions of a video: Mien's, and those that it was compared with.

Each takes probabilities (N, F, C) float64 of N sequences with `rate` frames a second, and gives the class shown
(N, F) int64 and its probabilities (N, F, C).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mien.tracking.smoothing import EVIDENCE_S, WINDOW_S, Smoother

Floats = NDArray[np.float64]
Smoothed = tuple[NDArray[np.int64], Floats]

LEAST = 1e-6
"""A probability counts as this at least where its logarithm is taken."""


def unsmoothed(probabilities: Floats, rate: float) -> Smoothed:
    """Each frame by itself."""
    return probabilities.argmax(2), probabilities


def mien(probabilities: Floats, rate: float, *, evidence_s: float = EVIDENCE_S, window_s: float = WINDOW_S) -> Smoothed:
    """What ships: a cumulative sum test for the class shown, an exponential average for the numbers."""
    result = np.empty_like(probabilities)
    smoother = Smoother(probabilities.shape[2], evidence_s=evidence_s, window_s=window_s)
    for place in range(probabilities.shape[1]):
        for track, row in enumerate(probabilities[:, place]):
            result[track, place] = smoother.smooth(track, row, place / rate)
    return result.argmax(2), result


def hidden_markov(probabilities: Floats, rate: float, *, window_s: float, changes_per_s: float = 1.0) -> Smoothed:
    """The forward algorithm (Rabiner, Proc. IEEE, 1989), in continuous time.

    With a rate of changes_per_s an emotion is drawn anew, evenly; a frame's evidence is its probabilities to the power
    dt / window_s, since the frames of a video are not independent.
    """
    classes = probabilities.shape[2]
    stay = np.exp(-changes_per_s / rate)
    evidence = np.maximum(probabilities, LEAST) ** min(1.0, 1 / (rate * window_s))
    result = probabilities.copy()
    for place in range(1, probabilities.shape[1]):
        expected = 1 / classes + stay * (result[:, place - 1] - 1 / classes)
        joint = expected * evidence[:, place]
        result[:, place] = joint / joint.sum(1, keepdims=True)
    return result.argmax(2), result


def average(
    probabilities: Floats, rate: float, *, window_s: float, margin: float = 0.2, logarithms: bool = False
) -> Smoothed:
    """The exponential average of probabilities or of their logarithms; the class shown changes past a margin."""
    memory = np.exp(-1 / (rate * window_s))
    result = np.log(np.maximum(probabilities, LEAST)) if logarithms else probabilities.copy()
    for place in range(1, probabilities.shape[1]):
        result[:, place] = memory * result[:, place - 1] + (1 - memory) * result[:, place]
    if logarithms:
        result = np.exp(result)
        result /= result.sum(2, keepdims=True)
    shown = result.argmax(2)
    every = np.arange(len(shown))
    for place in range(1, shown.shape[1]):
        before, best = shown[:, place - 1], shown[:, place]
        ahead = result[every, place, best] - result[every, place, before]
        shown[:, place] = np.where(ahead > margin, best, before)
    return shown, result
