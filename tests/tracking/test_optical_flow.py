"""Boxes go where their pictures go, or nowhere."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mien.tracking.optical_flow import Small, follow, reduced
from mien.types import Box

Image = NDArray[np.uint8]


def textured(seed: int = 0, width: int = 320, height: int = 240) -> Image:
    noise = np.random.default_rng(seed).normal(0, 1, (height, width, 3))
    smooth = cv2.GaussianBlur(noise, (0, 0), 2)
    return (128 + 50 * smooth / smooth.std()).clip(0, 255).astype(np.uint8)


def moved(image: Image, scale: float, x: float, y: float) -> Image:
    """The picture scaled about its middle, then shifted."""
    height, width = image.shape[:2]
    matrix = np.array([[scale, 0, x + (1 - scale) * width / 2], [0, scale, y + (1 - scale) * height / 2]])
    return np.asarray(cv2.warpAffine(image, matrix, (width, height), borderMode=cv2.BORDER_REFLECT), np.uint8)


def both(before: Image, after: Image) -> tuple[Small, Small]:
    return reduced(before), reduced(after)


@pytest.mark.parametrize(
    ("width", "height", "factor", "size"),
    [
        (320, 240, 1, (320, 240)),
        (480, 300, 1, (480, 300)),
        (481, 300, 2, (240, 150)),
        (640, 480, 2, (320, 240)),
        (1280, 720, 4, (320, 180)),
        (1083, 1921, 8, (135, 240)),
        (961, 1, 4, (240, 1)),
    ],
)
def test_the_reduced_copy_is_a_power_of_two_smaller(
    width: int, height: int, factor: int, size: tuple[int, int]
) -> None:
    small = reduced(np.zeros((height, width, 3), np.uint8))
    assert small.factor == factor
    assert small.grey.shape == small.color.shape[:2] == size[::-1]


def test_the_reduced_copy_outlives_the_array_that_it_was_made_of() -> None:
    image = textured()
    small = reduced(image)
    before = small.color.copy()
    image[:] = 0
    np.testing.assert_array_equal(small.color, before)


@settings(max_examples=25)
@given(
    st.floats(0.94, 1.06),
    st.floats(-10, 10),
    st.floats(-10, 10),
    st.sampled_from([(320, 240), (640, 480), (1280, 720)]),
)
def test_a_known_motion_is_recovered(scale: float, x: float, y: float, size: tuple[int, int]) -> None:
    width, height = size
    unit = width / 320
    picture = np.asarray(cv2.resize(textured(), size, interpolation=cv2.INTER_CUBIC), np.uint8)
    box = Box(120 * unit, 90 * height / 240, 70 * unit, 60 * unit)
    (found,) = follow(*both(picture, moved(picture, scale, x * unit, y * unit)), [box])
    assert found is not None
    middle = box.x + box.width / 2 - width / 2, box.y + box.height / 2 - height / 2
    expected = width / 2 + scale * middle[0] + x * unit, height / 2 + scale * middle[1] + y * unit
    assert found.x + found.width / 2 == pytest.approx(expected[0], abs=0.8 * unit)
    assert found.y + found.height / 2 == pytest.approx(expected[1], abs=0.8 * unit)
    assert (found.width, found.height) == pytest.approx((scale * box.width, scale * box.height), rel=0.02)


@pytest.mark.parametrize("scale", [1.2, 0.8])
def test_a_face_grows_and_shrinks_by_a_fifth_from_one_frame_to_the_next(scale: float) -> None:
    (found,) = follow(*both(textured(), moved(textured(), scale, 0, 0)), [Box(125, 85, 70, 70)])
    assert found is not None
    assert found.width == pytest.approx(70 * scale, rel=0.02)


@pytest.mark.parametrize("scale", [1.4, 1.5, 0.7])
def test_a_face_that_seems_to_grow_or_shrink_by_much_more_is_lost(scale: float) -> None:
    assert follow(*both(textured(), moved(textured(), scale, 0, 0)), [Box(125, 85, 70, 70)]) == [None]


def test_boxes_are_followed_each_by_itself() -> None:
    before, after = textured(0), moved(textured(0), 1, 3, -2)
    after[:, 160:] = moved(textured(0), 1, -4, 5)[:, 160:]
    boxes = [Box(40, 80, 60, 60), Box(210, 80, 60, 60)]
    together = follow(*both(before, after), boxes)
    assert together == [follow(*both(before, after), [box])[0] for box in boxes]
    assert together == follow(*both(before, after), boxes[::-1])[::-1]
    left, right = together
    assert left is not None
    assert right is not None
    assert (left.x, left.y) == pytest.approx((43, 78), abs=0.5)
    assert (right.x, right.y) == pytest.approx((206, 85), abs=0.5)


def test_no_boxes_no_motion() -> None:
    assert follow(*both(textured(), textured()), []) == []


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (np.full((240, 320, 3), 90, np.uint8), np.full((240, 320, 3), 90, np.uint8)),
        (textured(0), textured(1)),
        (textured(0), np.zeros((240, 320, 3), np.uint8)),
        (textured(0), textured(0, 160, 120)),
    ],
    ids=["flat", "another picture", "black", "another size"],
)
def test_a_face_whose_motion_cannot_be_told_is_lost(before: Image, after: Image) -> None:
    assert follow(*both(before, after), [Box(100, 80, 60, 60)]) == [None]


@pytest.mark.parametrize("box", [Box(-80, 50, 60, 60), Box(400, 50, 60, 60), Box(-29, 100, 60, 60)])
def test_a_face_that_leaves_the_picture_is_lost(box: Box) -> None:
    before = textured()
    assert follow(*both(before, moved(before, 1, -10, 0)), [box]) == [None]


def test_a_face_at_the_edge_is_followed_by_what_is_seen_of_it() -> None:
    before = textured()
    (found,) = follow(*both(before, moved(before, 1, 4, 0)), [Box(-20, 100, 60, 60)])
    assert found is not None
    assert (found.x, found.y) == pytest.approx((-16, 100), abs=0.5)


def test_points_of_a_face_in_front_do_not_count() -> None:
    before, box, front = textured(0), Box(100, 80, 80, 80), Box(100, 80, 46, 80)
    after, other = moved(before, 1, 2, 0), moved(before, 1, 8, 0)
    after[80:160, 108:154] = other[80:160, 108:154]  # the front one, 6 pixels further
    alone, seen = (follow(*both(before, after), [box], [fronts])[0] for fronts in ([], [front]))
    assert seen is not None
    assert seen.x == pytest.approx(102, abs=0.5)
    assert alone is None or abs(alone.x - 102) > 1
    assert follow(*both(before, after), [box], [[box]]) == [None]


def test_points_that_do_not_come_back_do_not_count() -> None:
    """Half of the face is covered at once by something else: the other half tells where it went."""
    before = textured(0)
    after = moved(before, 1, 4, 2)
    after[85:160, 125:160] = textured(9)[85:160, 125:160]
    (found,) = follow(*both(before, after), [Box(125, 85, 70, 70)])
    assert found is not None
    assert (found.x, found.y, found.width) == pytest.approx((129, 87, 70), abs=0.5)


def test_points_behind_what_is_in_front_do_not_count() -> None:
    picture = np.asarray(cv2.resize(textured(), (640, 480), interpolation=cv2.INTER_CUBIC), np.uint8)
    box, elsewhere = Box(300, 60, 140, 120), Box(20, 300, 140, 120)
    pair = both(picture, moved(picture, 1.0, 4, 2))
    assert follow(*pair, [box], [[box]]) == [None]
    (found,) = follow(*pair, [box], [[elsewhere]])
    assert found is not None
    assert (found.x, found.y) == (pytest.approx(304, abs=1), pytest.approx(62, abs=1))
