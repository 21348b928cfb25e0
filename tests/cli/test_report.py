"""`mien report`: which files it writes, where it takes faces from, and what it refuses."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mien.cli.report import report
from mien.errors import ConfigError, DataError, ImageError

RATE = 5


def frame_record(i: int, source: str) -> dict[str, Any]:
    face = {
        "box": {"x": 20.0, "y": 10.0, "width": 24.0, "height": 24.0},
        "score": 0.9,
        "emotion": "fear" if i < 10 else "surprise",
        "confidence": 0.8,
        "uncertain": False,
        "probabilities": {"fear": 0.8, "surprise": 0.2} if i < 10 else {"fear": 0.2, "surprise": 0.8},
        "track": 1,
    }
    place = {"source": source, "frame": i, "time_s": i / RATE, "width": 96, "height": 64}
    return {"schema": 1, "model": "mien 0.4.0", **place, "faces": [face], "error": None}


@pytest.fixture
def records(tmp_path: Path) -> Path:
    path = tmp_path / "t.jsonl"
    lines = [json.dumps(frame_record(i, "elsewhere/clip.mp4")) for i in range(20)]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def filmed(path: Path) -> Path:
    pytest.importorskip("av")
    from mien.video.writer import VideoWriter

    image = np.full((64, 96, 3), 90, np.uint8)
    with VideoWriter(path, rate=RATE) as writer:
        for i in range(20):
            writer.write(image, i / RATE)
    return path


def test_the_page_lies_beside_the_records(records: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report(records)
    page = records.with_suffix(".html").read_text(encoding="utf-8")
    assert "clip.mp4" in page
    assert "<img" not in page
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "the video is not available" in printed.err
    assert f"wrote {records.with_suffix('.html')}" in printed.err


def test_faces_come_from_the_video(records: Path, capsys: pytest.CaptureFixture[str]) -> None:
    filmed(records.with_name("clip.mp4"))
    report(records, out=records.with_name("a.html"))
    assert records.with_name("a.html").read_text(encoding="utf-8").count("<img") == 3
    assert "note" not in capsys.readouterr().err
    report(records, out=records.with_name("b.html"), thumbnails=False)
    assert "<img" not in records.with_name("b.html").read_text(encoding="utf-8")


def test_a_broken_video_matters_only_where_it_is_named(records: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("av")
    video = records.with_name("clip.mp4")
    video.write_bytes(b"no video")
    report(records)
    assert "the page shows no faces: " in capsys.readouterr().err
    with pytest.raises(ImageError, match=r"clip\.mp4"):
        report(records, out=records.with_name("b.html"), video=video)
    assert not records.with_name("b.html").exists()


def test_another_video_is_noticed(records: Path, capsys: pytest.CaptureFixture[str]) -> None:
    video = filmed(records.with_name("other.mp4"))
    late = [json.dumps(frame_record(i, "x.mp4") | {"time_s": 100 + i / RATE}) for i in range(20)]
    records.write_text("\n".join(late), encoding="utf-8")
    report(records, video=video)
    assert "is it the video of the records?" in " ".join(capsys.readouterr().err.split())


def test_tables_alone_or_with_the_page(records: Path) -> None:
    pytest.importorskip("pyarrow")
    table, stored = records.with_name("t.csv"), records.with_name("t.parquet")
    report(records, csv=table, parquet=stored)
    assert not records.with_suffix(".html").exists()
    assert stored.read_bytes()[:4] == b"PAR1"
    with table.open(encoding="utf-8", newline="") as file:
        assert [(row["emotion"], row["seconds"]) for row in csv.DictReader(file)] == [
            ("fear", "2.0"),
            ("surprise", "2.0"),
        ]
    report(records, out=records.with_name("r.html"), csv=table)
    assert records.with_name("r.html").exists()


def test_nothing_is_written_over_what_is_read_or_twice(records: Path) -> None:
    before = records.read_bytes()
    for options in (
        {"out": records},
        {"csv": records},
        {"video": records.with_name("v.mp4"), "out": records.with_name("v.mp4")},
    ):
        with pytest.raises(ConfigError, match="is read from"):
            report(records, **options)
    with pytest.raises(ConfigError, match="is written already"):
        report(records, out=records.with_name("x"), csv=records.with_name("x"))
    assert records.read_bytes() == before
    assert list(records.parent.iterdir()) == [records]


def test_the_video_that_the_records_name_is_not_written_over(records: Path) -> None:
    video = records.with_name("clip.mp4")
    video.write_bytes(b"a video")
    with pytest.raises(ConfigError, match=r"clip\.mp4 is read from"):
        report(records, out=video, thumbnails=False)
    assert video.read_bytes() == b"a video"


def test_damaged_records_leave_no_page(records: Path) -> None:
    with records.open("a", encoding="utf-8") as file:
        file.write("\n{")
    with pytest.raises(DataError, match=r"t\.jsonl, line 21: is no whole line of JSON"):
        report(records)
    assert list(records.parent.iterdir()) == [records]
