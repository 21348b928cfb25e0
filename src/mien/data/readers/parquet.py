"""Parquet, by pyarrow: its columns, and its records a batch at a time. pyarrow is optional, so it is imported here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from mien.data.readers.rows import Options
from mien.errors import DataError, MissingExtraError, one_line

_BATCH: Final = 512
_BUFFER: Final = 1 << 20


def _open(path: Path) -> Any:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise MissingExtraError("reading Parquet", "tables") from None
    try:
        return pq.ParquetFile(path, pre_buffer=False, buffer_size=_BUFFER)  # not the whole row group at once
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DataError(f"{path}: not a whole Parquet file: {one_line(error)}") from None


def read_columns(path: Path) -> tuple[str, ...]:
    """The names of the columns. Raises MissingExtraError without pyarrow, DataError on a damaged file."""
    with _open(path) as file:
        try:
            return tuple(file.schema_arrow.names)
        except ValueError as error:  # names that are no UTF-8
            raise DataError(f"{path}: not a whole Parquet file: {one_line(error)}") from None


def read_records(path: Path, columns: list[str], options: Options) -> Iterator[dict[str, Any]]:
    """Yield each record as a dict. Raises as `read_columns` does."""
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
