"""Teachers: trained networks whose predictions a student learns from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mien.data.packed_faces import Faces
from mien.errors import ConfigError
from mien.evaluation.calibration import apply_temperature
from mien.training.checkpoint import identity, load_network, logits_of
from mien.training.network import Network


@dataclass(frozen=True)
class Teacher:
    """A network in evaluation mode, the temperature of its logits, and what a student's checkpoint records of it."""

    network: Network
    temperature: float
    record: dict[str, Any]


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


def taught(
    targets: NDArray[np.float32], faces: Faces, teachers: Sequence[Teacher], teach: float
) -> NDArray[np.float32]:
    """Targets (N, C) with the share `teach` of them from the teachers' mean prediction to faces (N, 48, 48) uint8."""
    if not teachers or not len(faces):
        return targets
    predictions = [apply_temperature(logits_of(teacher.network, faces), teacher.temperature) for teacher in teachers]
    mixed: NDArray[np.float32] = ((1 - teach) * targets + teach * np.mean(predictions, axis=0)).astype(np.float32)
    return mixed
