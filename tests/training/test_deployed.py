from __future__ import annotations

import pytest
import torch

from mien.training.deployed import Deployed, Rearranged, original_kernels
from mien.training.network import AlexNet, AlexNetConfig, build, named_network, prepare


@pytest.mark.parametrize(
    "fields",
    [{}, {"padding": 2}, {"padding": 5}, {"stride": 1}, {"stride": 2}, {"stride": 3, "padding": 1}, {"mirror": True},
     {"in_channels": 3}, {"groups": 2}, {"mean": 0.2, "std": 0.6, "padding": 1}],
)  # fmt: skip
@pytest.mark.parametrize("size", [67, 68, 69, 131, 227])
def test_the_first_layer_rearranged_computes_the_same(size: int, fields: dict[str, float]) -> None:
    """Whatever the stride and padding, and at the edge, where the enlarged face is not read to its end or beyond it."""
    config = AlexNetConfig(**{"input_size": size, "width": 0.1, "hidden": (8, 8), "pool": 2, **fields})  # type: ignore[arg-type]
    torch.manual_seed(0)
    network = AlexNet(config).eval()
    torch.nn.init.normal_(network.last.weight)
    faces = torch.rand(3, 1, 48, 48)
    with torch.no_grad():
        expected = network(prepare(faces, config))
        torch.testing.assert_close(Rearranged(network)(faces), expected, atol=1e-4, rtol=1e-4)
    assert expected.std(0).max() > 1e-3


@pytest.mark.parametrize("stride", [1, 2, 3, 4])
def test_the_original_kernels_are_found_again(stride: int) -> None:
    network = AlexNet(AlexNetConfig(width=0.1, hidden=(8, 8), stride=stride, pool=2)).eval()
    kernels = network.first.weight
    assert original_kernels(Rearranged(network).convolution.weight).equal(kernels)
    assert original_kernels(kernels).equal(kernels)
    three = torch.rand(8, 3, 11, 11)
    assert original_kernels(three) is three


@pytest.mark.parametrize("name", ["resnet", "face-resnet"])
def test_other_networks_are_deployed_as_they_were_trained(name: str) -> None:
    config = named_network(name)
    torch.manual_seed(0)
    network = build(config).eval()
    faces = torch.rand(2, 1, 48, 48).mul(255).byte()
    faces[:] = torch.linspace(0, 255, 48).byte()  # what shows something
    with torch.no_grad():
        expected = (network(prepare(faces.float().round() / 255, config)) / 1.5).softmax(1)
        torch.testing.assert_close(Deployed(network, 1.5)(faces), expected)
