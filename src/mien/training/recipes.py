"""Recipes: all that decides a training run, as one typed object that rejects bad values."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from types import MappingProxyType
from typing import Any, Final, Literal, TypeVar

from mien.errors import ConfigError
from mien.training.augment import Augmentation
from mien.training.network import AlexNetConfig, named_network


@dataclass(frozen=True, slots=True)
class Recipe:
    """One training run.

    labels          "votes": soft targets from FER+ votes where a row has them; "own": the dataset's own single label
    min_share       least share of a row's votes that the seven emotions must exceed, for the row to be trained on
    holdback        share of the training faces kept out of the gradient: they pick the epoch and fit the temperature
    epochs, batch   passes over the faces, and faces per step over all ranks together
    optimizer       "adamw" (Loshchilov and Hutter, ICLR 2019) or "sgd" with Nesterov momentum 0.9
    learning_rate   at its peak: a linear warm-up over `warmup` epochs, then half a cosine down to 0
    weight_decay    on weights only, not on biases or batch normalisation
    label_smoothing share of each target that is spread evenly over the classes
    ema             decay of the moving average of the weights per step; the averaged weights are judged and exported
    clip            largest norm of the gradient; 0 switches clipping off
    patience        stop after so many epochs without a better held-back loss; 0 never stops early
    precision       "auto" (bf16 where the processor computes in it), "bf16-mixed", "32-true"; or "16-mixed" on a GPU
    save_minutes    a checkpoint is written at least so often, and after each epoch
    """

    name: str = "scratch"
    network: AlexNetConfig = field(default_factory=lambda: named_network("alexnet-compact"))
    augmentation: Augmentation = field(default_factory=Augmentation)
    labels: Literal["votes", "own"] = "votes"
    min_share: float = 0.5
    holdback: float = 0.04
    epochs: int = 20
    batch: int = 128
    optimizer: Literal["adamw", "sgd"] = "adamw"
    learning_rate: float = 1.5e-3
    weight_decay: float = 0.05
    warmup: float = 2.0
    label_smoothing: float = 0.0
    ema: float = 0.999
    clip: float = 1.0
    patience: int = 0
    precision: Literal["auto", "bf16-mixed", "16-mixed", "32-true"] = "auto"
    seed: int = 0
    save_minutes: float = 5.0

    def __post_init__(self) -> None:
        for name, low, high in (
            ("min_share", 0, 1),
            ("holdback", 0, 0.5),
            ("epochs", 1, 100_000),
            ("batch", 2, 65_536),
            ("weight_decay", 0, 10),
            ("warmup", 0, 100_000),
            ("label_smoothing", 0, 0.9),
            ("ema", 0, 0.999999),
            ("clip", 0, 1e6),
            ("patience", 0, 100_000),
            ("seed", 0, 2**63 - 1),
            ("save_minutes", 0, 1e6),
        ):
            if not low <= getattr(self, name) <= high:
                raise ConfigError(f"{name} must be within {low} and {high}, got {getattr(self, name)}")
        if not 0 < self.learning_rate <= 10:
            raise ConfigError(f"learning_rate must be above 0 and at most 10, got {self.learning_rate}")
        for name, hint in typing.get_type_hints(type(self)).items():
            allowed = typing.get_args(hint) if typing.get_origin(hint) is Literal else ()
            if allowed and getattr(self, name) not in allowed:
                raise ConfigError(f"{name} must be one of {', '.join(allowed)}, got {getattr(self, name)!r}")

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it; `from_dict` reads it back."""
        return {**asdict(self), "network": self.network.to_dict()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Recipe:
        """The recipe that `to_dict` wrote. Raises ConfigError on one that this Mien does not know."""
        try:
            network = AlexNetConfig.from_dict(values["network"])
            augmentation = Augmentation(**values["augmentation"])
            return cls(**{**values, "network": network, "augmentation": augmentation})
        except (TypeError, KeyError) as error:
            raise ConfigError(f"a recipe that this Mien does not know: {error}") from error


def scratch() -> Recipe:
    """The full training from random weights: what the shipped model was trained with."""
    return Recipe()


def quick() -> Recipe:
    """A few minutes on two cores: the compact network on smaller inputs, to see that data and machine work."""
    return Recipe(
        name="quick",
        network=dataclasses.replace(named_network("alexnet-compact"), input_size=131),
        epochs=5,
        warmup=1.0,
        ema=0.995,
    )


RECIPES: Final[Mapping[str, Callable[[], Recipe]]] = MappingProxyType({"quick": quick, "scratch": scratch})
"""The named recipes, each a function that makes one."""


def named_recipe(name: str) -> Recipe:
    """A recipe by its name. Raises ConfigError on one that it does not know."""
    if name not in RECIPES:
        raise ConfigError(f"unknown recipe {name!r}; known are {', '.join(RECIPES)}")
    return RECIPES[name]()


_T = TypeVar("_T")


def with_settings(recipe: Recipe, settings: Sequence[str]) -> Recipe:
    """The recipe with fields replaced, each setting being `field=value` or `part.field=value`.

    >>> with_settings(scratch(), ["epochs=3", "network.hidden=256,256", "augmentation.flip=0"]).epochs
    3

    Raises ConfigError naming the setting that cannot be used.
    """
    for setting in settings:
        path, equals, text = setting.partition("=")
        if not equals:
            raise ConfigError(f"a setting is FIELD=VALUE, got {setting!r}")
        recipe = _replaced(recipe, path.strip(), path.strip().split("."), text.strip())
    return recipe


def _replaced(owner: _T, path: str, keys: Sequence[str], text: str) -> _T:
    hints = typing.get_type_hints(type(owner))
    name, rest = keys[0], keys[1:]
    if name not in hints:
        raise ConfigError(f"{path}: no such field; {type(owner).__name__} has {', '.join(hints)}")
    value = _replaced(getattr(owner, name), path, rest, text) if rest else _parsed(path, hints[name], text)
    return dataclasses.replace(owner, **{name: value})  # type: ignore[type-var]


def _parsed(path: str, hint: Any, text: str) -> Any:
    if dataclasses.is_dataclass(hint):
        fields = ", ".join(f"{path}.{f.name}" for f in dataclasses.fields(hint))
        raise ConfigError(f"{path} has fields of its own; set one of {fields}")
    try:
        if typing.get_origin(hint) is tuple:
            return tuple(int(part) for part in text.split(","))
        return text if hint is str or typing.get_origin(hint) is Literal else hint(text)
    except ValueError:
        raise ConfigError(f"{path} must be {getattr(hint, '__name__', hint)}, got {text!r}") from None
