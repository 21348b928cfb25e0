from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mien.data import packed_faces
from mien.data.packed_faces import PackedFaces, chunks, keys_of, pick

PIXELS = np.random.default_rng(0).integers(0, 256, (9, 48, 48), np.uint8)


def packed() -> PackedFaces:
    return PackedFaces(Path("pack"), PIXELS, keys_of(PIXELS))


@given(
    taken=st.lists(st.lists(st.integers(0, 8), min_size=1, max_size=9), max_size=3),
    mask=st.integers(0, 511),
    start=st.integers(-10, 10),
    step=st.integers(1, 3),
)
def test_it_reads_what_an_array_would_give(taken: list[list[int]], mask: int, start: int, step: int) -> None:
    faces, array = packed(), PIXELS
    for rows in taken:
        at = np.array(rows) % len(array)
        faces, array = faces.take(at), array[at]
    assert faces.shape == array.shape
    assert len(faces) == len(array)
    assert faces.dtype == array.dtype
    np.testing.assert_array_equal(faces[:], array)
    np.testing.assert_array_equal(faces[start::step], array[start::step])
    chosen = np.array([mask >> i & 1 for i in range(len(array))], bool)
    np.testing.assert_array_equal(faces[chosen], array[chosen])
    np.testing.assert_array_equal(faces.take(chosen)[:], array[chosen])
    np.testing.assert_array_equal(keys_of(faces), keys_of(array))


def test_what_is_read_is_a_copy_and_what_is_taken_is_not_read() -> None:
    class Unread:
        shape, dtype = PIXELS.shape, PIXELS.dtype

        def __len__(self) -> int:
            return len(PIXELS)

    taken = PackedFaces(Path("pack"), cast(Any, Unread()), keys_of(PIXELS)).take(np.array([3, 1]))
    assert taken.shape == (2, 48, 48)
    read = packed()[2:3]
    read[:] = 0
    assert packed()[2:3].any()


def test_only_the_pack_as_it_stands_is_whole() -> None:
    assert packed().whole
    assert not packed().take(np.arange(9)).whole


def test_keys_are_blake2b_of_the_pixels_as_a_number() -> None:
    digest = hashlib.blake2b(PIXELS[4].tobytes(), digest_size=8).digest()
    assert int(keys_of(PIXELS)[4]) == int.from_bytes(digest, "big")
    assert keys_of(PIXELS[:0]).tolist() == []


def test_chunks_are_all_faces_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed_faces, "_CHUNK", 4)
    for faces in (PIXELS, packed()):
        parts = list(chunks(faces))
        assert [len(part) for part in parts] == [4, 4, 1]
        np.testing.assert_array_equal(np.concatenate(parts), PIXELS)


def test_picking_leaves_on_disk_what_is_on_disk() -> None:
    rows = np.array([5, 0])
    assert isinstance(pick(packed(), rows), PackedFaces)
    np.testing.assert_array_equal(pick(PIXELS, rows), PIXELS[rows])
