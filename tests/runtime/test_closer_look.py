"""Closer looks by YuNet at a photo that is turned, and by a network whose scores are given."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import cast

import cv2
import numpy as np
import pytest
import skimage.data
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mien.runtime.closer_look import closer_look, rolled_box
from mien.runtime.crops import crop_face, crop_square, to_grey
from mien.runtime.detectors import YuNetDetector
from mien.runtime.head_roll import face_roll
from mien.runtime.search_table import TABLE
from mien.runtime.yunet import YuNet
from mien.types import MIN_FACE_SCORE, Box, Detection, DetectOptions

from ..conftest import YUNET_FILE, needs_yunet

Image = NDArray[np.uint8]
RULE = YuNetDetector.crop_rule
LEAN = 7
"""Degrees by which the astronaut's head is tilted in her photo."""
LANDMARKS = np.array([(0.3, 0.3), (0.7, 0.3), (0.5, 0.5), (0.33, 0.75), (0.67, 0.75)])


@pytest.fixture(scope="module")
def astronaut() -> Image:
    """Her face, of 115 pixels, is in the middle."""
    return np.asarray(cv2.cvtColor(skimage.data.astronaut(), cv2.COLOR_RGB2BGR)[0:244, 100:344], np.uint8)


def rolled(image: Image, degrees: float) -> Image:
    """The whole picture, rolled clockwise about its centre, on grey."""
    height, width = image.shape[:2]
    side = math.ceil(math.hypot(width, height))
    turn = np.array(cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), -degrees, 1.0))
    turn[:, 2] += (side - width) / 2, (side - height) / 2
    grey = (110, 110, 110)
    return np.asarray(cv2.warpAffine(image, turn, (side, side), borderMode=cv2.BORDER_CONSTANT, borderValue=grey), "u1")


def best(detector: YuNetDetector, image: Image) -> Detection:
    return max(detector.detect(image), key=lambda face: face.score or 0)


def likeness(one: Image, other: Image) -> float:
    return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])


@needs_yunet
@pytest.mark.parametrize("size", [90, 115, 230])
@pytest.mark.parametrize("degrees", range(-60, 61, 10))
def test_a_tilted_head_is_cut_upright(astronaut: Image, size: int, degrees: int) -> None:
    """In a stream's frame, which is not searched turned."""
    detector = YuNetDetector(YUNET_FILE, threads=1, options=DetectOptions(stream=True))
    how = cv2.INTER_AREA if size < 115 else cv2.INTER_CUBIC
    photo = np.asarray(cv2.resize(astronaut, None, fx=size / 115, fy=size / 115, interpolation=how), np.uint8)
    upright, tilted = rolled(photo, 0), rolled(photo, degrees)
    before, face = best(detector, upright), best(detector, tilted)
    assert (face.score or 0) >= 0.85
    roll, true = face_roll(face.landmarks), degrees + LEAN
    assert abs(roll - true) <= (6 if abs(true) > 18 else 18)  # small leans show little, and cost little

    wanted = crop_square(before.box, RULE)
    assert crop_square(face.box, RULE, roll).width == pytest.approx(wanted.width, rel=0.1)
    if abs(true) > 18:
        crop = crop_face(to_grey(tilted), face.box, RULE, roll)
        assert likeness(crop, crop_face(to_grey(upright), before.box, RULE, LEAN)) > 0.75


@needs_yunet
@pytest.mark.parametrize("quarter", [90, 180, 270])
@pytest.mark.parametrize("degrees", [-30, -20, 0, 10, 20])
def test_a_tilted_head_in_a_turned_photo_is_cut_upright(astronaut: Image, quarter: int, degrees: int) -> None:
    face = best(YuNetDetector(YUNET_FILE, threads=1), rolled(astronaut, quarter + degrees))
    assert abs(math.remainder(face_roll(face.landmarks) - quarter - degrees - LEAN, 360)) <= (
        8 if abs(degrees + LEAN) > 18 else 18
    )


@needs_yunet
def test_an_upright_face_is_what_the_first_look_saw(astronaut: Image) -> None:
    """After one closer look, whose score counts."""
    network = YuNet(YUNET_FILE, min_score=0.1, overlap=TABLE.max_overlap, threads=1)
    row = network.detect(astronaut)[0].tolist()
    first = Detection(Box(*row[:4]), row[14], tuple(zip(row[4:14:2], row[5:14:2], strict=True)))
    seen: list[tuple[int, ...]] = []

    class Counted:
        def detect(self, image: Image) -> NDArray[np.float32]:
            seen.append(image.shape)
            return network.detect(image)

    look = closer_look(cast(YuNet, Counted()), astronaut, first, is_best=True, min_score=MIN_FACE_SCORE)
    assert (look.face.box, look.face.landmarks, look.degrees) == (first.box, first.landmarks, 0)
    assert seen == [(TABLE.look_side, TABLE.look_side, 3)]


@dataclass
class Scored:
    """A network that detects an upright face in the middle of each picture, with these scores one after the other."""

    scores: list[float]
    straightened: float = 0.9
    """The score in the larger copies."""
    sides: list[int] = field(default_factory=list)

    def detect(self, image: Image) -> NDArray[np.float32]:
        side = image.shape[0]
        self.sides.append(side)
        score = self.straightened if side == TABLE.roll_side else self.scores.pop(0)
        size = TABLE.roll_face if side == TABLE.roll_side else TABLE.look_face
        box = (side - size) / 2, (side - size) / 2, size, size
        points = (LANDMARKS * size + (side - size) / 2).ravel()
        return np.array([[*box, *points, score]], np.float32)


