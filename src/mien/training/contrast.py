"""What lies around a network: faces of little contrast are stretched, in training and in use, and for what shows no
face at all every class is equally likely.

A network that was trained on well-lit faces names any emotion for a nearly black face, and is certain of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

MIN_CONTRAST: Final = 40.0
"""Standard deviation of a face's grey values; faces with less are stretched to it. What that gains: docs/results.md,
benchmarks/robustness.py (`light`)."""

SEEN_CONTRAST: Final = 0.5
"""Below this standard deviation, eight bits hold no face."""

MAX_GRAIN: Final = 0.35
"""The most grain of what counts as a face. FER2013's validation faces have 0.016 to 0.33, noise has 0.75."""

_MARGIN: Final = 2.2
"""How many standard deviations lie between a stretched face's mean and black or white."""


def stretched(faces: Tensor) -> tuple[Tensor, Tensor]:
    """Faces (N, 1, h, w) float 0..255, h and w even, those of little contrast stretched; and whether each shows
    something: (N, 1), 1 or 0. Faces with enough contrast stay as they are.

    Grain is the part of the variance that is gone at half the resolution: little of a face's, most of noise.
    """
    mean = faces.mean((2, 3), keepdim=True)
    offset = faces - mean
    contrast = _mean_square(offset).sqrt()
    gain = (MIN_CONTRAST / contrast.clamp(min=SEEN_CONTRAST)).clamp(min=1)
    middle = mean.clamp(_MARGIN * MIN_CONTRAST, 255 - _MARGIN * MIN_CONTRAST)
    shift = torch.where(gain > 1, middle - mean * gain, 0)
    kept = _mean_square(functional.avg_pool2d(offset, 2)) / contrast.clamp(min=SEEN_CONTRAST).square()
    shows = (contrast >= SEEN_CONTRAST) & (1 - kept <= MAX_GRAIN)
    return (faces * gain + shift).clamp(0, 255), shows.to(faces.dtype).flatten(1)


def seen_logits(ask: Callable[[Tensor], Tensor], faces: Tensor) -> Tensor:
    """Logits (N, C) of faces (N, 1, 48, 48) uint8, as evaluation and the exported graph have them: stretched where that
    is needed, and 0 for what shows no face. ask gives the logits of faces (N, 1, 48, 48) float 0..1.
    """
    pixels, shows = stretched(faces.float())
    # Whole numbers: else sums in another order would change what int8 makes of a pixel.
    return ask(pixels.round() / 255) * shows


def _mean_square(values: Tensor) -> Tensor:
    """Of each face's values (N, 1, h, w): (N, 1, 1, 1)."""
    return (values * values).mean((2, 3), keepdim=True)
