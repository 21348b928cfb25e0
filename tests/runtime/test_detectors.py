from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

import mien
from mien.errors import ConfigError, DetectorError
from mien.runtime import detectors
from mien.runtime.crops import crop_square
from mien.runtime.detectors import BUILT_IN, HaarDetector, WholeImageDetector, YuNetDetector, found_by, load_detector
from mien.runtime.face_search import detail
from mien.types import Box, CropRule, Detection, DetectOptions, Detector

from ..conftest import YUNET_FILE, needs_yunet

DATA = Path(__file__).parents[3] / "shared" / "data"
FER2013_FILE = DATA / "fer2013" / "trainval.parquet"
ASTRONAUT = Box(178, 63, 90, 113)  # by eye, forehead to chin


@pytest.fixture(scope="module")
def astronaut() -> NDArray[np.uint8]:
    data = pytest.importorskip("skimage.data")
    return np.ascontiguousarray(data.astronaut()[:256, :384, ::-1])


@pytest.fixture(
    scope="module",
    params=["haar", pytest.param("yunet", marks=needs_yunet)],
)
def detector(request: pytest.FixtureRequest) -> Detector:
    return HaarDetector() if request.param == "haar" else YuNetDetector(YUNET_FILE)


def best(found: list[Detection]) -> Box:
    return max((detection.box for detection in found), key=ASTRONAUT.iou)


def test_the_astronauts_face_is_found(detector: Detector, astronaut: NDArray[np.uint8]) -> None:
    found = detector.detect(astronaut)
    assert len(found) == 1
    assert found[0].box.iou(ASTRONAUT) > 0.6


def test_scores_and_landmarks_are_what_the_detector_has(detector: Detector, astronaut: NDArray[np.uint8]) -> None:
    (face,) = detector.detect(astronaut)
    if detector.name == "haar":
        assert (face.score, face.landmarks) == (None, None)
        return
    assert face.score is not None
    assert 0.8 < face.score <= 1
    assert face.landmarks is not None
    right_eye, left_eye, nose, right_mouth, left_mouth = face.landmarks
    assert right_eye[0] < nose[0] < left_eye[0]
    assert right_mouth[0] < left_mouth[0]
    assert right_eye[1] < nose[1] < right_mouth[1]


@pytest.mark.parametrize("factor", [0.4, 0.7, 2])
def test_boxes_come_back_in_the_pictures_own_pixels(
    detector: Detector, astronaut: NDArray[np.uint8], factor: float
) -> None:
    resized = np.asarray(cv2.resize(astronaut, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA), np.uint8)
    boxes = [
        Box(box.x / factor, box.y / factor, box.width / factor, box.height / factor)
        for box in (detection.box for detection in detector.detect(resized))
    ]
    assert max(box.iou(ASTRONAUT) for box in boxes) > 0.6


def test_stretched_pictures_map_back_by_axis(detector: Detector, astronaut: NDArray[np.uint8]) -> None:
    strip = np.zeros((256, 1800, 3), np.uint8)
    strip[:, 1000:1384] = astronaut
    box = best([Detection(Box(d.box.x - 1000, d.box.y, d.box.width, d.box.height)) for d in detector.detect(strip)])
    assert box.iou(ASTRONAUT) > 0.6


def test_a_face_that_fills_the_picture_is_found(detector: Detector, astronaut: NDArray[np.uint8]) -> None:
    for margin in (0, 10):
        left, top = int(ASTRONAUT.x) - margin - 12, int(ASTRONAUT.y) - margin
        tight = astronaut[top : top + 113 + 2 * margin, left : left + 113 + 2 * margin].copy()
        boxes = [Box(d.box.x + left, d.box.y + top, d.box.width, d.box.height) for d in detector.detect(tight)]
        assert boxes
        assert max(box.iou(ASTRONAUT) for box in boxes) > 0.5


@pytest.mark.parametrize("side", [90, 96, 102, 108])
def test_haars_box_is_the_same_where_the_picture_ends_at_the_face(astronaut: NDArray[np.uint8], side: int) -> None:
    detector = HaarDetector()
    (whole,) = detector.detect(astronaut)
    left, top = round(whole.box.x + (whole.box.width - side) / 2), round(whole.box.y + (whole.box.height - side) / 2)
    (found,) = detector.detect(astronaut[top : top + side, left : left + side].copy())
    box = Box(found.box.x + left, found.box.y + top, found.box.width, found.box.height)
    assert box.iou(whole.box) > 0.82


@needs_yunet
@pytest.mark.parametrize("side", [24, 32, 40])
def test_yunets_box_is_the_same_in_a_picture_of_few_pixels(astronaut: NDArray[np.uint8], side: int) -> None:
    detector = YuNetDetector(YUNET_FILE)
    part = astronaut[43:196, 148:301]
    (whole,) = detector.detect(part.copy())
    (found,) = detector.detect(np.asarray(cv2.resize(part, (side, side), interpolation=cv2.INTER_AREA), np.uint8))
    assert found.box.scaled(153 / side, 153 / side).iou(whole.box) > 0.85
    assert found.score is not None
    assert found.score > 0.88


