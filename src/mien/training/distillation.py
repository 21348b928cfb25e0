"""Teachers: trained networks whose predictions a student learns from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mien.errors import ConfigError
from mien.evaluation.calibration import apply_temperature
from mien.training.checkpoint import identity, load_network, logits_of
from mien.training.network import Network, as_input
from mien.training.splits import Examples


@dataclass(frozen=True)
class Teacher:
    """A network in evaluation mode, the temperature of its logits, and what a student's checkpoint records of it."""

    network: Network
    temperature: float
    record: dict[str, Any]

    @torch.no_grad()
    def probabilities(self, faces: Tensor) -> Tensor:
        """The calibrated probabilities (N, C) of faces (N, 1, S, S) float 0..1, which are resized where needed."""
        logits: Tensor = self.network(as_input(faces, self.network.config))
        return (logits.float() / self.temperature).softmax(1)


def load_teachers(paths: Sequence[Path], classes: Sequence[str]) -> list[Teacher]:
    """Checkpoints (files, or folders of runs) as teachers. Raises ConfigError where one has other classes."""
    teachers = []
    for path in paths:
        description, network = load_network(path)
        if description.classes != tuple(classes):
            raise ConfigError(f"the teacher {path} knows {', '.join(description.classes)}, not {', '.join(classes)}")
        name, digest = identity(path)
        laid_out = network.requires_grad_(requires_grad=False).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        teachers.append(Teacher(laid_out, description.temperature, {"file": name, "sha256": digest}))
    return teachers


def taught(examples: Examples, teachers: Sequence[Teacher], teach: float) -> Examples:
    """Labelled examples with the fraction `teach` of their targets from the teachers' mean prediction."""
    if not teachers or not len(examples):
        return examples
    predictions = [
        apply_temperature(logits_of(teacher.network, examples.faces), teacher.temperature) for teacher in teachers
    ]
    mixed = (1 - teach) * examples.targets + teach * np.mean(predictions, axis=0)
    return replace(examples, targets=mixed.astype(np.float32))
