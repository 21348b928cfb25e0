"""What the networks share: features, then a classifier; how they begin; and the fields that each config has."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, fields
from typing import Any, ClassVar, Protocol, Self

from torch import Tensor, nn

from mien.errors import ConfigError


class InputConfig(Protocol):
    """The fields that the config of each network has."""

    @property
    def in_channels(self) -> int:
        """1 for grey, 3 for grey copied to three channels."""

    @property
    def classes(self) -> int:
        """The number of its logits."""

    @property
    def dropout(self) -> float:
        """0..1, before the fully connected layers."""

    @property
    def mean(self) -> float:
        """Taken off pixels in 0..1."""

    @property
    def std(self) -> float:
        """Pixels are divided by it."""


def check_inputs(config: InputConfig) -> None:
    """Raise ConfigError naming the first shared field that cannot be."""
    if config.in_channels not in (1, 3):
        raise ConfigError(f"in_channels must be 1 or 3, got {config.in_channels}")
    if config.classes < 2:
        raise ConfigError(f"classes must be at least 2, got {config.classes}")
    if not 0 <= config.dropout < 1:
        raise ConfigError(f"dropout must be within 0 and 1, got {config.dropout}")
    if not (0 < config.std <= 10 and -10 <= config.mean <= 10):
        raise ConfigError(f"mean must be within -10 and 10 and std above 0, got {config.mean} and {config.std}")


def check_fields(names: Collection[str], known: Collection[str]) -> None:
    """Raise ConfigError where there is a name that is not known."""
    unknown = set(names) - set(known)
    if unknown:
        raise ConfigError(f"unknown field of the network: {', '.join(sorted(unknown))}")


class TeacherConfig:
    """What the configs of the teachers share, which are frozen dataclasses with a `width`; AlexNet's has no KIND.

    KIND  the `kind` of the network in a checkpoint or on a card
    """

    __slots__ = ()
    KIND: ClassVar[str]

    @property
    def any_size(self) -> bool:
        """Whether the weights fit inputs of any size: they do."""
        return True

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it; `from_dict` reads it back."""
        return {"kind": self.KIND, **asdict(self)}  # type: ignore[call-overload]

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """The config that `to_dict` wrote. Raises ConfigError on fields that it does not know."""
        check_fields(values, {"kind", *(field.name for field in fields(cls))})  # type: ignore[arg-type]
        return cls(**{name: value for name, value in values.items() if name != "kind"})


def check_sizes(input_size: int, least: int, width: float) -> None:
    """Raise ConfigError on an input size in pixels or a width that a teacher cannot have."""
    if not least <= input_size <= 512:
        raise ConfigError(f"input_size must be within {least} and 512 pixels, got {input_size}")
    if not 0.1 <= width <= 4:
        raise ConfigError(f"width must be within 0.1 and 4, got {width}")


class FaceNetwork(nn.Module):
    """Normalised faces (N, in_channels, S, S) float in, logits (N, classes) out: `features`, then `classifier`."""

    features: nn.Sequential
    classifier: nn.Sequential

    @property
    def first(self) -> nn.Conv2d:
        """The first convolution, which sees the pixels."""
        layer: nn.Conv2d = self.features[0]  # type: ignore[assignment]
        return layer

    @property
    def last(self) -> nn.Linear:
        """The last fully connected layer, whose outputs are the logits."""
        layer: nn.Linear = self.classifier[-1]  # type: ignore[assignment]
        return layer

    def initialise(self) -> None:
        """He initialisation (He et al., ICCV 2015), which suits ReLU; the first predictions are about even."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        nn.init.normal_(self.last.weight, std=0.01)

    def forward(self, faces: Tensor) -> Tensor:
        """Logits (N, classes) of normalised faces (N, in_channels, S, S)."""
        logits: Tensor = self.classifier(self.features(faces).flatten(1))
        return logits
