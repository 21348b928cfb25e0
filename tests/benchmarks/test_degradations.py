"""Each fault does to a face what its name says, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from mien.runtime.head_roll import face_roll
from mien.types import Box, Detection

degradations = pytest.importorskip("degradations", reason="benchmarks/ is not there")

Faces = NDArray[np.uint8]


@pytest.fixture(scope="module")
def faces() -> Faces:
    """Four smooth pictures."""
    noise = np.random.default_rng(0).normal(0, 255, (4, 48, 48))
    smooth = np.stack([cv2.GaussianBlur(one, (0, 0), 3) for one in noise])
    return (128 + smooth * 40 / smooth.std()).clip(0, 255).astype(np.uint8)


def flat(grey: int) -> Faces:
    return np.full((1, 48, 48), grey, np.uint8)


def ramp(axis: int) -> Faces:
    """One face that brightens by 4 a pixel along x (axis 1) or y (axis 0)."""
    return (4 * np.indices((48, 48))[axis] + 20).astype(np.uint8)[None]


def difference(one: Faces, other: Faces) -> float:
    return float(np.abs(one.astype(int) - other).mean())


def test_a_face_of_48_pixels_is_not_reduced(faces: Faces) -> None:
    np.testing.assert_array_equal(degradations.reduced(faces, 48), faces)


def test_a_face_of_24_pixels_has_lost_what_is_finer() -> None:
    checks = (255 * (np.indices((48, 48)).sum(0) % 2)).astype(np.uint8)[None]
    assert np.abs(degradations.reduced(checks, 24).astype(int) - 128).max() <= 1
    coarse = np.repeat(np.repeat(checks[:, :24, :24], 2, 1), 2, 2)
    assert degradations.reduced(coarse, 24).std() > 30


@pytest.mark.parametrize("sigma", [1, 2])
def test_blur_has_the_width_that_it_names(sigma: float) -> None:
    edge = np.zeros((1, 48, 48), np.uint8)
    edge[:, :, 24:] = 255
    slope = np.diff(degradations.blurred(edge, sigma)[0, 24].astype(float))
    variance = np.sum(slope * (np.arange(47) - 23) ** 2) / slope.sum()
    assert variance == pytest.approx(sigma**2, rel=0.05)


def test_jpeg_loses_more_at_lower_quality(faces: Faces) -> None:
    low, high = (difference(degradations.compressed(faces, quality), faces) for quality in (10, 30))
    assert 0 < high < low < 10


def test_darkness() -> None:
    assert degradations.darkened(flat(200), gain=0.25).tolist() == flat(50).tolist()
    assert degradations.darkened(flat(128), gamma=2.2).tolist() == flat(56).tolist()  # 255 (128 / 255)^2.2 = 56.06
    for unchanged in (0, 255):
        assert degradations.darkened(flat(unchanged), gamma=2.2).tolist() == flat(unchanged).tolist()


def test_low_contrast_keeps_the_mean(faces: Faces) -> None:
    dull = degradations.flattened(faces, 0.3)
    np.testing.assert_allclose(dull.mean((1, 2)), faces.mean((1, 2)), atol=0.2)
    np.testing.assert_allclose(dull.std((1, 2)), 0.3 * faces.std((1, 2)), atol=0.2)


def test_noise_has_the_deviation_that_it_names() -> None:
    noisy = degradations.noised(flat(128), 10).astype(float)
    assert noisy.mean() == pytest.approx(128, abs=1)
    assert noisy.std() == pytest.approx(10, rel=0.05)
    assert (noisy != degradations.noised(flat(128), 10, seed=1)).any()


def test_a_box_that_is_off_by_a_pixel_moves_the_face_and_repeats_the_edge(faces: Faces) -> None:
    moved = degradations.reframed(faces, x=1 / 48, y=-2 / 48)
    np.testing.assert_array_equal(moved[:, 2:, :-1], faces[:, :-2, 1:])
    np.testing.assert_array_equal(moved[:, :2, :-1], np.repeat(faces[:, :1, 1:], 2, axis=1))


def test_a_larger_box_shows_the_face_smaller_and_a_smaller_one_cuts_it_off() -> None:
    larger, smaller = (degradations.reframed(ramp(1), scale)[0, 24].astype(float) for scale in (2, 0.5))
    np.testing.assert_allclose(np.diff(larger[13:35]), 8)
    assert set(larger[:12]) == {20}  # the ramp's first value, repeated
    assert np.diff(smaller).mean() == pytest.approx(2, abs=0.05)
    assert smaller.mean() == pytest.approx(ramp(1).mean(), abs=0.5)


def test_a_shifted_box_is_off_by_its_fraction_in_some_direction() -> None:
    ways = set()
    for seed in range(5):
        x, y = (
            float((degradations.shifted(ramp(axis), 0.1, seed) - ramp(axis).astype(float))[0, 24, 24] / 4)
            for axis in (1, 0)
        )
        assert np.hypot(x, y) == pytest.approx(4.8, abs=0.2)
        ways.add((round(x), round(y)))
    assert len(ways) > 2


EYES, NOSE, MOUTH = slice(16, 22), slice(27, 32), slice(34, 40)  # rows


@pytest.mark.parametrize(
    ("part", "hidden", "seen"),
    [("LOWER_FACE", [NOSE, MOUTH], [EYES]), ("EYES", [EYES], [NOSE, MOUTH])],
)
def test_what_is_covered(faces: Faces, part: str, hidden: list[slice], seen: list[slice]) -> None:
    rows, columns = getattr(degradations, part)
    result = degradations.covered(faces, (rows, columns), 7)
    assert (result[:, rows, columns] == 7).all()
    for band in hidden:
        assert (result[:, band, 8:40] == 7).all()
    for band in seen:
        np.testing.assert_array_equal(result[:, band], faces[:, band])
    outside = np.ones((48, 48), bool)
    outside[rows, columns] = False
    np.testing.assert_array_equal(result[:, outside], faces[:, outside])


def test_a_quarter_is_covered_by_a_square_of_one_grey() -> None:
    pair = np.stack([flat(0)[0], flat(255)[0]] * 8)  # each square differs from black or from white
    pair = np.concatenate([pair, pair])
    corners, greys = set(), set()
    for face, before in zip(degradations.square_covered(pair), pair, strict=True):
        rows, columns = np.nonzero(face != before)
        assert len(rows) == 24 * 24
        top, left = rows.min(), columns.min()
        assert (rows.max() - top, columns.max() - left) == (23, 23)
        inside = face[top : top + 24, left : left + 24]
        assert inside.min() == inside.max()
        corners.add((int(top), int(left)))
        greys.add(int(inside[0, 0]))
    assert len(corners) > 20
    assert len(greys) > 20


def test_a_roll_goes_clockwise(faces: Faces) -> None:
    quarter = degradations.rolled(faces, 90)
    assert difference(quarter, np.rot90(faces, -1, axes=(1, 2))) < 2
    assert difference(quarter, np.rot90(faces, 1, axes=(1, 2))) > 20


@pytest.mark.parametrize("roll", [15, -30])
def test_turning_back_by_the_true_angle_restores_the_face(faces: Faces, roll: float) -> None:
    restored = degradations.rolled(faces, roll, back=roll)
    assert difference(restored, faces) < 2
    assert np.abs(restored.astype(int) - faces)[:, 12:36, 12:36].max() <= 8
    assert difference(degradations.rolled(faces, roll), faces) > 10
    assert difference(degradations.rolled(faces, roll, back=-roll), faces) > 10


def test_each_face_is_turned_back_by_its_own_angle_or_not_at_all(faces: Faces) -> None:
    back = np.array([20.0, np.nan, 10.0, np.nan])
    some = degradations.rolled(faces, 20, back)
    np.testing.assert_array_equal(some[[1, 3]], degradations.rolled(faces, 20)[[1, 3]])
    np.testing.assert_array_equal(some[0], degradations.rolled(faces, 20, 20)[0])
    assert difference(some[2], degradations.rolled(faces, 10)[2]) < 4


@dataclass(frozen=True)
class Fixed:
    """A detector that always finds the same."""

    found: Sequence[Detection]
    name: str = "yunet"

    def detect(self, image: NDArray[np.uint8]) -> list[Detection]:
        assert image.shape == (288, 288, 3)
        return list(self.found)


def eyes(right: tuple[float, float], left: tuple[float, float], *, score: float = 0.9, side: float = 50) -> Detection:
    """A find whose nose and mouth lie as an upright face's do, seen from its eyes."""
    across = np.subtract(left, right)
    down = np.array([-across[1], across[0]])
    places = ((0.47, 0.6), (0.1, 1.05), (0.9, 1.05))
    others = [tuple((right + x * across + y * down).tolist()) for x, y in places]
    return Detection(Box(0, 0, side, side), score, (right, left, *others))