@pytest.mark.real_data
@pytest.mark.skipif(not FER2013_FILE.is_file(), reason="FER2013 is not in ../shared/data")
def test_what_is_cut_is_fer2013s_frame(detector: Detector) -> None:
    """Medians, between faces that fill the picture and faces in a grey border: Haar's boxes of those are smaller."""
    pq = pytest.importorskip("pyarrow.parquet")
    rows = next(pq.ParquetFile(FER2013_FILE).iter_batches(40, columns=["image"]))["image"].to_pylist()
    side = 96 if detector.name == "haar" else 192  # Haar takes long over large ones
    frames = []
    for border in (0, side // 4):
        squares = []
        for row in rows:
            face = np.asarray(Image.open(BytesIO(row)).convert("RGB").resize((side, side), Image.Resampling.BICUBIC))
            picture = np.full((side + 2 * border, side + 2 * border, 3), 128, np.uint8)
            picture[border : border + side, border : border + side] = face
            for found in detector.detect(picture)[:1]:
                square = crop_square(found.box, detector.crop_rule)
                middle = square.x + square.width / 2 - border, square.y + square.width / 2 - border
                squares.append((*middle, square.width))
        assert len(squares) > 20
        frames.append(np.median(squares, axis=0) / side)
    assert np.mean(frames, axis=0) == pytest.approx([0.5, 0.5, 1], abs=0.04)


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 4000, 3), (3000, 2, 3), (9, 700, 3), (64, 64, 3)])
def test_no_face_gives_an_empty_list(detector: Detector, shape: tuple[int, int, int]) -> None:
    assert detector.detect(np.full(shape, 90, np.uint8)) == []


def test_the_picture_is_left_as_it_was(detector: Detector, astronaut: NDArray[np.uint8]) -> None:
    before = astronaut.copy()
    detector.detect(astronaut)
    np.testing.assert_array_equal(astronaut, before)


def test_threads_get_what_one_alone_gets(detector: Detector, astronaut: NDArray[np.uint8]) -> None:
    pictures = [astronaut[:height, :width].copy() for height, width in ((250, 300), (240, 320), (220, 290), (200, 300))]
    alone = [detector.detect(picture) for picture in pictures]
    with ThreadPoolExecutor(3) as pool:
        together = list(pool.map(detector.detect, pictures * 2))
    assert together == alone * 2
    assert any(alone)


@given(st.integers(1, 90), st.integers(1, 90))
def test_the_whole_picture_is_the_face(height: int, width: int) -> None:
    assert WholeImageDetector().detect(np.zeros((height, width, 3), np.uint8)) == [Detection(Box(0, 0, width, height))]


def test_every_detector_has_a_crop_rule() -> None:
    assert all(isinstance(detector.crop_rule, CropRule) for detector in BUILT_IN.values())


def test_auto_takes_haar_where_yunet_is_not_at_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detectors, "find_yunet", lambda: None)
    assert load_detector().name == "haar"
    with pytest.raises(DetectorError, match="mien detector yunet"):
        load_detector("yunet")


@needs_yunet
def test_auto_takes_yunet_where_it_is_at_hand_or_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detectors, "find_yunet", lambda: None)
    assert load_detector(model=YUNET_FILE).name == "yunet"
    monkeypatch.setattr(detectors, "find_yunet", lambda: YUNET_FILE)
    assert load_detector().name == "yunet"
    assert load_detector("haar").name == "haar"


def test_none_needs_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detectors, "find_yunet", lambda: Path("damaged.onnx"))
    assert load_detector("none").name == "none"


class Scripted(Detector):
    """A user's detector, which gives what it was made with."""

    name = "scripted"

    def __init__(self, *found: Any) -> None:
        self.found = found

    def detect(self, image: NDArray[np.uint8]) -> list[Detection]:
        return list(self.found)


POINTS = ((1, 2), (3, 2), (2, 3), (1, 4), (3, 4))


