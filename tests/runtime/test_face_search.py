"""The search by a network that sees what YuNet does, but on drawn faces: a square whose upper half is bright and whose
lower half is dim, of 40 to 500 pixels, upright.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any, cast

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mien.runtime import face_search
from mien.runtime.face_search import detail, search
from mien.runtime.search_table import TABLE
from mien.runtime.yunet import YuNet
from mien.types import Box, Detection, DetectOptions

Image = NDArray[np.uint8]
UPPER, LOWER = 240, 120


@dataclass
class Drawn:
    """A network that detects drawn faces."""

    flat_score: float = 0.0
    """Of squares of one shade."""
    sizes: list[tuple[int, int]] = field(default_factory=list)

    def detect(self, image: Image) -> NDArray[np.float32]:
        self.sizes.append(image.shape[:2])
        grey = image[:, :, 0]
        count, _, stats, _ = cv2.connectedComponentsWithStats((grey > 60).astype(np.uint8))
        rows = []
        for x, y, width, height, area in stats[1:count].tolist():
            if not (24 <= height <= 520 and area > 0.8 * width * height):
                continue
            part = grey[y : y + height, x : x + width].astype(float)
            top, bottom = part[: height // 2].mean(), part[(height + 1) // 2 :].mean()
            left, right = part[:, : width // 2].mean(), part[:, (width + 1) // 2 :].mean()
            score = (
                0.95 if top - bottom > 60 else 0.35 if max(bottom - top, abs(left - right)) > 60 else self.flat_score
            )
            if score > 0:
                score *= 1 if height >= 40 else 0.25
                points = [(0.3, 0.3), (0.7, 0.3), (0.5, 0.5), (0.3, 0.8), (0.7, 0.8)]
                landmarks = [value for a, b in points for value in (x + a * width, y + b * height)]
                rows.append([x, y, width, height, *landmarks, score])
        return np.array(sorted(rows, key=lambda row: -row[14]), np.float32).reshape(-1, 15)


def find(image: Image, options: DetectOptions | None = None, network: Drawn | None = None) -> list[Detection]:
    return search(cast(YuNet, network or Drawn()), image, options or DetectOptions())


def canvas(width: int, height: int) -> Image:
    return np.full((height, width, 3), 20, np.uint8)


def draw(image: Image, x: int, y: int, side: int, turn: int = 0) -> Box:
    face = np.full((side, side, 3), LOWER, np.uint8)
    face[: side // 2] = UPPER
    image[y : y + side, x : x + side] = np.rot90(face, -turn)
    return Box(x, y, side, side)


@pytest.mark.parametrize(
    ("width", "height", "side"),
    [(240, 240, 40), (240, 240, 238), (1440, 1080, 40), (1440, 1080, 700), (1440, 1080, 1078), (4000, 3000, 45)]
    + [(4000, 3000, size) for size in (150, 319, 330, 640, 1300, 2998)],
)
def test_faces_from_40_pixels_to_the_whole_picture_are_found_once(width: int, height: int, side: int) -> None:
    image = canvas(width, height)
    box = draw(image, (width - side) // 3, (height - side) // 2, side)
    [face] = find(image)
    assert face.box.iou(box) > 0.85
    assert face.score == pytest.approx(0.95)


@settings(max_examples=20)
@given(st.integers(40, 150), st.integers(0, 3700), st.integers(0, 1650))
def test_no_face_is_lost_between_tiles(side: int, x: int, y: int) -> None:
    image = canvas(3900, 1810)
    box = draw(image, x, y, side)
    [face] = find(image)
    assert face.box.iou(box) > 0.85


@pytest.mark.parametrize("x", [0, 1300, 1500, 1537, 2900])
def test_a_large_face_in_a_panorama_is_found_once(x: int) -> None:
    image = canvas(4000, 500)
    box = draw(image, x, 20, 460)
    [face] = find(image)
    assert face.box.iou(box) > 0.95


@given(st.integers(1, 20_000), st.sampled_from([TABLE.tile_overlap, TABLE.level_side]))
def test_tiles_cover_a_side_and_overlap(length: int, overlap: int) -> None:
    spans = face_search._spans(length, overlap)
    assert (spans[0][0], spans[-1][1]) == (0, length)
    assert all(0 < end - start <= TABLE.tile for start, end in spans)
    assert all(end - start >= overlap for (_, end), (start, _) in itertools.pairwise(spans))


def test_no_tile_is_larger_than_the_table_says() -> None:
    network = Drawn()
    find(canvas(6000, 4000), network=network)
    assert all(max(size) <= TABLE.tile for size in network.sizes)


@pytest.mark.parametrize("turn", [1, 2, 3])
@pytest.mark.parametrize("side", [60, 300])
def test_turned_pictures_are_searched_turned(turn: int, side: int) -> None:
    """Their landmarks then tell how they are turned."""
    image = canvas(900, 600)
    boxes = [draw(image, x, 120, side, turn) for x in (30, 430)]
    faces = sorted(find(image), key=lambda face: face.box.x)
    assert [face.box.iou(box) > 0.85 for face, box in zip(faces, boxes, strict=True)] == [True, True]
    for face in faces:
        assert face.landmarks is not None
        eyes = np.mean(face.landmarks[:2], axis=0)
        mouth = np.mean(face.landmarks[3:], axis=0)
        down = (mouth - eyes) / face.box.height
        assert down.tolist() == pytest.approx([[0, 0.5], [-0.5, 0], [0, -0.5], [0.5, 0]][turn], abs=0.1)


def test_a_turned_face_beside_upright_ones_is_found() -> None:
    image = canvas(900, 600)
    draw(image, 30, 120, 200)
    draw(image, 430, 120, 200, turn=2)
    assert len(find(image)) == 2


def test_a_streams_frames_are_not_searched_turned() -> None:
    network = Drawn()
    assert find(canvas(640, 480), DetectOptions(stream=True), network) == []
    assert set(network.sizes) == {(480, 640)}


def test_texture_that_the_closer_look_does_not_confirm_is_no_face() -> None:
    """Its first look has a middling score, its closer look a low one."""

    class Once(Drawn):
        def detect(self, image: Image) -> NDArray[np.float32]:
            rows = super().detect(image)
            if max(image.shape) <= TABLE.look_side:
                rows[:, 14] *= 0.3
            return rows

    image = canvas(640, 480)
    image[100:200, 100:200] = 150
    assert find(image, network=Drawn(flat_score=0.8)) != []
    assert find(image, network=Once(flat_score=0.8)) == []


def test_small_faces_count_by_their_closer_look() -> None:
    image = canvas(640, 480)
    box = draw(image, 100, 100, 30)  # the first look's score is a quarter
    [face] = find(image)
    assert face.box.iou(box) > 0.8
    assert face.score == pytest.approx(0.95)


def test_thorough_enlarges_the_picture() -> None:
    image = canvas(640, 480)
    box = draw(image, 300, 200, 20)
    assert find(image) == []
    [face] = find(image, DetectOptions(mode="thorough"))
    assert face.box.iou(box) > 0.7


@given(st.integers(1, 9000), st.integers(1, 9000), st.floats(0, 400), st.sampled_from(["fast", "thorough"]))
def test_detail_is_bounded(width: int, height: int, min_face: float, mode: Any) -> None:
    scale = detail(width, height, DetectOptions(min_face=min_face, mode=mode))
    most = TABLE.thorough_max_pixels if mode == "thorough" else TABLE.max_pixels
    longer = max(width, height)
    assert width * height * scale**2 <= 1.001 * most
    assert longer * scale >= TABLE.min_side * 0.999
    assert scale <= 2.001 or longer < TABLE.min_side
    if longer >= 320 and width * height < 4_000_000:
        assert min_face * scale >= 29.9 or min_face < 15 or scale >= 1  # never too small to be seen
    small = detail(width, height, DetectOptions(min_face=min_face, mode=mode, side=200))
    assert longer * small <= 200.1


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 4000, 3), (3000, 2, 3), (9, 700, 3)])
def test_any_shape_will_do(shape: tuple[int, int, int]) -> None:
    assert find(np.full(shape, 90, np.uint8)) == []


def test_a_box_beyond_the_picture_is_looked_at_without_harm() -> None:
    class Beyond(Drawn):
        def detect(self, image: Image) -> NDArray[np.float32]:
            values = [[x, y, w, 50, *[0] * 10, 0.5] for x, y, w in ((-500, -500, 40), (9000, 20, 40), (10, 10, np.inf))]
            return np.array([*values, [0, 0, 40, np.nan, *[0] * 10, 0.5]], np.float32)

    faces = find(canvas(300, 200), network=Beyond())
    assert all(np.isfinite(face.box.xyxy).all() for face in faces)


def test_small_faces_that_are_not_wanted_do_not_make_turned_ones_smaller() -> None:
    """The copy that is looked at turned is smaller than the picture, and so is the smallest face in it."""
    image = canvas(2560, 1920)
    box = draw(image, 800, 700, 300, turn=2)
    [face] = find(image, DetectOptions(min_face=200))
    assert face.box.iou(box) > 0.85


def test_a_candidate_beside_a_face_becomes_that_face() -> None:
    """The first look sees a second box, which overlaps the face a little; the closer look shows the face itself."""

    class Twice(Drawn):
        def detect(self, image: Image) -> NDArray[np.float32]:
            rows = super().detect(image)
            if max(image.shape) <= TABLE.look_side or len(rows) == 0:
                return rows
            beside = rows[:1].copy()
            beside[:, 0] += 0.55 * beside[:, 2]
            beside[:, 14] = 0.2
            return np.concatenate([rows, beside])

    image = canvas(640, 480)
    draw(image, 200, 150, 200)
    assert len(find(image, network=Twice())) == 1
