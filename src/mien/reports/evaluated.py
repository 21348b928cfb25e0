"""Faces that a model was evaluated on, with what it predicted: what the page on its mistakes is made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mien.data.dataset import FaceDataset
from mien.emotions import FERPLUS_COLUMNS
from mien.evaluation.conditions import Group
from mien.evaluation.metrics import Metrics, evaluate
from mien.evaluation.mistakes import suspected_labels, wrong_rows


@dataclass(frozen=True)
class Evaluated:
    """N faces that have a truth under a protocol, and what a model predicted for them.

    model, protocol, split  their names
    dataset        the N rows
    truth          (N,) int64: the index of the true class
    probabilities  (N, C) float32, 0..1
    rolls          accuracy by head roll, of all or some of the rows; () where roll was not measured

    Raises DataError, as its figures are computed, where these do not fit.
    """

    model: str
    protocol: str
    split: str
    dataset: FaceDataset
    truth: NDArray[np.int64]
    probabilities: NDArray[np.float32]
    rolls: tuple[Group, ...] = field(default=())

    @cached_property
    def metrics(self) -> Metrics:
        """The figures that `mien evaluate` prints."""
        return evaluate(self.probabilities, self.truth, classes=self.dataset.classes)

    @cached_property
    def wrong(self) -> NDArray[np.int64]:
        """Rows whose prediction is wrong, the most confident first."""
        return wrong_rows(self.probabilities, self.truth)

    @cached_property
    def suspected(self) -> NDArray[np.int64]:
        """Rows whose label may be wrong, the most suspect first; by the votes too, where these are the truth."""
        votes = self.votes if self.protocol != "fer2013" else None
        if votes is not None:
            votes = votes[:, [FERPLUS_COLUMNS.index(name) for name in self.dataset.classes]]
        return suspected_labels(self.probabilities, self.truth, votes=votes)

    @cached_property
    def votes(self) -> NDArray[np.float32] | None:
        """The fraction of the voters for each of FERPLUS_COLUMNS."""
        return self.dataset.vote_fractions()
