"""Parquet files that hold pictures: which column is the picture, how many rows there are, and the rows themselves."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from mien.annotate.storage import Origin, persistently
from mien.data.readers.parquet import buffering
from mien.errors import ConfigError, DataError, MienError, MissingExtraError, StorageError, one_line, reason

_IMAGE_NAMES: Final = (
    "image",
    "img",
    "picture",
    "photo",
    "bytes",
    "image_bytes",
    "jpg",
    "jpeg",
    "png",
    "webp",
    "content",
)
_BATCH: Final = 16


@dataclass(frozen=True, slots=True)
class Columns:
    """The column of pictures, and the column of their names, if one was asked for."""

    image: str
    name: str | None = None


def find_columns(path: str, origin: str, image: str | None, name: str | None) -> Columns:
    """The columns of a Parquet file to read: the named ones, or those that hold pictures.

    A column of pictures holds the bytes of image files, or structs with such a field `bytes`, as Hugging Face's
    datasets write them. Raises ConfigError where there is none or there are several, or a named one is not there.
    """
    with _opened(path, origin) as file:
        schema = file.schema_arrow
    if len(set(schema.names)) < len(schema.names):
        raise ConfigError(f"{path}: several columns have the same name; its columns are {', '.join(schema.names)}")
    fitting = [field.name for field in schema if _holds_bytes(field.type)]
    for wanted in (image, name):
        if wanted is not None and wanted not in schema.names:
            raise ConfigError(f"{path}: has no column {wanted!r}; its columns are {', '.join(schema.names)}")
    if image is not None and image not in fitting:
        raise ConfigError(f"{path}: column {image!r} holds {schema.field(image).type}, expected bytes of pictures")
    usual = [column for column in _IMAGE_NAMES if column in fitting]
    chosen = [image] if image is not None else usual[:1] or fitting
    if len(chosen) != 1:
        found = f"{len(chosen)} columns of bytes: {', '.join(chosen)}" if chosen else "no column of bytes"
        raise ConfigError(f"{path}: {found}; `image_column=NAME` names the one that holds pictures")
    return Columns(chosen[0], name)


def row_groups(path: str, origin: str) -> list[int]:
    """The number of rows in each row group. Raises StorageError or DataError where the file cannot be read."""
    with _opened(path, origin) as file:
        return [file.metadata.row_group(number).num_rows for number in range(file.metadata.num_row_groups)]


def rows(
    path: str, origin: str, columns: Columns, start: int, stop: int
) -> Iterator[tuple[int, bytes | None, str | None]]:
    """The rows from start up to, not with, stop: number, the picture's bytes or None, name or None.

    Only the row groups with such rows are read. Raises StorageError or DataError where the file cannot be read.
    """
    with _opened(path, origin) as file:
        wanted: list[int] = []
        begins = first = 0
        for number in range(file.metadata.num_row_groups):
            ends = begins + file.metadata.row_group(number).num_rows
            if begins < stop and ends > start:
                if not wanted:
                    first = begins
                wanted.append(number)
            begins = ends
        names = [columns.image] + ([columns.name] if columns.name else [])
        for name in names:
            if name not in file.schema_arrow.names:
                raise DataError(f"{path}: has no column {name!r}")
        row = first
        for batch in file.iter_batches(_BATCH, row_groups=wanted, columns=names):
            ends = row + len(batch)
            if ends > start:
                part = batch.slice(max(0, start - row), min(ends, stop) - max(start, row))
                pictures = part.column(columns.image).to_pylist()
                labels = _texts(part.column(columns.name)) if columns.name else [None] * len(part)
                for offset, (picture, label) in enumerate(zip(pictures, labels, strict=True)):
                    content = picture.get("bytes") if isinstance(picture, dict) else picture
                    yield max(start, row) + offset, content, label
            row = ends
            if row >= stop:
                return


def _texts(column: Any) -> list[str | None]:
    """The values as texts; what is no UTF-8 in them is written as \\xXX."""
    import pyarrow as pa

    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        column = column.cast(pa.large_binary())
    return [
        value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else None if value is None else str(value)
        for value in column.to_pylist()
    ]


def _holds_bytes(kind: Any) -> bool:
    """Whether a column of this type holds bytes, or structs whose field `bytes` does."""
    import pyarrow.types as of

    if of.is_dictionary(kind):
        kind = kind.value_type
    if of.is_struct(kind):
        return kind.get_field_index("bytes") >= 0 and _holds_bytes(kind.field("bytes").type)
    return bool(
        of.is_binary(kind) or of.is_large_binary(kind) or of.is_fixed_size_binary(kind) or of.is_binary_view(kind)
    )


@contextmanager
def _opened(path: str, origin: str) -> Iterator[Any]:
    """A Parquet file, open. Whatever goes wrong with it until it is closed is raised as StorageError or DataError."""
    try:
        import pyarrow.parquet as pq
    except ImportError:
        raise MissingExtraError("annotating many pictures", "annotate") from None
    try:
        system, place = Origin(origin).place(path)
        with (
            persistently(lambda: system.open(place, "rb")) as file,
            pq.ParquetFile(file, **buffering(file.seek(0, os.SEEK_END))) as opened,
        ):
            yield opened
    except MienError:
        raise
    except Exception as error:  # drivers raise nearly anything
        if _is_damage(error):
            raise DataError(f"{path}: not a whole Parquet file: {one_line(error)}") from error
        raise StorageError(f"{path}: cannot be read: {reason(error)}") from error


def _is_damage(error: Exception) -> bool:
    """Whether it is pyarrow's own, of a file's content: its OSError is plain, and has no number."""
    import pyarrow as pa

    return isinstance(error, (pa.ArrowException, ValueError)) or (type(error) is OSError and error.errno is None)
