"""A manifest, CSV or Parquet: a row a picture, with `path` or (Parquet) the file's bytes as `image`, `label`, `split`.

Paths are relative to the manifest's folder, or absolute. The column split may be missing, and its cells empty. The same
goes for label where faces are read without labels.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from mien.data.dataset import BadRow
from mien.data.readers.csv_file import CsvFile, column_index
from mien.data.readers.parquet import read_records
from mien.data.readers.pictures import read_face
from mien.data.readers.rows import Options, Row, parse_split
from mien.errors import DataError, MienError

COLUMNS: Final = ("path", "image", "label")


def read_csv(file: CsvFile, options: Options) -> Iterator[Row | BadRow]:
    """Yield the rows of a CSV manifest. Raises DataError on a missing column or a damaged file."""
    header = file.header()
    column_index(file, header, ("path", *_label_column(options)))
    wanted = [name for name in ("path", *_label_column(options), "split") if name in header]
    records = (_named(cells, header, wanted) for cells in file.rows(options))
    yield from _rows(file.path, records, options)


def read_parquet(path: Path, columns: tuple[str, ...], options: Options) -> Iterator[Row | BadRow]:
    """Yield the rows of a Parquet manifest, whose columns have these names. Raises as `read_csv` does."""
    picture = "image" if "image" in columns else "path"
    column_index(path, columns, (picture, *_label_column(options)))
    wanted = [name for name in (picture, "path", *_label_column(options), "split") if name in columns]
    yield from _rows(path, read_records(path, list(dict.fromkeys(wanted)), options), options)


def _label_column(options: Options) -> tuple[str, ...]:
    return ("label",) if options.labels else ()


def _named(cells: list[str], header: tuple[str, ...], wanted: Sequence[str]) -> dict[str, str | None]:
    return {name: cells[i] if (i := header.index(name)) < len(cells) else None for name in wanted}


def _rows(path: Path, records: Iterable[Mapping[str, Any]], options: Options) -> Iterator[Row | BadRow]:
    for number, record in enumerate(records):
        try:
            row = _row(path.parent, number, record, options)
        except MienError as error:
            yield BadRow(str(path), str(number), str(error))
        else:
            yield row


def _row(folder: Path, number: int, record: Mapping[str, Any], options: Options) -> Row:
    label, split, name = record.get("label"), record.get("split"), record.get("path")
    if options.labels and (label is None or label == ""):
        raise DataError("it has no label")
    image = record.get("image")
    if isinstance(image, Mapping):  # as Hugging Face's datasets writes pictures
        image = image.get("bytes")
    if "image" in record and not isinstance(image, bytes):
        raise DataError(f"image must be the bytes of a picture file, got {type(image).__name__}")
    if "image" not in record and not name:
        raise DataError("it has no path")
    return Row(
        face=read_face(image if isinstance(image, bytes) else folder / str(name)),
        label=options.class_name(str(label)) if options.labels else None,
        split=parse_split(str(split)) if split else options.default_split,
        row=str(name or number),
    )