def test_the_roll_is_that_of_the_largest_sure_face(faces: Faces) -> None:
    shown = degradations.picture(faces[0], 0)
    level, down = eyes((10, 20), (30, 20)), eyes((10, 20), (30, 40), side=80)
    unsure, blind = eyes((10, 40), (30, 20), score=0.5, side=200), Detection(Box(0, 0, 300, 300), 0.9)
    assert degradations.roll_by_landmarks(shown, Fixed([level])) == 0
    assert degradations.roll_by_landmarks(shown, Fixed([level, down, unsure, blind])) == face_roll(down.landmarks) > 40
    assert np.isnan(degradations.roll_by_landmarks(shown, Fixed([unsure])))
    assert np.isnan(degradations.roll_by_landmarks(shown, Fixed([])))


class SpotFinder:
    """Takes the bright spot near the centre for the right eye and the grey one for the left."""

    name = "yunet"

    def detect(self, image: NDArray[np.uint8]) -> list[Detection]:
        places: Any = np.indices(image.shape[:2])
        y, x = places
        near = np.where(np.hypot(x - 143.5, y - 143.5) < 80, image[..., 0], 0)  # the mirrored ones lie further out
        bright = near > 180
        halo = cv2.dilate(bright.astype(np.uint8), np.ones((25, 25), np.uint8)) > 0
        spots = (bright, (near > 50) & ~halo)
        left, right = ((float(x[spot].mean()), float(y[spot].mean())) for spot in spots)
        return [eyes(left, right)]


@pytest.mark.parametrize("roll", [0, 15, -30])
def test_what_the_landmarks_give_is_what_turns_back(roll: float) -> None:
    face = np.zeros((48, 48), np.uint8)
    face[17:20, 13:16], face[17:20, 32:35] = 255, 100
    found = degradations.roll_by_landmarks(degradations.picture(face, roll), SpotFinder())
    assert found == pytest.approx(roll, abs=2)
