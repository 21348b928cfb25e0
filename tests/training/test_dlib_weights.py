from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from mien.data.dataset import FaceDataset
from mien.errors import ConfigError, ModelError
from mien.training.checkpoint import LAST, describe, load_network
from mien.training.dlib_weights import read_tensors
from mien.training.face_resnet import FaceResNet, FaceResNetConfig
from mien.training.initialization import initialise, network_of
from mien.training.loop import Devices, Start, train
from mien.training.network import build, named_network, prepare
from mien.training.recipes import teacher, with_settings

SMALL = FaceResNetConfig(input_size=103, width=0.25)
FILTERS = [8] * 3 + [16] * 4 + [32] * 3 + [64] * 4
"""Of the blocks of SMALL; those whose filters differ from the block before them step by 2, and so does the last."""


def integer(value: int) -> bytes:
    """As dlib writes one."""
    count = max(1, (abs(value).bit_length() + 7) // 8)
    return bytes([count | (0x80 if value < 0 else 0)]) + abs(value).to_bytes(count, "little")


def layer(tag: bytes, values: np.ndarray, *numbers: int) -> bytes:
    """The part of one that holds weights, and then some bytes of what follows."""
    head = integer(len(tag)) + tag + b"".join(map(integer, numbers))
    sizes = b"".join(map(integer, (2, values.size, 1, 1, 1)))
    return head + sizes + values.astype("<f4").tobytes() + integer(-33) + b"1"


@dataclasses.dataclass
class Written:
    """A made-up network as dlib's file holds it: (kernels, biases, factors, offsets) of each convolution."""

    path: Path
    layers: list[tuple[Tensor, Tensor, Tensor, Tensor]]

    def features(self, faces: Tensor) -> Tensor:
        """The pooled features (N, 64) of faces (N, 1, S, S) in 0..1, as dlib computes them, on three channels."""
        means = torch.tensor([122.782, 117.001, 104.298]).reshape(3, 1, 1)
        left = iter(self.layers)

        def convolved(values: Tensor, stride: int, padding: int) -> Tensor:
            kernels, biases, factors, offsets = next(left)
            found = functional.conv2d(values, kernels, biases, stride, padding)
            return found * factors[:, None, None] + offsets[:, None, None]

        values = convolved((255 * faces.expand(-1, 3, -1, -1) - means) / 256, 2, 0).relu()
        values = functional.max_pool2d(values, 3, 2)
        for number, filters in enumerate(FILTERS):
            down = number in (3, 7, 10, 13)
            inner = convolved(convolved(values, 2 if down else 1, 0 if down else 1).relu(), 1, 1)
            around = functional.avg_pool2d(values, 2) if down else values
            side = max(inner.shape[-1], around.shape[-1])
            values = torch.zeros(len(faces), filters, side, side)
            for part in (inner, around):
                values[:, : part.shape[1], : part.shape[2], : part.shape[3]] += part
            values = values.relu()
        return values.mean((2, 3))


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    torch.manual_seed(1)
    shapes = [(8, 3, 7)]
    for inputs, filters in zip([8, *FILTERS], FILTERS, strict=False):
        shapes += [(filters, inputs, 3), (filters, filters, 3)]
    content, layers = b"\x01\x01 no layer of weights: relu_", []
    for filters, inputs, side in shapes:
        kernels = torch.randn(filters, inputs, side, side) * (inputs * side * side) ** -0.5
        biases, offsets, factors = *torch.randn(2, filters) * 0.2, 2 * torch.rand(filters) + 0.5
        layers.append((kernels, biases, factors, offsets))
        content += layer(b"con_4", np.concatenate([kernels.flatten(), biases]))
        content += layer(b"affine_", np.concatenate([factors, offsets]))
    content += layer(b"fc_2", np.arange(128), 2, 64)
    path = tmp_path_factory.mktemp("dlib") / "faces.dat"
    path.write_bytes(content)
    return Written(path, layers)


@pytest.mark.parametrize("size", [103, 112, 135, 150])
@pytest.mark.parametrize("channels", [1, 3])
def test_it_computes_what_dlib_computes(written: Written, striped: FaceDataset, size: int, channels: int) -> None:
    config = dataclasses.replace(SMALL, input_size=size, in_channels=channels, mean=0.5, std=0.3)
    network = build(config)
    record = initialise(network, str(written.path), striped.faces[:32])
    faces = torch.from_numpy(striped.faces[40:48])[:, None].float() / 255
    enlarged = functional.interpolate(faces, size=(size, size), mode="bilinear", align_corners=False)
    with torch.no_grad():
        found = network.eval().features(prepare(faces, config)).flatten(1)
    expected = written.features(enlarged)
    assert expected.std(0).mean() > 0.01 * expected.mean(), "faces differ, so that agreement means something"
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)
    assert (record["source"], record["taken"]) == ("faces.dat", 87)
    assert record["fresh"] == ["classifier.1.weight", "classifier.1.bias"]


