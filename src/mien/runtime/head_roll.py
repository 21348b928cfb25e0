"""How far a head is tilted to its side, by a detector's landmarks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

# The mean of YuNet's landmarks on 275 upright faces of FER2013, centred, in units of their spread.
_UPRIGHT: Final = np.array([(-1.03, -1.14), (1.06, -1.12), (-0.06, 0.11), (-0.83, 1.06), (0.86, 1.08)])

LEAST_ROLL: Final = 10.0
"""Degrees below which a lean does not count: the landmarks are off by three, and less costs no accuracy."""


def face_roll(landmarks: Sequence[tuple[float, float]] | None) -> float:
    """Degrees by which a face is rolled clockwise, within -180 and 180; 0 without landmarks.

    A face that leans from a multiple of 90 degrees by less than LEAST_ROLL is rolled by that multiple. landmarks are
    the five of a Detection. YuNet's lean to the upright where a head is tilted; `closer_look.py` straightens them.
    """
    if landmarks is None:
        return 0.0
    roll = shown_roll(landmarks)
    lean = math.remainder(roll, 90)
    return roll - lean if abs(lean) < LEAST_ROLL else roll


def shown_roll(landmarks: Sequence[tuple[float, float]]) -> float:
    """Degrees clockwise, within -180 and 180, by which five landmarks are turned against an upright face's.

    The rotation is that of the similarity which brings an upright face's landmarks closest to them, in least squares
    (Umeyama, IEEE TPAMI 13(4), 1991).
    """
    points = np.asarray(landmarks, np.float64)
    points = points - points.mean(axis=0)
    across = float((_UPRIGHT[:, 0] * points[:, 1] - _UPRIGHT[:, 1] * points[:, 0]).sum())
    return math.degrees(math.atan2(across, float((_UPRIGHT * points).sum())))
