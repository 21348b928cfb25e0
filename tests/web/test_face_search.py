"""The search for faces of any size and pose in the browser against Python's, in real Chromium."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from mien import Analyzer
from mien.runtime.detectors import YuNetDetector
from mien.runtime.face_search import _spans, detail
from mien.runtime.resize import scaled
from mien.runtime.search_table import TABLE
from mien.types import MIN_FACE_SCORE, DetectOptions

from .engine_tab import Tab, noise, packed, png, unpacked

Image = NDArray[np.uint8]


@pytest.mark.slow
def test_tiles_are_pythons(tab: Tab) -> None:
    lengths = [1, 1535, 1536, 1537, 2911, 2912, 2913, 4000, 6000, *range(1600, 9000, 371)]
    sent = [(length, overlap) for length in lengths for overlap in (TABLE.tile_overlap, TABLE.level_side)]
    got = tab.run("([all, tile]) => all.map(([length, overlap]) => spans(length, overlap, tile))", [sent, TABLE.tile])
    assert got == [[list(span) for span in _spans(*one)] for one in sent]


def test_the_first_levels_detail_is_pythons(tab: Tab) -> None:
    rng = np.random.default_rng(0)
    sent, expected = [], []
    for width, height, side in rng.integers(1, 9000, (200, 3)).tolist():
        options = DetectOptions(
            min_face=float(rng.choice([0.0, 0.5, 15.0, 20.0, 37.5, 90.0])),
            side=None if side % 3 else side,
            mode="thorough" if side % 2 else "fast",
        )
        sent.append([width, height, {"minFace": options.min_face, "side": options.side, "mode": options.mode}])
        expected.append(detail(width, height, options))
    assert tab.run("(all) => all.map((one) => detail(...one, config.search))", sent) == expected


def test_copies_of_any_scale_are_opencvs_to_the_last_bit(tab: Tab) -> None:
    """Cuts of closer looks are scaled by any number."""
    rng = np.random.default_rng(1)
    scales = [*np.exp(rng.uniform(-2.2, 1.6, 40)).tolist(), 0.25, 0.5, 0.999, 1.0, 1.001, 2.0, 4.0]
    for index, scale in enumerate(scales):
        width, height = rng.integers(1, 190, 2).tolist()
        image = noise(height, width, 3, seed=index)
        expected = scaled(image, scale)
        result = tab.run(
            """([image, scale]) => {
              const copy = scaled(rgba(image), scale);
              return [copy.height, copy.width, text(bgr(copy))];
            }""",
            [packed(image), scale],
        )
        assert tuple(result[:2]) == expected.shape[:2]
        np.testing.assert_array_equal(unpacked(result[2], np.uint8, *expected.shape), expected)


def test_overlaps_are_suppressed_as_opencv_does(tab: Tab) -> None:
    """Also of equal scores and of boxes that overlap by just the limit."""
    rng = np.random.default_rng(2)
    for _ in range(20):
        boxes = (10 * rng.integers(1, 9, (60, 4))).astype(float).tolist()
        scores = rng.choice([0.0, 0.1, 0.5, 0.9], 60).astype(np.float32).tolist()
        limit = float(rng.choice([0.3, 0.25, 0.5]))
        faces = [
            {"box": dict(zip(("x", "y", "width", "height"), box, strict=True)), "score": score, "landmarks": None}
            for box, score in zip(boxes, scores, strict=True)
        ]
        expected = np.asarray(cv2.dnn.NMSBoxes(boxes, scores, 0.0, limit)).reshape(-1).tolist()
        assert tab.run("([faces, limit]) => notOverlapping(faces, limit)", [faces, limit]) == expected


@pytest.fixture(scope="module")
def yunet(analyzer: Analyzer) -> YuNetDetector:
    """The service's detector, which the browser has too."""
    if not isinstance(analyzer.detector, YuNetDetector):
        pytest.skip("YuNet is not here")
    return analyzer.detector


@pytest.fixture(scope="module")
def head(astronaut_image: Image) -> Image:
    """The astronaut's head, whose face is some 115 pixels high."""
    return astronaut_image[10:190, 130:310]


