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
    report([records])
    page = records.with_suffix(".html").read_text(encoding="utf-8")
    assert "clip.mp4" in page
    assert "<img" not in page
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "the video is not available" in printed.err
    assert f"wrote {records.with_suffix('.html')}" in printed.err


def test_faces_come_from_the_video(records: Path, capsys: pytest.CaptureFixture[str]) -> None:
    filmed(records.with_name("clip.mp4"))
    report([records], out=records.with_name("a.html"))
    assert records.with_name("a.html").read_text(encoding="utf-8").count("<img") == 3
    assert "note" not in capsys.readouterr().err
    report([records], out=records.with_name("b.html"), thumbnails=False)
    assert "<img" not in records.with_name("b.html").read_text(encoding="utf-8")


def test_a_broken_video_matters_only_where_it_is_named(records: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("av")
    video = records.with_name("clip.mp4")
    video.write_bytes(b"no video")
    report([records])
    assert "the page shows no faces: " in capsys.readouterr().err
    with pytest.raises(ImageError, match=r"clip\.mp4"):
        report([records], out=records.with_name("b.html"), video=video)
    assert not records.with_name("b.html").exists()


def test_another_video_is_noticed(records: Path, capsys: pytest.CaptureFixture[str]) -> None:
    video = filmed(records.with_name("other.mp4"))
    late = [json.dumps(frame_record(i, "x.mp4") | {"time_s": 100 + i / RATE}) for i in range(20)]
    records.write_text("\n".join(late), encoding="utf-8")
    report([records], video=video)
    assert "is it the video of the records?" in " ".join(capsys.readouterr().err.split())


def test_tables_alone_or_with_the_page(records: Path) -> None:
    pytest.importorskip("pyarrow")
    table, stored = records.with_name("t.csv"), records.with_name("t.parquet")
    report([records], csv=table, parquet=stored)
    assert not records.with_suffix(".html").exists()
    assert stored.read_bytes()[:4] == b"PAR1"
    with table.open(encoding="utf-8", newline="") as file:
        assert [(row["emotion"], row["seconds"]) for row in csv.DictReader(file)] == [
            ("fear", "2.0"),
            ("surprise", "2.0"),
        ]
    report([records], out=records.with_name("r.html"), csv=table)
    assert records.with_name("r.html").exists()


def test_nothing_is_written_over_what_is_read_or_twice(records: Path) -> None:
    before = records.read_bytes()
    for options in (
        {"out": records},
        {"csv": records},
        {"video": records.with_name("v.mp4"), "out": records.with_name("v.mp4")},
    ):
        with pytest.raises(ConfigError, match="is read from"):
            report([records], **options)
    with pytest.raises(ConfigError, match="is written already"):
        report([records], out=records.with_name("x"), csv=records.with_name("x"))
    assert records.read_bytes() == before
    assert list(records.parent.iterdir()) == [records]


def test_the_video_that_the_records_name_is_not_written_over(records: Path) -> None:
    video = records.with_name("clip.mp4")
    video.write_bytes(b"a video")
    with pytest.raises(ConfigError, match=r"clip\.mp4 is read from"):
        report([records], out=video, thumbnails=False)
    assert video.read_bytes() == b"a video"


def test_damaged_records_leave_no_page(records: Path) -> None:
    with records.open("a", encoding="utf-8") as file:
        file.write("\n{")
    with pytest.raises(DataError, match=r"t\.jsonl, line 21: is no whole line of JSON"):
        report([records])
    assert list(records.parent.iterdir()) == [records]


def test_subtitles_by_the_suffix(records: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report([records], out=records.with_name("film.srt"), name=["1=Anna"])
    assert records.with_name("film.srt").read_text(encoding="utf-8").startswith("1\n00:00:00,000 --> ")
    assert "Anna: fear" in records.with_name("film.srt").read_text(encoding="utf-8")
    report([records], out=records.with_name("film.VTT"), csv=records.with_name("t.csv"), bin="1")
    assert records.with_name("film.VTT").read_text(encoding="utf-8").startswith("WEBVTT\n")
    assert not records.with_suffix(".html").exists()
    assert "note" not in capsys.readouterr().err


def test_several_records_and_names(records: Path) -> None:
    other = records.with_name("u.jsonl")
    other.write_text("\n".join(json.dumps(frame_record(i, "other.mp4")) for i in range(20)), encoding="utf-8")
    filmed(records.with_name("clip.mp4"))
    report([records, other], name=["1.1= Anna ", "2.1=Anna"], json=records.with_name("t.json"))
    assert not records.with_suffix(".html").exists()
    lines = list(map(json.loads, records.with_name("t.json").read_text(encoding="utf-8").splitlines()))
    assert [(line["source"], line["persons"][0]["name"]) for line in lines] == [
        ("elsewhere/clip.mp4", "Anna"),
        ("other.mp4", "Anna"),
    ]
    report([records, other], name=["1.1=Anna", "2.1=Anna"])
    page = records.with_suffix(".html").read_text(encoding="utf-8")
    assert page.count('<a href="#person-') == 1
    assert page.count("<img") == 4  # in the overview, of the person, and two peaks: the first video is there


def test_bins_in_the_page_and_in_tables(records: Path) -> None:
    table, lines = records.with_name("t.csv"), records.with_name("t.json")
    report([records], out=records.with_name("r.html"), csv=table, json=lines, bin="1.5")
    assert "Every 1.5 s" in records.with_name("r.html").read_text(encoding="utf-8")
    with table.open(encoding="utf-8", newline="") as file:
        starts = [(row["start_s"], row["emotion"], row["seconds"]) for row in csv.DictReader(file)]
    assert starts[2:4] == [("1.5", "fear", "0.5"), ("1.5", "surprise", "1.0")]
    assert len(json.loads(lines.read_text(encoding="utf-8"))["bins"]) == 3
    report([records], csv=table, bin="scene")
    with table.open(encoding="utf-8", newline="") as file:
        assert [row["bin"] for row in csv.DictReader(file)] == ["1", "1"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"name": ["Anna"]}, "takes NUMBER=NAME, as in 2=Anna, got 'Anna'"),
        ({"name": ["x=Anna"]}, "takes NUMBER=NAME"),
        ({"name": ["7=Anna"]}, "there is no person 7"),
        ({"name": ["2.1=Anna"]}, "no records have the number 2"),
        ({"name": ["1=Anna", "1.1=Bob"]}, "has the name 'Anna' already"),
        ({"name": ["1="]}, "name must have 1 to 100 characters"),
        ({"bin": "ten"}, "takes a number of seconds or scene, got 'ten'"),
        ({"bin": "0"}, "longer than 0 seconds"),
        ({"bin": "nan"}, "longer than 0 seconds"),
        ({"bin": "1", "out": Path("x.srt")}, "--bin goes with a page or a table"),
    ],
)
def test_options_that_cannot_be_are_refused(records: Path, options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        report([records], **options)
    assert list(records.parent.iterdir()) == [records]


def test_several_records_need_clear_options(records: Path) -> None:
    other = records.with_name("u.jsonl")
    other.write_bytes(records.read_bytes())
    for files, options, words in (
        ([records, records], {}, "given twice"),
        ([records, other], {"name": ["1=Anna"]}, r"as in 1\.1=Anna for person 1 of .*t\.jsonl"),
        ([records, other], {"out": records.with_name("x.srt")}, "subtitles are of one video"),
        ([records, other], {"video": records.with_name("v.mp4")}, "--video names the video of one"),
    ):
        with pytest.raises(ConfigError, match=words):
            report(files, **options)
    assert sorted(records.parent.iterdir()) == [records, other]
