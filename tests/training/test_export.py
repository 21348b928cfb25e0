from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from mien.data.dataset import FaceDataset
from mien.errors import ConfigError, ModelError
from mien.runtime.classifier import Classifier
from mien.training import export as export_module
from mien.training.checkpoint import predict_faces
from mien.training.export import PARITY, export


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory, trained: Path, striped: FaceDataset) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("exported")
    export(trained, folder / "plain.onnx", dataset=striped, name="striped", version="1.2")
    export(trained, folder / "int8.onnx", dataset=striped, int8=True, name="striped", version="1.2")
    return {"plain": folder / "plain.onnx", "int8": folder / "int8.onnx"}


@pytest.mark.parametrize("n", [0, 1, 3, 64, 100])
def test_the_graph_answers_as_torch_does(
    exported: dict[str, Path], trained: Path, striped: FaceDataset, n: int
) -> None:
    expected = predict_faces(trained, striped.faces[:n])[1]
    assert np.abs(Classifier(exported["plain"]).probabilities(striped.faces[:n]) - expected).max(initial=0) <= PARITY


def test_int8_is_smaller_and_close(exported: dict[str, Path], trained: Path, striped: FaceDataset) -> None:
    assert exported["int8"].stat().st_size < exported["plain"].stat().st_size
    graph = onnx.load(exported["int8"]).graph
    assert sum(node.op_type == "QuantizeLinear" for node in graph.node) >= 8
    expected = predict_faces(trained, striped.faces)[1]
    got = Classifier(exported["int8"]).probabilities(striped.faces[:])
    assert np.abs(got - expected).mean() < 0.05


def test_batch_normalisation_is_folded_and_weights_stay_inside(exported: dict[str, Path]) -> None:
    graph = onnx.load(exported["plain"], load_external_data=False).graph
    assert not any(node.op_type == "BatchNormalization" for node in graph.node)
    assert all(tensor.data_location != onnx.TensorProto.EXTERNAL for tensor in graph.initializer)
    assert sorted(path.name for path in exported["plain"].parent.iterdir()) == ["int8.onnx", "plain.onnx"]


@pytest.mark.parametrize("kind", ["plain", "int8"])
def test_nothing_of_the_machine_is_in_the_file(exported: dict[str, Path], kind: str) -> None:
    content = exported[kind].read_bytes()
    assert b"export.py" not in content
    assert b"stack_trace" not in content


def test_the_card_travels_with_the_graph(exported: dict[str, Path], striped: FaceDataset) -> None:
    plain, int8 = Classifier(exported["plain"]).card, Classifier(exported["int8"]).card
    assert (plain.id, int8.id) == ("striped-1.2-float32", "striped-1.2-int8")
    assert plain.classes == striped.classes
    assert plain.architecture["width"] == 0.1
    assert set(plain.metrics) == {"fer2013/validation", "ferplus/validation", "ferplus-strict/validation"}
    assert plain.metrics["ferplus/validation"]["n"] == (striped.split == "validation").sum()


@pytest.mark.slow
@pytest.mark.parametrize("changed", [{"in_channels": 3}, {"mirror": True}, {"in_channels": 3, "mirror": True}])
def test_channels_and_mirror_images_are_made_inside_the_graph(
    tmp_path: Path, trained: Path, striped: FaceDataset, changed: dict[str, Any]
) -> None:
    import torch

    from mien.training import checkpoint
    from mien.training.network import AlexNet, AlexNetConfig

    description, _ = checkpoint.load_network(trained)
    recipe = {**description.recipe, "network": {**description.recipe["network"], **changed}}
    assert isinstance(description.network, AlexNetConfig)
    network = AlexNet(dataclasses.replace(description.network, **changed))
    torch.manual_seed(0)
    torch.nn.init.normal_(network.last.weight)
    path = tmp_path / "changed.safetensors"
    tensors = {f"model.{name}": value for name, value in network.state_dict().items()}
    checkpoint.save(path, dataclasses.replace(description, recipe=recipe), tensors)
    export(path, tmp_path / "changed.onnx", dataset=striped, int8=True)
    export(path, tmp_path / "plain.onnx")
    classifier = Classifier(tmp_path / "plain.onnx")
    for count in (1, 4, 70):
        faces = striped.faces[:count]
        got = classifier.probabilities(faces)
        assert np.abs(got - predict_faces(path, faces)[1]).max() <= PARITY
        if changed.get("mirror"):
            np.testing.assert_allclose(classifier.probabilities(faces[:, :, ::-1]), got, atol=1e-5)


def test_quantised_weights_have_7_bits(exported: dict[str, Path]) -> None:
    """Two products with activations of 8 bits then fit into 16 bits, which is all that older CPUs sum in."""
    graph = onnx.load(exported["int8"]).graph
    weights = [onnx.numpy_helper.to_array(t) for t in graph.initializer if t.data_type == onnx.TensorProto.INT8]
    weights = [values for values in weights if values.ndim > 1]
    assert len(weights) == 8
    assert all(60 <= np.abs(values.astype(int)).max() <= 64 for values in weights)


@pytest.mark.slow
def test_a_graph_that_differs_from_torch_is_not_written(
    tmp_path: Path, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export_module, "PARITY", -1.0)
    with pytest.raises(ModelError, match="differs from torch"):
        export(trained, tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_exported_is_refused(tmp_path: Path, trained: Path, striped: FaceDataset) -> None:
    with pytest.raises(ConfigError, match="calibrated on training faces"):
        export(trained, tmp_path / "model.onnx", int8=True)
    with pytest.raises(ConfigError, match="cannot be written"):
        export(trained, tmp_path / "nowhere" / "model.onnx")
    with pytest.raises(ConfigError, match="is a folder"):
        export(trained, tmp_path)
    other = dataclasses.replace(striped, classes=("a", "b", "c", "d", "e", "f", "g"), votes=None)
    with pytest.raises(ConfigError, match="the checkpoint knows anger"):
        export(trained, tmp_path / "model.onnx", dataset=other)
