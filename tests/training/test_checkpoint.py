from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from mien.data.dataset import FaceDataset
from mien.errors import ModelError
from mien.training import checkpoint
from mien.training.checkpoint import Description
from mien.training.network import AlexNet, AlexNetConfig
from mien.training.recipes import Recipe

SMALL = AlexNetConfig(input_size=67, width=0.1, hidden=(8, 8), classes=2)


def written(path: Path, network: AlexNet, tiny: Recipe) -> Description:
    recipe = dataclasses.replace(tiny, network=network.config).to_dict()
    described = Description(("a", "b"), recipe, {"rows": 3}, {"epoch": 1}, ({"epoch": 1},), 1.25, "abc")
    checkpoint.save(path, described, {f"model.{k}": v for k, v in network.state_dict().items()})
    return described


def test_a_checkpoint_comes_back_as_it_was(tmp_path: Path, tiny: Recipe) -> None:
    network = AlexNet(SMALL)
    described = written(tmp_path / "one.safetensors", network, tiny)
    back, loaded = checkpoint.load_network(tmp_path / "one.safetensors")
    assert dataclasses.asdict(back) == dataclasses.asdict(described) | {"recipe": back.recipe}
    assert back.network == SMALL
    assert not loaded.training
    for name, tensor in network.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor)
    assert [path.name for path in tmp_path.iterdir()] == ["one.safetensors"]


def test_another_architecture_is_named(tmp_path: Path, tiny: Recipe) -> None:
    path = tmp_path / "one.safetensors"
    described = written(path, AlexNet(SMALL), tiny)
    wider = {**described.recipe, "network": dataclasses.replace(SMALL, width=0.2).to_dict()}
    tensors = {f"model.{k}": v for k, v in AlexNet(SMALL).state_dict().items()}
    checkpoint.save(path, dataclasses.replace(described, recipe=wider), tensors)
    with pytest.raises(ModelError, match="another architecture"):
        checkpoint.load_network(path)


def test_what_is_no_checkpoint_is_refused_in_one_line(tmp_path: Path, tiny: Recipe) -> None:
    good = tmp_path / "good.safetensors"
    written(good, AlexNet(SMALL), tiny)
    truncated = tmp_path / "truncated.safetensors"
    truncated.write_bytes(good.read_bytes()[:-100])
    foreign = tmp_path / "foreign.safetensors"
    save_file({"weight": torch.zeros(3)}, foreign)
    text = tmp_path / "text.safetensors"
    text.write_text("no tensors here", encoding="utf-8")
    for path in (truncated, foreign, text, tmp_path / "missing.safetensors", tmp_path):
        with pytest.raises(ModelError) as caught:
            checkpoint.load_network(path)
        assert "\n" not in str(caught.value)


def test_newer_schema_asks_for_an_update(tmp_path: Path, tiny: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "_SCHEMA", 99)
    written(tmp_path / "new.safetensors", AlexNet(SMALL), tiny)
    monkeypatch.undo()
    with pytest.raises(ModelError, match="update mien"):
        checkpoint.load(tmp_path / "new.safetensors")


def test_probabilities_are_calibrated_softmax(trained: Path, striped: FaceDataset) -> None:
    description, network = checkpoint.load_network(trained)
    classes, probabilities = checkpoint.predict_faces(trained, striped.faces[:10])
    logits = torch.from_numpy(checkpoint.logits_of(network, striped.faces[:10]))
    expected = torch.softmax(logits / description.temperature, 1).numpy()
    assert classes == striped.classes
    assert np.allclose(probabilities, expected, atol=1e-6)
    assert checkpoint.predict_faces(trained, striped.faces[:0])[1].shape == (0, 7)


@pytest.mark.parametrize(
    "change",
    [
        "8",
        "[" * 100_000,
        {"recipe": "x"},
        {"recipe": {}},
        {"recipe": {"network": 3}},
        {"recipe": {"network": SMALL.to_dict() | {"stride": "four"}}},
        {"recipe": {"network": SMALL.to_dict() | {"hidden": [65_536, 65_536]}}},
        {"classes": [1, 2]},
        {"classes": ["a"]},
        {"temperature": 0},
        {"temperature": True},
        {"progress": 3},
        {"commit": 3},
    ],
    ids=lambda change: str(change)[:40],
)
def test_a_damaged_description_is_refused_before_memory_is_taken(change: Any, tmp_path: Path, tiny: Recipe) -> None:
    path = tmp_path / "one.safetensors"
    described = written(path, AlexNet(SMALL), tiny)
    values = change if isinstance(change, str) else json.dumps({"schema": 1, **dataclasses.asdict(described)} | change)
    tensors = {f"model.{k}": v for k, v in AlexNet(SMALL).state_dict().items()}
    save_file(tensors, path, {"mien.checkpoint": values})
    with pytest.raises(ModelError):
        checkpoint.load_network(path)
