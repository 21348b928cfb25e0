from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from torch import nn

from mien.errors import ConfigError
from mien.training.network import NETWORKS, AlexNet, AlexNetConfig, multiply_adds, named_network, prepare

# Table of the 2012 paper: filters, and the side of the map after each convolution.
PAPER = [(96, 55), (256, 27), (384, 13), (384, 13), (256, 13)]
PAPER_WEIGHTS = 60_965_224  # with its 10,568 biases
PAPER_BIASES = 96 + 256 + 384 + 384 + 256 + 4096 + 4096 + 1000


def alexnet(name: str) -> AlexNetConfig:
    config = named_network(name)
    assert isinstance(config, AlexNetConfig)
    return config


def maps_of(network: AlexNet) -> tuple[list[tuple[int, int]], list[int]]:
    """(channels, side) after each convolution, and the sides after each pooling."""
    convolutions: list[tuple[int, int]] = []
    pools: list[int] = []
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(lambda m, i, o: convolutions.append((o.shape[1], o.shape[2])))
        if isinstance(module, nn.MaxPool2d):
            module.register_forward_hook(lambda m, i, o: pools.append(o.shape[2]))
    config = network.config
    network.eval()(torch.zeros(1, config.in_channels, config.input_size, config.input_size))
    return convolutions, pools


def test_shapes_are_the_papers() -> None:
    convolutions, pools = maps_of(AlexNet(AlexNetConfig()))
    assert convolutions == PAPER
    assert pools == [27, 13, 6]


def test_weights_are_the_papers_with_its_groups_colors_and_classes() -> None:
    network = AlexNet(AlexNetConfig(in_channels=3, groups=2, classes=1000))
    weights = sum(p.numel() for p in network.parameters() if p.ndim > 1)
    assert weights == PAPER_WEIGHTS - PAPER_BIASES


def test_canonical_network_has_the_parameters_that_the_documents_say() -> None:
    assert sum(p.numel() for p in AlexNet(alexnet("alexnet")).parameters()) == pytest.approx(58.3e6, rel=0.002)


def test_pooling_overlaps_and_batch_normalisation_follows_each_convolution() -> None:
    layers = list(AlexNet(AlexNetConfig(width=0.1, hidden=(8, 8))).features)
    kinds = [type(layer).__name__ for layer in layers]
    block, pool = ["Conv2d", "BatchNorm2d", "ReLU"], ["MaxPool2d"]
    assert kinds == block + pool + block + pool + 3 * block + pool
    assert {(m.kernel_size, m.stride) for m in layers if isinstance(m, nn.MaxPool2d)} == {(3, 2)}


@pytest.mark.parametrize("name", sorted(name for name in NETWORKS if name.startswith("alexnet")))
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("groups", [1, 2])
def test_each_network_answers_with_its_classes(name: str, channels: int, groups: int) -> None:
    config = dataclasses.replace(alexnet(name), in_channels=channels, groups=groups, classes=5)
    faces = prepare(torch.rand(2, 1, 48, 48), config)
    assert faces.shape == (2, channels, config.input_size, config.input_size)
    assert AlexNet(config).eval()(faces).shape == (2, 5)


@pytest.mark.parametrize("size", [67, 99, 131, 163, 195, 227, 256])
def test_final_map_is_what_the_classifier_gets(size: int) -> None:
    config = AlexNetConfig(input_size=size, width=0.1, hidden=(8, 8))
    _, pools = maps_of(AlexNet(config))
    assert pools[-1] == config.final_map >= 1


def test_width_scales_filters_in_multiples_of_eight() -> None:
    assert AlexNetConfig(width=0.5).channels == (48, 128, 192, 192, 128)
    assert all(n % 8 == 0 for n in AlexNetConfig(width=0.37).channels)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("in_channels", 2),
        ("groups", 3),
        ("width", 0),
        ("input_size", 40),
        ("classes", 1),
        ("hidden", (4096,)),
        ("hidden", (0, 8)),
        ("dropout", 1.0),
        ("std", 0.0),
    ],
)
def test_bad_values_are_refused_by_name(field: str, value: object) -> None:
    changed: dict[str, Any] = {field: value}
    with pytest.raises(ConfigError, match=field):
        AlexNetConfig(**changed)


def test_config_survives_json() -> None:
    config = AlexNetConfig(in_channels=3, groups=2, hidden=(10, 20), mean=0.4)
    assert AlexNetConfig.from_dict(config.to_dict()) == config
    with pytest.raises(ConfigError, match="dilation"):
        AlexNetConfig.from_dict({"dilation": 2})


