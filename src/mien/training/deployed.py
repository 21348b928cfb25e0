"""The network as it is exported: grey faces (N, 1, 48, 48) uint8 in, calibrated probabilities (N, C) out.

It computes what the trained network computes, AlexNet's first layer in another order. Enlarging a face and the first
convolution are both linear, and runtimes are slow at both: the convolution reads one channel, 11x11 pixels, every
fourth place. So the face is enlarged by two matrix products, straight into stride x stride channels, each with every
fourth pixel, which a convolution of stride 1 and 3x3 reads ("space to depth"). That takes 0.4 of the time for an input
of 227 pixels.
"""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from mien.runtime.crops import FACE_SIZE
from mien.training.contrast import seen_logits
from mien.training.network import AlexNet, AlexNetConfig, Network, prepare

FIRST_KERNEL: Final = 11
"""The side of AlexNet's first kernels in pixels."""


class Deployed(nn.Module):
    """The whole of what is exported, in evaluation mode."""

    def __init__(self, network: Network, temperature: float) -> None:
        super().__init__()
        self.network = Rearranged(network) if isinstance(network, AlexNet) else _AsTrained(network)
        self.temperature = temperature
        self.eval()

    def forward(self, faces: Tensor) -> Tensor:
        """Probabilities (N, C) of faces (N, 1, 48, 48) uint8."""
        return torch.softmax(seen_logits(self.network, faces) / self.temperature, dim=1)


class _AsTrained(nn.Module):
    """Logits of faces (N, 1, 48, 48) float 0..1."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, faces: Tensor) -> Tensor:
        return self.network(prepare(faces, self.network.config))  # type: ignore[no-any-return]


class Rearranged(nn.Module):
    """AlexNet with its first layer rearranged: logits (N, C) of faces (N, 1, 48, 48) float 0..1."""

    down: Tensor
    across: Tensor

    def __init__(self, network: AlexNet) -> None:
        super().__init__()
        self.config = network.config
        first, *layers = network.features
        assert isinstance(first, nn.Conv2d)
        self.convolution = _of_stride_1(first)
        self.layers = nn.Sequential(*layers)
        self.classifier = network.classifier
        sampling = _sampling(network.config)
        self.register_buffer("down", sampling.reshape(-1, FACE_SIZE))
        self.register_buffer("across", sampling.transpose(1, 2).contiguous())

    def forward(self, faces: Tensor) -> Tensor:
        """Logits (N, C), the means over each face and its mirror image where the network has `mirror`."""
        if self.config.mirror:
            faces = torch.cat([faces, faces.flip(-1)])
        logits: Tensor = self.classifier(self.layers(self.convolution(self._enlarged(faces))).flatten(1))
        return logits.reshape(2, -1, self.config.classes).mean(0) if self.config.mirror else logits

    def _enlarged(self, faces: Tensor) -> Tensor:
        """Normalised faces (N, stride^2, places, places), the channels in pixel_unshuffle's order."""
        stride, _, places = self.across.shape
        normalised = (faces[:, 0] - self.config.mean) / self.config.std
        rows = (self.down @ normalised).reshape(-1, stride, 1, places, FACE_SIZE)
        return (rows @ self.across).reshape(-1, stride**2, places, places)


def _of_stride_1(convolution: nn.Conv2d) -> nn.Conv2d:
    """The same convolution for an input whose pixels lie in stride x stride channels; of one copied to three channels,
    the kernels are summed.
    """
    stride = convolution.stride[0]
    kernels = convolution.weight.detach().sum(1, keepdim=True)
    beyond = -kernels.shape[-1] % stride
    kernels = functional.pixel_unshuffle(functional.pad(kernels, (0, beyond, 0, beyond)), stride)
    filters, channels, side, _ = kernels.shape
    result = nn.Conv2d(channels, filters, side, bias=False)
    result.weight = nn.Parameter(kernels)
    return result


def original_kernels(kernels: Tensor) -> Tensor:
    """The first layer's kernels (filters, channels, 11, 11) of an exported graph, rearranged or not."""
    stride = math.isqrt(kernels.shape[1])
    if stride == 1:  # not rearranged: a stride of 1, or a graph of before 0.4.0
        return kernels
    return functional.pixel_shuffle(kernels, stride)[..., :FIRST_KERNEL, :FIRST_KERNEL]


def _sampling(config: AlexNetConfig) -> Tensor:
    """How much each of 48 pixels in a row counts at each place of the enlarged row (stride, places, 48): every
    stride-th place, from the first, from the second, and so on, as many as the first layer reads.
    """
    enlarged = functional.interpolate(
        torch.eye(FACE_SIZE)[None], size=config.input_size, mode="linear", align_corners=False
    )[0].T
    padded = functional.pad(enlarged, (0, 0, config.padding, config.padding))
    places = (len(padded) - FIRST_KERNEL) // config.stride + math.ceil(FIRST_KERNEL / config.stride)
    padded = functional.pad(padded, (0, 0, 0, max(0, places * config.stride - len(padded))))
    return padded[: places * config.stride].reshape(places, config.stride, FACE_SIZE).transpose(0, 1).contiguous()
