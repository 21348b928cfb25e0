"""A manifest, CSV or Parquet: a row a picture, with `path` or (Parquet) the file's bytes as `image`, `label`, `split`.

Paths are relative to the manifest's folder, or absolute. The column split may be missing, and its cells empty. The same
goes for label where faces are read without labels. What Hugging Face's datasets write is read as well: pictures as
`{bytes, path}`, labels as numbers whose names the file's metadata has, and for either a column of any name.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from mien.data.readers.csv_file import CsvFile, column_index
from mien.data.readers.parquet import Schema, read_records
from mien.data.readers.pictures import read_face
from mien.data.readers.rows import DroppedRow, Item, Options, Row, parse_split, row_or_bad
from mien.errors import DataError

COLUMNS: Final = ("path", "image", "label")


def read_csv(file: CsvFile, options: Options) -> Iterator[Item]:
    """Yield the rows of a CSV manifest. Raises DataError on a missing column or a damaged file."""
    header = file.header()
    needed = ("path", "label") if options.labelled else ("path",)
    column_index(file, header, needed)
    wanted = [name for name in (*needed, "split") if name in header]
    records = (_named(cells, header, wanted) for cells in file.rows(options))
    yield from _rows(file.path, records, options)


def read_parquet(path: Path, schema: Schema, options: Options) -> Iterator[Item]:
    """Yield the rows of a Parquet manifest. Raises as `read_csv` does."""
    columns = schema.columns
    picture = "image" if "image" in columns else _pick(schema.pictures, ("img",), "path")
    label = "label" if "label" in columns else _pick(tuple(schema.class_names), ("labels", "emotion"), "label")
    needed = {"path" if picture == "path" else "image": picture}
    if options.labelled:
        needed["label"] = label
    column_index(path, columns, tuple(needed.values()))
    taken = {name: name for name in ("path", "split") if name in columns} | needed
    class_names = schema.class_names.get(label)
    records = (
        {name: record[column] for name, column in taken.items()}
        for record in read_records(path, list(dict.fromkeys(taken.values())), options)
    )
    yield from _rows(path, records, options, class_names)


def _pick(columns: tuple[str, ...], usual: tuple[str, ...], default: str) -> str:
    """The column, where there is one alone or one has a usual name; else the default."""
    named = columns if len(columns) == 1 else [name for name in usual if name in columns]
    return named[0] if named else default


def _named(cells: list[str], header: tuple[str, ...], wanted: Sequence[str]) -> dict[str, str | None]:
    return {name: cells[i] if (i := header.index(name)) < len(cells) else None for name in wanted}


def _rows(
    path: Path, records: Iterable[Mapping[str, Any]], options: Options, class_names: Sequence[str] | None = None
) -> Iterator[Item]:
    for number, record in enumerate(records):
        yield row_or_bad(path, str(number), partial(_row, path.parent, number, record, options, class_names))


def _row(
    folder: Path, number: int, record: Mapping[str, Any], options: Options, class_names: Sequence[str] | None
) -> Row | DroppedRow:
    label = options.class_name(_label(record["label"], class_names)) if options.labelled else None
    if isinstance(label, DroppedRow):
        return label
    split, name = record.get("split"), record.get("path")
    return Row(
        face=read_face(_picture(folder, record)),
        label=label,
        split=parse_split(str(split)) if split else None,
        row=str(name or number),
    )


def _label(value: Any, class_names: Sequence[str] | None) -> str:
    if class_names is None or not isinstance(value, int) or isinstance(value, bool):
        label = _as_text(value)
    elif value == -1:  # how Hugging Face's datasets write that there is none
        label = ""
    elif 0 <= value < len(class_names):
        label = class_names[value]
    else:
        raise DataError(f"its label is {value}, but the file names the classes 0 to {len(class_names) - 1}")
    if not label.strip():
        raise DataError("it has no label")
    return label


def _as_text(value: Any) -> str:
    """The value as text, empty where there is none; a table with gaps makes fractions of whole numbers."""
    if isinstance(value, float):
        return "" if math.isnan(value) else str(int(value) if value.is_integer() else value)
    return "" if value is None else str(value)


def _picture(folder: Path, record: Mapping[str, Any]) -> bytes | Path:
    image, path = record.get("image"), record.get("path")
    if isinstance(image, Mapping):
        path = image.get("path") if image.get("bytes") is None else None
        image = image.get("bytes")
    elif "image" in record:
        path = None
    if isinstance(image, bytes):
        return image
    if path:
        return folder / str(path)
    if "image" in record:
        raise DataError(f"image must be the bytes of a picture file, got {type(image).__name__}")
    raise DataError("it has no path")
