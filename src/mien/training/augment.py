"""Augmentation, batched and on the faces' own device, by kornia: what the network sees in training is made here."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from kornia import augmentation as kornia
from torch import Tensor, nn
from torch.nn import functional

from mien.errors import ConfigError
from mien.training.contrast import stretched
from mien.training.spoil import Spoiler, Spoiling


@dataclass(frozen=True, slots=True)
class Augmentation:
    """How strongly training faces are varied; 0 switches a variation off.

    flip        probability of a mirror image
    rotation    degrees to either side
    scale       relative enlargement or reduction, at most: 0.15 is 0.85..1.15
    shift       relative to the face's side, in either direction
    brightness  added to pixels in 0..1, at most, in either direction
    contrast    gain on pixels, at most, in either direction: 0.3 is a factor of 0.7..1.3 about black
    blur        probability of a Gaussian blur, sigma 0.3..1.2 pixels of the 48x48 face
    noise       standard deviation of Gaussian noise on pixels in 0..1 (half of the faces get it)
    erasing     probability that a rectangle of 2..20 % of the face is painted over (Zhong et al., AAAI 2020)
    mixup       largest fraction of a second face that MixUp blends in, drawn evenly (Zhang et al., ICLR 2018)
    cutmix      alpha of CutMix's beta distribution (Yun et al., ICCV 2019); MixUp and CutMix exclude each other
    """

    flip: float = 0.5
    rotation: float = 15.0
    scale: float = 0.15
    shift: float = 0.08
    brightness: float = 0.2
    contrast: float = 0.3
    blur: float = 0.1
    noise: float = 0.03
    erasing: float = 0.3
    mixup: float = 0.0
    cutmix: float = 0.0

    def __post_init__(self) -> None:
        for name in ("flip", "blur", "erasing", "scale", "shift", "brightness", "contrast", "noise"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"augmentation.{name} must be within 0 and 1, got {getattr(self, name)}")
        if not 0 <= self.rotation <= 180:
            raise ConfigError(f"augmentation.rotation must be within 0 and 180 degrees, got {self.rotation}")
        if not 0 <= self.mixup <= 1:
            raise ConfigError(f"augmentation.mixup must be within 0 and 1, got {self.mixup}")
        if self.cutmix < 0:
            raise ConfigError(f"augmentation.cutmix must not be negative, got {self.cutmix}")
        if self.mixup and self.cutmix:
            raise ConfigError("augmentation.mixup and augmentation.cutmix exclude each other: set one of them to 0")


class Augmenter(nn.Module):
    """Varies a batch and enlarges it: faces (N, 1, 48, 48) float 0..1 and targets (N, C) in, faces (N, 1, S, S) out.

    Light is varied, faces are spoiled, and stretched as in use (`contrast.py`), at 48x48; mirroring, turning, scaling,
    shifting and enlarging to S are one resampling, which blurs less than two: docs/training.md has the measurement.
    Every draw comes from torch's global generators, so `torch.manual_seed` repeats it.
    """

    def __init__(self, strength: Augmentation, size: int, spoiling: Spoiling | None = None) -> None:
        super().__init__()
        self.size = size
        self.light = nn.Sequential(*_light(strength))
        self.mirror = nn.ModuleList([kornia.RandomHorizontalFlip(p=strength.flip)] if strength.flip else [])
        self.geometry = nn.ModuleList(_geometry(strength))
        self.spoiler = Spoiler(spoiling) if spoiling is not None and spoiling.spoils else None
        self.mix: nn.Module | None = None
        if strength.mixup:
            self.mix = kornia.RandomMixUpV2((0.0, strength.mixup), data_keys=["input", "class"])
        elif strength.cutmix:
            self.mix = kornia.RandomCutMixV2(
                beta=strength.cutmix, use_correct_lambda=True, data_keys=["input", "class"]
            )

    def forward(self, faces: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Varied faces in 0..1, and targets mixed where MixUp or CutMix mixed the faces."""
        seen, targets, _ = self.with_whole(faces, targets, whole=False)
        return seen, targets

    @torch.no_grad()
    def with_whole(
        self, faces: Tensor, targets: Tensor, *, whole: bool = True, moves: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """As `forward`, and the faces (N, 1, S, S) that teachers see: the same, or, where some are spoiled, whole ones.

        Whole faces are mirrored, turned, scaled and shifted as the spoiled ones are, without `spoiling.roll` and
        `spoiling.jitter`, and their pixels are not varied. With `whole=False` they are not computed. moves (N, 3, 3)
        are of `drawn_moves`, for both; only mirror images are drawn then.
        """
        lit = self.light(faces).clamp(0, 1)
        mirror = _random_matrices(self.mirror, lit)
        matrix = self.drawn_moves(lit) @ mirror if moves is None else mirror @ moves
        if self.spoiler is None:
            seen, targets = self._mixed(self.moved(lit, matrix), targets)
            return seen, targets, seen
        seen = self.moved(self.spoiler(lit), _random_matrices(self.spoiler.frame, lit) @ matrix)
        return seen, targets, self.moved(faces, matrix) if whole else seen

    def drawn_moves(self, faces: Tensor) -> Tensor:
        """How faces (N, 1, 48, 48) may be turned, scaled and shifted: matrices (N, 3, 3) in pixels of them."""
        return _random_matrices(self.geometry, faces)

    @torch.no_grad()
    def moved(self, faces: Tensor, moves: Tensor) -> Tensor:
        """Faces (N, 1, 48, 48) float 0..1 moved so and enlarged to (N, 1, S, S), as in use those of little contrast
        stretched; nothing else is varied.
        """
        return self._warped(stretched(faces * 255)[0] / 255, moves)

    def _mixed(self, faces: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        if self.mix is None:
            return faces, targets
        # kornia mixes hard labels only: give it row numbers, and mix the soft targets by the fraction that it returns,
        # which is the other face's for MixUp and the own one's for CutMix.
        faces, pairs = self.mix(faces, torch.arange(len(faces), device=faces.device, dtype=faces.dtype))
        own, other, share = pairs.reshape(-1, 3).unbind(1)
        others = 1 - share if isinstance(self.mix, kornia.RandomCutMixV2) else share
        return faces, torch.lerp(targets[own.long()], targets[other.long()], others[:, None])

    def _warped(self, faces: Tensor, matrix: Tensor) -> Tensor:
        """Faces (N, 1, S, S), moved by matrices (N, 3, 3) in pixels of the 48x48 face and enlarged.

        One bilinear resampling with half-pixel centres; beyond the edge the edge repeats.
        """
        side = faces.shape[-1]
        scale = self.size / side
        offset = (scale - 1) / 2
        enlarge = torch.tensor([[scale, 0, offset], [0, scale, offset], [0, 0, 1]], device=faces.device)
        return functional.grid_sample(
            faces, self._grid(enlarge @ matrix, side), padding_mode="border", align_corners=False
        )

    def _grid(self, matrix: Tensor, side: int) -> Tensor:
        """Where each output pixel comes from (N, S, S, 2), -1..1 from edge to edge, for matrices (N, 3, 3) in pixels.

        Broadcast by hand: `affine_grid` and kornia's warps multiply a matrix by each pixel, which costs as much as the
        resampling itself.
        """
        back = torch.linalg.inv(matrix)
        place = torch.arange(self.size, device=matrix.device, dtype=matrix.dtype)
        grid = torch.empty(len(matrix), self.size, self.size, 2, device=matrix.device, dtype=matrix.dtype)
        for axis in (0, 1):
            across, down, start = ((2 / side) * back[:, axis]).unbind(1)
            start = start + 1 / side - 1
            row = across[:, None] * place + start[:, None]
            torch.add(row[:, None, :], (down[:, None] * place)[:, :, None], out=grid[..., axis])
        return grid


def _random_matrices(parts: Iterable[nn.Module], faces: Tensor) -> Tensor:
    """Matrices (N, 3, 3) in pixels of what these modules of kornia, one after the other, would do to the faces."""
    matrix = torch.eye(3, device=faces.device).repeat(len(faces), 1, 1)
    for part in parts:
        drawn: Any = part
        drawn(faces)  # cheap at 48x48, and the way to the matrices that it draws
        matrix = drawn.transform_matrix @ matrix
    return matrix


def _geometry(strength: Augmentation) -> list[nn.Module]:
    parts: list[nn.Module] = []
    if strength.rotation or strength.scale or strength.shift:
        parts.append(
            kornia.RandomAffine(
                degrees=strength.rotation,
                translate=(strength.shift, strength.shift),
                scale=(1 - strength.scale, 1 + strength.scale),
                padding_mode="border",
                p=1.0,
            )
        )
    return parts


def _light(strength: Augmentation) -> list[nn.Module]:
    parts: list[nn.Module] = []
    if strength.brightness:
        parts.append(kornia.RandomBrightness((1 - strength.brightness, 1 + strength.brightness), p=1.0))
    if strength.contrast:
        parts.append(kornia.RandomContrast((1 - strength.contrast, 1 + strength.contrast), p=1.0))
    if strength.blur:
        parts.append(kornia.RandomGaussianBlur((5, 5), (0.3, 1.2), p=strength.blur))
    if strength.noise:
        parts.append(kornia.RandomGaussianNoise(std=strength.noise, p=0.5))
    if strength.erasing:
        parts.append(kornia.RandomErasing(scale=(0.02, 0.2), value=0.5, p=strength.erasing))
    return parts
