"""Heads and what hides them."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from mien.drawing.covers import CELLS, Head, cover, lean
from mien.drawing.style import COVERING
from mien.types import Box, Detection, Face

UPRIGHT = ((70.0, 80.0), (130.0, 80.0), (100.0, 110.0), (78.0, 140.0), (122.0, 140.0))
SIZE = (640, 480)
COARSE = ("blur", "pixelate")


def turned(degrees: float) -> tuple[tuple[float, float], ...]:
    """The landmarks of a face that leans so far clockwise, as it is seen."""
    matrix = cv2.getRotationMatrix2D((100, 100), -degrees, 1)
    return tuple((float(x), float(y)) for x, y in (matrix @ np.array([(*p, 1) for p in UPRIGHT]).T).T)


def noise(size: tuple[int, int], seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)


def distances(head: Head, size: tuple[int, int]) -> NDArray[np.float64]:
    x, y = np.arange(size[0]) + 0.5 - head.x, np.arange(size[1]) + 0.5 - head.y
    return np.hypot(x[None, :], y[:, None])


@pytest.mark.parametrize("degrees", [-170, -60, -20, 0, 15, 45, 120])
def test_a_face_leans_as_its_landmarks_do(degrees: float) -> None:
    face = Face(Box(50, 40, 100, 120), 0.9, {"fear": 1.0}, turned(degrees))
    assert math.degrees(lean(face)) == pytest.approx(degrees)
    assert lean(Face(face.box, None, face.probabilities)) == 0


@pytest.mark.parametrize("degrees", [0, 40, 90, 180, -130, None])
@pytest.mark.parametrize("sides", [(90, 120), (110, 110), (120, 90)])
def test_a_head_has_hair_ears_and_chin(degrees: float | None, sides: tuple[int, int]) -> None:
    """The circle holds one a tenth wider than that round the box, and the hair above the face as it leans."""
    box = Box(250, 180, *sides)
    head = Head.of(Detection(box, 0.9, None if degrees is None else turned(degrees)), SIZE)
    away = math.hypot(head.x - box.x - box.width / 2, head.y - box.y - box.height / 2)
    round_corners = math.hypot(*sides) / 2
    assert away + 1.1 * round_corners <= head.radius + 1e-6
    angle = math.radians(degrees or 0)
    up = math.sin(angle), -math.cos(angle)
    hair = [box.x + box.width / 2 + up[0] * 1.5 * round_corners, box.y + box.height / 2 + up[1] * 1.5 * round_corners]
    assert math.dist(hair, (head.x, head.y)) <= head.radius


def test_a_box_at_the_edge_may_be_half_a_face() -> None:
    """Where the other half comes into view, it is covered: the circle is that of a square box."""
    whole = Head.of(Detection(Box(300, 200, 60, 80)), SIZE)
    for box in (Box(-1, 200, 30, 80), Box(611, 200, 30, 80), Box(300, -2, 80, 30), Box(300, 451, 80, 30)):
        assert Head.of(Detection(box), SIZE).radius > whole.radius


@pytest.mark.parametrize("theme", COARSE)
@pytest.mark.parametrize(
    "box", [Box(250, 180, 90, 120), Box(-20, 100, 60, 90), Box(590, 430, 80, 90), Box(9, 9, 20, 25)]
)
def test_of_a_head_a_few_colors_are_left(theme: str, box: Box) -> None:
    """All that was finer than a cell is gone, up to the circle's rim and at the picture's edge."""
    before = noise(SIZE)
    after = before.copy()
    cover(after, Detection(box), theme)
    head = Head.of(Detection(box), SIZE)
    away = distances(head, SIZE)
    inner = away <= head.radius
    np.testing.assert_array_equal(after[away > head.radius + 2], before[away > head.radius + 2])
    assert (after[inner] != before[inner]).any(axis=1).mean() > 0.9
    if theme == "pixelate":
        assert len(np.unique(after[inner], axis=0)) <= CELLS**2
    both = inner[:, 1:] & inner[:, :-1]
    steps = np.abs(np.diff(after.astype(int), axis=1)).max(2)[both]
    # A cell's edge is a step in pixelation; in a blur no step is larger than a slope over a cell.
    assert (steps > 255 / (2 * head.radius / CELLS)).mean() < (0.5 if theme == "pixelate" else 0.01)


@pytest.mark.parametrize("theme", COARSE)
def test_what_differs_within_cells_alone_is_the_same_then(theme: str) -> None:
    """Two faces of other details: the averages of their cells are all that is left of them."""
    box = Box(250, 180, 90, 120)
    head = Head.of(Detection(box), SIZE)
    shade = np.asarray(cv2.resize(noise((8, 6)), SIZE, interpolation=cv2.INTER_CUBIC), np.int16) // 2 + 64
    details = np.random.default_rng(1).normal(0, 20, (2, SIZE[1], SIZE[0], 1))
    pictures = [np.clip(shade + one, 0, 255).astype(np.uint8) for one in details]
    before = np.abs(pictures[0].astype(int) - pictures[1])[distances(head, SIZE) <= head.radius].mean()
    for picture in pictures:
        cover(picture, Detection(box), theme)
    after = np.abs(pictures[0].astype(int) - pictures[1])[distances(head, SIZE) <= head.radius].mean()
    assert after < 0.1 * before


@pytest.mark.parametrize("theme", COVERING)
def test_boxes_outside_huge_and_tiny(theme: str) -> None:
    canvas = noise((50, 40))
    for box in (Box(300, 300, 20, 20), Box(-900, 10, 30, 30)):
        before = canvas.copy()
        cover(canvas, Detection(box), theme)
        np.testing.assert_array_equal(canvas, before)
    for box in (Box(30, 30, 0.01, 0.01), Box(49, 39, 3, 3), Box(-1e5, -1e5, 2e5, 2e5)):
        cover(canvas, Detection(box), theme)
    assert canvas.std((0, 1)).max() < 1 or theme == "emoji"  # one cell was larger than the picture


@pytest.mark.parametrize("size", [(3, 4), (10, 10), (24, 24), (90, 113), (300, 60)])
@pytest.mark.parametrize("degrees", [0, 33])
def test_an_emoji_hides_the_whole_head(size: tuple[int, int], degrees: float) -> None:
    """Two grounds, one drawing: what differs shows through."""
    face = Face(Box(500, 500, *size), None, {"fear": 1.0}, turned(degrees))
    pictures = [np.full((1200, 1200, 3), grey, np.uint8) for grey in (0, 255)]
    for picture in pictures:
        cover(picture, face, "emoji")
    head = Head.of(face, (1200, 1200))
    near = distances(head, (1200, 1200)) <= head.radius
    assert near.any()
    np.testing.assert_array_equal(pictures[0][near], pictures[1][near])


def test_the_emoji_of_a_face_that_was_not_read_shows_no_emotion() -> None:
    canvas = noise(SIZE)
    cover(canvas, Detection(Box(250, 180, 90, 120)), "emoji")
    colors = canvas[200:280, 260:330].astype(int)
    assert np.ptp(colors, axis=2).max() < 20  # grey and black
