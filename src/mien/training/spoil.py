"""Faces as bad pictures show them: a student learns from these, while its teachers see the whole ones.

Faults come in the order in which they arise: something covers the face, the light is poor, the lens is not sharp, the
face is far away, the sensor is noisy, the file is small. Each occurs by chance, in a severity drawn for that face. All
is batched, on the faces' own device, and drawn from torch's global generators.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch
from kornia import augmentation as kornia
from kornia.enhance import jpeg_codec_differentiable
from kornia.filters import gaussian_blur2d
from torch import Tensor, nn
from torch.nn import functional

from mien.errors import ConfigError
from mien.training.cover import covered
from mien.training.draws import drawn_rows


@dataclass(frozen=True, slots=True)
class Spoiling:
    """How faces are spoiled; they are not where chance, cover, roll and jitter are 0.

    chance    probability of each of seven faults; the next seven fields are their strongest forms
    gain      factor on pixels, of darkness
    contrast  fraction left of each pixel's distance from the face's mean grey
    gamma     exponent on pixels, or its inverse
    blur      sigma in pixels of the 48x48 face
    side      width in pixels of a face that is far away
    noise     standard deviation on pixels in 0..1
    quality   of JPEG, 1..100
    cover     probability that a mask, dark glasses or a hand covers part of the face, one of them
    roll      degrees to either side by which a face is turned, besides the augmentation, which its teachers see too
    jitter    likewise its shift, relative to its side, and its enlargement or reduction
    """

    chance: float = 0.0
    gain: float = 0.15
    contrast: float = 0.15
    gamma: float = 2.5
    blur: float = 2.5
    side: int = 10
    noise: float = 0.12
    quality: int = 8
    cover: float = 0.0
    roll: float = 0.0
    jitter: float = 0.0

    def __post_init__(self) -> None:
        for name, low, high in (
            ("chance", 0, 1),
            ("gain", 0.01, 1),
            ("contrast", 0.01, 1),
            ("gamma", 1, 10),
            ("blur", 0.1, 8),
            ("side", 4, 48),
            ("noise", 0, 1),
            ("quality", 1, 100),
            ("cover", 0, 1),
            ("roll", 0, 180),
            ("jitter", 0, 0.5),
        ):
            if not low <= getattr(self, name) <= high:
                raise ConfigError(f"spoiling.{name} must be within {low} and {high}, got {getattr(self, name)}")

    @property
    def spoils(self) -> bool:
        """Whether anything is spoiled."""
        return bool(self.chance or self.cover or self.roll or self.jitter)


class Spoiler(nn.Module):
    """Spoils the pixels of faces (N, 1, 48, 48) float 0..1. The caller moves them by `frame`, kornia's modules."""

    def __init__(self, strength: Spoiling) -> None:
        super().__init__()
        self.strength = strength
        jitter = strength.jitter
        self.frame = nn.ModuleList()
        if strength.roll or jitter:
            self.frame.append(kornia.RandomAffine(strength.roll, (jitter, jitter), (1 - jitter, 1 + jitter), p=1.0))

    @torch.no_grad()
    def forward(self, faces: Tensor) -> Tensor:
        """As many faces (N, 1, 48, 48), in 0..1."""
        faces = faces.clone()
        picked = drawn_rows(faces, self.strength.cover)
        if len(picked):
            faces[picked] = covered(faces[picked])
        for fault in (_darken, _flatten, _apply_gamma, _blur, _downscale, _add_noise, _compress):
            picked = drawn_rows(faces, self.strength.chance)
            if len(picked):
                severity = torch.rand(len(picked), 1, 1, 1, device=faces.device)
                faces[picked] = fault(faces[picked], severity, self.strength).clamp(0, 1)
        return faces


# Faults: faces (n, 1, 48, 48), a severity (n, 1, 1, 1) from 0, no fault or hardly any, to 1, the strongest form.


def _darken(faces: Tensor, severity: Tensor, strength: Spoiling) -> Tensor:
    return faces * (1 - severity * (1 - strength.gain))


def _flatten(faces: Tensor, severity: Tensor, strength: Spoiling) -> Tensor:
    """Less contrast."""
    return torch.lerp(faces.mean((1, 2, 3), keepdim=True), faces, 1 - severity * (1 - strength.contrast))


def _apply_gamma(faces: Tensor, severity: Tensor, strength: Spoiling) -> Tensor:
    """As often darker as lighter: severities 0 and 1 are the two extremes here."""
    return faces**strength.gamma ** (2 * severity - 1)


def _blur(faces: Tensor, severity: Tensor, strength: Spoiling) -> Tensor:
    reach = max(1, round(2.5 * strength.blur))
    sigma = (0.1 + severity * (strength.blur - 0.1)).reshape(-1, 1).expand(-1, 2)
    return gaussian_blur2d(faces, 2 * reach + 1, sigma, border_type="replicate")


def _downscale(faces: Tensor, severity: Tensor, strength: Spoiling) -> Tensor:
    """Down and up again; the logarithm of the side is uniform."""
    whole = faces.shape[-1]
    sides = (whole * (strength.side / whole) ** severity.flatten()).round().long()
    along = _there_and_back(whole).to(faces.device)[sides][:, None]
    return along @ faces @ along.mT


@cache
def _there_and_back(whole: int) -> Tensor:
    """What scaling to a number of pixels and back does along one axis: matrices (whole + 1, whole, whole), by number.

    Down each pixel is the mean of its area, up it is bilinear. Of 0 pixels there is no matrix.
    """
    lines = torch.eye(whole)[:, None]
    small = [functional.interpolate(lines, size=side, mode="area") for side in range(1, whole + 1)]
    back = [functional.interpolate(line, size=whole, mode="linear")[:, 0].T for line in small]
    return torch.stack([torch.zeros(whole, whole), *back])


def _add_noise(faces: Tensor, severity: Tensor, strength: Spoiling) -> Tensor:
    return faces + severity * strength.noise * torch.randn_like(faces)


def _compress(faces: Tensor, severity: Tensor, strength: Spoiling) -> Tensor:
    quality = 70 * (strength.quality / 70) ** severity.flatten()
    return jpeg_codec_differentiable(faces.expand(-1, 3, -1, -1), quality).mean(1, keepdim=True)
