"""What every reader yields: faces, labels, votes and splits as arrays; and the protocols to evaluate by."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from mien.data.notes import ReadingNotes
from mien.data.packed_faces import Faces, PackedFaces, pick
from mien.emotions import EMOTIONS, FERPLUS_COLUMNS
from mien.errors import ConfigError, DataError

Split = Literal["training", "validation", "test"]
SPLITS: Final[tuple[Split, ...]] = get_args(Split)

Protocol = Literal["fer2013", "ferplus", "ferplus-strict"]
PROTOCOLS: Final[tuple[Protocol, ...]] = get_args(Protocol)

_VOTE_ORDER: Final = np.array([FERPLUS_COLUMNS.index(name) for name in EMOTIONS])


@dataclass(frozen=True)
class BadRow:
    """A row that could not be read: its file, its number there (0-based data row) or name, and why."""

    file: str
    row: str
    reason: str

    def __str__(self) -> str:
        return f"{self.file}: row {self.row}: {self.reason}"


@dataclass(frozen=True)
class FaceDataset:
    """N grey faces with labels over C classes.

    source   the path that it was read from
    classes  C names; Mien's seven in their order, or the user's own
    faces    (N, 48, 48) uint8; those of a pack stay on disk, and are read as they are indexed
    labels   (N,) int64: index into classes of the dataset's own single label, -1 where a row has none
    votes    (N, 10) float32: FER+ votes in the order of FERPLUS_COLUMNS, or None where there are none at all;
             a row of zeros is a row without votes
    split    (N,) str: training, validation or test
    row      (N,) str: the row's id in its source
    bad      rows that were skipped
    notes    what was left out or decided while reading
    """

    source: str
    classes: tuple[str, ...]
    faces: Faces
    labels: NDArray[np.int64]
    votes: NDArray[np.float32] | None
    split: NDArray[np.str_]
    row: NDArray[np.str_]
    bad: tuple[BadRow, ...] = field(default=())
    notes: ReadingNotes = field(default_factory=ReadingNotes)

    def __post_init__(self) -> None:
        n = len(self.faces)
        if self.faces.shape != (n, 48, 48) or self.faces.dtype != np.uint8:
            raise DataError(f"faces must be (N, 48, 48) uint8, got {self.faces.shape} {self.faces.dtype}")
        for name in ("labels", "split", "row"):
            if getattr(self, name).shape != (n,):
                raise DataError(f"{name} must be ({n},), got {getattr(self, name).shape}")
        if self.votes is not None and self.votes.shape != (n, len(FERPLUS_COLUMNS)):
            raise DataError(f"votes must be ({n}, {len(FERPLUS_COLUMNS)}), got {self.votes.shape}")

    def __len__(self) -> int:
        return len(self.faces)

    def take(self, rows: NDArray[np.bool_] | NDArray[np.integer]) -> FaceDataset:
        """The rows that a mask or an index array names, in that order."""
        return replace(
            self,
            faces=pick(self.faces, rows),
            labels=self.labels[rows],
            votes=None if self.votes is None else self.votes[rows],
            split=self.split[rows],
            row=self.row[rows],
        )

    def of_split(self, split: Split) -> FaceDataset:
        """The rows of one split, in their order."""
        return self.take(self.split == split)

    def vote_fractions(self) -> NDArray[np.float32] | None:
        """The fraction (N, 10) float32, 0..1, of a row's voters for each of FERPLUS_COLUMNS; zeros where a row has no
        votes, None where no row has.
        """
        if self.votes is None:
            return None
        fractions: NDArray[np.float32] = self.votes / np.maximum(self.votes.sum(1, keepdims=True), 1e-12)
        return fractions.astype(np.float32)

    def with_unlabeled(self, other: FaceDataset) -> FaceDataset:
        """These rows, then the training rows of another dataset, without their labels and votes.

        Raises ConfigError where the faces of either are on disk, as a pack's are.
        """
        if isinstance(self.faces, PackedFaces) or isinstance(other.faces, PackedFaces):
            packed = self if isinstance(self.faces, PackedFaces) else other
            raise ConfigError(f"{packed.source}: faces of a pack are not mixed with others: name what was packed")
        added = other.of_split("training")
        none = np.zeros((len(added), len(FERPLUS_COLUMNS)), np.float32)
        return replace(
            self,
            faces=np.concatenate([self.faces, added.faces[:]]),
            labels=np.concatenate([self.labels, np.full(len(added), -1)]),
            votes=None if self.votes is None else np.concatenate([self.votes, none]),
            split=np.concatenate([self.split, added.split]),
            row=np.concatenate([self.row, added.row]),
        )

    def soft_labels(
        self,
        *,
        min_share: float = 0.0,
        outlier_votes: float = 0.0,
        sharpness: float = 1.0,
        spread_others: bool = False,
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Targets (N, C) float32 whose usable rows add up to 1, and a mask (N,) of the usable rows.

        Where a row has FER+ votes, its target is the fraction of each of the seven among the votes for the seven,
        raised to the power sharpness and made to add up to 1 again. The row is usable when the seven hold more than
        min_share of its votes, outliers left out. Without votes the target is one-hot, and a row is usable when it has
        a label.

        outlier_votes  a column with at most this many of a row's votes counts as empty (Barsoum et al., ICMI 2016, who
                       leave out single votes); a row that would lose all keeps all
        spread_others  False: contempt, unknown and not-a-face carry no target. True: their share is spread evenly over
                       the seven, to teach uncertainty; with min_share 0 every row that has votes is usable then
        """
        classes = len(self.classes)
        targets = np.zeros((len(self), classes), np.float32)
        labelled = self.labels >= 0
        targets[np.flatnonzero(labelled), self.labels[labelled]] = 1.0
        usable = labelled.copy()
        if self.votes is not None:
            votes = np.where(self.votes > outlier_votes, self.votes, 0)
            votes = np.where(votes.any(1, keepdims=True), votes, self.votes)
            total = votes.sum(1)
            voted = total > 0
            seven = votes[:, _VOTE_ORDER]
            mass = seven.sum(1)
            good = voted & ((mass > min_share * total) | (spread_others and min_share == 0))
            sharp = seven**sharpness
            shares = sharp / np.maximum(sharp.sum(1), 1e-12)[:, None]
            if spread_others:
                certain = (mass / np.maximum(total, 1e-12))[:, None]
                shares = certain * shares + (1 - certain) / classes
            targets[voted] = 0.0
            targets[good] = shares[good]
            usable = np.where(voted, good, labelled)
        return targets, usable


