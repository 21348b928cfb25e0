"""Faces that stay on disk, and what treats them and faces in memory alike: picking rows, going through them, keys."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

_CHUNK: Final = 4096
"""Faces in memory at a time: 9 MB."""


class PackedFaces:
    """N faces (N, 48, 48) uint8 in the file of a pack, by their rows there. Indexing reads; `take` does not.

    folder  the pack's
    pixels  all M faces of the pack, (M, 48, 48) uint8, memory-mapped
    keys    (M,) uint64, as `keys_of` has them
    rows    (N,) which of the M, in their order; None: all as they stand, and `whole` is true
    """

    def __init__(
        self,
        folder: Path,
        pixels: NDArray[np.uint8],
        keys: NDArray[np.uint64],
        rows: NDArray[np.intp] | None = None,
    ) -> None:
        self.folder = folder
        self._pixels, self._keys = pixels, keys
        self.whole = rows is None
        self._rows = np.arange(len(pixels)) if rows is None else rows

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, 48, 48)."""
        return len(self), *self._pixels.shape[1:]

    @property
    def dtype(self) -> np.dtype[np.uint8]:
        """uint8."""
        return self._pixels.dtype

    @property
    def keys(self) -> NDArray[np.uint64]:
        """(N,) uint64, as `keys_of` has them, without reading the faces."""
        return self._keys[self._rows]

    def __len__(self) -> int:
        return len(self._rows)

    def take(self, rows: NDArray[np.bool_] | NDArray[np.integer]) -> PackedFaces:
        """The faces that a mask or an index array names, in that order; none is read."""
        return PackedFaces(self.folder, self._pixels, self._keys, self._rows[rows])

    def __getitem__(self, rows: slice | NDArray[np.bool_] | NDArray[np.integer]) -> NDArray[np.uint8]:
        """Read the faces that a slice, a mask or an index array names, as an array (n, 48, 48) uint8."""
        return np.array(self._pixels[self._rows[rows]])


Faces: TypeAlias = NDArray[np.uint8] | PackedFaces
"""Faces (N, 48, 48) uint8, in memory or on disk."""


def pick(faces: Faces, rows: NDArray[np.bool_] | NDArray[np.integer]) -> Faces:
    """The faces that a mask or an index array names, in that order; what is on disk stays there."""
    return faces.take(rows) if isinstance(faces, PackedFaces) else faces[rows]


def chunks(faces: Faces) -> Iterator[NDArray[np.uint8]]:
    """All faces in their order, some thousands at a time, so that those on disk need little memory."""
    for start in range(0, len(faces), _CHUNK):
        yield faces[start : start + _CHUNK]


def keys_of(faces: Faces) -> NDArray[np.uint64]:
    """A key (N,) uint64 of each face's pixels: their BLAKE2b of 8 bytes, read as a number from the first byte on.

    Equal faces have equal keys. Two of a million faces that differ share one with a chance of 1 in 37 million.
    """
    if isinstance(faces, PackedFaces):
        return faces.keys
    digests = b"".join(hashlib.blake2b(face.tobytes(), digest_size=8).digest() for face in faces)
    return np.frombuffer(digests, ">u8").astype(np.uint64)
