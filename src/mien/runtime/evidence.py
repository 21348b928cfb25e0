"""Which part of a face spoke for a class: the classifier sees copies of it in which random parts are hidden.

The masks are those of RISE (Petsiuk, Das and Saenko, BMVC 2018). What each pixel adds is not the mean over the copies
that show it, but what a linear model says that fits all copies best: one whose weights are alike in neighbours, and
small where hiding changes little, as in a flat background. So fewer copies are enough. It needs nothing of the network
but its predictions. docs/explain.md has what was compared, and the figures.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.runtime.classifier import check_faces
from mien.runtime.crops import FACE_SIZE

MASKS: Final = 128
"""Copies of a face, half of each hidden."""

GRID: Final = 12
"""Cells of a mask across and down: each is seen or hidden as a whole, with soft edges between."""

PART: Final = 64
"""Pixels of the part that a map's values are for: 8x8, about an eye."""

BLUR: Final = 5.0
"""Standard deviation in pixels of the blur that replaces hidden parts: mouth and eyes are gone, the head is not."""

_SMOOTH: Final = 2.0  # pixels over which neighbours are expected to add alike
_NOISE: Final = 1.0  # variance that the linear model leaves over, in those that it explains
_LEAST: Final = 1e-6  # probability, so that log-odds stay finite
_SEED: Final = 0
_BATCH: Final = 64  # so that a shared classifier lets others' faces through in between

Probabilities = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""Gives (N, C) float32 for faces (N, 48, 48) uint8."""


def evidence_map(probabilities: Probabilities, face: NDArray[np.uint8], index: int) -> NDArray[np.float32]:
    """How much each part of a face adds to the log-odds of the class `index`: ln(p / (1 - p)).

    face is (48, 48) uint8. Returns (48, 48) float32: above 0 the part around a pixel spoke for the class, below 0
    against it. A value estimates by how much the log-odds would fall if an 8x8 part of such pixels were hidden, pulled
    towards 0 where the copies leave it open. There is no fixed bound; most maps lie within -10..10. What is hidden is
    blurred. The same face gives the same map. Raises ImageError on another shape or dtype.
    """
    check_faces(face[None])
    blurred = np.asarray(cv2.GaussianBlur(face.astype(np.float32), (0, 0), BLUR), np.float32)
    change = face - blurred  # what hiding a pixel takes away
    contrast = np.sqrt(cv2.GaussianBlur(change**2, (0, 0), _SMOOTH))
    if contrast.max() < 1:
        return np.zeros_like(contrast)
    rows = [
        probabilities(_shown(change, blurred, _seen()[start : start + _BATCH])) for start in range(0, MASKS, _BATCH)
    ]
    scores = _log_odds(np.concatenate(rows), index)
    return PART * _weights(contrast / contrast.max(), scores - scores.mean())


def _log_odds(rows: NDArray[np.float32], index: int) -> NDArray[np.float32]:
    """(N,) of probabilities (N, C). The others' sum is exacter than 1 - p, where p is nearly 1."""
    exact = rows.astype(np.float64)
    others = np.delete(exact, index, axis=1).sum(axis=1)
    odds = exact[:, index].clip(min=_LEAST) / others.clip(min=_LEAST)
    return np.asarray(np.log(odds), np.float32)


def _shown(change: NDArray[np.float32], blurred: NDArray[np.float32], seen: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The face under masks (N, 48, 48), 1 where it is seen and 0 where it is blurred, as (N, 48, 48)."""
    return np.asarray(np.rint(blurred + change * seen).clip(0, 255), np.uint8)


@cache
def _seen() -> NDArray[np.float32]:
    """The masks (MASKS, 48, 48), 0..1: random cells, enlarged without sharp edges and shifted by less than a cell."""
    draws, cell = np.random.default_rng(_SEED), FACE_SIZE // GRID
    masks = np.empty((MASKS, FACE_SIZE, FACE_SIZE), np.float32)
    for mask in masks:
        cells = (draws.random((GRID + 1, GRID + 1)) < 0.5).astype(np.float32)
        large = cv2.resize(cells, None, fx=cell, fy=cell, interpolation=cv2.INTER_LINEAR)
        down, across = draws.integers(0, cell, 2)
        mask[:] = large[down : down + FACE_SIZE, across : across + FACE_SIZE]
    masks.setflags(write=False)
    return masks


def _weights(contrast: NDArray[np.float32], scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """What each pixel (48, 48) adds to scores (MASKS,) of mean 0, by linear regression.

    The weights are a Gaussian process over the face, alike in neighbours (_SMOOTH), with a deviation of `contrast`
    (48, 48), 0..1; what the model leaves over is noise (_NOISE).
    """
    masks = (_seen() - _seen().mean(axis=0)) * contrast
    apart = np.subtract.outer(np.arange(FACE_SIZE), np.arange(FACE_SIZE))
    alike = np.exp(-(apart**2) / (2 * _SMOOTH**2)).astype(np.float32)
    smoothed = (alike @ masks @ alike).reshape(MASKS, -1)
    between = smoothed @ masks.reshape(MASKS, -1).T
    noise = _NOISE * between.diagonal().mean() * np.eye(MASKS, dtype=np.float32)
    fitted = np.linalg.solve(between + noise, scores)
    return np.asarray((fitted @ smoothed).reshape(contrast.shape) * contrast)
