"""AlexNet (Krizhevsky, Sutskever, Hinton, NeurIPS 2012) for faces: five convolutions, three fully connected layers.

It differs from the paper in two ways: batch normalisation follows each convolution (in place of local response
normalisation), and the last layer predicts seven emotions. `AlexNetConfig` holds all that may vary. The layout
`alexnet-torchvision` is that of Krizhevsky's later paper (One weird trick for parallelizing convolutional neural
networks, 2014) as torchvision has it, so that ImageNet weights in that format fit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional

from mien.errors import ConfigError
from mien.training.face_network import FaceNetwork, check_fields, check_inputs
from mien.training.face_resnet import FaceResNet, FaceResNetConfig
from mien.training.resnet import ResNet, ResNetConfig


@dataclass(frozen=True, slots=True)
class AlexNetConfig:
    """What may vary in the network. The defaults are the paper's, on one grey channel.

    filters   of the five convolutions; width scales them all, in multiples of 8
    groups    2 splits convolutions 2, 4 and 5 as the paper did between its two GPUs
    padding   pixels around the input of the first convolution
    stride    pixels from one place of the first convolution to the next
    pool      side of the feature map that reaches the classifier, by adaptive average pooling, so that the weights fit
              inputs of any size; 0 takes the map as it comes
    hidden    widths of the two hidden fully connected layers
    mirror    outside training, average the logits over each face and its mirror image: twice the work
    mean, std normalise pixels in 0..1 (the defaults are FER2013's own)
    """

    in_channels: int = 1
    input_size: int = 227
    classes: int = 7
    filters: tuple[int, int, int, int, int] = (96, 256, 384, 384, 256)
    width: float = 1.0
    groups: int = 1
    padding: int = 0
    stride: int = 4
    pool: int = 0
    hidden: tuple[int, int] = (4096, 4096)
    dropout: float = 0.5
    mirror: bool = False
    mean: float = 0.508
    std: float = 0.255

    def __post_init__(self) -> None:
        check_inputs(self)
        if self.groups not in (1, 2):
            raise ConfigError(f"groups must be 1 or 2, got {self.groups}")
        if len(self.filters) != 5 or not all(8 <= filters <= 4096 for filters in self.filters):
            raise ConfigError(f"filters must be five counts within 8 and 4096, got {self.filters}")
        if not 0 <= self.padding <= 5:
            raise ConfigError(f"padding must be within 0 and 5 pixels, got {self.padding}")
        if not 1 <= self.stride <= 4:
            raise ConfigError(f"stride must be within 1 and 4 pixels, got {self.stride}")
        if not 0 <= self.pool <= 16:
            raise ConfigError(f"pool must be within 0 and 16, got {self.pool}")
        if not 0.05 <= self.width <= 4:
            raise ConfigError(f"width must be within 0.05 and 4, got {self.width}")
        if not 67 <= self.input_size <= 512:
            raise ConfigError(f"input_size must be within 67 and 512 pixels, got {self.input_size}")
        if len(self.hidden) != 2 or not all(1 <= width <= 65_536 for width in self.hidden):
            raise ConfigError(f"hidden must be two widths within 1 and 65536, got {self.hidden}")

    @property
    def channels(self) -> tuple[int, int, int, int, int]:
        """Filters of the five convolutions as they are built: `filters` times `width`, in multiples of 8."""
        first, second, third, fourth, fifth = (max(8, round(n * self.width / 8) * 8) for n in self.filters)
        return first, second, third, fourth, fifth

    @property
    def any_size(self) -> bool:
        """Whether the weights fit inputs of any size: with `pool` they do."""
        return self.pool > 0

    @property
    def final_map(self) -> int:
        """Side of the feature map that reaches the classifier: 6 for an input of 227 without pool."""
        if self.pool:
            return self.pool
        side = (self.input_size + 2 * self.padding - 11) // self.stride + 1
        for _ in range(3):
            side = (side - 3) // 2 + 1
        return side

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it; `from_dict` reads it back."""
        return {**asdict(self), "filters": list(self.filters), "hidden": list(self.hidden)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> AlexNetConfig:
        """The config that `to_dict` wrote. Raises ConfigError on fields that it does not know."""
        check_fields(values, cls.__dataclass_fields__)
        tuples: dict[str, Any] = {name: tuple(values[name]) for name in ("filters", "hidden") if name in values}
        return cls(**{**values, **tuples})


class AlexNet(FaceNetwork):
    """AlexNet with batch normalisation: normalised faces (N, in_channels, S, S) float in, logits (N, classes) out."""

    def __init__(self, config: AlexNetConfig) -> None:
        super().__init__()
        self.config = config
        c1, c2, c3, c4, c5 = config.channels
        g = config.groups
        self.features = nn.Sequential(
            *_convolution(config.in_channels, c1, kernel=11, stride=config.stride, padding=config.padding),
            nn.MaxPool2d(3, stride=2),
            *_convolution(c1, c2, kernel=5, padding=2, groups=g),
            nn.MaxPool2d(3, stride=2),
            *_convolution(c2, c3, kernel=3, padding=1),
            *_convolution(c3, c4, kernel=3, padding=1, groups=g),
            *_convolution(c4, c5, kernel=3, padding=1, groups=g),
            nn.MaxPool2d(3, stride=2),
            *([nn.AdaptiveAvgPool2d(config.pool)] if config.pool else []),
        )
        h1, h2 = config.hidden
        self.classifier = nn.Sequential(
            nn.Dropout(config.dropout),
            nn.Linear(c5 * config.final_map**2, h1),
            nn.ReLU(inplace=True),
            nn.Dropout(config.dropout),
            nn.Linear(h1, h2),
            nn.ReLU(inplace=True),
            nn.Linear(h2, config.classes),
        )
        self.initialise()

    def forward(self, faces: Tensor) -> Tensor:
        """Logits (N, classes) of normalised faces (N, in_channels, S, S)."""
        mirrored = self.config.mirror and not self.training
        logits = super().forward(torch.cat([faces, faces.flip(-1)]) if mirrored else faces)
        return logits.reshape(2, -1, self.config.classes).mean(0) if mirrored else logits


def _convolution(
    inputs: int, filters: int, *, kernel: int, padding: int, stride: int = 1, groups: int = 1
) -> tuple[nn.Module, ...]:
    return (
        nn.Conv2d(inputs, filters, kernel, stride=stride, padding=padding, groups=groups, bias=False),
        nn.BatchNorm2d(filters),
        nn.ReLU(inplace=True),
    )


NetworkConfig: TypeAlias = AlexNetConfig | ResNetConfig | FaceResNetConfig
Network: TypeAlias = AlexNet | ResNet | FaceResNet

NETWORKS: Final[Mapping[str, NetworkConfig]] = MappingProxyType(
    {
        "alexnet": AlexNetConfig(pool=6),
        "alexnet-compact": AlexNetConfig(input_size=131, width=0.75, pool=3, hidden=(512, 512), dropout=0.3),
        "alexnet-torchvision": AlexNetConfig(
            filters=(64, 192, 384, 256, 256), padding=2, pool=6, mean=0.449, std=0.226
        ),
        "resnet": ResNetConfig(),
        "face-resnet": FaceResNetConfig(),
    }
)
"""The named networks: `alexnet` is the paper's (where pool does nothing at its input of 227), `alexnet-compact` is the
one that ships, `alexnet-torchvision` takes ImageNet weights in torchvision's format (mean and std are the means of
ImageNet's three channels), `resnet` is a deeper teacher, and `face-resnet` one that can begin with dlib's
face-recognition weights."""


def named_network(name: str) -> NetworkConfig:
    """The config of a named network. Raises ConfigError on a name that it does not know."""
    if name not in NETWORKS:
        raise ConfigError(f"unknown network {name!r}; known are {', '.join(NETWORKS)}")
    return NETWORKS[name]


def config_from_dict(values: Mapping[str, Any]) -> NetworkConfig:
    """The config that `to_dict` wrote, of any kind. Raises ConfigError on fields that it does not know."""
    kinds: dict[str, type[NetworkConfig]] = {kind.KIND: kind for kind in (ResNetConfig, FaceResNetConfig)}
    return kinds.get(values.get("kind", ""), AlexNetConfig).from_dict(dict(values))


def build(config: NetworkConfig) -> Network:
    """The network of a config, with fresh weights from torch's generator."""
    if isinstance(config, FaceResNetConfig):
        return FaceResNet(config)
    return ResNet(config) if isinstance(config, ResNetConfig) else AlexNet(config)


def prepare(faces: Tensor, config: NetworkConfig) -> Tensor:
    """Faces (N, 1, h, w) float 0..1 as the network takes them: (N, in_channels, S, S), normalised.

    Enlarging is bilinear with half-pixel centres; grey is copied to three channels only where the weights need it.
    Training, evaluation and the exported graph all pass through here.
    """
    size = config.input_size
    if faces.shape[-2:] != (size, size):
        faces = functional.interpolate(faces, size=(size, size), mode="bilinear", align_corners=False)
    faces = (faces - config.mean).div_(config.std)
    return faces.expand(-1, config.in_channels, -1, -1) if config.in_channels > 1 else faces


def as_input(faces: Tensor, config: NetworkConfig) -> Tensor:
    """As `prepare`, in the memory layout in which convolutions are trained fastest."""
    return prepare(faces, config).contiguous(memory_format=torch.channels_last)


def multiply_adds(config: NetworkConfig) -> int:
    """Multiply-adds of convolutions and fully connected layers for one face; nothing is computed for it."""
    with torch.device("meta"):
        network = build(config).eval()
    counts: list[int] = []

    def count(module: nn.Module, _: object, output: torch.Tensor) -> None:
        weight = module.get_parameter("weight")
        counts.append(output.numel() * weight[0].numel())

    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(count)
    network(torch.zeros(1, config.in_channels, config.input_size, config.input_size, device="meta"))
    return sum(counts)
