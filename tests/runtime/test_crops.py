from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mien.errors import ConfigError, ImageError
from mien.runtime.crops import FACE_SIZE, WHOLE_PICTURE, crop_face, crop_square, to_grey
from mien.types import Box, CropRule

GOLDEN = json.loads((Path(__file__).parent / "golden" / "crops.json").read_text(encoding="utf-8"))
AS_IS = CropRule(1.0, 0.5, 0.5)

sides = st.floats(0.5, 300)
starts = st.floats(-200, 200)


def noise(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)


def formula(height: int, width: int) -> NDArray[np.uint8]:
    """The golden vectors' picture: (7 x x + 13 y y + 5 x y + 31 x) mod 256, x to the right, y down."""
    y, x = np.mgrid[:height, :width].astype(np.int64)
    return ((7 * x * x + 13 * y * y + 5 * x * y + 31 * x) % 256).astype(np.uint8)


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda case: case["name"])
def test_golden_vectors(case: dict[str, Any]) -> None:
    grey = formula(case["height"], case["width"])
    crop = crop_face(grey, Box(*case["box"]), CropRule(**case["rule"]))
    np.testing.assert_array_equal(crop, np.array(case["crop"], np.uint8).reshape(FACE_SIZE, FACE_SIZE))


@given(starts, starts, st.floats(0.5, 100))
def test_the_definition_written_out_gives_the_same(x: float, y: float, side: float) -> None:
    """The module's words, pixel by pixel, as someone would write them who never saw the code."""
    grey, height, width = noise(30, 40), 30, 40
    crop = crop_face(grey, Box(x, y, side, side), AS_IS)
    cell = side / 48
    half = max(cell, 1) / 2
    for row, column in ((0, 0), (0, 47), (20, 31), (47, 5)):
        middle_x, middle_y = x + cell * (column + 0.5), y + cell * (row + 0.5)
        mean = 0.0
        for j in range(int(np.floor(middle_y - half)), int(np.ceil(middle_y + half))):
            for i in range(int(np.floor(middle_x - half)), int(np.ceil(middle_x + half))):
                covered_x = min(i + 1, middle_x + half) - max(i, middle_x - half)
                covered_y = min(j + 1, middle_y + half) - max(j, middle_y - half)
                mean += covered_x * covered_y * grey[min(max(j, 0), height - 1), min(max(i, 0), width - 1)]
        assert abs(int(crop[row, column]) - mean / (2 * half) ** 2) <= 0.5 + 1e-5


@given(st.integers(0, 2**32 - 1))
def test_a_face_of_48x48_comes_back_as_it_is(seed: int) -> None:
    face = noise(48, 48, seed)
    np.testing.assert_array_equal(crop_face(face, Box(0, 0, 48, 48), WHOLE_PICTURE), face)


@given(starts, starts, sides, st.integers(0, 255), st.integers(1, 70), st.integers(1, 70))
def test_a_constant_picture_stays_constant(x: float, y: float, side: float, grey: int, height: int, width: int) -> None:
    crop = crop_face(np.full((height, width), grey, np.uint8), Box(x, y, side, side), AS_IS)
    assert crop.shape == (48, 48)
    assert (crop == grey).all()


@given(st.integers(-30, 90), st.integers(-30, 90), st.integers(1, 120), st.integers(1, 25), st.integers(1, 25))
def test_moving_picture_and_box_together_changes_nothing(x: int, y: int, side: int, right: int, down: int) -> None:
    grey = noise(60, 50)
    moved = np.pad(grey, ((down, 0), (right, 0)), mode="edge")
    here = crop_face(grey, Box(x, y, side, side), AS_IS)
    np.testing.assert_array_equal(here, crop_face(moved, Box(x + right, y + down, side, side), AS_IS))


@given(starts, starts, sides)
def test_beyond_the_edge_the_edge_repeats(x: float, y: float, side: float) -> None:
    grey, border = noise(37, 53), 512
    padded = np.pad(grey, border, mode="edge")
    here = crop_face(grey, Box(x, y, side, side), AS_IS).astype(int)
    there = crop_face(padded, Box(x + border, y + border, side, side), AS_IS).astype(int)
    assert np.abs(here - there).max() <= 1


@given(starts, starts, sides)
def test_mirroring_commutes_with_cropping(x: float, y: float, side: float) -> None:
    grey = noise(64, 80)
    mirrored = crop_face(grey[:, ::-1].copy(), Box(80 - x - side, y, side, side), AS_IS).astype(int)
    assert np.abs(mirrored[:, ::-1] - crop_face(grey, Box(x, y, side, side), AS_IS)).max() <= 1


@pytest.mark.parametrize("far", [-1e18, -1e9, 1e9, 1e18])
def test_a_square_far_outside_reads_the_corner(far: float) -> None:
    grey = noise(20, 30)
    corner = grey[0, 0] if far < 0 else grey[-1, -1]
    assert (crop_face(grey, Box(far, far, 10, 10), AS_IS) == corner).all()


@pytest.mark.parametrize("shape", [(1, 1), (1, 90), (90, 1)])
def test_pictures_of_a_pixel_or_a_line(shape: tuple[int, int]) -> None:
    grey = noise(*shape)
    crop = crop_face(grey, Box(0, 0, shape[1], shape[0]), WHOLE_PICTURE)
    assert grey.min() <= crop.min() <= crop.max() <= grey.max()


