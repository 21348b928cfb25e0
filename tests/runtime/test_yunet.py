from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mien.runtime.yunet import STRIDES, YuNet, decode

YUNET_FILE = Path(__file__).parents[3] / "shared" / "data" / "detectors" / "face_detection_yunet_2026may.onnx"
needs_yunet = pytest.mark.skipif(not YUNET_FILE.is_file(), reason="YuNet's file is not in ../shared/data")

places = st.floats(-20, 700, width=32)
sides = st.floats(4, 500, width=32)


@given(
    st.sampled_from(STRIDES),
    st.integers(1, 20),
    st.integers(1, 20),
    st.tuples(places, places, sides, sides),
    st.lists(places, min_size=10, max_size=10),
    st.floats(0.3125, 1, width=32),
    st.data(),
)
def test_decoding_undoes_the_encoding(
    stride: int,
    rows: int,
    columns: int,
    box: tuple[float, float, float, float],
    points: list[float],
    score: float,
    data: st.DataObject,
) -> None:
    """Boxes and points as the network would write them at a cell come back as they were."""
    cell = data.draw(st.integers(0, rows * columns - 1))
    corner = np.array([cell % columns, cell // columns])
    x, y, width, height = box
    maps = {name: np.zeros((rows * columns, size), np.float32) for name, size in (("bbox", 4), ("kps", 10))}
    maps |= {name: np.full((rows * columns, 1), 0.1, np.float32) for name in ("cls", "obj")}
    maps["bbox"][cell] = [
        *(np.array([x + width / 2, y + height / 2]) / stride - corner),
        *np.log(np.array([width, height]) / stride),
    ]
    maps["kps"][cell] = np.array(points) / stride - np.tile(corner, 5)
    maps["cls"][cell], maps["obj"][cell] = score**2, 1.5  # clipped to 1
    (row,) = decode(maps, stride, columns, 0.3)
    np.testing.assert_allclose(row, [*box, *points, score], rtol=1e-4, atol=2e-3)


def test_nothing_above_the_score_gives_no_row() -> None:
    maps = {name: np.zeros((6, size), np.float32) for name, size in {"cls": 1, "obj": 1, "bbox": 4, "kps": 10}.items()}
    assert decode(maps, 8, 3, 0.3).shape == (0, 15)


@needs_yunet
@pytest.mark.real_data
@pytest.mark.parametrize("shape", [(512, 512), (300, 417), (97, 130), (40, 33), (720, 1280)])
def test_it_answers_as_opencvs_wrapper_does(shape: tuple[int, int]) -> None:
    """Also where the sides are no multiples of 32. Below 33 pixels OpenCV reads beyond its memory."""
    data = pytest.importorskip("skimage.data")
    height, width = shape
    astronaut = np.ascontiguousarray(data.astronaut()[:256, :384, ::-1])
    image = np.zeros((height, width, 3), np.uint8)
    for left, right in ((0, width // 2), (width // 2, width)):
        image[:, left:right] = cv2.resize(astronaut, (right - left, height), interpolation=cv2.INTER_AREA)
    reference = cv2.FaceDetectorYN.create(str(YUNET_FILE), "", (width, height), 0.3, 0.3)
    expected = reference.detect(image)[1]
    expected = np.empty((0, 15), np.float32) if expected is None else expected[np.argsort(-expected[:, 14])]
    found = YuNet(YUNET_FILE, min_score=0.3, overlap=0.3).find(image)
    np.testing.assert_allclose(found, expected, atol=0.01)
    assert len(found) >= (2 if height > 90 else 0)
