"""The stages of the engine in the browser against Python: the same numbers from the same pixels."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from mien.runtime.crops import crop_face, to_grey
from mien.runtime.detectors import YuNetDetector
from mien.runtime.head_pose import head_pose
from mien.runtime.head_roll import face_roll
from mien.runtime.resize import fitted
from mien.runtime.turning import turned_upright
from mien.runtime.yunet import decode
from mien.tracking.smoothing import Smoother
from mien.types import Box

from .engine_tab import Tab, noise, packed, unpacked

if TYPE_CHECKING:
    pass

ROOT = Path(__file__).parents[2]
GOLDEN = json.loads((ROOT / "tests" / "runtime" / "golden" / "crops.json").read_text(encoding="utf-8"))


def formula(height: int, width: int) -> NDArray[np.uint8]:
    y, x = np.mgrid[:height, :width].astype(np.int64)
    values: NDArray[np.uint8] = ((7 * x * x + 13 * y * y + 5 * x * y + 31 * x) % 256).astype(np.uint8)
    return values


def test_grey_is_opencvs_to_the_last_bit(tab: Tab) -> None:
    image = noise(301, 199, 3)
    result = tab.run("(image) => text(toGrey(rgba(image)).data)", packed(image))
    np.testing.assert_array_equal(unpacked(result, np.uint8, 301, 199), to_grey(image))


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda case: case["name"])
def test_golden_vectors(tab: Tab, case: dict[str, Any]) -> None:
    x, y, width, height = case["box"]
    sent = {
        "grey": packed(formula(case["height"], case["width"])),
        "box": {"x": x, "y": y, "width": width, "height": height},
        "rule": case["rule"],
    }
    result = tab.run("(sent) => text(cropFace(grey(sent.grey), sent.box, sent.rule))", sent)
    np.testing.assert_array_equal(unpacked(result, np.uint8, 48 * 48), case["crop"])


def test_crops_of_any_place_size_and_roll_are_pythons_to_the_last_bit(tab: Tab) -> None:
    """The turn is by the fixed point of OpenCV's warpAffine on x86; another build of OpenCV may round otherwise."""
    picture = noise(160, 200)
    rng = np.random.default_rng(1)
    boxes = [Box(*values) for values in rng.uniform((-90, -90, 5, 5), (200, 160, 240, 240), (60, 4)).tolist()]
    rolls = [0.0 if index % 3 == 0 else roll for index, roll in enumerate(rng.uniform(-180, 180, 60).tolist())]
    rule = YuNetDetector.crop_rule
    sent = {"grey": packed(picture), "boxes": [asdict(box) for box in boxes], "rolls": rolls, "rule": asdict(rule)}
    results = tab.run(
        """({ grey: picture, boxes, rolls, rule }) =>
          boxes.map((box, index) => text(cropFace(grey(picture), box, rule, rolls[index])))""",
        sent,
    )
    for result, box, roll in zip(results, boxes, rolls, strict=True):
        expected = crop_face(picture, box, rule, roll)
        np.testing.assert_array_equal(unpacked(result, np.uint8, 48, 48), expected)


def test_colors_are_turned_upright_as_in_python(tab: Tab) -> None:
    picture = noise(120, 150, 3)
    rng = np.random.default_rng(3)
    squares = [Box(x, y, 92, 92) for x, y in rng.uniform(-40, 100, (12, 2)).tolist()]
    rolls = rng.uniform(-180, 180, 12).tolist()
    results = tab.run(
        """({ picture, squares, rolls }) =>
          squares.map((square, index) => text(bgr(turnedUpright(rgba(picture), square, rolls[index]).image)))""",
        {"picture": packed(picture), "squares": [asdict(square) for square in squares], "rolls": rolls},
    )
    for result, square, roll in zip(results, squares, rolls, strict=True):
        expected, _ = turned_upright(picture, square, roll)
        np.testing.assert_array_equal(unpacked(result, np.uint8, 96, 96, 3), expected)


def test_roll_is_measured_as_in_python(tab: Tab) -> None:
    rng = np.random.default_rng(2)
    upright = np.array([(-1, -1), (1, -1), (0, 0), (-0.8, 1), (0.8, 1)])
    sent, expected = [], []
    for angle in np.linspace(-3.1, 3.1, 63):
        turn = np.array([(np.cos(angle), np.sin(angle)), (-np.sin(angle), np.cos(angle))])
        points = (30 * upright @ turn + rng.normal(0, 3, (5, 2)) + 200).tolist()
        sent.append([{"x": x, "y": y} for x, y in points])
        expected.append(face_roll([(x, y) for x, y in points]))
    results = tab.run("(all) => [...all, null].map(faceRoll)", sent)
    np.testing.assert_allclose(results, [*expected, 0], atol=1e-9)
    assert 0 in expected
    assert {round(roll / 90) for roll in expected} == {-2, -1, 0, 1, 2}


def test_pose_is_measured_as_in_python(tab: Tab) -> None:
    rng = np.random.default_rng(4)
    upright = np.array([(-30, -30), (30, -30), (0, 0), (-25, 30), (25, 30)])
    faces = upright + rng.normal(0, 30, (60, 5, 2))
    sent = [*faces.tolist(), [(5.0, 7.0)] * 5, [(float(i), 3.0 * i) for i in range(5)]]
    found = tab.run("(all) => [...all, null].map(headPose)", [[{"x": x, "y": y} for x, y in face] for face in sent])
    for result, landmarks in zip(found, [*sent, None], strict=True):
        expected = head_pose(landmarks and [(x, y) for x, y in landmarks])
        assert (result is None) == (expected is None)
        if expected is not None:
            assert result == pytest.approx(asdict(expected), abs=0.01)


