"""Outliers: pictures of which none of the classes is true. The network learns to predict nothing but the prior there.

Outlier exposure (Hendrycks, Mazeika and Dietterich, ICLR 2019): cross-entropy against a flat target on pictures that
are no examples. The paper's target is the uniform distribution. Here it is how frequent each class is: that is what
remains to say without a face, and another prior changes it as it should (`runtime/prior.py`). The pictures are faces
turned by 90, 180 or 270 degrees, plain patches like a wall or a sky, and, where a folder of pictures without faces is
given, squares of those.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mien.errors import ConfigError, DataError
from mien.images.decode import read_picture
from mien.images.find import find_images
from mien.runtime.crops import FACE_SIZE, WHOLE_PICTURE, crop_face, to_grey
from mien.training.draws import drawn_kinds, drawn_rows
from mien.training.recipes import Recipe
from mien.types import Box

SQUARES: Final = 4096
"""Squares that are cut from a folder: 9 MB."""

_LONGEST: Final = 1024
"""Pixels of the longer side to which large JPEGs are reduced, about, while they are decoded."""


class Outliers(nn.Module):
    """Replaces faces of a batch by outliers, each kind equally often. All is drawn from torch's global generators.

    fraction  of the faces, on average
    squares   (K, 48, 48) uint8 of pictures without faces; K may be 0
    target    (C,) float32, what is to be predicted of an outlier
    """

    squares: Tensor
    target: Tensor

    def __init__(self, fraction: float, squares: NDArray[np.uint8], target: NDArray[np.float32]) -> None:
        super().__init__()
        self.fraction = fraction
        self.register_buffer("target", torch.from_numpy(target))
        self.register_buffer("squares", torch.from_numpy(squares)[:, None])

    @property
    def sha256(self) -> str | None:
        """SHA-256 of the squares in hex, None where there are none."""
        pixels = self.squares.cpu().numpy()
        return hashlib.sha256(pixels.tobytes()).hexdigest() if len(pixels) else None

    @torch.no_grad()
    def forward(self, faces: Tensor) -> tuple[Tensor, Tensor]:
        """Faces (N, 1, 48, 48) float 0..1 with outliers in the place of some, and a mask (N,) bool of the outliers."""
        faces = faces.clone()
        mask = torch.zeros(len(faces), dtype=torch.bool, device=faces.device)
        rows = drawn_rows(faces, self.fraction)
        mask[rows] = True
        kinds = (_turned, _plain, self._without_faces) if len(self.squares) else (_turned, _plain)
        for kind, which in zip(kinds, drawn_kinds(rows, len(kinds)), strict=True):
            picked = rows[which]
            if len(picked):
                faces[picked] = kind(faces[picked])
        return faces, mask

    def _without_faces(self, faces: Tensor) -> Tensor:
        drawn: Tensor = self.squares[torch.randint(len(self.squares), (len(faces),), device=faces.device)]
        return drawn.to(faces.dtype) / 255


def _turned(faces: Tensor) -> Tensor:
    """By a quarter, a half or three quarters, exactly: borders and blur must not give a turned face away."""
    quarters = torch.randint(1, 4, (len(faces),), device=faces.device)
    turned = torch.stack([torch.rot90(faces, count, (2, 3)) for count in (1, 2, 3)])
    return turned[quarters - 1, torch.arange(len(faces), device=faces.device)]


def _plain(faces: Tensor) -> Tensor:
    """A grey that changes from edge to edge, under noise: mostly a little, sometimes nothing but noise."""
    level, across, down, noise = torch.rand(4, len(faces), 1, 1, 1, device=faces.device, dtype=faces.dtype)
    side = torch.linspace(-0.5, 0.5, faces.shape[-1], device=faces.device, dtype=faces.dtype)
    slopes = 0.3 * ((across - 0.5) * side + (down - 0.5) * side[:, None])
    patches: Tensor = level + slopes + 0.4 * noise**5 * torch.randn_like(faces)
    return patches.clamp(0, 1)


def load_outliers(recipe: Recipe, folder: Path | None, frequencies: NDArray[np.float32] | None) -> Outliers | None:
    """What a recipe asks for, on the CPU; None where its `outliers` is 0.

    frequencies  how frequent the classes are (C,), of `class_frequencies`; ConfigError where they are unknown
    folder  pictures without faces, searched with its subfolders. Raises DataError where it holds none, ImageError where
            one is damaged, ConfigError where the recipe does not use them
    """
    if not recipe.outliers:
        if folder is not None:
            raise ConfigError(f"the recipe's outliers is 0: set it, for example to 0.1, to learn from {folder}")
        return None
    if frequencies is None:
        raise ConfigError("outliers need the frequencies of classes, and there is no face with a label: set it to 0")
    squares = np.zeros((0, FACE_SIZE, FACE_SIZE), np.uint8)
    if folder is not None:
        squares = random_squares(folder, SQUARES, recipe.seed)
    return Outliers(recipe.outliers, squares, frequencies)


def random_squares(folder: Path, count: int, seed: int) -> NDArray[np.uint8]:
    """Squares anywhere in a folder's pictures, as many of each, cut as faces are: (count, 48, 48) uint8, grey.

    The logarithm of a square's side is uniform, from 48 pixels to the picture's shorter side. Raises as `load_outliers`
    does.
    """
    search = find_images([folder])
    if search.unfound:
        raise DataError(f"expected pictures without faces; {search.unfound[0]}")
    found = search.images
    rng = np.random.default_rng(seed)
    squares = np.empty((count, FACE_SIZE, FACE_SIZE), np.uint8)
    for number, image in enumerate(found):
        grey = to_grey(read_picture(image.path, reduce_to=_LONGEST).image)
        height, width = grey.shape
        shorter = min(height, width)
        for row in range(number, count, len(found)):
            side = min(shorter, np.exp(rng.uniform(np.log(min(FACE_SIZE, shorter)), np.log(shorter))))
            left, top = rng.uniform(0, width - side), rng.uniform(0, height - side)
            squares[row] = crop_face(grey, Box(left, top, side, side), WHOLE_PICTURE)
    return squares