def pasted(width: int, height: int, head: Image, places: list[tuple[int, int, int, int]]) -> Image:
    """A picture of soft noise with heads in it: each at x, y, of that side, turned by so many quarters clockwise."""
    soft = cv2.resize(noise(height // 80, width // 80, 3), (width, height), interpolation=cv2.INTER_LINEAR)
    image = (90 + 0.3 * soft).astype(np.uint8)
    for x, y, side, turns in places:
        how = cv2.INTER_AREA if side < head.shape[0] else cv2.INTER_CUBIC
        image[y : y + side, x : x + side] = np.rot90(cv2.resize(head, (side, side), interpolation=how), -turns)
    return image


def picture(name: str, head: Image) -> Image:
    if name == "a face fills it":
        return cv2.resize(head[10:130], (3000, 2000), interpolation=cv2.INTER_CUBIC).astype(np.uint8)
    if name == "tiny":
        return cv2.resize(head, (90, 90), interpolation=cv2.INTER_AREA).astype(np.uint8)
    if name == "small and large ones":
        small = [(60, 80, 48, 0), (700, 300, 70, 0), (1500, 300, 110, 0), (2200, 1200, 180, 0), (1490, 1400, 80, 0)]
        return pasted(2400, 1600, head, [*small, (300, 900, 500, 0)])
    if name == "dark":
        return np.rint(picture("one of them turned", head) * 0.05).astype(np.uint8)
    turns = {"none": None, "one of them turned": (0, 2), "90": (1, 1), "180": (2, 2), "270": (3, 3)}[name]
    return pasted(900, 640, head, [(40, 60, 280, turns[0]), (560, 300, 200, turns[1])] if turns else [])


def assert_same_faces(got: list[dict[str, Any]], detector: YuNetDetector, image: Image) -> int:
    """The engine's detections are Python's. Returns the number of those that count as faces."""
    expected = detector.detect(image)
    assert len(got) == len(expected)
    for one, other in zip(got, expected, strict=True):
        assert one["score"] == pytest.approx(other.score, abs=1e-4)
        assert one["box"] == pytest.approx(asdict(other.box), abs=1e-4 * other.box.height + 0.01)
        points = [(point["x"], point["y"]) for point in one["landmarks"]]
        np.testing.assert_allclose(points, np.array(other.landmarks), atol=1e-4 * other.box.height + 0.01)
    return sum((face.score or 0) >= MIN_FACE_SCORE for face in expected)


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("a face fills it", 1),
        ("small and large ones", 6),
        ("one of them turned", 2),
        ("tiny", 1),
        ("none", 0),
        ("dark", 2),
    ]
    + [(degrees, 2) for degrees in ("90", "180", "270")],
)
def test_photos_get_pythons_detections(tab: Tab, yunet: YuNetDetector, head: Image, name: str, count: int) -> None:
    image = picture(name, head)
    got = tab.run("async (image) => engine.detect(await bitmap(image))", png(image))
    assert assert_same_faces(got, yunet.with_options(DetectOptions()), image) == count


@pytest.mark.parametrize("degrees", [-55, -35, -20, 20, 40])
def test_tilted_heads_get_pythons_detections(tab: Tab, yunet: YuNetDetector, head: Image, degrees: int) -> None:
    """Of a size whose roll the first look shows, and of one whose roll takes a larger copy."""
    image = pasted(900, 640, head, [])
    for x, y, side in ((40, 60, 500), (640, 300, 170)):
        size = cv2.resize(head, (side, side), interpolation=cv2.INTER_CUBIC)
        turn = cv2.getRotationMatrix2D((side / 2, side / 2), -degrees, 1.0)
        image[y : y + side, x : x + side] = cv2.warpAffine(size, turn, (side, side), borderMode=cv2.BORDER_REFLECT)
    got = tab.run("async (image) => engine.detect(await bitmap(image), true)", png(image))
    assert assert_same_faces(got, yunet.with_options(DetectOptions(stream=True)), image) >= 2


def test_a_streams_frame_gets_pythons_detections(tab: Tab, yunet: YuNetDetector, head: Image) -> None:
    """At most 960 of its pixels count."""
    frame = pasted(1280, 720, head, [(100, 60, 260, 0), (700, 300, 90, 0), (900, 100, 200, 2)])
    got = tab.run("async (image) => engine.detect(await bitmap(image), true)", png(frame))
    assert assert_same_faces(got, yunet.with_options(DetectOptions(stream=True)), frame) == 3


@pytest.mark.parametrize(
    ("changes", "count"),
    [
        ({"detect_mode": "thorough", "min_face": 12.0, "order": "size"}, 4),
        ({"detect_side": 400, "max_faces": 2}, 2),
        ({"min_face_score": 0.9, "min_face": 60.0}, 2),
    ],
)
def test_the_services_options_hold_in_the_browser(
    tab: Tab, yunet: YuNetDetector, analyzer: Analyzer, head: Image, changes: Any, count: int
) -> None:
    image = pasted(800, 640, head, [(20, 40, 30, 0), (120, 40, 160, 0), (420, 200, 300, 0), (700, 40, 60, 0)])
    expected = analyzer.with_options(**changes).analyze(image).to_dict()
    got = tab.run(
        """async ([image, changes]) => {
          const changed = await openEngine({ ...config, ...changes });
          try {
            return await changed.analyze(await bitmap(image));
          } finally {
            changed.close();
          }
        }""",
        [png(image), changes],
    )
    boxes = [pytest.approx(face["box"], abs=0.11) for face in expected["faces"]]
    assert [face["box"] for face in got["faces"]] == boxes
    assert len(boxes) == count
