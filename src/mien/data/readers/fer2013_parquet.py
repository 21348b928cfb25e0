"""FER2013 with FER+ votes as one Parquet file: `usage`, `emotion`, `image`, and the ten vote columns.

usage, which may be missing, is Training, PublicTest or PrivateTest; emotion the code 0..6; image the bytes of a picture
file; the columns of FER+ hold the votes of ten people (all ten columns or none); `row`, where it stands, is the id of
the row.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

from mien.data.readers.csv_file import column_index
from mien.data.readers.parquet import read_records
from mien.data.readers.pictures import read_face
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

REQUIRED: Final = ("emotion", "image")


def read(path: Path, columns: tuple[str, ...], options: Options) -> Iterator[Item]:
    """Yield the rows of the file, whose columns have these names. Raises DataError on a missing column."""
    options.refuse_own_classes("FER2013's Parquet")
    voted = [name for name in FERPLUS_COLUMNS if name in columns]
    column_index(path, columns, (*REQUIRED, *(FERPLUS_COLUMNS if voted else ())))
    wanted = [*REQUIRED, *voted, *(name for name in ("usage", "row") if name in columns)]
    for number, record in enumerate(read_records(path, wanted, options)):
        yield row_or_bad(path, str(number), partial(_row, record, str(number), bool(voted), options))


def _row(record: dict[str, Any], number: str, voted: bool, options: Options) -> Row | DroppedRow:
    label = options.class_name(str(record["emotion"]), parse_code)
    if isinstance(label, DroppedRow):
        return label
    image = record["image"]
    if not isinstance(image, bytes):
        raise DataError(f"image must be the bytes of a picture file, got {type(image).__name__}")
    return Row(
        face=read_face(image),
        label=label,
        split=parse_split(str(record["usage"])) if "usage" in record else None,
        row=str(record.get("row", number)),
        votes=parse_votes([str(record[name]) for name in FERPLUS_COLUMNS]) if voted else None,
    )
