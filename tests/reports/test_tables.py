"""Tables: a row for each person and class, the same in CSV and Parquet."""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mien.errors import MissingExtraError
from mien.reports.tables import COLUMNS, save_csv, save_parquet, table_rows

if TYPE_CHECKING:
    from .conftest import Videos


def test_rows_say_what_the_timeline_says(videos: Videos) -> None:
    rows = table_rows(videos.timeline(videos.moods("hhhhhnnnnnhhhha", "-" * 5 + "f" * 10)))
    assert [(row["track"], row["emotion"]) for row in rows][:8] == [
        *((1, name) for name in ("anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")),
        (2, "anger"),
    ]
    assert rows[3] == {
        "source": "clips/interview.mp4",
        "track": 1,
        "first_s": 0.0,
        "last_s": 3.0,
        "seen_s": 3.0,
        "uncertain_share": 0.0,
        "emotion": "happiness",
        "seconds": 1.8,
        "share": 0.6,
        "mean_probability": pytest.approx(0.6 * 0.9 + 0.4 * 0.1 / 6, abs=1e-5),
        "stretches": 2,
        "longest_s": 1.0,
        "peak_s": 0.0,
        "peak_probability": pytest.approx(0.9),
    }
    assert [rows[5][key] for key in ("seconds", "stretches", "longest_s", "peak_s")] == [0, 0, 0, None]
    assert rows[9]["share"] == 1
    for track in (1, 2):
        assert sum(row["share"] for row in rows if row["track"] == track) == pytest.approx(1)


def test_csv_and_parquet_hold_the_same(videos: Videos, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    timeline = videos.timeline(videos.moods("hhhhhnnnnn", source="odd \udcff, name.mp4"))
    save_csv(timeline, tmp_path / "new" / "t.csv")
    save_parquet(timeline, tmp_path / "t.parquet")
    with (tmp_path / "new" / "t.csv").open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    stored = parquet.read_table(tmp_path / "t.parquet")
    assert header == stored.column_names == list(COLUMNS)
    as_text = [["" if value is None else str(value) for value in row.values()] for row in stored.to_pylist()]
    assert as_text == rows
    assert rows[0][0] == r"odd \udcff, name.mp4"
    save_parquet(videos.timeline([videos.record(0.0)]), tmp_path / "nobody.parquet")
    assert parquet.read_table(tmp_path / "nobody.parquet").num_rows == 0


def test_without_pyarrow_the_extra_is_named(videos: Videos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("pyarrow", "pyarrow.parquet"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtraError, match=r"pip install 'mien\[tables\]'"):
        save_parquet(videos.timeline(videos.moods("hhhhhh")), tmp_path / "t.parquet")
    assert not list(tmp_path.iterdir())
