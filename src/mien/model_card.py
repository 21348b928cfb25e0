"""The card that travels inside every ONNX file: what the model is, what it saw, how well it does."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from reprlib import repr as shown
from typing import Any, Final
from warnings import warn

from mien.errors import ModelError

CARD_KEY: Final = "mien.card"
"""The metadata key under which an ONNX file carries its card, as JSON."""

CARD_SCHEMA: Final = 1

CLASS_FREQUENCIES: Final = "class_frequencies"
"""In `ModelCard.data`: the mean of the training targets by class, 0..1, of sum 1."""


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What a model's file states about it.

    name, version   together the model's id
    classes         names of the outputs, in their order
    architecture    the network's config, as its own `to_dict` gives it
    precision       "float32" or "int8"
    temperature     what the logits are divided by inside the graph (Guo et al., ICML 2017)
    data            what it was trained on: source, fingerprint, rows
    metrics         figures by "protocol/split", as `mien evaluate --json` prints them, less the matrices
    license         of the weights
    source          git commit of the code that trained it, or None
    """

    name: str
    version: str
    classes: tuple[str, ...]
    architecture: Mapping[str, Any]
    precision: str = "float32"
    temperature: float = 1.0
    data: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    license: str = "Apache-2.0"
    source: str | None = None

    @property
    def id(self) -> str:
        """The model's id, as records carry it: name, version and precision."""
        return f"{self.name}-{self.version}-{self.precision}"

    @property
    def class_frequencies(self) -> Mapping[str, float] | None:
        """How frequent each class was in training, 0..1; None in cards that do not say."""
        return self.data.get(CLASS_FREQUENCIES)

    @property
    def licence(self) -> str:
        """The old name of `license`."""
        warn("ModelCard.licence is now ModelCard.license", DeprecationWarning, stacklevel=2)
        return self.license

    def to_json(self) -> str:
        """One line of JSON; `from_json` reads it back."""
        values = asdict(self)
        values["licence"] = values.pop("license")  # the spelling of the files that are out there
        return json.dumps({"schema": CARD_SCHEMA, **values}, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> ModelCard:
        """The card that `to_json` wrote. Raises ModelError where it is not one, or of a newer schema."""
        try:
            values = json.loads(text, parse_constant=lambda name: None)  # NaN, as Python writes it, is no JSON
            schema = values.pop("schema")
            if schema != CARD_SCHEMA:
                raise ModelError(f"the model card has schema {schema}, this Mien reads {CARD_SCHEMA}: update mien")
            values["license"] = values.pop("licence", values.get("license", "Apache-2.0"))
            card = cls(**{**values, "classes": tuple(values["classes"])})
            card._check()
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise ModelError(f"the model card is damaged: {error}") from error
        if len(card.classes) < 2:
            raise ModelError(f"the model card names {len(card.classes)} classes, expected at least 2")
        return card

    def _check(self) -> None:
        """Raise ValueError where a field is of another type, or has a value that cannot be."""
        check_fields(self, _KINDS)
        frequencies = self.data.get(CLASS_FREQUENCIES, {})
        if not isinstance(frequencies, Mapping) or not all(_is_fraction(value) for value in frequencies.values()):
            raise ValueError(f"{CLASS_FREQUENCIES} are {shown(frequencies)}")
        json.dumps(asdict(self), ensure_ascii=False).encode()  # a half of a surrogate pair is no text


_KINDS: Final[Mapping[str, Any]] = {
    **dict.fromkeys(("name", "version", "precision", "license"), str),
    **dict.fromkeys(("architecture", "data", "metrics"), Mapping),
    "source": (str, type(None)),
}
"""Of what types a card's fields are."""


def check_fields(described: Any, kinds: Mapping[str, Any]) -> None:
    """Raise ValueError where a field is not of its type, as `isinstance` takes it, or classes or temperature cannot be.

    described  what a file says of its network: it has classes (names) and temperature, which is above 0
    """
    for name, kind in {**kinds, "temperature": (int, float)}.items():
        if not isinstance(getattr(described, name), kind):
            raise ValueError(f"{name} is {shown(getattr(described, name))}")
    if not all(isinstance(name, str) for name in described.classes):
        raise ValueError(f"classes are {shown(described.classes)}")
    if isinstance(described.temperature, bool) or not 0 < described.temperature < math.inf:
        raise ValueError(f"temperature is {shown(described.temperature)}")


def _is_fraction(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1
