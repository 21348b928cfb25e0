"""What the readers have in common: the row that each yields, the names of splits, and the gathering into arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mien.data.dataset import BadRow, FaceDataset, Split
from mien.emotions import EMOTIONS, FER2013_CODES, FERPLUS_COLUMNS, parse_emotion
from mien.errors import ConfigError, DataError

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
_CODES: Final = {str(number): name for number, name in enumerate(FER2013_CODES)}


@dataclass(frozen=True)
class Options:
    """How to read: what `read_faces` was asked for."""

    own_classes: bool = False
    default_split: Split = "training"
    progress: Progress | None = None
    labels: bool = True

    def class_name(self, name: str) -> str:
        """The class that a label or folder name means. Raises DataError on a name that is not known."""
        if self.own_classes or not self.labels:
            return name.strip()
        try:
            return parse_emotion(name)
        except DataError as error:
            raise DataError(f"{error}; `own_classes=True` trains on custom names") from None

    def refuse_own_classes(self, form: str) -> None:
        """Raises ConfigError where own classes were asked for, and the form has codes instead of names."""
        if self.own_classes:
            raise ConfigError(f"own classes need class folders or a manifest; {form} holds codes of Mien's seven")

    def report(self, done: int, total: int) -> None:
        """Tell the caller, if it wants to know, how far the reading is."""
        if self.progress is not None:
            self.progress(done, total)


@dataclass(frozen=True, slots=True)
class Row:
    """One face: (48, 48) uint8; the name of its class or None; ten FER+ votes or None; its split; its id."""

    face: NDArray[np.uint8]
    label: str | None
    split: Split
    row: str
    votes: NDArray[np.float32] | None = None


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


def good_rows(rows: Iterable[Row | BadRow], bad: list[BadRow], *, skip_bad: bool) -> Iterator[Row]:
    """The good rows; bad ones go to the list, or, unless they are to be skipped, the first of them raises DataError."""
    for row in rows:
        if not isinstance(row, BadRow):
            yield row
        elif skip_bad:
            bad.append(row)
        else:
            raise DataError(f"{row} (`skip_bad=True` goes on without such rows)")


def none_good(source: Path, bad: Sequence[BadRow]) -> DataError:
    """What is wrong with a source that has no good row."""
    return DataError(f"{source}: no rows could be read" + (f"; row {bad[0].row}: {bad[0].reason}" if bad else ""))


def collect(source: Path, rows: Iterable[Row | BadRow], options: Options, *, skip_bad: bool) -> FaceDataset:
    """Gather rows into arrays. Raises DataError on the first bad row unless such are skipped, and if none is good."""
    pixels = bytearray()  # grows in place: no second copy of all faces at the end
    labels: list[str | None] = []
    votes: list[NDArray[np.float32] | None] = []
    splits: list[str] = []
    ids: list[str] = []
    bad: list[BadRow] = []
    for row in good_rows(rows, bad, skip_bad=skip_bad):
        pixels += row.face.tobytes()
        labels.append(row.label if options.labels else None)
        votes.append(row.votes if options.labels else None)
        splits.append(row.split)
        ids.append(row.row)
    if not ids:
        raise none_good(source, bad)
    classes = tuple(sorted({name for name in labels if name is not None})) if options.own_classes else EMOTIONS
    index = {name: i for i, name in enumerate(classes)}
    no_votes = np.zeros(len(FERPLUS_COLUMNS), np.float32)
    return FaceDataset(
        source=str(source),
        classes=classes,
        faces=np.frombuffer(pixels, np.uint8).reshape(-1, 48, 48),
        labels=np.array([-1 if name is None else index[name] for name in labels], np.int64),
        votes=np.stack([no_votes if v is None else v for v in votes]) if any(v is not None for v in votes) else None,
        split=np.array(splits),
        row=np.array(ids),
        bad=tuple(bad),
    )
