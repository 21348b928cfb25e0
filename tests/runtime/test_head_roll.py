from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mien.runtime.head_roll import LEAST_ROLL, face_roll

UPRIGHT = np.array([(-10, -11), (10, -11), (0, 1), (-8, 10), (8, 10)], np.float64)


def turned(degrees: float, size: float = 1.0, at: tuple[float, float] = (0.0, 0.0)) -> list[tuple[float, float]]:
    """Landmarks of a face that is rolled clockwise, as it looks on a screen (y points down)."""
    angle = math.radians(degrees)
    matrix = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    return [(float(x), float(y)) for x, y in size * UPRIGHT @ matrix.T + at]


def test_an_upright_face_and_one_without_landmarks_are_not_rolled() -> None:
    assert face_roll(turned(0)) == 0
    assert face_roll(turned(5)) == 0  # below what counts, straightened
    assert face_roll(None) == 0


def test_clockwise_is_positive_on_a_screen() -> None:
    right_eye, left_eye = turned(20)[:2]
    assert left_eye[1] > right_eye[1]  # the person's left eye, on the screen's right, has sunk
    assert face_roll(turned(20)) > 0 > face_roll(turned(-20))


@given(st.floats(10, 48), st.floats(0.1, 50), st.floats(-1000, 1000), st.floats(-1000, 1000))
def test_it_depends_on_neither_size_nor_place_and_is_odd(degrees: float, size: float, x: float, y: float) -> None:
    roll = face_roll(turned(degrees, size, (x, y)))
    assert roll == pytest.approx(face_roll(turned(degrees)), abs=0.01)
    assert roll == pytest.approx(-face_roll(turned(-degrees)), abs=3)  # the mean face is not quite symmetric
    assert roll == pytest.approx(1.4 * degrees, abs=3)
    assert abs(roll) >= LEAST_ROLL


@given(st.sampled_from([90, 180, -90]), st.floats(-38, 38))
def test_a_face_of_a_turned_picture_leans_from_there(turn: int, lean: float) -> None:
    difference = face_roll(turned(turn + lean)) - (turn + 1.4 * lean)
    assert abs(math.remainder(difference, 360)) < 3
