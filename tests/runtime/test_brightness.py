from __future__ import annotations

import numpy as np
import pytest

from mien.runtime.brightness import brightened

RNG = np.random.default_rng(0)
PICTURE = RNG.integers(0, 256, (300, 400, 3), np.uint8)


def dark(light: float) -> np.ndarray:
    return np.rint(PICTURE * light).astype(np.uint8)


@pytest.mark.parametrize("light", [0.35, 0.1, 0.05, 0.02])
def test_a_dark_picture_becomes_as_bright_as_is_asked(light: float) -> None:
    bright = brightened(dark(light), dark=100, bright=200)
    assert abs(np.percentile(bright, 99) - 200) <= 2
    assert np.corrcoef(bright.ravel(), PICTURE.ravel())[0, 1] > 0.95


@pytest.mark.parametrize("light", [1.0, 0.5, 0.4])
def test_other_pictures_are_the_same_object(light: float) -> None:
    image = dark(light)
    assert brightened(image, dark=100, bright=200) is image


def test_black_stays_black() -> None:
    black = np.zeros((64, 64, 3), np.uint8)
    assert brightened(black, dark=100, bright=200) is black
    black[0, 0] = 255  # a lamp
    assert brightened(black, dark=100, bright=200) is black
    assert brightened(np.ones((64, 64, 3), np.uint8), dark=100, bright=200).max() == 1
    assert brightened(np.full((1, 1, 3), 50, np.uint8), dark=100, bright=200).max() == 200