def test_prepare_enlarges_and_normalises() -> None:
    config = AlexNetConfig(in_channels=3)
    flat = prepare(torch.full((1, 1, 48, 48), config.mean + config.std), config)
    assert torch.allclose(flat, torch.ones_like(flat), atol=1e-5)
    ramp = prepare(torch.linspace(0, 1, 48).expand(1, 1, 48, 48), config)
    assert (ramp[0, 0, 0].diff() >= 0).all()
    assert torch.equal(ramp[:, 0], ramp[:, 2])


def test_first_answers_are_nearly_even() -> None:
    torch.manual_seed(0)
    config = AlexNetConfig(width=0.25, hidden=(64, 64))
    logits = AlexNet(config).eval()(prepare(torch.rand(4, 1, 48, 48), config))
    assert torch.softmax(logits, 1).max() < 0.5


def test_unknown_network_is_named() -> None:
    with pytest.raises(ConfigError, match="alexnet-compact"):
        named_network("vgg")


def test_multiply_adds_of_the_paper_as_it_was_counted() -> None:
    convolutions = (
        55 * 55 * 96 * 3 * 121
        + 27 * 27 * 256 * 48 * 25
        + 13 * 13 * 384 * 256 * 9
        + 13 * 13 * 384 * 192 * 9
        + 13 * 13 * 256 * 192 * 9
    )
    paper = AlexNetConfig(in_channels=3, groups=2, classes=1000)
    assert multiply_adds(paper) == convolutions + 9216 * 4096 + 4096 * 4096 + 4096 * 1000


def test_pooling_before_the_classifier_fits_any_input() -> None:
    network = AlexNet(AlexNetConfig(pool=3, width=0.1, hidden=(8, 8))).eval()
    for size in (67, 131, 227, 256):
        assert network(torch.zeros(1, 1, size, size)).shape == (1, 7)


def test_pool_is_the_identity_at_the_papers_input() -> None:
    torch.manual_seed(0)
    network = AlexNet(dataclasses.replace(alexnet("alexnet"), hidden=(8, 8), width=0.1)).eval()
    plain = AlexNet(AlexNetConfig(hidden=(8, 8), width=0.1)).eval()
    plain.load_state_dict(network.state_dict())
    faces = torch.rand(2, 1, 227, 227)
    assert torch.equal(network(faces), plain(faces))


def test_the_layout_of_torchvision_has_its_parameters() -> None:
    config = dataclasses.replace(alexnet("alexnet-torchvision"), in_channels=3, classes=1000)
    weights = sum(p.numel() for p in AlexNet(config).parameters() if p.ndim > 1)
    assert weights == 61_100_840 - (64 + 192 + 384 + 256 + 256 + 4096 + 4096 + 1000)  # torchvision's, less its biases


def test_a_mirrored_network_averages_the_logits_of_face_and_mirror_image() -> None:
    plain = AlexNetConfig(input_size=67, width=0.1, hidden=(8, 8))
    network = AlexNet(dataclasses.replace(plain, mirror=True)).eval()
    torch.nn.init.normal_(network.last.weight)
    alone = AlexNet(plain).eval()
    alone.load_state_dict(network.state_dict())
    faces = torch.rand(3, 1, 67, 67)
    expected = (alone(faces) + alone(faces.flip(-1))) / 2
    torch.testing.assert_close(network(faces), expected)
    torch.testing.assert_close(network(faces), network(faces.flip(-1)))
    assert not torch.allclose(network(faces), alone(faces))
    assert multiply_adds(network.config) == 2 * multiply_adds(plain)


@pytest.mark.parametrize(("stride", "size"), [(1, 67), (2, 83), (2, 96), (3, 131), (4, 227)])
def test_the_first_step_decides_the_last_map(stride: int, size: int) -> None:
    config = AlexNetConfig(input_size=size, width=0.1, hidden=(8, 8), stride=stride)
    network = AlexNet(config).eval()
    assert network.features(torch.rand(1, 1, size, size)).shape[-2:] == (config.final_map, config.final_map)
    with pytest.raises(ConfigError, match="stride must be within 1 and 4"):
        dataclasses.replace(config, stride=5)


def test_training_sees_each_face_once() -> None:
    network = AlexNet(AlexNetConfig(input_size=67, width=0.1, hidden=(8, 8), dropout=0.0, mirror=True)).train()
    seen: list[int] = []
    network.first.register_forward_hook(lambda _, __, output: seen.append(len(output)))
    assert network(torch.rand(4, 1, 67, 67)).shape == (4, 7)
    assert seen == [4]
