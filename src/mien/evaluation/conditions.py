"""How well a model does in poor conditions: accuracy by sharpness, light and roll, as measured on 48x48 faces."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.data.packed_faces import Faces, chunks
from mien.errors import DataError
from mien.evaluation.intervals import Interval, wilson
from mien.options import AnalyzerOptions
from mien.runtime.head_roll import shown_roll
from mien.types import Detector

ROLLS: Final = (10.0, 20.0, 30.0)
"""Degrees that part heads by their roll: it is off by three in the median, by eight or less in nine of ten."""

_PARTS: Final = 5
_ENLARGED: Final = 4


@dataclass(frozen=True, slots=True)
class Group:
    """Rows with a like measure: from which value to which (NaN where nothing was measured), how many, how many right.

    n is at least 1.
    """

    low: float
    high: float
    n: int
    hits: int

    @property
    def accuracy(self) -> float:
        """The fraction of right predictions, 0..1."""
        return self.hits / self.n

    @property
    def ci95(self) -> Interval:
        """Its 95 % Wilson score interval."""
        return wilson(self.hits, self.n)


def sharpness(faces: Faces) -> NDArray[np.float64]:
    """How sharp faces (N, 48, 48) uint8 are, (N,) from 0: the variance of the Laplacian over that of the grey values.

    The first is a measure of focus (Pertuz, Puig and Garcia, Pattern Recognition 46, 2013); divided by the second, it
    does not go by light. Noise and the blocks of JPEG count as sharp. An even picture has 0.
    """
    return np.array([_sharpness(face) for face in _each(faces)], np.float64)


def brightness(faces: Faces) -> NDArray[np.float64]:
    """The mean grey value (N,) of each face, 0..255."""
    return np.array([face.mean() for face in _each(faces)], np.float64)


def contrast(faces: Faces) -> NDArray[np.float64]:
    """The standard deviation (N,) of each face's grey values, 0..127.5."""
    return np.array([face.std() for face in _each(faces)], np.float64)


def head_rolls(
    faces: Faces, detector: Detector, progress: Callable[[int], None] = lambda done: None
) -> NDArray[np.float64]:
    """Degrees (N,) clockwise, -180 to 180, by which each head is rolled; NaN where no face with landmarks is found.

    The detector looks at the face, enlarged four times, and the landmarks of its most confident detection count.
    progress is called with 1 after each face.
    """
    found = []
    for face in _each(faces):
        found.append(_roll(face, detector))
        progress(1)
    return np.array(found, np.float64)


def _roll(face: NDArray[np.uint8], detector: Detector) -> float:
    size = face.shape[1] * _ENLARGED, face.shape[0] * _ENLARGED
    large = cv2.cvtColor(cv2.resize(face, size, interpolation=cv2.INTER_CUBIC), cv2.COLOR_GRAY2BGR)
    hits = detector.detect(np.asarray(large, np.uint8))
    best = max(hits, key=lambda hit: hit.score or 0.0, default=None)
    if best is None or best.landmarks is None or (best.score or 0.0) < AnalyzerOptions().min_face_score:
        return math.nan
    return shown_roll(best.landmarks)


def by_fifths(values: NDArray[np.float64], right: NDArray[np.bool_]) -> tuple[Group, ...]:
    """Rows in five parts of about equal size by a measure (N,), the lowest first; right (N,) says which are right.

    Equal values share a part, so there may be fewer. Raises DataError where the shapes differ.
    """
    _check(values, right)
    if not len(values):
        return ()
    edges = np.quantile(values, np.arange(1, _PARTS) / _PARTS, method="higher")
    return _groups(values, right, np.searchsorted(edges, values, side="right"))


def by_roll(degrees: NDArray[np.float64], right: NDArray[np.bool_]) -> tuple[Group, ...]:
    """Rows by how far their heads are rolled to either side, parted at ROLLS; those with NaN are the last part.

    Parts without rows are left out. Raises DataError where the shapes differ.
    """
    _check(degrees, right)
    size = np.abs(degrees)
    return _groups(size, right, np.where(np.isnan(size), len(ROLLS) + 1, np.digitize(size, ROLLS)))


def _groups(values: NDArray[np.float64], right: NDArray[np.bool_], part: NDArray[np.integer]) -> tuple[Group, ...]:
    inside = [part == number for number in np.unique(part)]
    return tuple(
        Group(float(values[rows].min()), float(values[rows].max()), int(rows.sum()), int(right[rows].sum()))
        for rows in inside
    )


def _sharpness(face: NDArray[np.uint8]) -> float:
    variance = float(face.var())
    return float(cv2.Laplacian(face, cv2.CV_32F).var()) / variance if variance else 0.0


def _each(faces: Faces) -> Iterator[NDArray[np.uint8]]:
    for some in chunks(faces):
        yield from some


def _check(values: NDArray[np.float64], right: NDArray[np.bool_]) -> None:
    if values.ndim != 1 or values.shape != right.shape:
        raise DataError(f"expected a measure (N,) and as many predictions, got {values.shape} and {right.shape}")
