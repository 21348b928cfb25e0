"""Kaggle's FER2013: `emotion,pixels,Usage`, a row a face, and FER+'s `fer2013new.csv` beside it where there is one.

The columns may come in any order and with spaces around their names (`icml_face_data.csv`). emotion is a code 0..6,
pixels 2,304 numbers 0..255 with spaces between, Usage Training, PublicTest or PrivateTest (Goodfellow et al., ICONIP
2013). Kaggle's `train.csv` has no Usage, its `test.csv` no emotion either. The votes are joined by the order of rows,
as FER+ itself does it: the number in its image names is another.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mien.data.dataset import BadRow, Split
from mien.data.readers.csv_file import CsvFile, column_index
from mien.data.readers.rows import (
    DroppedRow,
    Item,
    Options,
    Row,
    parse_code,
    parse_split,
    parse_votes,
    row_or_bad,
)
from mien.emotions import FERPLUS_COLUMNS
from mien.errors import DataError

VOTES_FILE: Final = "fer2013new.csv"
COLUMNS: Final = ("emotion", "pixels", "usage")
_SIDE: Final = 48


def read(file: CsvFile, options: Options) -> Iterator[Item]:
    """Yield the rows. Raises DataError on a missing column, a damaged file, or votes that are not of these rows."""
    options.refuse_own_classes("Kaggle's FER2013")
    header = file.header()
    needed = ("emotion", "pixels") if options.labelled else ("pixels",)
    column_index(file, header, needed)
    columns = {name: header.index(name) for name in (*needed, "usage") if name in header}
    votes_file = file.beside(VOTES_FILE)
    votes = None if votes_file is None else list(_read_votes(votes_file))
    count = 0
    for number, cells in enumerate(file.rows(options)):
        count += 1
        item = row_or_bad(file, str(number), partial(_parse, cells, columns, number, options))
        if votes is None or not isinstance(item, Row):
            yield item
        elif number < len(votes):
            yield _join(item, votes[number], file, votes_file)
    if votes is not None and count != len(votes):
        raise DataError(
            f"{votes_file}: has {len(votes)} rows, but {file} has {count}: expected a row of votes for each"
        )


def parse_pixels(text: str) -> NDArray[np.uint8]:
    """The face (48, 48) uint8 that 2,304 numbers with spaces between stand for. Raises DataError where they are not."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)  # how older numpy says that something is no number
        try:
            values = np.fromstring(text, np.int64, sep=" ")
        except (ValueError, DeprecationWarning):
            raise DataError("pixels must be whole numbers with spaces between") from None
    if values.size != _SIDE * _SIDE:
        raise DataError(f"expected {_SIDE * _SIDE} pixels, got {values.size}")
    if values.min() < 0 or values.max() > 255:
        raise DataError(f"pixels must be 0 to 255, got {values.min()} to {values.max()}")
    return values.astype(np.uint8).reshape(_SIDE, _SIDE)


def _parse(cells: list[str], columns: Mapping[str, int], number: int, options: Options) -> Row | DroppedRow:
    last = max(columns.values())
    if len(cells) <= last:
        raise DataError(f"expected at least {last + 1} cells, got {len(cells)}")
    label = options.class_name(cells[columns["emotion"]], parse_code) if options.labelled else None
    if isinstance(label, DroppedRow):
        return label
    split = parse_split(cells[columns["usage"]]) if "usage" in columns else None
    return Row(face=parse_pixels(cells[columns["pixels"]]), label=label, split=split, row=str(number))


def _read_votes(file: CsvFile) -> Iterator[tuple[Split, NDArray[np.float32]] | BadRow]:
    header = file.header()
    usage, *columns = column_index(file, header, ("usage", *FERPLUS_COLUMNS))
    for number, cells in enumerate(file.rows(Options())):
        try:
            if len(cells) != len(header):
                raise DataError(f"expected {len(header)} cells, got {len(cells)}")
            votes = parse_split(cells[usage]), parse_votes([cells[i] for i in columns])
        except DataError as error:
            yield BadRow(str(file), str(number), str(error))
        else:
            yield votes


def _join(
    row: Row, voted: tuple[Split, NDArray[np.float32]] | BadRow, file: CsvFile, votes_file: CsvFile | None
) -> Row | BadRow:
    if isinstance(voted, BadRow):
        return voted
    split, votes = voted
    if row.split is not None and split != row.split:
        raise DataError(
            f"{votes_file}: row {row.row} is of {split}, but of {row.split} in {file}: rows must be the same"
        )
    return Row(row.face, row.label, split, row.row, votes)
