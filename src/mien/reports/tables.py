"""A timeline as a tidy table: a row for each person and class."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any, Final, TextIO

from mien.errors import MissingExtraError
from mien.files import make_folder, written_aside
from mien.reports.timeline import Person, Timeline

COLUMNS: Final = (
    *("source", "track", "first_s", "last_s", "seen_s", "uncertain_share", "emotion"),
    *("seconds", "share", "mean_probability", "stretches", "longest_s", "peak_s", "peak_probability"),
)
"""The columns of `table_rows`.

Of the person: the video, the track, when first and until when last seen, seconds seen in all, and the part 0..1 of them
in which the prediction was uncertain. Of the class, the emotion: seconds in which it was the prediction, their part
0..1 of the seconds seen, its mean probability 0..1 over these, how many stretches without a break or change it was the
prediction in, the seconds of the longest, and the time and probability of its strongest peak, None where it has none.
"""


def table_rows(timeline: Timeline) -> list[dict[str, Any]]:
    """A row for each person and class, in the order of persons and classes; times in seconds, to the millisecond."""
    return [_row(timeline, person, name) for person in timeline.persons for name in timeline.classes]


def _row(timeline: Timeline, person: Person, name: str) -> dict[str, Any]:
    lengths = [stretch.seconds for stretch in person.stretches if stretch.emotion == name]
    peak = max((peak for peak in person.peaks if peak.emotion == name), key=lambda one: one.probability, default=None)
    values = (
        *(timeline.source, person.track, round(person.first_s, 3), round(person.last_s, 3), round(person.seconds, 3)),
        *(round(person.uncertain, 6), name, round(person.fractions[name] * person.seconds, 3)),
        *(
            round(person.fractions[name], 6),
            round(person.mean[name], 6),
            len(lengths),
            round(max(lengths, default=0.0), 3),
        ),
        None if peak is None else round(peak.moment.time_s, 3),
        None if peak is None else round(peak.probability, 6),
    )
    return dict(zip(COLUMNS, values, strict=True))


def save_csv(timeline: Timeline, path: Path) -> None:
    """Write the table as CSV, in UTF-8; None is an empty cell. Raises ConfigError where that fails."""
    make_folder(path.parent)
    with (
        written_aside(path) as part,
        part.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file,
    ):
        write_csv(timeline, file)


def write_csv(timeline: Timeline, file: TextIO) -> None:
    """Write the table as CSV to an open file; None is an empty cell."""
    rows = csv.DictWriter(file, COLUMNS, lineterminator="\n")
    rows.writeheader()
    rows.writerows(table_rows(timeline))


def check_parquet() -> None:
    """Raise MissingExtraError before long work where `save_parquet` would after it."""
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError:
        raise MissingExtraError("writing Parquet files", "tables") from None


def save_parquet(timeline: Timeline, path: Path) -> None:
    """Write the table as Parquet. Raises MissingExtraError without pyarrow, ConfigError where writing fails."""
    check_parquet()
    import pyarrow as pa
    import pyarrow.parquet as pq

    whole, text = {"track", "stretches"}, {"source", "emotion"}
    schema = pa.schema(
        (name, pa.int64() if name in whole else pa.string() if name in text else pa.float64()) for name in COLUMNS
    )
    rows = table_rows(timeline)
    for row in rows:
        for name in text - {key for key, value in row.items() if value is None}:
            row[name] = row[name].encode("utf-8", "backslashreplace").decode("utf-8")
    make_folder(path.parent)
    with written_aside(path) as part:
        pq.write_table(pa.Table.from_pylist(rows, schema), part)
