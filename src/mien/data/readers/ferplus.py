"""FER+'s own folders: FER2013Train, FER2013Valid, FER2013Test, each with its PNGs and a `label.csv` without header.

A row of it: name of the picture, the face's rectangle (the whole picture, not used), the ten votes in the order of
FERPLUS_COLUMNS (microsoft/FERPlus; Barsoum et al., ICMI 2016). The original labels of FER2013 do not stand in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Final

from mien.data.dataset import Split
from mien.data.readers.csv_file import CsvFile
from mien.data.readers.pictures import read_face
from mien.data.readers.rows import Item, Options, Row, parse_votes, row_or_bad
from mien.errors import DataError

LABELS_FILE: Final = "label.csv"
FOLDERS: Final = MappingProxyType[str, Split](
    {"FER2013Train": "training", "FER2013Valid": "validation", "FER2013Test": "test"}
)


def read(root: Path, options: Options) -> Iterator[Item]:
    """Yield the rows of those of the three folders that are there. Raises DataError where one has no label.csv."""
    options.refuse_own_classes("FER+")
    options.refuse_labels("FER+'s folders hold votes, no labels")
    labels = {name: CsvFile(root / name / LABELS_FILE) for name in FOLDERS if (root / name).is_dir()}
    for name, file in labels.items():
        if not file.path.is_file():
            raise DataError(f"{file}: missing; FER+'s folder {name} holds it beside its pictures")
    rows = [(name, number, cells) for name, file in labels.items() for number, cells in _numbered(file)]
    for done, (name, number, cells) in enumerate(rows, 1):
        yield row_or_bad(labels[name], str(number), partial(_parse, root, name, cells))
        options.report(done, len(rows))


def _numbered(file: CsvFile) -> Iterator[tuple[int, list[str]]]:
    return enumerate(file.rows(Options(), has_header=False))


def _parse(root: Path, folder: str, cells: list[str]) -> Row:
    picture, _, *votes = cells if len(cells) > 1 else (*cells, "")
    voted = parse_votes(list(votes))
    return Row(read_face(root / folder / picture), None, FOLDERS[folder], f"{folder}/{picture}", voted)
