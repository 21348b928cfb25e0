"""The residual network of dlib's face recogniser (King, 2017), as a teacher that can begin with its weights.

The layout is that of `dnn_face_recognition_ex.cpp`: ResNet-34 with half its filters and fewer blocks (29 convolutions).
Convolutions and pooling of stride 2 have no padding, and a shortcut has no weights: where two maps are added, the
smaller one is padded with zeros. Batch normalisation takes the place of the factor and the offset of the published
weights. The classifier reads the 256 pooled features, of which dlib's descriptor is a projection.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

from torch import Tensor, nn
from torch.nn import functional

from mien.training.face_network import FaceNetwork, TeacherConfig, check_inputs, check_sizes

_BLOCKS: Final = ((1, (1, 1, 1)), (2, (2, 1, 1, 1)), (4, (2, 1, 1)), (8, (2, 1, 1)), (8, (2,)))
"""For each stage its filters, as a multiple of the first stage's, and the stride of each of its blocks."""


@dataclass(frozen=True, slots=True)
class FaceResNetConfig(TeacherConfig):
    """What may vary. The weights fit inputs of any size.

    width      scales the 32, 64, 128, 256 and 256 filters of the five stages, in multiples of 8
    dropout    before the last layer
    mean, std  normalise pixels in 0..1 (the defaults are dlib's: the mean of its channels' means, and 256 grey levels)
    """

    KIND: ClassVar[str] = "face-resnet"

    in_channels: int = 1
    input_size: int = 112
    classes: int = 7
    width: float = 1.0
    dropout: float = 0.2
    mean: float = 0.45
    std: float = 256 / 255

    def __post_init__(self) -> None:
        check_inputs(self)
        check_sizes(self.input_size, 103, self.width)

    @property
    def channels(self) -> int:
        """Filters of the first stage as they are built."""
        return max(8, round(32 * self.width / 8) * 8)


class FaceResNet(FaceNetwork):
    """dlib's residual network: normalised faces (N, in_channels, S, S) float in, logits (N, classes) out."""

    def __init__(self, config: FaceResNetConfig) -> None:
        super().__init__()
        self.config = config
        filters = width = config.channels
        stem = nn.Conv2d(config.in_channels, width, 7, stride=2, bias=False)
        blocks = []
        for factor, strides in _BLOCKS:
            for stride in strides:
                blocks.append(FaceBlock(filters, factor * width, stride=stride))
                filters = factor * width
        self.features = nn.Sequential(
            *(stem, nn.BatchNorm2d(width), nn.ReLU(inplace=True), nn.MaxPool2d(3, stride=2)),
            *(*blocks, nn.AdaptiveAvgPool2d(1)),
        )
        self.classifier = nn.Sequential(nn.Dropout(config.dropout), nn.Linear(filters, config.classes))
        self.initialise()


class FaceBlock(nn.Module):
    """Two 3x3 convolutions, and a shortcut around them: the input itself, pooled where the stride is 2."""

    def __init__(self, inputs: int, filters: int, *, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, filters, 3, stride=stride, padding=0 if stride > 1 else 1, bias=False)
        self.bn1 = nn.BatchNorm2d(filters)
        self.conv2 = nn.Conv2d(filters, filters, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(filters)
        self.shortcut: nn.Module = nn.AvgPool2d(2) if stride > 1 else nn.Identity()

    def forward(self, values: Tensor) -> Tensor:
        """Values (N, inputs, S, S) to (N, filters, T, T): T is S, or half of it."""
        inner = functional.relu(self.bn1(self.conv1(values)), inplace=True)
        return functional.relu(_sum(self.bn2(self.conv2(inner)), self.shortcut(values)), inplace=True)


def _sum(one: Tensor, other: Tensor) -> Tensor:
    """The sum of two batches of maps (N, C, S, S), each padded with zeros at its end to the larger C and S."""
    if one.shape != other.shape:
        channels, side = max(one.shape[1], other.shape[1]), max(one.shape[2], other.shape[2])
        one, other = (
            functional.pad(maps, (*(0, side - maps.shape[3], 0, side - maps.shape[2]), 0, channels - maps.shape[1]))
            for maps in (one, other)
        )
    return one + other