@pytest.mark.parametrize(
    ("height", "width", "least", "most"),
    [
        (240, 320, 1, 160),  # halved
        (300, 420, 1, 140),  # by three
        (333, 500, 1, 401),  # by no whole number
        (7, 1000, 1, 300),
        (1, 90, 1, 60),
        (90, 120, 160, 1440),  # enlarged
        (3, 7, 160, 1440),
        (60, 80, 10, 100),  # as it is
    ],
)
def test_the_detectors_copy_is_opencvs_to_the_last_bit(
    tab: Tab, height: int, width: int, least: int, most: int
) -> None:
    image = noise(height, width, 3)
    expected = fitted(image, least, most)
    result = tab.run(
        """([image, least, most]) => {
          const small = fitted(rgba(image), least, most);
          return [small.height, small.width, text(bgr(small))];
        }""",
        [packed(image), least, most],
    )
    assert tuple(result[:2]) == expected.shape[:2]
    np.testing.assert_array_equal(unpacked(result[2], np.uint8, *expected.shape), expected)


def test_detections_are_decoded_and_suppressed_as_in_python(tab: Tab) -> None:
    rng = np.random.default_rng(3)
    cells, columns, stride = 60, 10, 16
    shapes = {"cls": 1, "obj": 1, "bbox": 4, "kps": 10}
    maps = {name: rng.normal(0.5, 0.4, (cells, size)).astype(np.float32) for name, size in shapes.items()}
    maps["bbox"][:, 2:] += 0.5
    rows = decode(maps, stride, columns, 0.3)
    selected = cv2.dnn.NMSBoxes(rows[:, :4].tolist(), rows[:, 14].tolist(), 0.0, 0.3, top_k=5000)
    result = tab.run(
        """({ maps, stride, columns }) => {
          const flat = ({ box: { x, y, width, height }, landmarks, score }) =>
            [x, y, width, height, ...landmarks.flatMap((point) => [point.x, point.y]), score];
          const values = Object.fromEntries(Object.entries(maps).map(([name, map]) => [name, floats(map)]));
          const found = decode(values, stride, columns, 0.3);
          return [found.map(flat), notOverlapping(found, 0.3, 5000)];
        }""",
        {"maps": {name: packed(values) for name, values in maps.items()}, "stride": stride, "columns": columns},
    )
    assert 5 < len(selected) < len(rows) - 5
    np.testing.assert_allclose(result[0], rows, rtol=1e-5, atol=1e-4)
    assert result[1] == selected.tolist()


@pytest.mark.parametrize("seed", range(4))
def test_smoothing_is_pythons(tab: Tab, seed: int) -> None:
    rng = np.random.default_rng(seed)
    times = np.cumsum(rng.choice([0.0, 0.03, 0.1, 0.5, 2.5], 300, p=[0.05, 0.5, 0.3, 0.1, 0.05]))
    tracks = rng.integers(1, 4, 300)
    rows = rng.dirichlet(np.full(7, 0.3), 300).astype(np.float32)
    rows[::2] = 0.2 * rows[::2] + 0.8 * np.repeat(rows[::30], 15, axis=0)
    smoother = Smoother(7)
    expected = [smoother.smooth(int(track), row, time) for track, row, time in zip(tracks, rows, times, strict=True)]
    result = tab.run(
        """({ rows, times, tracks }) => {
          const [smoother, all] = [new Smoother(), floats(rows)];
          return tracks.map((track, at) => text(smoother.smooth(track, all.slice(at * 7, at * 7 + 7), times[at])));
        }""",
        {"rows": packed(rows), "times": times.tolist(), "tracks": tracks.tolist()},
    )
    got = np.stack([unpacked(one, np.float32, 7) for one in result])
    np.testing.assert_allclose(got, expected, atol=1e-6)
    assert (got.argmax(axis=1) == np.argmax(expected, axis=1)).all()
    assert (got.argmax(axis=1) != rows.argmax(axis=1)).any()


def test_numbers_are_rounded_as_in_python(tab: Tab) -> None:
    values = [0.25, 0.75, 2.5, 0.5, 1.05, 178.15, 1023.25, 0.0625, 0.1234565, 2.675, 1e-7, 0.999999499, 5e-324, 7.0]
    values += np.random.default_rng(0).uniform(0, 2000, 200).tolist()
    for digits in (0, 1, 4, 6):
        result = tab.run("([all, digits]) => all.map((value) => rounded(value, digits))", [values, digits])
        assert result == [round(value, digits) for value in values]


def test_tracks_keep_their_ids(tab: Tab) -> None:
    def face(x: float, score: float | None = 0.9) -> dict[str, Any]:
        return {"box": {"x": x, "y": 50, "width": 100, "height": 120}, "score": score, "landmarks": None}

    frames = [
        (0.0, [face(300), face(0)], [1, 2]),  # from left to right
        (0.1, [face(20), face(280)], [1, 2]),
        (0.2, [face(40)], [1]),  # one is not detected
        (0.3, [face(60), face(260), face(600, 0.75)], [1, 2]),  # and is again, with a detection of low score
        (0.4, [face(80), face(250), face(605, 0.75)], [1, 2, 3]),  # which is confirmed
        (0.5, [face(80), face(900, 0.75)], [1]),
        (0.6, [face(80), face(1200, 0.75)], [1]),  # another one of low score each time
        (0.7, [face(85), face(1200, None)], [1, 4]),  # a rectangle that the user drew has no score
        (3.5, [face(85)], [5]),  # after a pause the id is new
    ]
    result = tab.run(
        """(frames) => {
          const tracker = new Tracker();
          return frames.map(([time, found]) => tracker.update(found, time).map((one) => one.track));
        }""",
        [(time, found) for time, found, _ in frames],
    )
    assert result == [expected for *_, expected in frames]