@pytest.mark.parametrize("factor", [2, 5, 13])
def test_large_faces_are_averaged_as_opencv_does(factor: int) -> None:
    grey = noise(48 * factor, 48 * factor)
    area = cv2.resize(grey, (48, 48), interpolation=cv2.INTER_AREA).astype(int)
    crop = crop_face(grey, Box(0, 0, 48 * factor, 48 * factor), AS_IS).astype(int)
    assert np.abs(crop - area).max() <= 1


@pytest.mark.parametrize("side", [7, 20, 47])
def test_small_faces_are_enlarged_bilinearly_as_opencv_does(side: int) -> None:
    grey = noise(side, side)
    linear = cv2.resize(grey, (48, 48), interpolation=cv2.INTER_LINEAR).astype(int)
    assert np.abs(crop_face(grey, Box(0, 0, side, side), AS_IS).astype(int) - linear).max() <= 1


@given(starts, starts, sides, sides, st.floats(0.5, 2), st.floats(0, 1), st.floats(0, 1))
def test_the_square_lies_where_the_rule_says(
    x: float, y: float, width: float, height: float, side: float, at_x: float, at_y: float
) -> None:
    square = crop_square(Box(x, y, width, height), CropRule(side, at_x, at_y))
    assert square.width == square.height == side * height
    assert square.x + square.width / 2 == pytest.approx(x + at_x * width, abs=1e-9)
    assert square.y + square.height / 2 == pytest.approx(y + at_y * height, abs=1e-9)


def test_grey_by_bt_601() -> None:
    image = np.random.default_rng(0).integers(0, 256, (40, 30, 3), dtype=np.uint8)
    blue, green, red = (image[..., channel].astype(float) for channel in range(3))
    assert np.abs(to_grey(image) - (0.299 * red + 0.587 * green + 0.114 * blue)).max() <= 0.51


def test_every_grey_keeps_its_value() -> None:
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
    np.testing.assert_array_equal(to_grey(np.repeat(ramp[..., None], 3, axis=2)), ramp)


@pytest.mark.parametrize(
    "image", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), "u1")]
)
def test_to_grey_names_what_it_got(image: NDArray[np.uint8]) -> None:
    with pytest.raises(ImageError, match=r"expected a picture of shape \(H, W, 3\) in uint8, got \("):
        to_grey(image)


@pytest.mark.parametrize("grey", [np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4)), np.zeros((4, 0), np.uint8)])
def test_crop_face_wants_a_grey_picture(grey: NDArray[np.uint8]) -> None:
    with pytest.raises(ImageError, match="expected a grey picture"):
        crop_face(grey, Box(0, 0, 4, 4), AS_IS)


@pytest.mark.parametrize("box", [Box(0, 0, 0, 0), Box(0, 0, 5, -5), Box(float("nan"), 0, 5, 5), Box(0, 0, 5, 1e999)])
def test_a_box_without_size_is_refused(box: Box) -> None:
    with pytest.raises(ConfigError, match="expected a box of some size"):
        crop_face(noise(9, 9), box, AS_IS)


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_face_rolled_by_quarter_turns_comes_back_as_it_is(turns: int) -> None:
    upright = np.random.default_rng(turns).integers(0, 256, (60, 60), np.uint8)
    clockwise = np.ascontiguousarray(np.rot90(upright, -turns))
    box = Box(6.0, 6.0, 48.0, 48.0)
    np.testing.assert_array_equal(
        crop_face(clockwise, box, WHOLE_PICTURE, 90.0 * turns), crop_face(upright, box, WHOLE_PICTURE)
    )


@given(st.floats(-60, 60), st.floats(30, 110))
def test_a_rolled_face_looks_like_the_upright_one(roll: float, side: float) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (12, 12), np.uint8)
    upright = cv2.resize(noise, (200, 200), interpolation=cv2.INTER_CUBIC)
    matrix = cv2.getRotationMatrix2D((99.5, 99.5), -roll, 1.0)  # of positive angles cv2 makes counter-clockwise turns
    rolled = cv2.warpAffine(upright, matrix, (200, 200), flags=cv2.INTER_CUBIC)
    box = Box(100 - side / 2, 100 - side / 2, side, side)
    expected = crop_face(np.asarray(upright, np.uint8), box, WHOLE_PICTURE).astype(int)
    found = crop_face(np.asarray(rolled, np.uint8), box, WHOLE_PICTURE, roll).astype(int)
    assert np.abs(found - expected).mean() < 3


@given(st.floats(-250, 250), st.floats(-150, 150), st.floats(20, 90), st.floats(-180, 180).filter(bool))
def test_a_rolled_face_is_cut_from_a_panorama_as_from_its_part(x: float, y: float, side: float, roll: float) -> None:
    part = np.random.default_rng(0).integers(0, 256, (60, 100), np.uint8)
    panorama = np.hstack([np.broadcast_to(part[:, :1], (60, 40_000)), part])
    expected = crop_face(part, Box(x, y, side, side), AS_IS, roll)
    found = crop_face(panorama, Box(x + 40_000, y, side, side), AS_IS, roll)
    assert np.abs(found.astype(int) - expected).max() <= 4  # a place between two pixels is rounded to 1/32
