"""A face is known again in another light and a box that is a little off, another one is not."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from mien.tracking.appearance import Appearance, appearance_of
from mien.tracking.optical_flow import reduced
from mien.types import Box, Detection

BOX = Box(100, 80, 60, 60)


def textured(seed: int, sigma: float = 8) -> NDArray[np.uint8]:
    smooth = cv2.GaussianBlur(np.random.default_rng(seed).normal(0, 1, (240, 320, 1)), (0, 0), sigma)
    grey = 128 + 35 * smooth / smooth.std()
    return np.repeat(grey[..., None], 3, 2).clip(0, 255).astype(np.uint8)


def appearance(image: NDArray[np.uint8], box: Box = BOX) -> Appearance:
    return appearance_of(reduced(image), Detection(box))


def test_a_face_is_like_itself_and_not_like_others() -> None:
    appearances = [appearance(textured(seed)) for seed in range(6)]
    alike = np.array([[one.similarity(other) for other in appearances] for one in appearances])
    np.testing.assert_allclose(np.diag(alike), 1, atol=1e-4)
    assert alike[~np.eye(6, dtype=bool)].max() < 0.8
    assert np.median(alike[~np.eye(6, dtype=bool)]) < 0.5


def test_light_and_a_box_that_is_off_do_not_matter_much() -> None:
    image = textured(0)
    known = appearance(image)
    dark = (0.5 * image + 10).astype(np.uint8)
    assert known.similarity(appearance(dark)) > 0.97
    for box in (Box(105, 78, 60, 60), Box(96, 83, 60, 60), Box(98, 78, 64, 64)):
        assert known.similarity(appearance(image, box)) > 0.85


@pytest.mark.parametrize("off", [(8, 0), (0, -8), (-8, 0), (0, 8)])
def test_a_box_may_be_off_by_an_eighth_of_its_side(off: tuple[float, float]) -> None:
    image = textured(0, sigma=4)
    assert appearance(image).similarity(appearance(image, Box(BOX.x + off[0], BOX.y + off[1], 60, 60))) > 0.9


def test_the_noise_of_a_large_face_does_not_matter_much() -> None:
    large = np.asarray(cv2.resize(textured(0), (480, 360), interpolation=cv2.INTER_CUBIC), np.float64)
    one, other = (
        (large + np.random.default_rng(seed).normal(0, 40, (360, 480, 1))).clip(0, 255).astype(np.uint8)
        for seed in (1, 2)
    )
    box = Box(100, 80, 200, 200)
    assert appearance(one, box).similarity(appearance(other, box)) > 0.8


@pytest.mark.parametrize("box", [BOX, Box(37, 50, 80, 70), Box(10.5, 20.25, 33, 41)])
def test_a_mirrored_picture_gives_the_mirrored_look(box: Box) -> None:
    image = textured(0, sigma=4)
    there = Box(320 - box.x - box.width, box.y, box.width, box.height)
    mirrored = appearance(np.ascontiguousarray(image[:, ::-1]), there)
    np.testing.assert_allclose(mirrored.grey[:, ::-1], appearance(image, box).grey, atol=3)
    upside_down = appearance(
        np.ascontiguousarray(image[::-1]), Box(box.x, 240 - box.y - box.height, box.width, box.height)
    )
    np.testing.assert_allclose(upside_down.grey[::-1], appearance(image, box).grey, atol=3)


def test_size_does_not_matter() -> None:
    image = textured(0)
    large = np.asarray(cv2.resize(image, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC), np.uint8)
    assert appearance(image).similarity(appearance(large, BOX.scaled(2, 2))) > 0.95


def test_colors_tell_faces_apart() -> None:
    image = textured(0)
    red = (image * np.array([0.6, 0.8, 1.0])).astype(np.uint8)
    assert appearance(image).similarity(appearance(red)) < 0.85


@pytest.mark.parametrize("box", [Box(-30, -30, 60, 60), Box(290, 210, 60, 60), Box(-500, 0, 60, 60), Box(10, 10, 1, 1)])
def test_a_box_may_reach_over_the_edge_or_be_small(box: Box) -> None:
    seen = appearance(textured(0), box)
    assert np.isfinite(seen.grey).all()
    assert 0 <= appearance(textured(1)).similarity(seen) <= 1


def test_blended() -> None:
    one, other = appearance(textured(0)), appearance(textured(1))
    np.testing.assert_allclose(one.blended(other, 0).grey, one.grey)
    np.testing.assert_allclose(one.blended(other, 1).color, other.color)
    half = one.blended(other, 0.5)
    assert min(half.similarity(one), half.similarity(other)) > one.similarity(other)


def test_a_tilted_face_is_turned_upright_by_its_eyes() -> None:
    image = textured(0)
    turn = cv2.getRotationMatrix2D((129.5, 109.5), -40, 1.0)
    tilted = np.asarray(cv2.warpAffine(image, turn, (320, 240)), np.uint8)
    eyes = np.array([(115, 100, 1), (145, 100, 1), (130, 110, 1), (120, 125, 1), (140, 125, 1)]) @ turn.T
    seen = Detection(BOX, 0.9, tuple((float(x), float(y)) for x, y in eyes))
    known = appearance(image)
    assert known.similarity(appearance_of(reduced(tilted), seen)) > 0.95
    assert known.similarity(appearance_of(reduced(tilted), Detection(BOX))) < 0.7


def test_what_comes_before_a_face_leaves_half_of_it_steady_and_a_cut_does_not() -> None:
    image, other = textured(0), textured(1)
    covered = image.copy()
    covered[80:140, 100:125] = other[80:140, 100:125]
    known = appearance(image)
    assert appearance(covered).steadiness(known) > 0.95
    assert appearance(other).steadiness(known) < 0.85
    assert known.steadiness(known) == pytest.approx(1, abs=1e-4)
