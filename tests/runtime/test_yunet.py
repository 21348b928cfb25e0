from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mien.errors import DetectorError
from mien.runtime.yunet import STRIDES, YuNet, decode

from ..conftest import YUNET_FILE, needs_yunet

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


@pytest.fixture(scope="module")
def bright_cells(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with YuNet's interface that finds a face of the size of a cell at the corner of each white one."""
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper, numpy_helper

    constants: dict[str, Any] = {
        "white": np.array(255, np.float32),
        "none": np.array(0, np.float32),
        "list": np.array([1, -1, 1], np.int64),
        "channel": np.array([0], np.int64),
        "four": np.array([1, 1, 4], np.int64),
        "ten": np.array([1, 1, 10], np.int64),
    }
    nodes, outputs = [], []
    for stride in STRIDES:
        nodes += [
            helper.make_node("AveragePool", ["input"], [f"p{stride}"], kernel_shape=[stride] * 2, strides=[stride] * 2),
            helper.make_node("Gather", [f"p{stride}", "channel"], [f"c{stride}"], axis=1),
            helper.make_node("Div", [f"c{stride}", "white"], [f"d{stride}"]),
            helper.make_node("Reshape", [f"d{stride}", "list"], [f"cls_{stride}"]),
            helper.make_node("Identity", [f"cls_{stride}"], [f"obj_{stride}"]),
            helper.make_node("Mul", [f"cls_{stride}", "none"], [f"z{stride}"]),
            helper.make_node("Tile", [f"z{stride}", "four"], [f"bbox_{stride}"]),
            helper.make_node("Tile", [f"z{stride}", "ten"], [f"kps_{stride}"]),
        ]
        sizes = {"cls": 1, "obj": 1, "bbox": 4, "kps": 10}
        outputs += [
            helper.make_tensor_value_info(f"{name}_{stride}", TensorProto.FLOAT, [1, f"cells{stride}", size])
            for name, size in sizes.items()
        ]
    graph = helper.make_graph(
        nodes,
        "cells",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, "height", "width"])],
        outputs,
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    path = tmp_path_factory.mktemp("yunet") / "cells.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
    return path


@pytest.mark.parametrize("shape", [(100, 130), (96, 128), (128, 97)])
def test_all_three_maps_are_read_in_any_picture(bright_cells: Path, shape: tuple[int, int]) -> None:
    """A white square that is one cell of the coarsest map, four of the next, sixteen of the finest."""
    image = np.zeros((*shape, 3), np.uint8)
    image[64:96, 32:64] = 255
    rows = YuNet(bright_cells, min_score=0.9, overlap=0.3).detect(image)
    assert rows.shape == (21, 15)
    assert set(rows[:, 14].tolist()) == {1.0}
    centres = rows[:, :2] + rows[:, 2:4] / 2
    for stride, count in zip(STRIDES, (16, 4, 1), strict=True):
        here = centres[rows[:, 2] == stride]
        steps = np.arange(0, 32, stride)
        assert sorted(map(tuple, here.tolist())) == sorted((32 + x, 64 + y) for x in steps for y in steps)
        assert len(here) == count


def test_of_boxes_that_overlap_the_surest_stays(bright_cells: Path) -> None:
    image = np.zeros((64, 64, 3), np.uint8)
    image[:32, :32] = 255
    image[32:, 32:] = 250
    rows = YuNet(bright_cells, min_score=0.5, overlap=0.3).detect(image)
    assert (np.diff(rows[:, 14]) <= 0).all()
    touching = YuNet(bright_cells, min_score=0.5, overlap=0.01).detect(image)
    assert len(touching) < len(rows)
    assert touching[0, 14] == 1


def test_a_yunet_for_one_size_is_refused(bright_cells: Path, tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    model = onnx.load(bright_cells)
    for axis in (2, 3):
        model.graph.input[0].type.tensor_type.shape.dim[axis].dim_value = 640
    onnx.save(model, tmp_path / "fixed.onnx")
    with pytest.raises(DetectorError, match="for pictures of any size"):
        YuNet(tmp_path / "fixed.onnx", min_score=0.5, overlap=0.3)


@needs_yunet
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
    found = YuNet(YUNET_FILE, min_score=0.3, overlap=0.3).detect(image)
    np.testing.assert_allclose(found, expected, atol=0.01)
    assert len(found) >= (2 if height > 90 else 0)
