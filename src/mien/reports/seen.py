"""The faces of one person as arrays, and what follows from them alone: runs of one prediction, integrals over time."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.errors import ConfigError


class Track:
    """The faces of one track as they come: the place of the frame, the prediction's class, and so on."""

    __slots__ = ("boxes", "places", "predictions", "probabilities", "uncertain")

    def __init__(self) -> None:
        self.places = array("q")
        self.predictions = array("q")
        self.uncertain = bytearray()
        self.probabilities = array("f")
        self.boxes = array("f")


@dataclass(frozen=True, slots=True)
class Footage:
    """What the persons of one video share.

    times, lasting  (F,) float64: when each frame begins, in seconds, and how long it lasts
    indices         (F,) int64: its index, -1 where it is not known
    edges           (B + 1,) float64: of the bins, in seconds
    classes         C names, in the records' order
    video           the video's place among several, or None
    """

    times: NDArray[np.float64]
    lasting: NDArray[np.float64]
    indices: NDArray[np.int64]
    edges: NDArray[np.float64]
    classes: tuple[str, ...]
    video: int | None


@dataclass(frozen=True, slots=True)
class Seen:
    """N faces of one person, no two in one frame.

    places          (N,) int64: the frame's place among those that could be read
    begin, lasting  (N,) float64: when the frame began, in seconds, and how long it lasted; begin does not fall
    indices         (N,) int64: the frame's index, -1 where it is not known
    predictions     (N,) int64: the class that was the prediction, by its place among the classes
    uncertain       (N,) bool
    probabilities   (N, C) float32, 0..1
    boxes           (N, 4) float32: x, y, width, height in pixels
    """

    places: NDArray[np.int64]
    begin: NDArray[np.float64]
    lasting: NDArray[np.float64]
    indices: NDArray[np.int64]
    predictions: NDArray[np.int64]
    uncertain: NDArray[np.bool_]
    probabilities: NDArray[np.float32]
    boxes: NDArray[np.float32]

    @classmethod
    def of(cls, tracks: Sequence[Track], footage: Footage) -> Seen:
        """The faces of all these tracks as those of one person. Raises ConfigError where two are in one frame."""
        places = np.concatenate([np.array(track.places, np.int64) for track in tracks])
        order = np.argsort(places, kind="stable")
        places = places[order]
        if (twice := np.flatnonzero(places[1:] == places[:-1])).size:
            raise ConfigError(f"two of them are in the picture at {footage.times[places[twice[0]]]:.1f} s")
        return cls(
            places,
            footage.times[places],
            footage.lasting[places],
            footage.indices[places],
            np.concatenate([np.array(track.predictions, np.int64) for track in tracks])[order],
            np.concatenate([np.array(track.uncertain, np.bool_) for track in tracks])[order],
            np.concatenate(
                [np.array(track.probabilities, np.float32).reshape(-1, len(footage.classes)) for track in tracks]
            )[order],
            np.concatenate([np.array(track.boxes, np.float32).reshape(-1, 4) for track in tracks])[order],
        )

    @property
    def seconds(self) -> float:
        """How long the person was seen."""
        return float(self.lasting.sum())

    @property
    def ends(self) -> NDArray[np.float64]:
        """(N,) float64: when each frame ended, in seconds."""
        return self.begin + self.lasting

    def strength(self, i: int) -> float:
        """The probability of the prediction."""
        return float(self.probabilities[i, self.predictions[i]])

    def named(self) -> NDArray[np.float64]:
        """(N, C): 1 for the prediction, 0 for other classes."""
        return np.eye(self.probabilities.shape[1])[self.predictions]

    def runs(self, states: NDArray[np.int64]) -> list[tuple[int, int]]:
        """The faces from a to before b that have one of the states (N,), without a break between their frames."""
        broken = self.begin[1:] - self.ends[:-1] > 1e-6
        borders = (np.flatnonzero(broken | (states[1:] != states[:-1])) + 1).tolist()
        return list(zip([0, *borders], [*borders, len(self.begin)], strict=True))

    def integrals(self, values: NDArray[Any], edges: NDArray[np.float64]) -> NDArray[np.float64]:
        """(B, K): the integral of values (N, K), each of which holds while its frame lasts, between edges (B + 1,).

        As a function of its upper end an integral is linear but for corners where frames begin and end, so that
        interpolating between these is exact.
        """
        corners = np.maximum.accumulate(np.stack([self.begin, self.ends], 1).ravel())
        result = np.empty((len(edges) - 1, values.shape[1]))
        for k in range(values.shape[1]):
            steps = np.zeros(len(corners))
            steps[1::2] = values[:, k] * self.lasting
            result[:, k] = np.diff(np.interp(edges, corners, np.cumsum(steps)))
        return result
