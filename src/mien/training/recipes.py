"""Recipes: all that decides a training run, as one typed object that rejects bad values."""

from __future__ import annotations

import dataclasses
import itertools
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from types import MappingProxyType
from typing import Any, Final, Literal, TypeVar

from mien.errors import ConfigError
from mien.training.augment import Augmentation
from mien.training.network import AlexNetConfig, NetworkConfig, config_from_dict, named_network
from mien.training.spoil import Spoiling


@dataclass(frozen=True, slots=True)
class Recipe:
    """One training run.

    spoiling        how training faces are spoiled, as in bad pictures, while teachers see whole ones; not by default
    outliers        fraction of each batch that is no upright face, with the classes' frequencies as target, so that the
                    network learns to be uncertain there (`outliers.py`)
    labels          "votes": soft targets from FER+ votes where a row has them; "own": the dataset's own single label;
                    "none": no labels, the network learns to know a face again in two augmentations (Barlow Twins)
    min_share       least fraction of a row's votes that the seven emotions must exceed, for the row to be trained on
    outlier_votes   an emotion with at most this many of a row's votes counts as not voted for
    sharpness       exponent on the shares of the votes; above 1 the targets lean to the majority
    other_votes     votes for contempt, unknown and not-a-face: "drop" them, or "spread" them evenly over the classes,
                    so that they teach uncertainty (with min_share 0, rows without a face teach nothing else)
    own_share       fraction of the target that the dataset's own label gets beside the votes
    balance         0..1: faces are drawn so that a class of frequency f is met with a weight of f^(1 - balance)
    holdback        fraction of the training faces kept out of the gradient: they pick the epoch and fit the temperature
    epochs, batch   passes over the faces, and faces per step over all ranks together
    sizes           input sizes to begin with, before the network's own (progressive resizing; needs network.pool)
    size_epochs     epochs at each of them
    teach           fraction of the target that the teachers' mean prediction gets when distilling
    teach_dropped   when distilling, learn rows that min_share leaves out from the teachers alone, unless not-a-face has
                    the most votes
    views           fixed views of each face for which teachers predict once (`views.py`), while they look at whole
                    faces only; 0: they look at every new one
    freeze          convolutions (of `resnet` stem and blocks), from the first, that keep weights and batch statistics
    thaw            epoch after which they learn as well; 0 never thaws them
    trunk_rate      factor on the learning rate of the convolutions
    optimizer       "adamw" (Loshchilov and Hutter, ICLR 2019); "sgd" with Nesterov momentum 0.9; or "muon" (Jordan et
                    al., 2024), whose steps are orthogonal matrices, with AdamW for the first and the last layer, and
                    for matrices whose shorter side is above 1,024
    learning_rate   at its peak: a linear warm-up over `warmup` epochs, then half a cosine down to 0
    weight_decay    on weights only, not on biases or batch normalisation
    label_smoothing fraction of each target that is spread evenly over the classes
    ema             decay of the moving average of the weights per step; the averaged weights are evaluated and exported
    clip            largest norm of the gradient; 0 switches clipping off
    patience        stop after this many epochs without a better held-back loss; 0 never stops early
    precision       "auto" (bf16 where the device is faster in it), "bf16-mixed", "32-true"; or "16-mixed" on a GPU
    save_minutes    a checkpoint is written at least so often, and after each epoch
    """

    name: str = "scratch"
    network: NetworkConfig = field(default_factory=lambda: named_network("alexnet-compact"))
    augmentation: Augmentation = field(default_factory=Augmentation)
    spoiling: Spoiling = field(default_factory=Spoiling)
    outliers: float = 0.0
    labels: Literal["votes", "own", "none"] = "votes"
    min_share: float = 0.5
    outlier_votes: float = 0.0
    sharpness: float = 1.0
    other_votes: Literal["drop", "spread"] = "drop"
    own_share: float = 0.0
    balance: float = 0.0
    holdback: float = 0.04
    epochs: int = 20
    batch: int = 128
    sizes: tuple[int, ...] = ()
    size_epochs: tuple[int, ...] = ()
    teach: float = 0.5
    teach_dropped: bool = False
    views: int = 0
    freeze: int = 0
    thaw: int = 0
    trunk_rate: float = 1.0
    optimizer: Literal["adamw", "sgd", "muon"] = "muon"
    learning_rate: float = 2e-3
    weight_decay: float = 0.05
    warmup: float = 1.0
    label_smoothing: float = 0.0
    ema: float = 0.999
    clip: float = 1.0
    patience: int = 0
    precision: Literal["auto", "bf16-mixed", "16-mixed", "32-true"] = "auto"
    seed: int = 0
    save_minutes: float = 5.0

    def __post_init__(self) -> None:
        for name, low, high in (
            ("outliers", 0, 0.5),
            ("min_share", 0, 1),
            ("outlier_votes", 0, 1000),
            ("sharpness", 0.1, 10),
            ("own_share", 0, 1),
            ("balance", 0, 1),
            ("teach", 0, 1),
            ("views", 0, 1000),
            ("freeze", 0, 5),
            ("thaw", 0, 100_000),
            ("trunk_rate", 0, 10),
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
        self._check_together()

    def _check_together(self) -> None:
        """Raise ConfigError naming fields that contradict each other."""
        if self.labels == "none" and not isinstance(self.network, AlexNetConfig):
            raise ConfigError("only AlexNet is trained without labels: its hidden layers take part in it")
        for name, used in (("spoiling", self.spoiling.spoils), ("outliers", self.outliers), ("views", self.views)):
            if used and (self.augmentation.mixup or self.augmentation.cutmix):
                raise ConfigError(f"{name} and augmentation.mixup or cutmix exclude each other: set one of them to 0")
        if self.labels == "none" and self.outliers:
            raise ConfigError("outliers need the frequencies of classes: without labels set it to 0")
        if len(self.sizes) != len(self.size_epochs):
            raise ConfigError(f"sizes and size_epochs must go together, got {self.sizes} and {self.size_epochs}")
        if self.sizes and not self.network.any_size:
            raise ConfigError("sizes needs network.pool: only then do the weights fit inputs of any size")
        if self.sizes and sum(self.size_epochs) >= self.epochs:
            raise ConfigError(f"size_epochs must leave epochs for the network's own input, got {self.size_epochs}")
        if not all(67 <= size <= 512 for size in self.sizes) or not all(epochs >= 1 for epochs in self.size_epochs):
            raise ConfigError(f"sizes must be within 67 and 512 pixels, for 1 epoch or more, got {self.sizes}")

    def network_in(self, epoch: int) -> NetworkConfig:
        """The network as an epoch (from 0) sees it: its input size follows sizes and size_epochs."""
        for size, until in zip(self.sizes, itertools.accumulate(self.size_epochs), strict=True):
            if epoch < until:
                return dataclasses.replace(self.network, input_size=size)
        return self.network

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it; `from_dict` reads it back."""
        lists = {"sizes": list(self.sizes), "size_epochs": list(self.size_epochs)}
        return {**asdict(self), **lists, "network": self.network.to_dict()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Recipe:
        """The recipe that `to_dict` wrote. Raises ConfigError on one that this Mien does not know."""
        try:
            network = config_from_dict(values["network"])
            strengths: dict[str, Any] = {"augmentation": Augmentation(**values["augmentation"])}
            if "spoiling" in values:  # recipes of 0.3.0 have none
                strengths["spoiling"] = Spoiling(**values["spoiling"])
            tuples = {name: tuple(values[name]) for name in ("sizes", "size_epochs") if name in values}
            return cls(**{**values, **tuples, "network": network, **strengths})
        except (TypeError, KeyError) as error:
            raise ConfigError(f"a recipe that this Mien does not know: {error}") from error


_GENTLE: Final = Augmentation(rotation=10.0, brightness=0.1, contrast=0.15, noise=0.0)
_HALF: Final = dataclasses.replace(named_network("alexnet-compact"), width=0.5)


def scratch() -> Recipe:
    """The full training from random weights: what the shipped model's teacher and its beginning were trained with."""
    return Recipe(augmentation=Augmentation(rotation=12.0, brightness=0.15, contrast=0.2, noise=0.01), epochs=30)


def quick() -> Recipe:
    """Less than ten minutes on one core: half the paper's widths. Most rows of the ablation start from it."""
    return Recipe(name="quick", network=_HALF, augmentation=_GENTLE, epochs=12, ema=0.998)


def teacher() -> Recipe:
    """A deeper network from random weights, to learn from with `mien distill`: it is not for shipping."""
    return dataclasses.replace(scratch(), name="teacher", network=named_network("resnet"), epochs=24)


def distill() -> Recipe:
    """A student of teachers, best begun with a trained AlexNet (`--init`).

    The augmentation is stronger than where labels alone teach: teachers predict from the augmented face.
    Single votes are dropped, as FER+'s own training does (Barsoum et al., ICMI 2016).
    """
    return Recipe(name="distill", epochs=18, learning_rate=1e-3, teach=0.7, outlier_votes=1)


def robust() -> Recipe:
    """A student that learns spoiled faces, and what is no face, too: what the shipped model was trained with.

    Teachers predict for four fixed views of each whole face. Faces without labels and pictures without faces are
    given beside it (`--unlabeled`, `--outliers`).
    """
    return dataclasses.replace(
        distill(),
        name="robust",
        spoiling=Spoiling(chance=0.15, cover=0.2, roll=8.0, jitter=0.05),
        outliers=0.1,
        balance=0.3,
        epochs=26,
        learning_rate=8e-4,
        teach=0.9,
        teach_dropped=True,
        views=4,
    )


def fer2013() -> Recipe:
    """From random weights on the original single labels, which are noisy: smoothed, and with more dropout."""
    return dataclasses.replace(
        scratch(),
        name="fer2013",
        network=dataclasses.replace(named_network("alexnet-compact"), dropout=0.4),
        labels="own",
        label_smoothing=0.1,
    )


def pretrain() -> Recipe:
    """Without labels (Barlow Twins): strong augmentation, and as many features as the last hidden layer has units."""
    return Recipe(
        name="pretrain",
        network=dataclasses.replace(_HALF, classes=512, dropout=0.0),
        augmentation=Augmentation(rotation=20.0, scale=0.25, shift=0.12, blur=0.3, erasing=0.5),
        labels="none",
        holdback=0.0,
        batch=256,
        epochs=20,
    )


def finetune() -> Recipe:
    """A few hundred custom faces, on top of weights that are there (`--init`)."""
    return Recipe(
        name="finetune",
        augmentation=_GENTLE,
        holdback=0.1,
        epochs=20,
        batch=32,
        learning_rate=1e-3,
        trunk_rate=0.1,
        warmup=2.0,
        ema=0.98,
    )


RECIPES: Final[Mapping[str, Callable[[], Recipe]]] = MappingProxyType(
    {recipe.__name__: recipe for recipe in (scratch, quick, teacher, distill, robust, finetune, fer2013, pretrain)}
)
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
    changes: dict[str, Any] = {}
    for setting in settings:
        path, equals, text = setting.partition("=")
        if not equals:
            raise ConfigError(f"a setting is FIELD=VALUE, got {setting!r}")
        *parents, name = path.strip().split(".")
        owner: Any = recipe
        part = changes
        for parent in parents:
            _hint(owner, parent, path)
            owner, part = getattr(owner, parent), part.setdefault(parent, {})
        part[name] = _parsed(path.strip(), _hint(owner, name, path), getattr(owner, name), text.strip())
    return _replaced(recipe, changes)


_TRUTH: Final = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_KINDS: Final = {tuple: "whole numbers with commas between them", bool: "true or false"}


def _hint(owner: Any, name: str, path: str) -> Any:
    """The type of a field, if the owner has it."""
    names = [field.name for field in dataclasses.fields(owner)] if dataclasses.is_dataclass(owner) else []
    types = typing.get_type_hints(type(owner))
    hints = {name: types[name] for name in names}
    if name not in hints:
        known = f"{type(owner).__name__} has {', '.join(hints)}" if hints else "that field has none"
        raise ConfigError(f"{path.strip()}: no such field; {known}")
    return hints[name]


def _replaced(owner: _T, changes: Mapping[str, Any]) -> _T:
    """All changes at once, since fields are checked against each other."""
    values = {
        name: _replaced(getattr(owner, name), value) if isinstance(value, Mapping) else value
        for name, value in changes.items()
    }
    return dataclasses.replace(owner, **values)  # type: ignore[type-var]


def _parsed(path: str, hint: Any, value: Any, text: str) -> Any:
    if dataclasses.is_dataclass(value):
        fields = ", ".join(f"{path}.{f.name}" for f in dataclasses.fields(value))
        raise ConfigError(f"{path} has fields; set one of {fields}")
    try:
        if typing.get_origin(hint) is tuple:
            return tuple(int(part) for part in text.split(",") if part)
        if hint is bool:
            return _TRUTH[text.lower()]
        return text if hint is str or typing.get_origin(hint) is Literal else hint(text)
    except (ValueError, KeyError):
        kind = _KINDS.get(typing.get_origin(hint) or hint, getattr(hint, "__name__", ""))
        raise ConfigError(f"{path} must be {kind}, got {text!r}") from None
