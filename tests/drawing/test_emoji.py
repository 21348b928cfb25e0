from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from mien.drawing.colors import class_color
from mien.drawing.emoji import draw_emoji
from mien.emotions import EMOTIONS

NAMES = (*EMOTIONS, "focused")


def drawn(name: str, side: float, *, grey: int = 128, roll: float = 0.0, uncertain: bool = False) -> np.ndarray:
    pixels = math.ceil(side)
    canvas = np.full((pixels, pixels, 3), grey, np.uint8)
    draw_emoji(canvas, name, (side / 2, side / 2), side, roll=roll, uncertain=uncertain)
    return canvas


@pytest.mark.parametrize("side", [16, 32, 64, 256])
@pytest.mark.parametrize("grey", [0, 255])
def test_emoji_differ_in_every_size_on_any_ground(side: int, grey: int) -> None:
    pictures = [drawn(name, side, grey=grey).astype(float) for name in NAMES]
    luminances = [cv2.cvtColor(picture.astype(np.uint8), cv2.COLOR_BGR2GRAY) for picture in pictures]
    inner = np.s_[side // 5 : -(side // 5), side // 5 : -(side // 5)]
    for i, one in enumerate(pictures):
        for j in range(i):
            assert abs(one - pictures[j]).mean() > 12
            # Not by their colors alone.
            shapes = [(grey_one[inner] - grey_one[inner].mean()).ravel() for grey_one in (luminances[i], luminances[j])]
            assert np.corrcoef(*shapes)[0, 1] < 0.9


def test_an_emoji_that_shrinks_keeps_its_mean_color() -> None:
    large = drawn("happiness", 512).mean((0, 1))
    for side in (300, 100, 33, 17):
        np.testing.assert_allclose(drawn("happiness", side).mean((0, 1)), large, atol=4)


def test_a_custom_class_has_its_color_and_an_uncertain_one_is_pale() -> None:
    forehead = np.s_[40:50, 120:136]
    colors = [drawn(name, 256)[forehead].mean((0, 1))[::-1] for name in ("bored", "focused", "confused")]
    for name, color in zip(("bored", "focused", "confused"), colors, strict=True):
        np.testing.assert_allclose(color, class_color(name), atol=18)

    def saturation(picture: np.ndarray) -> float:
        return float(np.ptp(picture[100:150, 20:30].astype(int), axis=2).mean())

    sure, unsure = drawn("anger", 256), drawn("anger", 256, uncertain=True)
    assert saturation(unsure) < 0.5 * saturation(sure)
    badge = unsure[20:80, 170:240]
    assert (badge == 255).all(2).sum() > 0.3 * badge[:, :, 0].size  # the question mark's ground


@pytest.mark.parametrize("degrees", [-90, 30, 90, 180])
def test_a_rolled_emoji_is_the_upright_one_turned_clockwise(degrees: int) -> None:
    upright = drawn("sadness", 200)
    expected = cv2.warpAffine(
        upright, cv2.getRotationMatrix2D((99.5, 99.5), -degrees, 1), (200, 200), borderValue=(128, 128, 128)
    )
    got = drawn("sadness", 200, roll=math.radians(degrees))
    other = drawn("sadness", 200, roll=math.radians(-degrees))
    assert abs(got.astype(int) - expected).mean() < 3
    if degrees != 180:
        assert abs(other.astype(int) - expected).mean() > 10


def test_what_lies_outside_of_the_picture_is_left_out() -> None:
    whole = np.zeros((120, 120, 3), np.uint8)
    draw_emoji(whole, "anger", (60, 60), 100, uncertain=False)
    part = np.zeros((60, 70, 3), np.uint8)
    draw_emoji(part, "anger", (10, 60), 100, uncertain=False)
    np.testing.assert_allclose(part, whole[:60, 50:], atol=1)
    for centre in ((-500.0, 30.0), (30.0, 9000.0)):
        before = part.copy()
        draw_emoji(part, "anger", centre, 100, uncertain=False)
        np.testing.assert_array_equal(part, before)
    draw_emoji(part, "anger", (0, 0), 1e6, uncertain=False)
    assert (part != before).any()
