"""Pictures that were read and searched for faces, in the batches in which these are classified."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mien.errors import ImageError
from mien.images.decode import Picture
from mien.types import Detection

_BATCH_FACES: Final = 64
_BATCH_PICTURES: Final = 16
_BATCH_PIXELS: Final = 50_000_000


@dataclass(frozen=True, slots=True)
class Detected:
    """A picture that was read, its faces found and cut out.

    crops are (48, 48) uint8 grey, one for each of found, whose boxes are in pixels of the whole picture; stages holds
    milliseconds by the stage's name, unreported what was found besides.
    """

    picture: Picture
    source: str | None
    found: Sequence[Detection]
    crops: Sequence[NDArray[np.uint8]]
    stages: dict[str, float]
    unreported: tuple[Detection, ...] = ()


def batched(detected: Iterable[Detected | ImageError]) -> Iterator[list[Detected | ImageError]]:
    """Batches that are classified together. They depend on nothing but the pictures."""
    batch: list[Detected | ImageError] = []
    pixels = faces = 0
    for one in detected:
        batch.append(one)
        if isinstance(one, Detected):
            pixels += one.picture.image.shape[0] * one.picture.image.shape[1]
            faces += len(one.crops)
        if len(batch) >= _BATCH_PICTURES or faces >= _BATCH_FACES or pixels >= _BATCH_PIXELS:
            yield batch
            batch, pixels, faces = [], 0, 0
    if batch:
        yield batch
