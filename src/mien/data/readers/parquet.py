"""Parquet, by pyarrow: its schema, and its records a batch at a time. pyarrow is optional, so it is imported here."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from mien.data.readers.rows import Options
from mien.errors import DataError, MissingExtraError, one_line

_BATCH: Final = 512
_BUFFER: Final = 1 << 20
_LARGE: Final = 64 << 20


def buffering(size: int) -> dict[str, Any]:
    """Options with which pyarrow opens a file of this many bytes, for little memory.

    Large files are read through a buffer, so that no whole row group is in memory. Small ones are not: with a buffer
    pyarrow takes as much memory as a page claims to need, and a damaged one may claim 2 GB.
    """
    return {"pre_buffer": False, "buffer_size": _BUFFER if size > _LARGE else 0}


def _open(path: Path) -> Any:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise MissingExtraError("reading Parquet", "tables") from None
    try:
        return pq.ParquetFile(path, **buffering(path.stat().st_size))
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DataError(f"{path}: not a whole Parquet file: {one_line(error)}") from None


@dataclass(frozen=True, slots=True)
class Schema:
    """The columns of a file, and what Hugging Face's datasets say of them in its metadata.

    columns      their names
    rows         how many rows there are
    class_names  of a column of class numbers (ClassLabel), the names of the classes in the order of their numbers
    pictures     the columns of pictures (Image)
    """

    columns: tuple[str, ...]
    rows: int
    class_names: Mapping[str, tuple[str, ...]]
    pictures: tuple[str, ...]


def read_schema(path: Path) -> Schema:
    """The schema of a file. Raises MissingExtraError without pyarrow, DataError on a damaged file."""
    with _open(path) as file:
        try:
            arrow = file.schema_arrow
            columns = tuple(arrow.names)
        except ValueError as error:  # names that are no UTF-8
            raise DataError(f"{path}: not a whole Parquet file: {one_line(error)}") from None
        features = {name: _feature(of) for name, of in _features(arrow.metadata or {}).items() if name in columns}
        return Schema(
            columns=columns,
            rows=file.metadata.num_rows,
            class_names={name: names for name, (_, names) in features.items() if names},
            pictures=tuple(name for name, (kind, _) in features.items() if kind == "Image"),
        )


def _features(metadata: Mapping[bytes, bytes]) -> dict[str, Any]:
    """What the metadata says of each column; nothing where it is not as Hugging Face writes it."""
    try:
        features = json.loads(metadata[b"huggingface"])["info"]["features"]
    except (KeyError, TypeError, ValueError, RecursionError):
        return {}
    return features if isinstance(features, dict) else {}


def _feature(described: Any) -> tuple[str | None, tuple[str, ...]]:
    """The kind of a column, and the names of its classes."""
    if not isinstance(described, dict):
        return None, ()
    kind, names = described.get("_type"), described.get("names")
    is_named = kind == "ClassLabel" and isinstance(names, list) and all(isinstance(name, str) for name in names)
    return kind if isinstance(kind, str) else None, tuple(names or ()) if is_named else ()


def read_records(path: Path, columns: list[str], options: Options) -> Iterator[dict[str, Any]]:
    """Yield each record as a dict. Raises as `read_schema` does."""
    import pyarrow as pa

    with _open(path) as file:
        done, total = 0, file.metadata.num_rows
        try:
            for batch in file.iter_batches(_BATCH, columns=columns):
                yield from batch.to_pylist()
                done += len(batch)
                options.report(done, total)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise DataError(f"{path}: damaged after row {done}: {one_line(error)}") from None
