"""Which faces of a batch chance falls on: drawn on the CPU, which then knows how many without waiting for a GPU."""

from __future__ import annotations

import torch
from torch import Tensor


def drawn_rows(faces: Tensor, chance: float) -> Tensor:
    """The rows of some faces (N, ...), each drawn with this probability, on their device."""
    return (torch.rand(len(faces)) < chance).nonzero().flatten().to(faces.device, non_blocking=True)


def drawn_kinds(faces: Tensor, kinds: int) -> list[Tensor]:
    """The rows of faces (N, ...) that get each of some kinds, all equally likely, on their device."""
    which = torch.randint(kinds, (len(faces),))
    return [(which == kind).nonzero().flatten().to(faces.device, non_blocking=True) for kind in range(kinds)]
