"""Which way a head is turned, by a detector's five landmarks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from mien.runtime.head_roll import shown_roll
from mien.types import Pose

# The five landmarks of an adult's head in millimetres: x to the viewer's right, y down, z towards the viewer. The tip
# of the nose lies aside as YuNet puts it, in faces and in their mirror images alike (benchmarks/pose.py).
_HEAD: Final = np.array(
    [(-31.5, -35.0, 0.0), (31.5, -35.0, 0.0), (-0.7, 5.0, 35.0), (-25.0, 35.0, 5.0), (25.0, 35.0, 5.0)]
)
_FIT: Final = np.linalg.pinv(_HEAD - _HEAD.mean(0))


def head_pose(landmarks: Sequence[tuple[float, float]] | None) -> Pose | None:
    """The pose of a head whose landmarks are those of a Detection; None where there are none, or they lie on a line.

    The camera is taken as far away (scaled orthographic projection): the linear map from the head's points to the
    landmarks, in least squares, and the rotation closest to it ("POS" of DeMenthon and Davis, IJCV 15, 1995). A person
    has another nose and mouth than the head assumed: take the angles as known within some ten degrees.
    """
    if landmarks is None:
        return None
    points = np.asarray(landmarks, np.float64)
    rows = (_FIT @ (points - points.mean(0))).T
    # Rows of length 1 at right angles, closest to these: by the inverse square root of their 2x2 products.
    products = rows @ rows.T
    area = math.sqrt(max(0.0, float(np.linalg.det(products))))
    if area < 1e-6 * float(np.trace(products)) or not area:
        return None
    root = products + area * np.eye(2)
    x, y = math.sqrt(float(np.trace(products)) + 2 * area) * np.linalg.solve(root, rows)
    z = np.cross(x, y)
    # The rotation is a roll of a yaw of a pitch; the nose points along its last column.
    yaw = math.degrees(math.asin(min(1.0, max(-1.0, -float(z[0])))))
    return Pose(yaw=yaw, pitch=math.degrees(math.atan2(float(z[1]), float(z[2]))), roll=shown_roll(landmarks))