def test_statistics_of_a_batch_change_little(written: Written, striped: FaceDataset) -> None:
    """In training batch normalisation takes each batch's own statistics: those that it begins with are like them."""
    network = build(dataclasses.replace(SMALL, dropout=0.0))
    initialise(network, str(written.path), striped.faces[::2])
    assert all(module.training for module in network.modules())
    faces = prepare(torch.from_numpy(striped.faces[1::2])[:, None].float() / 255, SMALL)
    with torch.no_grad():
        learning, evaluated = network.features(faces), network.eval().features(faces)
    assert (learning - evaluated).norm() < 0.1 * evaluated.norm()


def test_the_files_layers_are_read_in_their_order(written: Written) -> None:
    layers = read_tensors(written.path)
    assert [kind for kind, _ in layers] == ["con_", "affine_"] * 29 + ["fc_"]
    assert torch.equal(layers[-1][1], torch.arange(128.0))


@pytest.mark.parametrize("cut", [0, 60, 5_000, -600])
def test_a_file_cut_short_is_refused(written: Written, tmp_path: Path, striped: FaceDataset, cut: int) -> None:
    path = tmp_path / "cut.dat"
    path.write_bytes(written.path.read_bytes()[:cut])
    with pytest.raises(ModelError, match=r"cut\.dat: expected") as caught:
        initialise(build(SMALL), str(path), striped.faces[:4])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("config", "source", "error", "message"),
    [
        (SMALL, "nowhere.dat", ModelError, "cannot read the weights"),
        (SMALL, "mien", ModelError, "expected dlib's face-recognition weights"),
        (dataclasses.replace(SMALL, width=0.5), "", ModelError, "holds another network"),
        (named_network("alexnet-compact"), "", ModelError, "`network=face-resnet` takes them"),
        (named_network("resnet"), "", ConfigError, "begins at random"),
    ],
)
def test_weights_go_where_they_fit(
    written: Written, striped: FaceDataset, config: Any, source: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        initialise(build(config), source or str(written.path), striped.faces[:4])


def test_its_network_is_known_before_it_is_read() -> None:
    assert network_of("faces.dat") == named_network("face-resnet")


def test_it_trains_from_the_weights(written: Written, tmp_path: Path, striped: FaceDataset) -> None:
    small = [f"network.{name}={value}" for name, value in SMALL.to_dict().items() if name in ("input_size", "width")]
    recipe = dataclasses.replace(teacher(), network=named_network("face-resnet"))
    recipe = with_settings(recipe, [*small, "epochs=2", "batch=16", "warmup=0.5", "holdback=0.1", "freeze=2"])
    best = train(
        striped.take(np.arange(120)),
        recipe,
        tmp_path / "run",
        start=Start(init=str(written.path)),
        devices=Devices("cpu"),
    )
    description, network = load_network(best)
    assert isinstance(network, FaceResNet)
    losses = [record["train_loss"] for record in describe(tmp_path / "run" / LAST).history]
    assert losses[1] < losses[0]
    assert description.data["init"]["source"] == "faces.dat"