def test_numbers_of_a_users_detector_become_pythons() -> None:
    box = Box(np.float32(1), np.float32(2), np.float32(30), np.float32(40))  # type: ignore[arg-type]
    (one,) = found_by(Scripted(Detection(box, np.float32(0.5), np.int64(POINTS))), np.zeros((9, 9, 3), np.uint8))  # type: ignore[arg-type]
    assert one == Detection(Box(1, 2, 30, 40), 0.5, POINTS)
    numbers = [one.box.x, one.score, *(number for point in one.landmarks or () for number in point)]
    assert {type(number) for number in numbers} == {float}


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ((1, 2, 30, 40), r"expected a mien\.Detection, got \(1, 2"),
        (Detection(Box(1, 2, 30, 40), 0.5, ()), "expected 5 landmarks or None, got 0"),
        (Detection(Box(1, 2, 30, 40), 0.5, POINTS[:2]), "expected 5 landmarks or None, got 2"),
        (Detection(Box(1, 2, 30, 40), 0.5, ((1, 2, 3),) * 5), r"expected a mien\.Detection"),  # type: ignore[arg-type]
        (Detection(Box(1, math.nan, 30, 40), 0.5), "expected numbers"),
        (Detection(Box(1, 2, 30, 40), math.inf), "expected numbers"),
    ],
)
def test_what_a_users_detector_may_not_give_is_named(brightness_model: Path, found: Any, words: str) -> None:
    analyzer, image = mien.load(brightness_model, detector=Scripted(found)), np.zeros((60, 60, 3), np.uint8)
    with pytest.raises(DetectorError, match=f"detector scripted: {words}"):
        analyzer.analyze(image)
    with pytest.raises(DetectorError, match=f"detector scripted: {words}"):
        next(analyzer.stream([mien.Frame(image, 0, 0.0)]))


def test_unknown_names_are_refused() -> None:
    with pytest.raises(ConfigError, match="expected a detector of auto, haar, yunet, none, got 'mtcnn'"):
        load_detector("mtcnn")


@pytest.mark.parametrize("name", ["haar", "none"])
def test_a_file_goes_with_yunet_only(name: str) -> None:
    with pytest.raises(ConfigError, match="goes with yunet"):
        load_detector(name, model=Path("yunet.onnx"))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DetectorError, match=r"gone\.onnx: cannot read"):
        YuNetDetector(tmp_path / "gone.onnx")


@pytest.mark.parametrize("content", [b"", b"no model", b"\x08\x07" * 500])
def test_a_file_with_other_content_is_refused_without_noise(
    tmp_path: Path, content: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "yunet.onnx"
    path.write_bytes(content)
    with pytest.raises(DetectorError, match="expected YuNet"):
        load_detector("yunet", model=path)
    assert capfd.readouterr() == ("", "")


def test_another_onnx_model_is_refused(brightness_model: Path) -> None:
    with pytest.raises(DetectorError, match="expected YuNet"):
        YuNetDetector(brightness_model)


@needs_yunet
@pytest.mark.parametrize("damage", [lambda b: b[:1000], lambda b: b[:-1], lambda b: b[:5000] + bytes(900) + b[5900:]])
def test_a_damaged_yunet_is_refused(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "yunet.onnx"
    path.write_bytes(damage(YUNET_FILE.read_bytes()))
    with pytest.raises(DetectorError, match="expected YuNet"):
        YuNetDetector(path)


def test_opencv_without_cascades_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("cv2.data.haarcascades", str(tmp_path))
    with pytest.raises(DetectorError, match=r"has no Haar cascade.*mien detector yunet"):
        HaarDetector()
    monkeypatch.delattr(cv2, "CascadeClassifier")
    with pytest.raises(DetectorError, match="has no Haar cascade"):
        HaarDetector()


def test_frames_of_streams_are_detected_in_smaller_copies() -> None:
    """At most a quarter of the pixels of 1920x1080, and at least a tenth."""
    streaming = DetectOptions(stream=True)
    haar = HaarDetector()
    assert (haar.max_side, haar.with_options(streaming).max_side) == (1280, 640)
    assert HaarDetector(max_side=400).with_options(streaming).max_side == 400
    assert haar.with_options(DetectOptions(side=300, stream=True)).max_side == 300


@needs_yunet
def test_yunet_sees_every_pixel_of_a_photo_and_a_copy_of_a_frame() -> None:
    yunet = YuNetDetector(YUNET_FILE)
    for options, side in (
        (DetectOptions(), None),
        (DetectOptions(stream=True), 960),
        (DetectOptions(side=300, stream=True), 300),
        (DetectOptions(side=300), 300),
    ):
        tuned = yunet.with_options(options)
        assert tuned.max_side == side
        assert detail(1920, 1080, tuned._options) == pytest.approx(1 if side is None else side / 1920)


@needs_yunet
@pytest.mark.parametrize("light", [0.5, 0.12, 0.06, 0.03])
def test_yunet_finds_faces_in_the_dark(astronaut: NDArray[np.uint8], light: float) -> None:
    dark = np.rint(astronaut * light).astype(np.uint8)
    for turn in (0, 2):
        image = np.ascontiguousarray(np.rot90(dark, turn))
        (face,) = YuNetDetector(YUNET_FILE).detect(image)
        box = ASTRONAUT if turn == 0 else Box(384 - 178 - 90, 256 - 63 - 113, 90, 113)
        assert face.box.iou(box) > 0.6
