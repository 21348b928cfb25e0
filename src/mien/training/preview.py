"""A contact sheet of what the network sees in training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from mien.data.dataset import FaceDataset
from mien.errors import ConfigError, DataError
from mien.files import written_aside
from mien.training.augment import Augmenter
from mien.training.recipes import Recipe
from mien.training.splits import gather

_ROWS, _COLUMNS, _SIDE, _GAP = 8, 12, 96, 2


def write_preview(dataset: FaceDataset, recipe: Recipe, path: Path) -> None:
    """Write a PNG: eight training faces, one a row, as they are and then in eleven augmented versions.

    Faces are shown at 96x96, enlarged as the network enlarges them. Raises ConfigError where the file is no .png or
    its folder does not exist, DataError where there are fewer than eight training faces.
    """
    if path.suffix.lower() != ".png" or not path.parent.is_dir():
        raise ConfigError(f"the contact sheet must be a .png in a folder that exists, got {path}")
    learned = gather(dataset, recipe).learned
    if len(learned) < _ROWS:
        raise DataError(f"{dataset.source} has {len(learned)} training faces, expected at least {_ROWS}")
    picked = np.random.default_rng(recipe.seed).choice(len(learned), _ROWS, replace=False)
    faces = torch.from_numpy(learned.faces[picked])[:, None].float() / 255
    torch.manual_seed(recipe.seed)
    augment = Augmenter(recipe.augmentation, _SIDE, recipe.spoiling)
    targets = torch.from_numpy(learned.targets[picked])
    plain = torch.nn.functional.interpolate(faces, size=(_SIDE, _SIDE), mode="bilinear", align_corners=False)
    tiles = torch.stack([plain, *(augment(faces, targets)[0] for _ in range(_COLUMNS - 1))], 1).flatten(0, 1)
    tiles = torch.nn.functional.pad(tiles, (0, _GAP, 0, _GAP), value=1.0)
    side = tiles.shape[-1]
    sheet = tiles.reshape(_ROWS, _COLUMNS, side, side).permute(0, 2, 1, 3).reshape(_ROWS * side, _COLUMNS * side)
    with written_aside(path) as part:
        Image.fromarray((sheet * 255).round().to(torch.uint8).numpy()).save(part, "PNG")
