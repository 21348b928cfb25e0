"""The label map: what the labels of a source mean, as `1=surprise,2=fear,8=drop` says it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from mien.emotions import EMOTIONS, parse_emotion
from mien.errors import ConfigError, DataError

RAF_DB: Final = "1=surprise,2=fear,3=disgust,4=happiness,5=sadness,6=anger,7=neutral"
"""What the numbers of RAF-DB's folders mean (Li, Deng and Du, CVPR 2017)."""

DROP: Final = "drop"
"""Leaves the rows of a label out, as an empty class does."""

BESIDE_THE_SEVEN: Final = frozenset({"contempt"})
"""Emotions that datasets have (AffectNet, CK+) and Mien's seven have not: such rows are left out."""


def parse_labels(labels: str | Mapping[str, str | None] | None, *, own_classes: bool) -> dict[str, str | None]:
    """The class of each label, by `label_key`; None where its rows are left out.

    labels is text, LABEL=CLASS with commas between, or a mapping, whose None is as `drop`. Raises ConfigError where it
    is neither, names a label twice, or, without own classes, a class that is none of Mien's seven or contempt.
    """
    if labels is None:
        return {}
    if not isinstance(labels, str | Mapping):
        raise ConfigError(f"labels must be text or a mapping, got {type(labels).__name__}")
    meanings: dict[str, str | None] = {}
    for label, name in labels.items() if isinstance(labels, Mapping) else _pairs(labels):
        key = label_key(str(label))
        if not key:
            raise ConfigError(f"a label is missing before ={name}; labels are given as `labels={RAF_DB}`")
        if key in meanings:
            raise ConfigError(f"the label {label!r} is given twice: each label has one class")
        meanings[key] = _class(str(label), "" if name is None else str(name).strip(), own_classes=own_classes)
    return meanings


def label_key(label: str) -> str:
    """The form in which labels are compared: without spaces around, in lower case."""
    return label.strip().lower()


def is_beside_the_seven(label: str) -> bool:
    """Whether a label names an emotion that is left out unless own classes are asked for."""
    return label_key(label) in BESIDE_THE_SEVEN


def _pairs(text: str) -> Iterable[tuple[str, str]]:
    for part in text.split(","):
        label, _, name = part.partition("=")
        if part.count("=") != 1:
            raise ConfigError(f"expected LABEL=CLASS, got {part.strip()!r}; labels are given as `labels={RAF_DB}`")
        yield label, name


def _class(label: str, name: str, *, own_classes: bool) -> str | None:
    if name.lower() in ("", DROP):
        return None
    if own_classes:
        return name
    if is_beside_the_seven(name):
        return None
    try:
        return parse_emotion(name)
    except DataError:
        known = ", ".join(EMOTIONS)
        raise ConfigError(
            f"the label {label!r} is given the class {name!r}; known are {known}, and {DROP}; "
            "`own_classes=True` takes any"
        ) from None
