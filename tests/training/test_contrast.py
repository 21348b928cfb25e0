from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from mien.training.contrast import MAX_GRAIN, MIN_CONTRAST, stretched

RNG = np.random.default_rng(0)


def face(contrast: float, mean: float = 128.0) -> np.ndarray:
    """A smooth picture (48, 48) of this standard deviation."""
    down, across = np.mgrid[:48, :48] / 48
    waves = np.sin(7 * across) + np.cos(9 * down) + np.sin(4 * across * down)
    return mean + (waves - waves.mean()) / waves.std() * contrast


def looked_at(*faces: np.ndarray) -> tuple[np.ndarray, list[float]]:
    pixels, shows = stretched(torch.tensor(np.array(faces), dtype=torch.float32)[:, None])
    return pixels[:, 0].numpy(), shows[:, 0].tolist()


def test_faces_of_enough_contrast_stay_as_they_are_to_the_bit() -> None:
    faces = RNG.integers(0, 256, (20, 12, 12)).repeat(4, axis=1).repeat(4, axis=2).astype(np.float32)
    assert faces.std((1, 2)).min() > MIN_CONTRAST
    pixels, shows = looked_at(*faces)
    np.testing.assert_array_equal(pixels, faces)
    assert set(shows) == {1.0}


@pytest.mark.parametrize("contrast", [39, 20, 5, 1, 0.6])
@pytest.mark.parametrize("mean", [4, 128, 250])
def test_faces_of_little_contrast_are_stretched_and_keep_their_form(contrast: float, mean: float) -> None:
    (pixels,), (shows,) = looked_at(face(contrast, mean))
    assert shows == 1
    assert pixels.std() == pytest.approx(MIN_CONTRAST, rel=0.01)
    assert pixels.min() >= 0
    assert pixels.max() <= 255
    assert np.corrcoef(pixels.ravel(), face(1).ravel())[0, 1] > 0.999


def test_darkness_and_brightness_make_no_difference() -> None:
    (dark, bright), _ = looked_at(face(3, 10), face(3, 20) * 2)
    assert np.abs(dark - bright).max() < 0.5


def test_what_shows_no_face_is_told() -> None:
    noise = RNG.normal(128, 40, (48, 48)).clip(0, 255)
    grainy = face(30) + RNG.normal(0, 40, (48, 48))
    even = np.full((48, 48), 77.0)
    almost = even + (face(0.1) > 128)
    almost[almost > 77] = 77.5
    assert looked_at(noise, grainy, even, np.zeros((48, 48)), almost)[1] == [0] * 5
    assert looked_at(face(30) + RNG.normal(0, 10, (48, 48)))[1] == [1]
    assert 0 < MAX_GRAIN < 0.75  # noise halved in resolution keeps a quarter of its variance
