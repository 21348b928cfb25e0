from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage import data

from mien.errors import ImageError, ModelError
from mien.runtime.crops import crop_face, to_grey
from mien.runtime.face_embedding import EMBEDDING, FaceEmbedder
from mien.types import Box, CropRule

ASTRONAUT: NDArray[np.uint8] = to_grey(np.ascontiguousarray(data.astronaut()[..., ::-1]))


def crop(grey: NDArray[np.uint8], x: float, y: float, side: float, roll: float = 0.0) -> NDArray[np.uint8]:
    return crop_face(grey, Box(x, y, side, side), CropRule(), roll)


@pytest.fixture(scope="module")
def embedder() -> FaceEmbedder:
    return FaceEmbedder(threads=1)


def test_a_face_is_near_itself_and_far_from_what_is_none(embedder: FaceEmbedder) -> None:
    """In another place of its square, another light, another size: but not from the scenery."""
    rng = np.random.default_rng(0)
    face = crop(ASTRONAUT, 173, 65, 105)
    shifted, larger = crop(ASTRONAUT, 177, 68, 105), crop(ASTRONAUT, 168, 62, 115)
    darker = (face * 0.6).astype(np.uint8)
    noisy = (face + rng.normal(0, 6, face.shape)).clip(0, 255).astype(np.uint8)
    scenery = crop(ASTRONAUT, 350, 300, 105)
    rows = embedder.embed(np.stack([face, shifted, larger, darker, noisy, scenery]))
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    alike = rows @ rows[0]
    assert alike[1:5].min() > 0.6
    assert alike[5] < 0.5


def test_any_number_of_faces_gives_as_many_rows(embedder: FaceEmbedder) -> None:
    faces = np.random.default_rng(0).integers(0, 256, (70, 48, 48), np.uint8)
    rows = embedder.embed(faces)
    assert rows.dtype == np.float32
    np.testing.assert_allclose(embedder.embed(faces[3:4])[0], rows[3], atol=1e-5)
    assert embedder.embed(faces[:0]).shape == (0, rows.shape[1])
    with pytest.raises(ImageError, match="expected faces of shape"):
        embedder.embed(faces[:, :40])


def test_its_file_is_small_and_a_damaged_one_is_named(tmp_path: Path) -> None:
    assert EMBEDDING.stat().st_size < 500_000
    for name, content in (("damaged.onnx", b"none"), ("missing.onnx", None)):
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(ModelError, match=f"{name}: cannot be loaded"):
            FaceEmbedder(path=tmp_path / name)
