"""From a dataset to what the training loop reads: faces and targets to learn from, and faces to evaluate on."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.data.dataset import FaceDataset, Protocol, evaluated_rows
from mien.data.packed_faces import Faces, keys_of, pick
from mien.emotions import FERPLUS_COLUMNS
from mien.errors import DataError
from mien.model_card import CLASS_FREQUENCIES
from mien.training.recipes import Recipe


@dataclass(frozen=True)
class Examples:
    """Faces (N, 48, 48) uint8, in memory or on disk, with soft targets (N, C) float32.

    A row of zeros among the targets is a face without label, for teachers alone to teach. draws is None where every
    face is met once an epoch, else how often each is drawn (N,) float64, relatively.
    """

    faces: Faces
    targets: NDArray[np.float32]
    draws: NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(self.faces)

    @property
    def labeled(self) -> NDArray[np.bool_]:
        """A mask (N,) of the faces with a label."""
        mask: NDArray[np.bool_] = self.targets.sum(1) > 0
        return mask


@dataclass(frozen=True)
class Evaluated:
    """Faces (N, 48, 48) uint8, in memory or on disk, with the class (N,) int64 that a protocol calls the true one."""

    faces: Faces
    truth: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.faces)


@dataclass(frozen=True)
class Material:
    """What one run uses, cut from one dataset.

    learned     faces that the gradient sees
    held        training faces that it does not see, with soft targets: they pick the epoch
    held_truth  their class (held,) by the protocol, -1 where it leaves one out: these fit the temperature
    validation  the validation split; it is reported and takes no part in any choice, unless nothing is held back
    protocol    to evaluate by: ferplus where the recipe learns from votes, else fer2013
    """

    classes: tuple[str, ...]
    learned: Examples
    held: Examples
    held_truth: NDArray[np.int64]
    validation: Evaluated
    protocol: Protocol


def gather(dataset: FaceDataset, recipe: Recipe, *, taught: bool = False) -> Material:
    """Cut a dataset as a recipe says. Raises DataError where too few faces are left to learn from.

    taught  there are teachers, so that faces without label are learned too, and, if the recipe asks, dropped ones
    """
    votes = recipe.labels == "votes" and dataset.votes is not None
    protocol: Protocol = "ferplus" if votes else "fer2013"
    # Of what is not a face ids take the most memory, and nobody asks for them here.
    dataset = dataclasses.replace(dataset, row=np.broadcast_to(np.array(""), len(dataset)))
    training = dataset.of_split("training")
    if recipe.labels == "none":
        return _without_labels(training, recipe, protocol)
    held = _held_back(training.faces, recipe.holdback)
    learned, _ = _examples(training.take(~held), recipe, votes=votes, unlabeled=taught)
    if recipe.balance and learned.labeled.any():
        learned = dataclasses.replace(learned, draws=_balanced(learned, recipe.balance))
    _enough(learned, recipe, dataset.source)
    kept_back = training.take(held)
    held_examples, usable = _examples(kept_back, recipe, votes=votes, unlabeled=False)
    validation = dataset.of_split("validation")
    truth, mask = evaluated_rows(validation, protocol)
    return Material(
        classes=dataset.classes,
        learned=learned,
        held=held_examples,
        held_truth=evaluated_rows(kept_back, protocol)[0][usable],
        validation=Evaluated(pick(validation.faces, mask), truth[mask]),
        protocol=protocol,
    )


def class_frequencies(material: Material) -> NDArray[np.float32] | None:
    """The mean target (C,) of the learned faces with a label, each counted once; None where there are none."""
    targets = material.learned.targets[material.learned.labeled]
    if not len(targets) or targets.shape[1] != len(material.classes):
        return None
    frequencies: NDArray[np.float32] = targets.mean(0, dtype=np.float64).astype(np.float32)
    return frequencies


def class_frequencies_record(material: Material) -> dict[str, Any]:
    """`class_frequencies` by class, under the name that a model's card has for it; empty where there are none."""
    frequencies = class_frequencies(material)
    if frequencies is None:
        return {}
    by_class = zip(material.classes, frequencies, strict=True)
    return {CLASS_FREQUENCIES: {name: round(float(frequency), 5) for name, frequency in by_class}}


