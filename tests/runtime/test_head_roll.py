from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mien.runtime.head_roll import face_roll, shown_roll

UPRIGHT = np.array([(-10, -11), (10, -11), (0, 1), (-8, 10), (8, 10)], np.float64)


def turned(degrees: float, size: float = 1.0, at: tuple[float, float] = (0.0, 0.0)) -> list[tuple[float, float]]:
    """Landmarks of a face that is rolled clockwise, as it looks on a screen (y points down)."""
    angle = math.radians(degrees)
    matrix = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    return [(float(x), float(y)) for x, y in size * UPRIGHT @ matrix.T + at]


def test_an_upright_face_and_one_without_landmarks_are_not_rolled() -> None:
    assert face_roll(turned(0)) == 0
    assert face_roll(turned(8)) == 0  # below what counts
    assert face_roll(None) == 0


def test_clockwise_is_positive_on_a_screen() -> None:
    right_eye, left_eye = turned(20)[:2]
    assert left_eye[1] > right_eye[1]  # the person's left eye, on the screen's right, has sunk
    assert face_roll(turned(20)) > 0 > face_roll(turned(-20))


@given(
    st.sampled_from([0, 90, 180, -90]),
    st.floats(12, 43),
    st.floats(0.1, 50),
    st.floats(-1000, 1000),
    st.floats(-1000, 1000),
)
def test_it_is_the_angle_at_any_size_and_place(turn: int, lean: float, size: float, x: float, y: float) -> None:
    degrees = turn + lean
    roll = face_roll(turned(degrees, size, (x, y)))
    assert roll == pytest.approx(face_roll(turned(degrees)), abs=0.01)
    assert abs(math.remainder(roll - degrees, 360)) < 2  # the mean face is not quite symmetric
    assert abs(math.remainder(roll + face_roll(turned(-degrees)), 360)) < 3


@given(st.sampled_from([0, 90, 180, -90]), st.floats(-8, 8))
def test_a_small_lean_does_not_count(turn: int, lean: float) -> None:
    assert abs(math.remainder(face_roll(turned(turn + lean)) - turn, 360)) < 1e-9


def test_shown_roll_has_no_least() -> None:
    assert shown_roll(turned(5)) - shown_roll(turned(0)) == pytest.approx(5)