def evaluated_rows(dataset: FaceDataset, protocol: Protocol) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """The true class (N,) of each row under a protocol, and a mask (N,) of the rows that it evaluates.

    fer2013         the dataset's own label, all rows that have one
    ferplus         the majority of the ten FER+ columns; rows are dropped whose winner is contempt, unknown or
                    not-a-face, or is tied
    ferplus-strict  those of them whose winner has more than half of all votes

    Raises ConfigError where the dataset has no votes and the protocol needs them.
    """
    if protocol not in PROTOCOLS:
        raise ConfigError(f"unknown protocol {protocol!r}; known are {', '.join(PROTOCOLS)}")
    if protocol == "fer2013":
        return dataset.labels, dataset.labels >= 0
    if dataset.votes is None:
        raise ConfigError(f"protocol {protocol} needs FER+ votes; {dataset.source} has none: use `protocol=fer2013`")
    votes = dataset.votes
    top = votes.max(1)
    winner = votes.argmax(1)
    clear = (top > 0) & ((votes == top[:, None]).sum(1) == 1)
    to_class = np.array([EMOTIONS.index(name) if name in EMOTIONS else -1 for name in FERPLUS_COLUMNS])
    truth = to_class[winner]
    mask = clear & (truth >= 0)
    if protocol == "ferplus-strict":
        mask &= 2 * top > votes.sum(1)
    return np.where(mask, truth, -1), mask
