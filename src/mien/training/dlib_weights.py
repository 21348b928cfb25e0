"""Weights of dlib's face recogniser for `FaceResNet`, read from the file that dlib's serialisation wrote.

The file is `dlib_face_recognition_resnet_model_v1.dat` (CC0, as its author declares; trained on VGG, FaceScrub and
collected pictures). It holds the layers in their order, from the input on, each after its tag.

- An integer is one byte and the bytes of its magnitude, little-endian. The low four bits of the first count the others,
  its top bit is the sign.
- A tensor is its version, four sizes, and float32 values. That of a convolution is its kernels, then its biases; that
  of an affine layer is its factors, then its offsets.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn

from mien.errors import ModelError, reason
from mien.training.face_resnet import FaceResNet

_TAGS: Final = re.compile(rb"\x01\x05(con_)\d|\x01\x07(affine_)|\x01\x04(fc_)\d")
"""A tag is a string: the number of its bytes, as an integer, and the bytes. The digit is the layer's version."""

_SIZES_BEFORE: Final = {"con_": 0, "affine_": 0, "fc_": 2}
"""How many integers are between a layer's tag and its tensor."""

_CHANNEL_MEANS: Final = (122.782, 117.001, 104.298)
"""What dlib subtracts from red, green and blue in 0..255 before it divides by 256."""


def read_tensors(path: Path) -> list[tuple[str, Tensor]]:
    """Kind (con_, affine_ or fc_) and flat float32 values (n,) of each layer that has any, from the input on.

    Raises ModelError where the file cannot be read or has another format.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: cannot read the weights: {reason(error)}") from error
    layers, place = [], 0
    try:
        while tag := _TAGS.search(data, place):
            kind, place = next(filter(None, tag.groups())).decode(), tag.end()
            for _ in range(_SIZES_BEFORE[kind]):
                _, place = _integer(data, place)
            values, place = _tensor(data, place)
            layers.append((kind, values))
    except (IndexError, ValueError) as error:
        raise ModelError(f"{path}: expected dlib's weights, got something else at byte {place}: {error}") from error
    return layers


def _integer(data: bytes, place: int) -> tuple[int, int]:
    """The integer at a place, and the place after it."""
    control = data[place]
    end = place + 1 + (control & 0x0F)
    magnitude = int.from_bytes(data[place + 1 : end], "little")
    return (-magnitude if control & 0x80 else magnitude), end


def _tensor(data: bytes, place: int) -> tuple[Tensor, int]:
    """The flat values (n,) of the tensor at a place, and the place after it."""
    numbers = []
    for _ in range(5):
        number, place = _integer(data, place)
        numbers.append(number)
    version, *sizes = numbers
    if version != 2 or min(sizes) < 0:
        raise ValueError(f"a tensor of version {version} and sizes {sizes}")
    values = np.frombuffer(data, "<f4", math.prod(sizes), place)
    return torch.from_numpy(values.astype(np.float32)), place + values.nbytes


@torch.no_grad()
def fill_from_dlib(network: FaceResNet, path: Path) -> None:
    """Give a network's convolutions dlib's kernels, and its batch normalisations dlib's factors and offsets.

    The function is dlib's as long as batch normalisation subtracts 0 and divides by 1. Where the network has one
    channel, the kernels of dlib's three are summed, which is exact for grey copied to all three. dlib subtracts another
    mean from each channel: the first offset compensates for that, exactly too, as nothing is padded there.

    Raises ModelError where the file cannot be read, or holds another network.
    """
    layers = [(kind, values) for kind, values in read_tensors(path) if kind != "fc_"]
    convolutions = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    normalisations = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    if [kind for kind, _ in layers] != ["con_", "affine_"] * len(convolutions):
        raise ModelError(f"{path}: expected {len(convolutions)} convolutions, each followed by an affine layer")
    pairs = zip(layers[::2], layers[1::2], strict=True)
    for (convolution, normalisation), ((_, kernels), (_, affine)) in zip(
        zip(convolutions, normalisations, strict=True), pairs, strict=True
    ):
        filters, inputs, *window = convolution.weight.shape
        inputs = 3 if convolution is network.first else inputs
        expected = (filters * inputs * math.prod(window) + filters, 2 * filters)
        if (len(kernels), len(affine)) != expected:
            raise ModelError(
                f"{path} holds another network: a layer has {len(kernels)} numbers, expected {expected[0]}"
            )
        weight, bias = kernels[:-filters].reshape(filters, inputs, *window), kernels[-filters:]
        if convolution is network.first:
            weight, bias = _for_grey(weight, bias, network)
        convolution.weight.copy_(weight)
        factor, offset = affine.reshape(2, filters)
        normalisation.weight.copy_(factor)
        normalisation.bias.copy_(offset + factor * bias)


def _for_grey(weight: Tensor, bias: Tensor, network: FaceResNet) -> tuple[Tensor, Tensor]:
    """The first kernels (F, 3, 7, 7) and biases (F,) for grey pixels normalised as the network's config says."""
    config = network.config
    shifts = torch.tensor([255 * config.mean - mean for mean in _CHANNEL_MEANS]) / 256
    bias = bias + (weight.sum((2, 3)) * shifts).sum(1)
    weight = weight * (config.std * 255 / 256)
    return (weight.sum(1, keepdim=True) if config.in_channels == 1 else weight), bias
