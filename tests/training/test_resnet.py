from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from mien.data.dataset import FaceDataset
from mien.errors import ConfigError, ModelError
from mien.training import checkpoint
from mien.training.export import export
from mien.training.initialization import initialise
from mien.training.loop import Devices, Start, train
from mien.training.network import AlexNet, build, config_from_dict, multiply_adds, named_network, prepare
from mien.training.recipes import Recipe, named_recipe, teacher, with_settings
from mien.training.resnet import ResNet, ResNetConfig
from mien.training.state import TrainingState

CPU = Devices("cpu")

SMALL = ResNetConfig(input_size=32, width=0.15)
TINY = ["network.input_size=32", "network.width=0.15", "epochs=2", "batch=16", "warmup=0.5", "holdback=0.1", "ema=0.9"]


@pytest.fixture(scope="module")
def taught_by(tmp_path_factory: pytest.TempPathFactory, striped: FaceDataset) -> Path:
    """A finished run of a small residual network."""
    return train(striped, with_settings(teacher(), TINY), tmp_path_factory.mktemp("resnet") / "run", devices=CPU)


def test_at_full_width_it_is_resnet_18() -> None:
    """11.69 M parameters for a thousand classes and three channels (torchvision's count), and 1.8 G multiply-adds."""
    config = ResNetConfig(in_channels=3, classes=1000, width=1.0, input_size=224)
    assert sum(p.numel() for p in build(config).parameters()) == pytest.approx(11.69e6, rel=0.001)
    assert multiply_adds(config) == pytest.approx(1.82e9, rel=0.02)


@pytest.mark.parametrize("size", [32, 48, 67, 96])
def test_inputs_of_any_size_give_logits(size: int) -> None:
    config = dataclasses.replace(SMALL, input_size=size, classes=5, in_channels=3)
    faces = prepare(torch.rand(2, 1, 48, 48), config)
    assert build(config).eval()(faces).shape == (2, 5)


def test_a_fresh_block_passes_its_input_on() -> None:
    block = ResNet(SMALL).features[4]
    values = torch.rand(2, SMALL.channels, 8, 8)
    torch.testing.assert_close(block.eval()(values), values)


def test_its_config_comes_back_from_json() -> None:
    config = ResNetConfig(width=0.5, dropout=0.1, classes=4)
    assert config_from_dict(json.loads(json.dumps(config.to_dict()))) == config
    assert type(config_from_dict(named_network("alexnet").to_dict())) is type(named_network("alexnet"))
    with pytest.raises(ConfigError, match="unknown field of the network: hidden"):
        config_from_dict({"kind": "resnet", "hidden": [1, 2]})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("in_channels", 2),
        ("input_size", 31),
        ("classes", 1),
        ("width", 0.05),
        ("dropout", 1.0),
        ("std", 0.0),
        ("mean", 11.0),
    ],
)
def test_bad_fields_are_named(field: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=field):
        ResNetConfig(**{field: value})


def test_the_recipe_knows_its_fields() -> None:
    recipe = with_settings(named_recipe("teacher"), ["network.width=0.5", "sizes=67", "size_epochs=2"])
    assert isinstance(recipe.network, ResNetConfig)
    assert Recipe.from_dict(json.loads(json.dumps(recipe.to_dict()))) == recipe
    with pytest.raises(ConfigError, match=r"network\.hidden: no such field; ResNetConfig has in_channels"):
        with_settings(recipe, ["network.hidden=8,8"])
    with pytest.raises(ConfigError, match="network has fields; set one of"):
        with_settings(recipe, ["network=alexnet"])


@pytest.mark.slow
def test_it_trains_and_teaches_alexnet(taught_by: Path, tmp_path: Path, striped: FaceDataset, tiny: Recipe) -> None:
    description, network = checkpoint.load_network(taught_by)
    assert isinstance(network, ResNet)
    losses = [record["train_loss"] for record in description.history]
    assert losses[1] < losses[0]
    best = train(striped, tiny, tmp_path / "student", devices=CPU, start=Start(teachers=[taught_by]))
    described, student = checkpoint.load_network(best)
    assert isinstance(student, AlexNet)
    assert described.data["teachers"][0]["file"] == "run/best.safetensors"


@pytest.mark.slow
def test_it_is_exported_like_alexnet(taught_by: Path, tmp_path: Path, striped: FaceDataset) -> None:
    exported = export(taught_by, tmp_path / "teacher.onnx", dataset=striped, int8=True)
    assert exported.parity < 1e-4
    assert exported.card.architecture["kind"] == "resnet"


def test_frozen_blocks_count_as_convolutions() -> None:
    recipe = with_settings(teacher(), [*TINY, "freeze=3"])
    state = TrainingState.begin(recipe.network, recipe)
    state.freeze(3)
    frozen = {name.split(".")[1] for name, p in state.network.named_parameters() if not p.requires_grad}
    assert frozen == {"0", "1", "4", "5"}  # the stem with its normalisation, and two blocks


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: build(named_network("alexnet-compact")), ModelError, "expected AlexNet's weights"),
    ],
)
def test_weights_do_not_pass_from_one_kind_to_the_other(
    make: Callable[[], Any], error: type[Exception], message: str, taught_by: Path, striped: FaceDataset
) -> None:
    with pytest.raises(error, match=message):
        initialise(make(), str(taught_by), striped.faces)