def _without_labels(training: FaceDataset, recipe: Recipe, protocol: Protocol) -> Material:
    """All training faces, to learn from without labels; nothing to evaluate. A class is a feature of the last layer."""
    classes = tuple(f"feature{index}" for index in range(recipe.network.classes))
    nothing = training.faces[:0]
    learned = Examples(training.faces, np.zeros((len(training), 1), np.float32))
    _enough(learned, recipe, training.source)
    return Material(
        classes=classes,
        learned=learned,
        held=Examples(nothing, np.zeros((0, len(classes)), np.float32)),
        held_truth=np.zeros(0, np.int64),
        validation=Evaluated(nothing, np.zeros(0, np.int64)),
        protocol=protocol,
    )


def _enough(learned: Examples, recipe: Recipe, source: str) -> None:
    if len(learned) < recipe.batch:
        raise DataError(
            f"{source} has {len(learned)} usable training faces, expected at least one "
            f"batch of {recipe.batch}: lower batch"
        )


def _balanced(learned: Examples, balance: float) -> NDArray[np.float64]:
    """How often to draw each face, so that a class of frequency f is met with a weight of about f^(1 - balance).

    A face without label is drawn as often as the others are on average.
    """
    labeled = learned.labeled
    frequency = np.maximum(learned.targets[labeled].mean(0, dtype=np.float64), 1e-12)
    draws: NDArray[np.float64] = learned.targets.astype(np.float64) @ frequency**-balance
    draws[~labeled] = draws[labeled].mean()
    return draws


def _held_back(faces: Faces, fraction: float) -> NDArray[np.bool_]:
    """Rows that a hash of their pixels picks: copies of a face stay together, whatever the order of the rows."""
    picked: NDArray[np.bool_] = keys_of(faces) < np.uint64(math.ceil(fraction * 2**64))
    return picked


def _examples(
    dataset: FaceDataset, recipe: Recipe, *, votes: bool, unlabeled: bool
) -> tuple[Examples, NDArray[np.bool_]]:
    """The rows that can be learned from, with their targets; and a mask (N,) of these rows.

    unlabeled  rows without label and votes are among them, and those that `recipe.teach_dropped` adds
    """
    targets, usable = _targets(dataset, recipe, votes=votes)
    targets[~usable] = 0
    if unlabeled:
        usable |= _taught_alone(dataset, recipe)
    return Examples(pick(dataset.faces, usable), targets[usable]), usable


def _taught_alone(dataset: FaceDataset, recipe: Recipe) -> NDArray[np.bool_]:
    """A mask (N,) of the rows without label and votes, and, if the recipe asks, of those whose votes are for a face."""
    labeled: NDArray[np.bool_] = dataset.labels >= 0
    if dataset.votes is None:
        return ~labeled
    for_face = dataset.votes.argmax(1) != FERPLUS_COLUMNS.index("nf")
    return np.where(dataset.votes.any(1), recipe.teach_dropped & for_face, ~labeled)


def _targets(dataset: FaceDataset, recipe: Recipe, *, votes: bool) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Soft targets (N, C) by votes or by the dataset's own labels, and a mask (N,) of the rows that have one."""
    if votes:
        targets, usable = dataset.soft_labels(
            min_share=recipe.min_share,
            outlier_votes=recipe.outlier_votes,
            sharpness=recipe.sharpness,
            spread_others=recipe.other_votes == "spread",
        )
        if recipe.own_share:
            labelled = dataset.labels >= 0
            own = np.eye(len(dataset.classes), dtype=np.float32)[dataset.labels[labelled]]
            targets[labelled] = (1 - recipe.own_share) * targets[labelled] + recipe.own_share * own
    else:
        usable = dataset.labels >= 0
        targets = np.eye(len(dataset.classes), dtype=np.float32)[np.where(usable, dataset.labels, 0)]
    return targets, usable
