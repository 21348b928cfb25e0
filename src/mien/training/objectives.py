"""What a step minimises: cross-entropy against labels and teachers, or, without labels, Barlow Twins."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from mien.training.augment import Augmenter
from mien.training.batches import Batch
from mien.training.distillation import Teacher
from mien.training.network import NetworkConfig, as_input
from mien.training.outliers import Outliers

Objective = Callable[[nn.Module, Batch], Tensor]
"""Network in training and a batch in, scalar loss out."""

_REDUNDANCY = 0.005
"""Weight of the off-diagonal terms, the lambda of the Barlow Twins paper."""


@dataclass(frozen=True)
class Supervised:
    """Cross-entropy of augmented faces against soft targets.

    With teachers the target is (1 - teach) times the labels plus teach times the teachers' mean probabilities (Hinton,
    Vinyals and Dean, 2015, at temperature 1: the teachers are calibrated). Labels of zeros are none: there the teachers
    alone make the target. Teachers see the very pixels that the network sees ("function matching", Beyer et al., CVPR
    2022), but whole faces where the network sees spoiled ones. They predict in the precision that autocast gives. Where
    views are fixed, the batch brings what the teachers said, and the network sees the same view or its mirror image.

    outliers replaces some faces by what is none, and has the target there, whatever teachers say.
    """

    network: NetworkConfig
    augment: Augmenter
    label_smoothing: float = 0.0
    teachers: Sequence[Teacher] = ()
    teach: float = 0.5
    autocast: Callable[[], AbstractContextManager[None]] = nullcontext
    outliers: Outliers | None = None

    def __call__(self, model: nn.Module, batch: Batch) -> Tensor:
        """The loss of one batch."""
        faces, outlying = batch.faces, None
        if self.outliers is not None:
            faces, outlying = self.outliers(faces)
        live = bool(self.teachers) and batch.predictions is None
        seen, targets, whole = self.augment.with_whole(faces, batch.targets, whole=live, moves=batch.moves)
        predictions = self._taught(whole) if live else batch.predictions
        if predictions is not None:
            labels = (1 - self.teach) * targets
            missing = 1 - labels.sum(1, keepdim=True)  # `teach`, 1 without label, between them where MixUp mixed both
            targets = labels + missing * predictions
        if self.outliers is not None and outlying is not None:
            targets = torch.where(outlying[:, None], self.outliers.target, targets)
        logits = model(as_input(seen, self.network))
        return functional.cross_entropy(logits.float(), targets, label_smoothing=self.label_smoothing)

    def _taught(self, seen: Tensor) -> Tensor:
        """The mean probabilities (B, C) of the teachers."""
        with self.autocast():
            return torch.stack([teacher.probabilities(seen) for teacher in self.teachers]).mean(0)


@dataclass(frozen=True)
class BarlowTwins:
    """Zbontar et al., ICML 2021: two augmentations of a face agree in each output, and no two outputs say the same.

    The classifier's hidden layers serve as the projector, the last layer's outputs as its features.
    """

    network: NetworkConfig
    augment: Augmenter

    def __call__(self, model: nn.Module, batch: Batch) -> Tensor:
        """The loss of one batch; targets are not used."""
        one, other = (
            _standardised(model(as_input(self.augment(batch.faces, batch.targets)[0], self.network)).float())
            for _ in range(2)
        )
        return barlow_twins(one.T @ other / len(batch.faces))


def barlow_twins(correlation: Tensor) -> Tensor:
    """Equation 1 of the paper, of the (D, D) cross-correlation between the outputs for two augmentations."""
    diagonal = correlation.diagonal()
    agreement = (1 - diagonal).square().sum()
    redundancy = correlation.square().sum() - diagonal.square().sum()
    return agreement + _REDUNDANCY * redundancy


def _standardised(outputs: Tensor) -> Tensor:
    return (outputs - outputs.mean(0)) / (outputs.std(0, unbiased=False) + 1e-5)
