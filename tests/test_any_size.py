"""What people really bring: a selfie, a group, a photo that lies on its side; by the default detector, through all."""

from __future__ import annotations

from io import BytesIO

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import mien
from mien.analyzer import Analyzer
from mien.runtime.detectors import YuNetDetector

from .conftest import YUNET_FILE, needs_yunet

pytestmark = needs_yunet
Picture = NDArray[np.uint8]


@pytest.fixture(scope="module")
def analyzer() -> Analyzer:
    return mien.load(detector=YuNetDetector(YUNET_FILE))


@pytest.fixture(scope="module")
def astronaut() -> Picture:
    data = pytest.importorskip("skimage.data")
    return np.ascontiguousarray(data.astronaut()[:, :, ::-1])


@pytest.fixture(scope="module")
def head(astronaut: Picture) -> Picture:
    """Head and shoulders; the face is about half as high."""
    return astronaut[20:220, 110:330]


def as_jpeg(picture: Picture) -> bytes:
    buffer = BytesIO()
    Image.fromarray(picture[:, :, ::-1]).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def enlarged(picture: Picture, width: int, height: int) -> Picture:
    return np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


def group(head: Picture, width: int, height: int, columns: int, rows: int, side: int) -> Picture:
    """Heads of this height in a grid, before a wall."""
    picture = np.full((height, width, 3), (120, 130, 140), np.uint8)
    small = cv2.resize(head, (round(side * head.shape[1] / head.shape[0]), side), interpolation=cv2.INTER_AREA)
    for row in range(rows):
        for column in range(columns):
            x = (2 * column + 1) * width // (2 * columns) - small.shape[1] // 2
            y = (2 * row + 1) * height // (2 * rows) - side // 2
            picture[y : y + side, x : x + small.shape[1]] = small
    return picture


def test_a_selfie_of_12_megapixels(analyzer: Analyzer, astronaut: Picture) -> None:
    face = astronaut[55:185, 160:333]  # 4:3, the face from edge to edge
    for source in (as_jpeg(enlarged(face, 4000, 3000)), enlarged(face, 4000, 3000)):
        [found] = analyzer.analyze(source).faces
        assert found.box.height > 2000
        assert found.emotion == "happiness"
        assert not found.uncertain


@pytest.mark.parametrize("share", [0.2, 0.35, 0.5, 0.75, 1.0])
def test_a_close_up_at_every_distance(analyzer: Analyzer, astronaut: Picture, share: float) -> None:
    """Before a webcam, by the options of a stream."""
    face = astronaut[55:185, 160:333]
    frame = np.full((720, 1280, 3), 110, np.uint8)
    height = round(720 * share)
    width = min(round(height * face.shape[1] / face.shape[0]), 1280)
    x, y = (1280 - width) // 2, (720 - height) // 2
    frame[y : y + height, x : x + width] = enlarged(face, width, height)
    [result] = analyzer.stream([mien.Frame(frame, 0, 0.0)])
    assert len(result.faces) == 1
    assert result.faces[0].box.height > 0.6 * height


def test_a_group_of_sixty_in_14_megapixels(analyzer: Analyzer, head: Picture) -> None:
    picture = group(head, 4800, 3000, 10, 6, side=120)  # faces of about 60 pixels
    faces = analyzer.analyze(picture).faces
    assert len(faces) == 60
    assert max(face.box.height for face in faces) < 80


@pytest.mark.slow
def test_small_faces_in_24_megapixels(analyzer: Analyzer, head: Picture) -> None:
    assert len(analyzer.analyze(group(head, 6000, 4000, 10, 6, side=200)).faces) == 60


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_photo_that_lies_on_its_side_or_head(analyzer: Analyzer, astronaut: Picture, turns: int) -> None:
    [upright] = analyzer.analyze(astronaut).faces
    [turned] = analyzer.analyze(np.ascontiguousarray(np.rot90(astronaut, turns))).faces
    assert turned.emotion == upright.emotion == "happiness"
    assert turned.confidence == pytest.approx(upright.confidence, abs=0.15)
    sides = (turned.box.width, turned.box.height) if turns == 2 else (turned.box.height, turned.box.width)
    assert sides == pytest.approx((upright.box.width, upright.box.height), rel=0.1)
    eyes, mouth = (np.mean(turned.landmarks[part], axis=0) for part in (slice(2), slice(3, 5)))  # type: ignore[index]
    down = np.sign(np.where(np.abs(mouth - eyes) > 15, mouth - eyes, 0)).astype(int).tolist()
    assert down == {1: [1, 0], 2: [0, -1], 3: [-1, 0]}[turns]


def test_a_group_that_stands_on_its_head(analyzer: Analyzer, head: Picture) -> None:
    picture = group(head, 1600, 1200, 5, 2, side=240)
    assert len(analyzer.analyze(np.ascontiguousarray(picture[::-1, ::-1])).faces) == 10


def test_the_smallest_face_asked_for_bounds_what_is_found(analyzer: Analyzer, head: Picture) -> None:
    picture = group(head, 3000, 2000, 4, 2, side=240)  # faces of about 120 pixels
    assert len(analyzer.with_options(min_face=80).analyze(picture).faces) == 8
    assert len(analyzer.with_options(min_face=200).analyze(picture).faces) == 0
    assert len(analyzer.with_options(detect_side=200).analyze(picture).faces) == 0


def test_the_largest_faces(analyzer: Analyzer, astronaut: Picture, head: Picture) -> None:
    picture = group(head, 1200, 600, 4, 1, side=160)
    picture[:200, :220] = 120
    picture[300:500, 20:240] = head
    analyzer = analyzer.with_options(max_faces=1)
    [face] = analyzer.analyze(picture).faces
    assert face.box.x < 240


@pytest.mark.slow
def test_the_service_finds_the_same(analyzer: Analyzer, astronaut: Picture, head: Picture) -> None:
    pytest.importorskip("fastapi")
    httpx = pytest.importorskip("httpx")
    from mien.service.app import create_app
    from mien.service.server import running
    from mien.service.settings import Settings

    photos = {
        "selfie": (as_jpeg(enlarged(astronaut[55:185, 160:333], 4000, 3000)), 1),
        "group": (as_jpeg(group(head, 4800, 3000, 10, 6, side=120)), 60),
        "turned": (as_jpeg(np.ascontiguousarray(np.rot90(astronaut))), 1),
    }
    settings = Settings(port=0, workers=2)
    with running(create_app(analyzer, settings), settings) as url:
        for name, (content, count) in photos.items():
            response = httpx.post(
                f"{url}/v1/predict", content=content, headers={"content-type": "image/jpeg"}, timeout=60
            )
            record = response.json()
            assert (name, len(record["faces"])) == (name, count)
            assert record["faces"] == analyzer.analyze(content).to_dict()["faces"]
