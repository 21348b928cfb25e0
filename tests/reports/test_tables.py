"""Tables: a row for each person and class, the same in CSV and Parquet."""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mien.errors import MissingExtraError
from mien.reports.tables import COLUMNS, SPAN_COLUMNS, save_csv, save_parquet, table_of, table_rows

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
        "person": "1",
        "first_s": 0.0,
        "last_s": 3.0,
        "seen_s": 3.0,
        "uncertain_fraction": 0.0,
        "emotion": "happiness",
        "seconds": 1.8,
        "fraction": 0.6,
        "mean_probability": pytest.approx(0.6 * 0.9 + 0.4 * 0.1 / 6, abs=1e-5),
        "stretches": 2,
        "longest_s": 1.0,
        "peak_s": 0.0,
        "peak_probability": pytest.approx(0.9),
    }
    assert [rows[5][key] for key in ("seconds", "stretches", "longest_s", "peak_s")] == [0, 0, 0, None]
    assert rows[9]["fraction"] == 1
    for track in (1, 2):
        assert sum(row["fraction"] for row in rows if row["track"] == track) == pytest.approx(1)


def test_csv_and_parquet_hold_the_same(videos: Videos, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    timeline = videos.timeline(videos.moods("hhhhhnnnnn", source="odd \udcff, name.mp4"))
    save_csv(table_of([timeline]), tmp_path / "new" / "t.csv")
    save_parquet(table_of([timeline]), tmp_path / "t.parquet")
    with (tmp_path / "new" / "t.csv").open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    stored = parquet.read_table(tmp_path / "t.parquet")
    assert header == stored.column_names == list(COLUMNS)
    as_text = [["" if value is None else str(value) for value in row.values()] for row in stored.to_pylist()]
    assert as_text == rows
    assert rows[0][0] == r"odd \udcff, name.mp4"
    save_parquet(table_of([videos.timeline([videos.record(0.0)])]), tmp_path / "nobody.parquet")
    assert parquet.read_table(tmp_path / "nobody.parquet").num_rows == 0


def test_without_pyarrow_the_extra_is_named(videos: Videos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("pyarrow", "pyarrow.parquet"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtraError, match=r"pip install 'mien\[tables\]'"):
        save_parquet(table_of([videos.timeline(videos.moods("hhhhhh"))]), tmp_path / "t.parquet")
    assert not list(tmp_path.iterdir())


def test_bins_have_a_row_for_each_person_part_and_class(videos: Videos, tmp_path: Path) -> None:
    timeline = videos.timeline(videos.moods("h" * 10 + "-" * 10 + "n" * 5, "n" * 25), {2: "Anna"})
    table = table_of([timeline], 2.0)
    assert list(table.columns) == list(SPAN_COLUMNS)
    rows = list(table.rows)
    assert [(row["person"], row["bin"]) for row in rows[::7]] == [(who, k) for who in ("1", "Anna") for k in (1, 2, 3)]
    happy, unseen, last = rows[3], rows[7 + 3], rows[2 * 7 + 4]
    assert happy == {
        "source": "clips/interview.mp4",
        "track": 1,
        "person": "1",
        "bin": 1,
        "start_s": 0.0,
        "end_s": 2.0,
        "seen_s": 2.0,
        "uncertain_fraction": 0.0,
        "emotion": "happiness",
        "seconds": 2.0,
        "fraction": 1.0,
        "mean_probability": pytest.approx(0.9),
        "began": 1,
    }
    assert [unseen[key] for key in ("seen_s", "fraction", "uncertain_fraction", "mean_probability")] == [
        0,
        None,
        None,
        None,
    ]
    assert (last["emotion"], last["start_s"], last["end_s"], last["seconds"]) == ("neutral", 4.0, 5.0, 1.0)
    for row in rows:
        assert {
            key for key, value in row.items() if value is not None and type(value) is not SPAN_COLUMNS[key]
        } == set()
    save_csv(table_of([timeline], 2.0), tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_text(encoding="utf-8").count("\n") == 1 + len(rows)


def test_scenes_and_several_videos_go_into_one_table(videos: Videos, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    films = [
        videos.timeline(videos.moods("h" * 10 + "-" * 10, "-" * 10 + "n" * 10), {2: "Anna"}, video=1),
        videos.timeline(videos.moods("-" * 5 + "s" * 10, source="b.mp4"), {1: "Anna"}, video=2),
    ]
    save_parquet(table_of(films, "scene"), tmp_path / "t.parquet")
    rows = parquet.read_table(tmp_path / "t.parquet").to_pylist()
    seen = [(row["source"], row["person"], row["bin"]) for row in rows if row["emotion"] == "fear" and row["seen_s"]]
    assert seen == [("clips/interview.mp4", "1.1", 1), ("clips/interview.mp4", "Anna", 2), ("b.mp4", "Anna", 1)]
    assert [row["person"] for row in table_of(films).rows if row["emotion"] == "fear"] == ["1.1", "Anna", "Anna"]
