"""Timelines as tidy tables: a row for each person and class, or for each person, part of the video and class."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, TextIO

from mien.errors import MissingExtraError
from mien.files import make_folder, written_aside
from mien.reports.spans import Every, SpanFigures, in_spans, spans_of
from mien.reports.timeline import Person, Timeline

_BATCH: Final = 10_000

_WHO: Final = {"source": str, "track": int, "person": str}

COLUMNS: Final[Mapping[str, type]] = MappingProxyType(
    _WHO
    | {"first_s": float, "last_s": float, "seen_s": float, "uncertain_fraction": float, "emotion": str}
    | {"seconds": float, "fraction": float, "mean_probability": float, "stretches": int, "longest_s": float}
    | {"peak_s": float, "peak_probability": float}
)
"""The columns of `table_rows`, with their types.

Of the person: the video, the (first) track, the name or number, when first and until when last seen, seconds seen in
all, and the part 0..1 of them in which the prediction was uncertain. Of the class, the emotion: seconds in which it was
the prediction, their part 0..1 of the seconds seen, its mean probability 0..1 over these, how many stretches without a
break or change it was the prediction in, the seconds of the longest, and the time and probability of its strongest
peak, None where it has none.
"""

SPAN_COLUMNS: Final[Mapping[str, type]] = MappingProxyType(
    _WHO
    | {"bin": int, "start_s": float, "end_s": float, "seen_s": float, "uncertain_fraction": float, "emotion": str}
    | {"seconds": float, "fraction": float, "mean_probability": float, "began": int}
)
"""The columns of `span_rows`: of the person, of the bin or scene (its number from 1, from when until when), and within
it of the person and the class as in `COLUMNS`; `began` is how many stretches of the class began in it.

Parts are None where the person was not seen.
"""


@dataclass(frozen=True, slots=True)
class Table:
    """Columns with their types, and the rows, which can be gone through once; a cell without a value is None."""

    columns: Mapping[str, type]
    rows: Iterable[Mapping[str, Any]]


def table_of(timelines: Sequence[Timeline], every: Every | None = None) -> Table:
    """The table of one or several videos: by person and class; with `every` also by bins or scenes.

    Raises ConfigError where bins are too many.
    """
    if every is None:
        return Table(COLUMNS, chain.from_iterable(map(table_rows, timelines)))
    parts = [span_rows(timeline, every) for timeline in timelines]
    return Table(SPAN_COLUMNS, chain.from_iterable(parts))


def table_rows(timeline: Timeline) -> list[dict[str, Any]]:
    """A row for each person and class, in the order of persons and classes; times in seconds, to the millisecond."""
    return [_row(timeline, person, name) for person in timeline.persons for name in timeline.classes]


def _who(timeline: Timeline, person: Person) -> dict[str, Any]:
    return {"source": timeline.source, "track": person.track, "person": person.name or person.number}


def _row(timeline: Timeline, person: Person, name: str) -> dict[str, Any]:
    lengths = [stretch.seconds for stretch in person.stretches if stretch.emotion == name]
    peak = max((peak for peak in person.peaks if peak.emotion == name), key=lambda one: one.probability, default=None)
    return _who(timeline, person) | {
        "first_s": round(person.first_s, 3),
        "last_s": round(person.last_s, 3),
        "seen_s": round(person.seconds, 3),
        "uncertain_fraction": round(person.uncertain, 6),
        "emotion": name,
        "seconds": round(person.fractions[name] * person.seconds, 3),
        "fraction": round(person.fractions[name], 6),
        "mean_probability": round(person.mean[name], 6),
        "stretches": len(lengths),
        "longest_s": round(max(lengths, default=0.0), 3),
        "peak_s": None if peak is None else round(peak.moment.time_s, 3),
        "peak_probability": None if peak is None else round(peak.probability, 6),
    }


def span_rows(timeline: Timeline, every: Every) -> Iterator[dict[str, Any]]:
    """A row for each person, bin and class, in this order; also for bins in which the person was not seen.

    Raises ConfigError, at once, where bins are too many.
    """
    spans = spans_of(timeline, every)
    return (
        _who(timeline, person) | _span_row(number, part, name, k)
        for person in timeline.persons
        for number, part in enumerate(in_spans(person, timeline.classes, spans), 1)
        for k, name in enumerate(timeline.classes)
    )


def _span_row(number: int, part: SpanFigures, name: str, k: int) -> dict[str, Any]:
    is_seen = part.seconds > 0
    return {
        "bin": number,
        "start_s": round(part.span.start_s, 3),
        "end_s": round(part.span.end_s, 3),
        "seen_s": round(part.seconds, 3),
        "uncertain_fraction": round(part.uncertain, 6) if is_seen else None,
        "emotion": name,
        "seconds": round(float(part.named[k]), 3),
        "fraction": round(float(part.named[k]) / part.seconds, 6) if is_seen else None,
        "mean_probability": round(float(part.mean[k]), 6) if is_seen else None,
        "began": int(part.began[k]),
    }


def save_csv(table: Table, path: Path) -> None:
    """Write the table as CSV, in UTF-8; None is an empty cell. Raises ConfigError where that fails."""
    make_folder(path.parent)
    with (
        written_aside(path) as part,
        part.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file,
    ):
        write_csv(table, file)


def write_csv(table: Table, file: TextIO) -> None:
    """Write the table as CSV to an open file; None is an empty cell."""
    rows = csv.DictWriter(file, list(table.columns), lineterminator="\n")
    rows.writeheader()
    rows.writerows(table.rows)


def check_parquet() -> None:
    """Raise MissingExtraError before long work where `save_parquet` would after it."""
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError:
        raise MissingExtraError("writing Parquet files", "tables") from None


def save_parquet(table: Table, path: Path) -> None:
    """Write the table as Parquet. Raises MissingExtraError without pyarrow, ConfigError where writing fails."""
    check_parquet()
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = {int: pa.int64(), float: pa.float64(), str: pa.string()}
    schema = pa.schema((name, types[kind]) for name, kind in table.columns.items())
    rows = iter(table.rows)
    make_folder(path.parent)
    with written_aside(path) as part, pq.ParquetWriter(part, schema) as writer:
        while batch := [{key: _plain(value) for key, value in row.items()} for row in islice(rows, _BATCH)]:
            writer.write_table(pa.Table.from_pylist(batch, schema))


def _plain(value: Any) -> Any:
    """What is no text in a name is written as \\udcXX, as in CSV."""
    return value.encode("utf-8", "backslashreplace").decode("utf-8") if isinstance(value, str) else value
