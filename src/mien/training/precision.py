"""The precision that a run computes in: bf16 where the device is faster in it than in float32."""

from __future__ import annotations

from typing import Literal, TypeAlias

import torch

from mien.training.recipes import Recipe

Precision: TypeAlias = Literal["bf16-mixed", "16-mixed", "32-true"]


def faster_in_bf16(device: str) -> bool:
    """Whether a kind of device ("cpu", "cuda", "auto", ...) computes faster in bf16 than in float32.

    torch computes in bf16 on every device. A CPU without instructions for it takes many times as long as in float32.
    One that has AVX-512's alone still takes longer, measured by a half in training; AMX multiplies whole tiles.
    """
    if device != "cpu" and torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported())
    return bool(torch.cpu.get_capabilities().get("amx_bf16"))


def precision_of(recipe: Recipe, accelerator: str) -> Precision:
    """The precision that a run trains in: the recipe's, or what is faster on the device."""
    if recipe.precision != "auto":
        return recipe.precision
    return "bf16-mixed" if faster_in_bf16(accelerator) else "32-true"
