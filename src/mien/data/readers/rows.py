"""What the readers have in common: their options, what each yields, and the names of splits, codes and votes."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mien.data.dataset import BadRow, Split
from mien.data.readers.labels import RAF_DB, is_beside_the_seven, label_key
from mien.emotions import FER2013_CODES, FERPLUS_COLUMNS, parse_emotion
from mien.errors import ConfigError, DataError, MienError

Progress = Callable[[int, int], None]
"""Called now and then with how much is done and how much there is, in one unit: rows, pictures or bytes."""

_SPLIT_NAMES: Final[dict[str, Split]] = {
    "train": "training",
    "training": "training",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
}
_NUMBER: Final = re.compile(r"[+-]?\d+(\.\d+)?")
_CODES: Final = {str(number): name for number, name in enumerate(FER2013_CODES)}


@dataclass(frozen=True, slots=True)
class Row:
    """One face: (48, 48) uint8; its class or None; its split, None where the source names none; its id; ten FER+ votes
    or None.
    """

    face: NDArray[np.uint8]
    label: str | None
    split: Split | None
    row: str
    votes: NDArray[np.float32] | None = None


@dataclass(frozen=True, slots=True)
class DroppedRow:
    """A row that is left out for its label, which is no fault."""

    label: str


@dataclass(frozen=True, slots=True)
class PassedFile:
    """A file among pictures that is not read, by its kind."""

    kind: str


Item: TypeAlias = Row | BadRow | DroppedRow | PassedFile
"""What a reader yields."""


@dataclass(frozen=True)
class Options:
    """How to read: what `read_faces` was asked for.

    labels  the class of each label by its key, as `parse_labels` gives it; None: its rows are left out
    met     those of its keys that a row had, filled while reading
    """

    own_classes: bool = False
    default_split: Split = "training"
    progress: Progress | None = None
    labelled: bool = True
    labels: Mapping[str, str | None] = field(default_factory=dict)
    met: set[str] = field(default_factory=set)

    def class_name(self, label: str, usual: Callable[[str], str] = parse_emotion) -> str | DroppedRow:
        """The class that a label or folder name means, or that its rows are left out.

        The label map goes before the usual meaning. Raises DataError on a label that neither knows.
        """
        label = label.strip()
        if not self.labelled:
            return label
        if (key := label_key(label)) in self.labels:
            self.met.add(key)
            return self.labels[key] or DroppedRow(key)
        if self.own_classes:
            return label
        if is_beside_the_seven(label):
            return DroppedRow(key)
        try:
            return usual(label)
        except DataError as error:
            if usual is not parse_emotion:
                raise DataError(f"{error}; `labels=CODE=CLASS` says what another means") from None
            if _NUMBER.fullmatch(label):
                raise DataError(
                    f"unknown emotion {label!r}; say what the numbers mean, as `labels={RAF_DB}` does for RAF-DB"
                ) from None
            raise DataError(f"{error}; `mien train --own-classes` trains a model of other classes") from None

    def refuse_own_classes(self, form: str) -> None:
        """Raises ConfigError where own classes were asked for, and the form has codes instead of names."""
        if self.own_classes:
            raise ConfigError(f"own classes need class folders or a manifest; {form} holds codes of Mien's seven")

    def refuse_labels(self, form: str) -> None:
        """Raises ConfigError where a label map was given, and the form has no labels that it could apply to."""
        if self.labels:
            raise ConfigError(f"`labels=...` does not apply: {form}")

    def report(self, done: int, total: int) -> None:
        """Tell the caller, if it wants to know, how far the reading is."""
        if self.progress is not None:
            self.progress(done, total)


def row_or_bad(file: object, row: str, read: Callable[[], Row | DroppedRow]) -> Row | DroppedRow | BadRow:
    """What read gives, or the row of this id as a bad one where it raises MienError."""
    try:
        return read()
    except MienError as error:
        return BadRow(str(file), row, str(error))


def find_split(name: str) -> Split | None:
    """The split that a usual name of one means (train, val, PublicTest, private_test, ...), else None."""
    key = "".join(filter(str.isalnum, name.lower()))
    if key.startswith("public"):
        return "validation"
    if key.startswith("private"):
        return "test"
    return _SPLIT_NAMES.get(key)


def parse_split(name: str) -> Split:
    """As `find_split`; raises DataError on an unknown name."""
    split = find_split(name)
    if split is None:
        raise DataError(f"unknown split {name!r}; known are Training, PublicTest, PrivateTest, train, val, test")
    return split


def parse_code(code: str) -> str:
    """The class that a code 0..6 of FER2013 stands for. Raises DataError on another."""
    if code not in _CODES:
        raise DataError(f"unknown emotion code {code!r}, expected 0 to {len(FER2013_CODES) - 1}")
    return _CODES[code]


def parse_votes(cells: list[str]) -> NDArray[np.float32]:
    """Ten FER+ votes from as many cells. Raises DataError on another number of cells, or on what is no number >= 0."""
    expected = len(FERPLUS_COLUMNS)
    if len(cells) != expected:
        raise DataError(f"expected {expected} votes, got {len(cells)}")
    try:
        votes = np.array([float(cell) for cell in cells], np.float32)
    except ValueError:
        raise DataError(f"votes must be numbers, got {','.join(cells)}") from None
    if not (np.isfinite(votes).all() and (votes >= 0).all()):
        raise DataError(f"votes must be finite and not negative, got {','.join(cells)}")
    return votes
