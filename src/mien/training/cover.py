"""What is drawn over training faces: masks, dark glasses, hands. Place, form and grey of each are random.

Lengths are in pixels of the 48x48 face. FER2013's faces have the eyes 18.5 pixels from the top and the corners of the
mouth at 36.5, in the median (`benchmarks/degradations.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import torch
from torch import Tensor

from mien.training.draws import drawn_kinds

Cover = tuple[Tensor, Tensor]
"""How much of each pixel is hidden, 0..1, and the grey that hides it; each broadcasts to (n, 48, 48)."""


def covered(faces: Tensor) -> Tensor:
    """Faces (N, 1, 48, 48) float 0..1, each with one of the covers over it; all covers are equally likely."""
    result = faces.clone()
    side = torch.arange(faces.shape[-1], device=faces.device, dtype=faces.dtype)
    for cover, picked in zip(_COVERS, drawn_kinds(faces, len(_COVERS)), strict=True):
        if len(picked):
            hidden, grey = cover(_Uniform(len(picked), faces), side[None, None, :], side[None, :, None])
            result[picked, 0] = torch.lerp(faces[picked, 0], grey.clamp(0, 1), hidden)
    return result


class _Uniform:
    """Uniform random numbers, one per face, as (n, 1, 1)."""

    def __init__(self, count: int, like: Tensor) -> None:
        self.count, self.like = count, like

    def __call__(self, low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(self.count, 1, 1, device=self.like.device, dtype=self.like.dtype)


# Covers: x (1, 1, 48) and y (1, 48, 1) are the pixels' coordinates.


def _mask(uniform: _Uniform, x: Tensor, y: Tensor) -> Cover:
    """From the bridge of the nose down, sloping towards the ears, with a few pleats."""
    middle, top = uniform(21, 26), uniform(23, 32)
    edge = top + uniform(0, 0.4) * (x - middle).abs()
    inside = torch.minimum(y - edge, uniform(16, 28) - (x - middle).abs())
    pleats = uniform(0, 0.08) * torch.sin(y * uniform(0.6, 1.6) + uniform(0, 6.3))
    shade = uniform(-0.006, 0.006) * (x - 24) + uniform(-0.01, 0.004) * (y - 36)
    return _soft(inside), uniform(0.05, 1.0) + shade + pleats


def _glasses(uniform: _Uniform, x: Tensor, y: Tensor) -> Cover:
    """Two dark lenses, round to square, and a bridge between them; some light passes, and some is reflected."""
    middle, level, apart = uniform(22, 25), uniform(16, 21), uniform(8.5, 11.5)
    width, height, corners = uniform(6, 9.5), uniform(4, 8), uniform(2, 6)
    across = ((x - middle).abs() - apart).abs() / width
    inside = 1 - (across**corners + ((y - level).abs() / height) ** corners) ** (1 / corners)
    bridge = torch.minimum(1 - (y - level + uniform(0, 3)).abs(), apart - (x - middle).abs())
    lenses = _soft(inside * height) * uniform(0.75, 1.0)
    return torch.maximum(lenses, _soft(bridge)), uniform(0, 0.25) + uniform(0, 0.02) * (level + height - y)


def _hand(uniform: _Uniform, x: Tensor, y: Tensor) -> Cover:
    """An oval anywhere, of any size and direction, with stripes like fingers: a hand, a phone, a microphone, hair."""
    angle = uniform(0, 3.15)
    right, down = x - uniform(0, 48), y - uniform(0, 48)
    along, aside = right * angle.cos() + down * angle.sin(), down * angle.cos() - right * angle.sin()
    length, width, corners = uniform(8, 30), uniform(3, 12), uniform(2, 6)
    inside = 1 - ((along / length).abs() ** corners + (aside / width).abs() ** corners) ** (1 / corners)
    stripes = uniform(0, 0.2) * torch.sin(aside * uniform(0.6, 1.8) + uniform(0, 6.3))
    return _soft(inside * width), uniform(0, 1) + uniform(-0.01, 0.01) * along + stripes


_COVERS: Final[tuple[Callable[[_Uniform, Tensor, Tensor], Cover], ...]] = (_mask, _glasses, _hand)


def _soft(inside: Tensor) -> Tensor:
    """How much is hidden, by the depth in pixels inside an edge: half on the edge itself."""
    return torch.sigmoid(3 * inside)
