"""How a network does after an epoch: losses, accuracy, calibration."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from mien.errors import ConfigError
from mien.evaluation.calibration import apply_temperature, fit_temperature
from mien.evaluation.metrics import evaluate
from mien.training.splits import Material

LEAST_FITTED: Final = 100
"""Held-back faces that it takes to fit a temperature; with fewer it stays 1."""


def evaluate_epoch(held: NDArray[np.float32], validation: NDArray[np.float32], material: Material) -> dict[str, Any]:
    """How the averaged network does by its logits (N, C) on held-back and on validation faces, and its temperature.

    Either may be none. held_loss is against targets as the run learns from, teachers' predictions included.
    The temperature is fitted on the held-back faces that the protocol evaluates, if they are LEAST_FITTED or more;
    losses are taken before it.
    """
    found: dict[str, Any] = {"temperature": 1.0}
    if len(material.held):
        truth = material.held_truth
        found["held_loss"] = _loss(held, material.held.targets)
        held, truth = held[truth >= 0], truth[truth >= 0]
        if len(truth):
            found["temperature"] = fit_temperature(held, truth) if len(truth) >= LEAST_FITTED else 1.0
            found |= _figures("held", held, truth, found["temperature"], material.classes)
    if len(material.validation):
        truth = material.validation.truth
        found["validation_loss"] = _loss(validation, np.eye(len(material.classes))[truth])
        found |= _figures("validation", validation, truth, found["temperature"], material.classes)
    return found


def _loss(logits: NDArray[np.float32], targets: NDArray[Any]) -> float:
    loss = float(functional.cross_entropy(torch.from_numpy(logits), torch.from_numpy(targets).float()))
    if not math.isfinite(loss):
        raise ConfigError(f"after the epoch the loss is {loss}: lower learning_rate")
    return loss


def _figures(
    name: str, logits: NDArray[np.float32], truth: NDArray[np.int64], temperature: float, classes: tuple[str, ...]
) -> dict[str, float]:
    metrics = evaluate(apply_temperature(logits, temperature), truth, classes=classes, resamples=1)
    return {f"{name}_accuracy": metrics.accuracy, f"{name}_macro_f1": metrics.macro_f1, f"{name}_ece": metrics.ece}
