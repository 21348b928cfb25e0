"""Measures of a face against what is done to it, and accuracy by them."""

from __future__ import annotations

import math
from itertools import pairwise

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mien.errors import DataError
from mien.evaluation.conditions import (
    ROLLS,
    brightness,
    by_fifths,
    by_roll,
    contrast,
    head_rolls,
    sharpness,
)
from mien.evaluation.intervals import wilson
from mien.types import Box, Detection, Detector


def texture(seed: int = 0) -> NDArray[np.uint8]:
    noise = np.random.default_rng(seed).normal(0, 60, (48, 48)).astype(np.float32)
    return (cv2.GaussianBlur(noise, (0, 0), 1.0) + 128).clip(40, 215).astype(np.uint8)


def test_sharpness_falls_with_blur_and_not_with_light() -> None:
    face = texture()
    blurred = [cv2.GaussianBlur(face, (0, 0), sigma) for sigma in (0.5, 1.0, 2.0, 4.0)]
    values = sharpness(np.stack([face, *blurred])).tolist()
    assert values == sorted(values, reverse=True)
    assert values[-1] < values[0] / 10
    dark = (face // 2).astype(np.uint8)
    assert sharpness(dark[None])[0] == pytest.approx(values[0], rel=0.05)
    assert sharpness(np.full((1, 48, 48), 7, np.uint8)).tolist() == [0]


def test_light_is_mean_and_deviation() -> None:
    half = np.zeros((48, 48), np.uint8)
    half[:24] = 200
    faces = np.stack([half, np.full((48, 48), 30, np.uint8)])
    assert brightness(faces).tolist() == [100, 30]
    assert contrast(faces).tolist() == [100, 0]


class Landmarks(Detector):
    """Finds the face whose mean grey value is an angle at that roll, by an upright face's landmarks."""

    name = "made"

    def __init__(self, score: float = 0.9) -> None:
        self.score = score
        self.sizes: set[tuple[int, ...]] = set()

    def detect(self, image: NDArray[np.uint8]) -> list[Detection]:
        self.sizes.add(image.shape)
        angle = math.radians(float(image.mean()))
        upright = [(-1.03, -1.14), (1.06, -1.12), (-0.06, 0.11), (-0.83, 1.06), (0.86, 1.08)]
        points = tuple(
            (
                96 + 40 * (math.cos(angle) * x - math.sin(angle) * y),
                96 + 40 * (math.sin(angle) * x + math.cos(angle) * y),
            )
            for x, y in upright
        )
        low = Detection(Box(0, 0, 20, 20), 0.1, tuple((0.0, float(i)) for i in range(5)))
        return [low, Detection(Box(40, 40, 100, 100), self.score, points)] if angle else []


def test_rolls_are_those_of_the_most_confident_detection() -> None:
    faces = np.stack([np.full((48, 48), level, np.uint8) for level in (25, 90, 0)])
    detector = Landmarks()
    seen: list[int] = []
    found = head_rolls(faces, detector, seen.append)
    assert found[:2] == pytest.approx([25, 90])
    assert np.isnan(found[2])
    assert seen == [1, 1, 1]
    assert detector.sizes == {(192, 192, 3)}
    assert np.isnan(head_rolls(faces, Landmarks(score=0.5))).all()


measured = st.lists(st.tuples(st.integers(-60, 60).map(float), st.booleans()), max_size=80)


@given(measured)
def test_fifths_part_all_rows_in_order(rows: list[tuple[float, bool]]) -> None:
    values, right = np.array([v for v, _ in rows]), np.array([r for _, r in rows], bool)
    groups = by_fifths(values, right)
    assert len(groups) <= 5
    assert sum(group.n for group in groups) == len(rows)
    assert sum(group.hits for group in groups) == right.sum()
    assert all(a.high < b.low for a, b in pairwise(groups))
    for group in groups:
        inside = (values >= group.low) & (values <= group.high)
        assert (group.n, group.hits) == (inside.sum(), right[inside].sum())
        assert (group.accuracy, group.ci95) == (group.hits / group.n, wilson(group.hits, group.n))


def test_fifths_of_different_values_are_of_equal_size() -> None:
    values = np.random.default_rng(0).permutation(100).astype(float)
    assert [group.n for group in by_fifths(values, np.ones(100, bool))] == [20] * 5


@given(measured)
def test_rolls_are_parted_at_their_bounds(rows: list[tuple[float, bool]]) -> None:
    degrees, right = np.array([v for v, _ in rows]), np.array([r for _, r in rows], bool)
    degrees[degrees == 60] = np.nan
    groups = by_roll(degrees, right)
    bounds = [0, *ROLLS, math.inf]
    expected = []
    for low, high in pairwise(bounds):
        inside = (np.abs(degrees) >= low) & (np.abs(degrees) < high)
        if inside.any():
            expected.append((int(inside.sum()), int(right[inside].sum())))
    unknown = np.isnan(degrees)
    if unknown.any():
        expected.append((int(unknown.sum()), int(right[unknown].sum())))
        assert math.isnan(groups[-1].low)
    assert [(group.n, group.hits) for group in groups] == expected


def test_heads_of_unknown_roll_are_a_part_of_their_own_and_the_last() -> None:
    degrees = np.array([math.nan, *(bound + 1 for bound in (0, *ROLLS))])
    groups = by_roll(degrees, np.array([True] + [False] * (len(ROLLS) + 1)))
    assert [(group.n, group.hits) for group in groups] == [(1, 0)] * (len(ROLLS) + 1) + [(1, 1)]


def test_what_does_not_fit_is_refused() -> None:
    for grouped in (by_fifths, by_roll):
        for shape in (2, (3, 1), ()):
            with pytest.raises(DataError, match="as many"):
                grouped(np.zeros(3 if shape == 2 else shape), np.zeros(shape, bool))
