from __future__ import annotations

import math
import pickle
from dataclasses import FrozenInstanceError

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mien.emotions import EMOTIONS
from mien.types import UNCERTAIN_BELOW, Box, Detection, Face, Pose

# What pictures have, to a millionth of a pixel. A number as small as 6.5e-308 is none of theirs: halved and doubled it
# is another one.
numbers = st.floats(-100_000, 100_000).map(lambda x: round(x, 6))
sizes = st.floats(1 / 16, 100_000)
boxes = st.builds(Box, numbers, numbers, sizes, sizes)


@given(boxes, boxes)
def test_iou_is_a_share_and_the_same_both_ways(one: Box, other: Box) -> None:
    assert 0 <= one.iou(other) <= 1 + 1e-8
    assert one.iou(other) == other.iou(one)


@given(boxes)
def test_iou_with_itself_is_one_and_with_the_next_box_zero(box: Box) -> None:
    assert math.isclose(box.iou(box), 1, rel_tol=1e-6)
    assert box.iou(Box(box.x + 2 * box.width, box.y, box.width, box.height)) == 0


def test_iou_of_two_halves_that_share_a_quarter() -> None:
    assert Box(0, 0, 4, 4).iou(Box(2, 0, 4, 4)) == pytest.approx(8 / 24)
    assert Box(0, 0, 0, 0).iou(Box(0, 0, 0, 0)) == 0


@given(boxes, st.integers(1, 1000), st.integers(1, 1000))
def test_a_clipped_box_lies_in_the_picture_and_in_itself(box: Box, width: int, height: int) -> None:
    part = box.clipped(width, height)
    assert 0 <= part.x <= part.x + part.width <= width + 1e-9
    assert 0 <= part.y <= part.y + part.height <= height + 1e-9
    assert part.area <= box.area * (1 + 1e-8)
    assert part.clipped(width, height).iou(part) == pytest.approx(1 if part.area > 0 else 0)


@given(boxes)
def test_a_box_within_the_picture_is_not_changed_by_clipping(box: Box) -> None:
    assume(box.x >= 0 and box.y >= 0)
    part = box.clipped(200_000, 200_000)
    assert (part.x, part.y) == (box.x, box.y)
    assert part.width == pytest.approx(box.width, abs=1e-9)


@given(boxes, st.sampled_from([0.5, 2.0, 4.0]), st.sampled_from([0.25, 1.0, 8.0]))
def test_scaling_is_undone_by_its_inverse(box: Box, across: float, down: float) -> None:
    face = Detection(box, 0.5, ((box.x, box.y),))
    scaled = face.scaled(across, down)
    assert scaled.box.area == pytest.approx(box.area * across * down)
    assert scaled.landmarks == ((scaled.box.x, scaled.box.y),)
    assert scaled.scaled(1 / across, 1 / down) == face
    assert Detection(box).scaled(across, down) == Detection(scaled.box)


def test_a_box_of_no_or_negative_size_has_no_area() -> None:
    assert Box(0, 0, -2, 3).area == Box(0, 0, 0, 3).area == 0
    assert Box(0, 0, -2, -3).area == 0


def test_a_face_names_its_likeliest_class() -> None:
    face = Face(Box(0, 0, 9, 9), None, {"bored": 0.2, "keen": 0.7, "calm": 0.1})
    assert (face.emotion, face.confidence) == ("keen", 0.7)
    with pytest.raises(FrozenInstanceError):
        face.score = 1.0  # type: ignore[misc]
    assert pickle.loads(pickle.dumps(face)) == face


def test_of_equally_likely_classes_neutral_is_named_else_the_first() -> None:
    even = dict.fromkeys(EMOTIONS, 1 / 7)
    assert Face(Box(0, 0, 1, 1), None, even).emotion == "neutral"
    assert Face(Box(0, 0, 1, 1), None, {**even, "neutral": 0.1}).emotion == "anger"
    assert Face(Box(0, 0, 1, 1), None, {"calm": 0.5, "glad": 0.5}).emotion == "calm"


def test_a_face_below_its_threshold_is_uncertain() -> None:
    def shown(confidence: float, threshold: float = UNCERTAIN_BELOW) -> Face:
        return Face(Box(0, 0, 9, 9), None, {"calm": confidence, "keen": 0.2}, None, threshold)

    assert not shown(UNCERTAIN_BELOW).uncertain
    assert shown(UNCERTAIN_BELOW - 1e-6).uncertain
    assert shown(0.7, 0.8).uncertain
    assert not shown(0.3, 0.0).uncertain


def test_a_head_turned_far_aside_is_uncertain_whatever_the_probabilities() -> None:
    def turned(yaw: float, pitch: float, threshold: float = UNCERTAIN_BELOW) -> Face:
        pose = Pose(yaw, pitch, 30.0)
        return Face(Box(0, 0, 9, 9), 0.9, {"surprise": 0.99, "calm": 0.01}, None, threshold, pose=pose)

    assert not turned(40, -15).uncertain
    assert turned(69, 0).uncertain
    assert turned(-69, 0).uncertain
    assert turned(0, 35).uncertain
    assert not turned(69, 0, threshold=0.0).uncertain


def test_a_box_has_its_edges() -> None:
    assert Box(1, 2, 3, 4).xyxy == (1, 2, 4, 6)