def look_at(
    network: Scored, first: float = 0.6, *, size: float = 80, is_best: bool = False, min_score: float = 0.3
) -> tuple[int, float, float]:
    """The turn, the score and the roll of a face of this size whose first look had this score."""
    image = np.full((200, 200, 3), 90, np.uint8)
    start = 100 - size / 2
    points = tuple((start + size * x, start + size * y) for x, y in LANDMARKS.tolist())
    face = Detection(Box(start, start, size, size), first, points)
    look = closer_look(cast(YuNet, network), image, face, is_best=is_best, min_score=min_score)
    return look.degrees, look.face.score or 0.0, face_roll(look.face.landmarks)


OBLIQUE = TABLE.oblique_turn


@pytest.mark.parametrize(
    ("scores", "degrees"),
    [
        ([0.89], 0),
        ([0.78, 0.5, 0.5, 0.1, 0.82, 0.1], 0),  # upside down, better by a hair's breadth
        ([0.78, 0.81, 0.79, 0.8, 0.82, 0.81], 0),
        ([0.5, 0.7, 0.4, 0.1, 0.75, 0.1], OBLIQUE),
        ([0.3, 0.4, 0.9], -OBLIQUE),  # as an upright one: no other turn is tried
        ([0.3, 0.2, 0.2, 0.1, 0.9], 180),
        ([0.87, 0.1, 0.1, 0.1, 0.89], 180),
        ([0.3, 0.2, 0.2, 0.1, 0.6, 0.1], 180),
        ([0.3, 0.2, 0.2, 0.1, 0.1, 0.6], 270),
    ],
)
def test_the_smallest_turn_stays_unless_another_one_is_clearly_better(scores: list[float], degrees: int) -> None:
    network = Scored(list(scores))
    turn, _, roll = look_at(network)
    assert turn == degrees
    assert abs(math.remainder(roll + degrees, 360)) < 3  # the cut was turned, so the face is turned the other way
    assert network.scores == []


@pytest.mark.parametrize(
    ("first", "size", "looks"),
    [
        (TABLE.turn_score, 20, 6),
        (TABLE.oblique_score, TABLE.full_detail, 3),
        (TABLE.oblique_score, TABLE.full_detail - 1, 1),
        (TABLE.oblique_score - 0.01, 80, 1),
    ],
)
def test_only_a_likely_face_is_looked_at_turned(first: float, size: float, looks: int) -> None:
    network = Scored([0.1] * 6)
    assert look_at(network, first, size=size)[0] == 0
    assert network.sides == [TABLE.look_side] * looks


def test_the_best_face_of_a_picture_is_looked_at_upside_down() -> None:
    assert look_at(Scored([0.9, 0.92]), is_best=True)[0] == 180
    assert look_at(Scored([0.91, 0.9]), is_best=True)[0] == 0
    assert look_at(Scored([0.9]), is_best=False)[0] == 0


@pytest.mark.parametrize(("min_score", "larger"), [(0.6, True), (0.61, False)])
def test_only_what_is_reported_is_straightened(min_score: float, larger: bool) -> None:
    network = Scored([0.3, 0.6, 0.3, 0.1, 0.1, 0.1])
    assert look_at(network, min_score=min_score)[0] == OBLIQUE
    assert (TABLE.roll_side in network.sides) == larger


def test_a_lean_that_does_not_count_takes_one_larger_copy() -> None:
    """The landmarks show eight degrees, and in the larger copy none beyond those."""
    points = LANDMARKS - 0.5
    cos, sin = math.cos(math.radians(8)), math.sin(math.radians(8))
    leaning = 100 + 80 * points @ np.array([(cos, sin), (-sin, cos)])
    face = Detection(Box(60, 60, 80, 80), 0.9, tuple(map(tuple, leaning.tolist())))
    network = Scored([0.9])
    image = np.full((200, 200, 3), 90, np.uint8)
    look = closer_look(cast(YuNet, network), image, face, is_best=False, min_score=0.3)
    assert (look.face.box, look.face.landmarks) == (face.box, face.landmarks)
    assert network.sides == [TABLE.look_side, TABLE.roll_side]


def test_what_is_no_face_in_the_larger_copy_has_its_score() -> None:
    assert look_at(Scored([0.3, 0.9], straightened=0.4))[1] == pytest.approx(0.4)


@given(st.floats(10, 200), st.floats(10, 200), st.floats(-180, 180))
def test_a_rolled_box_keeps_the_side_that_its_frame_goes_by(width: float, height: float, roll: float) -> None:
    """And changes little where the roll does."""
    upright = Box(7, 9, width, height)
    box = rolled_box(upright, (50, 60), roll)
    square = crop_square(box, RULE, roll)
    assert square.width == pytest.approx(height)
    assert (box.x + box.width / 2, box.y + box.height / 2) == pytest.approx((50, 60))
    near = rolled_box(upright, (50, 60), roll + 0.1)
    assert (near.width, near.height) == pytest.approx((box.width, box.height), abs=0.01 * 200)
    assert min(width, height) - 1e-9 <= min(box.width, box.height)
    assert max(box.width, box.height) <= max(width, height) + 1e-9


def test_an_upright_box_is_the_box() -> None:
    assert rolled_box(Box(7, 9, 30, 40), (22, 29), 0) == Box(7, 9, 30, 40)
    square = rolled_box(Box(7, 9, 30, 40), (22, 29), 45)
    assert (square.width, square.height) == pytest.approx((40, 40))
