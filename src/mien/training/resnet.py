"""A residual network (He et al., CVPR 2016) as a teacher: deeper than AlexNet, slower, and not shipped.

ResNet-18's layout on one grey channel, with the pooled shortcuts of ResNet-D (He et al., CVPR 2019). Each block begins
as the identity: the weight of its last batch normalisation is 0 (Goyal et al., 2017).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional

from mien.training.face_network import FaceNetwork, TeacherConfig, check_inputs, check_sizes


@dataclass(frozen=True, slots=True)
class ResNetConfig(TeacherConfig):
    """What may vary. The weights fit inputs of any size.

    width      scales the 64, 128, 256 and 512 filters of the four stages, in multiples of 8
    dropout    before the last layer
    mean, std  normalise pixels in 0..1 (the defaults are FER2013's own)
    """

    KIND: ClassVar[str] = "resnet"

    in_channels: int = 1
    input_size: int = 96
    classes: int = 7
    width: float = 0.75
    dropout: float = 0.2
    mean: float = 0.508
    std: float = 0.255

    def __post_init__(self) -> None:
        check_inputs(self)
        check_sizes(self.input_size, 32, self.width)

    @property
    def channels(self) -> int:
        """Filters of the first stage as they are built; each later one has twice as many."""
        return max(8, round(64 * self.width / 8) * 8)


class ResNet(FaceNetwork):
    """ResNet-18: normalised faces (N, in_channels, S, S) float in, logits (N, classes) out."""

    def __init__(self, config: ResNetConfig) -> None:
        super().__init__()
        self.config = config
        width = config.channels
        stem = nn.Conv2d(config.in_channels, width, 7, stride=2, padding=3, bias=False)
        blocks = [Block(width, width, stride=1), Block(width, width, stride=1)]
        for filters in (2 * width, 4 * width, 8 * width):
            blocks += [Block(filters // 2, filters, stride=2), Block(filters, filters, stride=1)]
        self.features = nn.Sequential(
            *(stem, nn.BatchNorm2d(width), nn.ReLU(inplace=True), nn.MaxPool2d(3, stride=2, padding=1)),
            *(*blocks, nn.AdaptiveAvgPool2d(1)),
        )
        self.classifier = nn.Sequential(nn.Dropout(config.dropout), nn.Linear(8 * width, config.classes))
        self.initialise()


class Block(nn.Module):
    """Two 3x3 convolutions and a shortcut around them."""

    def __init__(self, inputs: int, filters: int, *, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, filters, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(filters)
        self.conv2 = nn.Conv2d(filters, filters, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(filters)
        nn.init.zeros_(self.bn2.weight)
        self.shortcut: nn.Module = nn.Identity()
        if inputs != filters:
            pool = nn.AvgPool2d(2, ceil_mode=True)
            self.shortcut = nn.Sequential(pool, nn.Conv2d(inputs, filters, 1, bias=False), nn.BatchNorm2d(filters))

    def forward(self, values: Tensor) -> Tensor:
        """Values (N, inputs, S, S) to (N, filters, S / stride, S / stride)."""
        inner = functional.relu(self.bn1(self.conv1(values)), inplace=True)
        return functional.relu(self.bn2(self.conv2(inner)) + self.shortcut(values), inplace=True)
