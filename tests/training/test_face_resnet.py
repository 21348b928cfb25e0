from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
import torch

from mien.errors import ConfigError
from mien.training.face_resnet import FaceResNetConfig
from mien.training.network import build, config_from_dict, multiply_adds, named_network
from mien.training.recipes import teacher
from mien.training.state import TrainingState

SMALL = FaceResNetConfig(input_size=103, width=0.25)


def test_the_named_one_is_dlibs() -> None:
    """The kernels are as many as in dlib's file without its last layer's, the multiply-adds those of dlib's network."""
    config = named_network("face-resnet")
    with torch.device("meta"):
        network = build(dataclasses.replace(config, in_channels=3))
    kernels = sum(p.numel() for name, p in network.features.named_parameters() if p.ndim > 1)
    assert kernels == 5_571_168
    assert multiply_adds(dataclasses.replace(config, in_channels=3)) == pytest.approx(151e6, rel=0.002)
    assert multiply_adds(dataclasses.replace(config, in_channels=3, input_size=150)) == pytest.approx(271e6, rel=0.002)


def test_its_config_comes_back_from_json() -> None:
    assert config_from_dict(json.loads(json.dumps(SMALL.to_dict()))) == SMALL
    with pytest.raises(ConfigError, match="unknown field of the network: hidden"):
        config_from_dict({"kind": "face-resnet", "hidden": [1, 2]})


@pytest.mark.parametrize(("field", "value"), [("input_size", 102), ("width", 0.05), ("in_channels", 2), ("classes", 1)])
def test_bad_fields_are_named(field: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=field):
        FaceResNetConfig(**{field: value})


def test_frozen_blocks_count_as_convolutions() -> None:
    recipe = dataclasses.replace(teacher(), network=SMALL, freeze=2)
    state = TrainingState.begin(recipe.network, recipe)
    state.freeze(2)
    frozen = {name.split(".")[1] for name, p in state.network.named_parameters() if not p.requires_grad}
    assert frozen == {"0", "1", "4"}  # the stem with its normalisation, and a block
