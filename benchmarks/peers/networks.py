"""Write one of the networks that Mien is timed against, with random weights: good for speed and size, and no more.

    python networks.py NAME FILE.onnx

Each takes faces (N, 1 or 3, S, S) float32 in 0..1. The running means of batch normalisation are those of noise, so that
values keep an ordinary range in every layer: vanishing ones would be slower.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from torch import Tensor, nn


class Answer(nn.Module):
    """Probabilities of a network that gives logits."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, faces: Tensor) -> Tensor:
        output = self.network(faces)
        return torch.softmax(getattr(output, "logits", output), dim=1)


def alexnet() -> tuple[nn.Module, tuple[int, int]]:
    """AlexNet in full, as the paper has it, with batch normalisation: Mien's own, at 227x227 and FC 4096."""
    from mien.training.network import build, named_network

    config = named_network("alexnet")
    return build(config), (1, config.input_size)


def vgg13() -> tuple[nn.Module, tuple[int, int]]:
    """The network of FER+: Barsoum et al., Training Deep Networks for Facial Expression Recognition with
    Crowd-Sourced Label Distribution, ICMI 2016.
    """
    layers: list[nn.Module] = []
    inputs = 1
    for filters, repeats in ((64, 2), (128, 2), (256, 3), (256, 3)):
        for _ in range(repeats):
            layers += [nn.Conv2d(inputs, filters, 3, padding=1), nn.ReLU()]
            inputs = filters
        layers += [nn.MaxPool2d(2), nn.Dropout(0.25)]
    layers += [nn.Flatten()]
    for width, outputs in ((256 * 4 * 4, 1024), (1024, 1024)):
        layers += [nn.Linear(width, outputs), nn.ReLU(), nn.Dropout(0.5)]
    network = nn.Sequential(*layers, nn.Linear(1024, 8))
    for layer in network:
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    return network, (1, 64)


def efficientnet_b0() -> tuple[nn.Module, tuple[int, int]]:
    """EfficientNet-B0 (Tan and Le, ICML 2019) as transformers has it, for seven classes."""
    from transformers import EfficientNetConfig, EfficientNetForImageClassification

    config = EfficientNetConfig(
        image_size=224, width_coefficient=1.0, depth_coefficient=1.0, hidden_dim=1280, dropout_rate=0.2, num_labels=7
    )
    return EfficientNetForImageClassification(config), (3, config.image_size)


NETWORKS: dict[str, Callable[[], tuple[nn.Module, tuple[int, int]]]] = {
    "alexnet-fp32": alexnet,
    "alexnet-int8": alexnet,
    "vgg13": vgg13,
    "efficientnet-b0": efficientnet_b0,
}


def write(name: str, path: Path) -> None:
    torch.manual_seed(0)
    network, (channels, side) = NETWORKS[name]()
    noise = torch.rand(16, channels, side, side)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        network.train()(noise)
    with tempfile.TemporaryDirectory() as folder:
        graph = path if not name.endswith("int8") else Path(folder) / "float32.onnx"
        torch.onnx.export(
            Answer(network).eval(),
            (noise[:2],),
            graph,
            dynamo=True,
            input_names=["faces"],
            output_names=["probabilities"],
            dynamic_shapes=({0: torch.export.Dim("N")},),
            opset_version=18,
            external_data=False,
            verbose=False,
        )
        if graph != path:
            quantise(graph, path, noise.numpy())


class Noise(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime has no types
    def __init__(self, noise: Any) -> None:
        self.batches: Iterator[Any] = iter(np.split(noise, 4))

    def get_next(self) -> dict[str, Any] | None:
        batch = next(self.batches, None)
        return None if batch is None else {"faces": batch}


def quantise(graph: Path, target: Path, noise: Any) -> None:
    """As Mien's export does it: static int8 as quantize-dequantize pairs, weights per channel."""
    quantize_static(
        graph,
        target,
        Noise(noise),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=["Conv", "Gemm", "Relu"],
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("name", choices=NETWORKS)
    parser.add_argument("file", type=Path)
    chosen = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    write(chosen.name, chosen.file)
