"""Muon (Jordan et al., 2024) of pytorch-optimizer, in the precision in which the device is faster."""

from __future__ import annotations

from typing import Any

import pytorch_optimizer
import torch
from pytorch_optimizer.optimizer.utils import zero_power_via_newton_schulz_5
from torch import Tensor

from mien.training.precision import faster_in_bf16


class Muon(pytorch_optimizer.Muon):
    """The library's Muon, whose Newton-Schulz iterations are in bf16; here in float32 where that is faster."""

    @staticmethod
    def _orthogonalize(group: dict[str, Any], updates: list[Tensor]) -> list[Tensor]:
        if faster_in_bf16(updates[0].device.type):
            return pytorch_optimizer.Muon._orthogonalize(group, updates)
        steps, coefficients = group["ns_steps"], group["ns_coeffs"]
        return [
            zero_power_via_newton_schulz_5(update.flatten(1), steps, weights=coefficients, dtype=torch.float32)
            for update in updates
        ]
