"""Pictures that show no face, as (N, 48, 48) uint8, as if a detector had been wrong."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import skimage.data
from numpy.typing import NDArray

from mien.data.dataset import FaceDataset
from mien.emotions import FERPLUS_COLUMNS
from mien.errors import ConfigError
from mien.runtime.crops import FACE_SIZE, WHOLE_PICTURE, crop_face, to_grey
from mien.types import Box

# Only what lies in scikit-image's wheel; no coins, which bear heads, and no cat.
FACELESS = (
    *("brick", "cell", "clock", "coffee", "grass", "gravel", "hubble_deep_field", "immunohistochemistry"),
    *("moon", "page", "retina", "rocket", "stereo_motorcycle"),
)
SQUARES = (48, 240)


def non_faces(dataset: FaceDataset, count: int = 2000, seed: int = 0) -> dict[str, NDArray[np.uint8]]:
    """Pictures without a face by their kind; rejected rows of a split only where there are any.

    Raises ConfigError where the dataset has no votes.
    """
    if dataset.votes is None:
        raise ConfigError(f"FER+ votes decide which rows are no face; {dataset.source} has none")
    rejected = 2 * dataset.votes[:, FERPLUS_COLUMNS.index("nf")] > dataset.votes.sum(1)
    rng = np.random.default_rng(seed)
    kinds: dict[str, NDArray[np.uint8]] = {
        f"FER2013, voted not a face, {split}": dataset.faces[rejected & (dataset.split == split)]
        for split in ("validation", "training")
    }
    kinds["squares of pictures without a face"] = random_squares([_load(name) for name in FACELESS], count, rng)
    kinds["noise"] = rng.integers(0, 256, (count, FACE_SIZE, FACE_SIZE), np.uint8)
    kinds["flat grey"] = np.repeat(np.arange(256, dtype=np.uint8), FACE_SIZE**2).reshape(-1, FACE_SIZE, FACE_SIZE)
    return {kind: shown for kind, shown in kinds.items() if len(shown)}


def random_squares(pictures: Sequence[NDArray[np.uint8]], count: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Squares of 48 to 240 pixels anywhere in grey pictures, these in turn, cut as faces are: (count, 48, 48)."""
    squares = []
    for index in range(count):
        grey = pictures[index % len(pictures)]
        side = rng.uniform(SQUARES[0], min(SQUARES[1], *grey.shape))
        left, top = rng.uniform(0, grey.shape[1] - side), rng.uniform(0, grey.shape[0] - side)
        squares.append(crop_face(grey, Box(left, top, side, side), WHOLE_PICTURE))
    return np.stack(squares)


def _load(name: str) -> NDArray[np.uint8]:
    """A picture of scikit-image's in grey."""
    shown = getattr(skimage.data, name)()
    shown = np.asarray(shown[0] if isinstance(shown, tuple) else shown, np.uint8)
    return shown if shown.ndim == 2 else to_grey(np.asarray(cv2.cvtColor(shown, cv2.COLOR_RGB2BGR), np.uint8))
