from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.conftest import YUNET_FILE, needs_yunet

from mien.runtime.detectors import load_detector
from mien.runtime.head_pose import _HEAD, head_pose
from mien.types import Pose


def seen(
    yaw: float, pitch: float, roll: float, size: float = 2.0, at: tuple[float, float] = (0.0, 0.0)
) -> list[tuple[float, float]]:
    """The landmarks of the assumed head from far away, turned by degrees: first up, then aside, then rolled."""
    around = [math.radians(angle) for angle in (yaw, pitch, roll)]
    (cy, cp, cr), (sy, sp, sr) = [math.cos(angle) for angle in around], [math.sin(angle) for angle in around]
    turns: list[NDArray[np.float64]] = [
        np.array([(cr, -sr, 0), (sr, cr, 0), (0, 0, 1)]),
        np.array([(cy, 0, sy), (0, 1, 0), (-sy, 0, cy)]),
        np.array([(1, 0, 0), (0, cp, -sp), (0, sp, cp)]),
    ]
    points = _HEAD @ (turns[0] @ turns[1] @ turns[2]).T
    return [(float(x), float(y)) for x, y in size * points[:, :2] + at]


def pose(landmarks: list[tuple[float, float]]) -> Pose:
    found = head_pose(landmarks)
    assert found is not None
    return found


@given(
    st.floats(-80, 80),
    st.floats(-60, 60),
    st.floats(-180, 180),
    st.floats(0.1, 50),
    st.floats(-5000, 5000),
    st.floats(-5000, 5000),
)
def test_the_angles_of_the_assumed_head_come_back(
    yaw: float, pitch: float, roll: float, size: float, x: float, y: float
) -> None:
    found = pose(seen(yaw, pitch, roll, size, (x, y)))
    assert (found.yaw, found.pitch) == pytest.approx((yaw, pitch), abs=0.01)


def test_right_up_and_clockwise_are_positive() -> None:
    frontal = pose(seen(0, 0, 0))
    assert (frontal.yaw, frontal.pitch, frontal.roll) == pytest.approx((0, 0, 0), abs=1)
    right, up, clockwise = seen(30, 0, 0), seen(0, 20, 0), seen(0, 0, 25)
    assert right[2][0] > 10, "the nose points to the picture's right"
    assert up[2][1] < seen(0, 0, 0)[2][1], "the nose has risen"
    assert clockwise[1][1] > clockwise[0][1], "the eye on the picture's right has sunk"
    assert pose(right).yaw > 25
    assert pose(up).pitch > 15
    assert pose(clockwise).roll == pytest.approx(25, abs=2)


def test_points_on_a_line_and_none_have_no_pose() -> None:
    assert head_pose(None) is None
    assert head_pose([(3.0, 4.0)] * 5) is None
    assert head_pose([(float(i), 2.0 * i) for i in range(5)]) is None


def test_what_lies_beyond_the_measured_angles_is_extreme() -> None:
    assert not pose(seen(49, 0, 40)).is_extreme
    assert not pose(seen(-49, 19, 0)).is_extreme
    assert pose(seen(69, 0, 0)).is_extreme
    assert pose(seen(-51, 0, 0)).is_extreme
    assert pose(seen(0, -21, 0)).is_extreme


@needs_yunet
def test_the_mirror_image_of_a_photo_looks_the_other_way() -> None:
    skimage = pytest.importorskip("skimage.data")
    photo = np.ascontiguousarray(skimage.astronaut()[..., ::-1])
    detector = load_detector("yunet", model=YUNET_FILE)
    own, mirrored = (
        head_pose(max(detector.detect(image), key=lambda face: face.box.area).landmarks)
        for image in (photo, np.ascontiguousarray(photo[:, ::-1]))
    )
    assert own is not None
    assert mirrored is not None
    assert own.yaw == pytest.approx(-mirrored.yaw, abs=8)
    assert own.pitch == pytest.approx(mirrored.pitch, abs=5)
    assert own.roll == pytest.approx(-mirrored.roll, abs=5)
    assert abs(own.yaw) < 30
