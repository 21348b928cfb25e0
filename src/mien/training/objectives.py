"""What a step minimises: cross-entropy against labels and teachers, or, without labels, Barlow Twins."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from mien.training.augment import Augmenter
from mien.training.distillation import Teacher
from mien.training.network import NetworkConfig, prepare
from mien.training.outliers import Outliers

Objective = Callable[[nn.Module, Tensor, Tensor], Tensor]
"""Network in training, faces (B, 1, 48, 48) float 0..1 and targets (B, C) in, scalar loss out."""

_REDUNDANCY = 0.005
"""Weight of the off-diagonal terms, the lambda of the Barlow Twins paper."""


@dataclass(frozen=True)
class Supervised:
    """Cross-entropy of augmented faces against soft targets.

    With teachers the target is (1 - teach) times the labels plus teach times the teachers' mean probabilities (Hinton,
    Vinyals and Dean, 2015, at temperature 1: the teachers are calibrated). Labels of zeros are none: there the teachers
    alone make the target. Teachers see the very pixels that the network sees ("function matching", Beyer et al., CVPR
    2022), but whole faces where the network sees spoiled ones. They predict in the precision that autocast gives.

    outliers replaces some faces by what is none; the target there is the uniform distribution, whatever teachers say.
    """

    network: NetworkConfig
    augment: Augmenter
    label_smoothing: float = 0.0
    teachers: Sequence[Teacher] = ()
    teach: float = 0.5
    autocast: Callable[[], AbstractContextManager[None]] = nullcontext
    outliers: Outliers | None = None

    def __call__(self, model: nn.Module, faces: Tensor, targets: Tensor) -> Tensor:
        """The loss of one batch."""
        outlying = None
        if self.outliers is not None:
            faces, outlying = self.outliers(faces)
        seen, targets, whole = self.augment.with_whole(faces, targets, whole=bool(self.teachers))
        if self.teachers:
            labels = (1 - self.teach) * targets
            missing = 1 - labels.sum(1, keepdim=True)  # `teach`, 1 without label, between them where MixUp mixed both
            targets = labels + missing * self._taught(whole)
        if outlying is not None:
            targets = torch.where(outlying[:, None], 1 / targets.shape[1], targets)
        logits = model(as_input(seen, self.network))
        return functional.cross_entropy(logits.float(), targets, label_smoothing=self.label_smoothing)

    @torch.no_grad()
    def _taught(self, seen: Tensor) -> Tensor:
        """The mean probabilities (B, C) of the teachers."""
        with self.autocast():
            predictions = [
                (teacher.network(as_input(seen, teacher.network.config)).float() / teacher.temperature).softmax(1)
                for teacher in self.teachers
            ]
        return torch.stack(predictions).mean(0)


@dataclass(frozen=True)
class BarlowTwins:
    """Zbontar et al., ICML 2021: two augmentations of a face agree in each output, and no two outputs say the same.

    The classifier's hidden layers serve as the projector, the last layer's outputs as its features.
    """

    network: NetworkConfig
    augment: Augmenter

    def __call__(self, model: nn.Module, faces: Tensor, targets: Tensor) -> Tensor:
        """The loss of one batch; targets are not used."""
        one, other = (
            _standardised(model(as_input(self.augment(faces, targets)[0], self.network)).float()) for _ in range(2)
        )
        return barlow_twins(one.T @ other / len(faces))


def barlow_twins(correlation: Tensor) -> Tensor:
    """Equation 1 of the paper, of the (D, D) cross-correlation between the outputs for two augmentations."""
    diagonal = correlation.diagonal()
    agreement = (1 - diagonal).square().sum()
    redundancy = correlation.square().sum() - diagonal.square().sum()
    return agreement + _REDUNDANCY * redundancy


def _standardised(outputs: Tensor) -> Tensor:
    return (outputs - outputs.mean(0)) / (outputs.std(0, unbiased=False) + 1e-5)


def as_input(faces: Tensor, network: NetworkConfig) -> Tensor:
    """Faces as a network in training takes them, in the memory layout in which convolutions are fastest."""
    return prepare(faces, network).contiguous(memory_format=torch.channels_last)
