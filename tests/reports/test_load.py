"""Files of records: whole ones become timelines, damaged ones one line that says where."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mien.errors import ConfigError, DataError
from mien.reports.load import read_timeline, read_timelines
from mien.reports.validate import check_frame

if TYPE_CHECKING:
    from .conftest import Videos


def written(path: Path, *lines: str | bytes | dict[str, Any]) -> Path:
    raw = (
        line if isinstance(line, bytes) else (line if isinstance(line, str) else json.dumps(line)).encode()
        for line in lines
    )
    path.write_bytes(b"".join(line + b"\n" for line in raw))
    return path


def test_a_file_becomes_a_timeline(videos: Videos, tmp_path: Path) -> None:
    records = videos.moods("hhhhhhnnnn" * 150)
    seen: list[tuple[int, int]] = []
    path = written(tmp_path / "t.jsonl", *records[:700], "", *records[700:])
    timeline = read_timeline(path, progress=lambda done, total: seen.append((done, total)))
    assert timeline == videos.timeline(records)
    size = path.stat().st_size
    assert len(seen) == 2
    assert seen[-1] == (size, size)


def test_damage_is_told_with_its_line(videos: Videos, tmp_path: Path) -> None:
    good = videos.record(0.0, [videos.face(1, "fear")])
    face = videos.face(1, "fear")
    path = tmp_path / "t.jsonl"
    for bad, words in (
        (json.dumps(good)[:-9], "is no whole line of JSON"),
        (b"\xff\xfe{", "is no whole line of JSON"),
        ("[" * 100_000, "is no whole line of JSON"),
        ("[1]", "is no record"),
        ({"a": 1}, "is no record"),
        (good | {"schema": 2}, "has schema 2; this version of Mien reads schema 1"),
        (good | {"time_s": None}, "has no time_s: these are records of photos"),
        (good | {"time_s": "1"}, "time_s must be a number, got '1'"),
        (good | {"time_s": float("nan")}, "time_s must be a number, got nan"),
        (good | {"time_s": 10**400}, "time_s must be a number"),
        (good | {"source": 7}, "source must be text, got 7"),
        (good | {"model": None}, "has no model"),
        (good | {"faces": None}, "has no list of faces"),
        (good | {"faces": [3]}, "face 1 is no object"),
        (good | {"faces": [face, face | {"track": None}]}, "face 2 has no track"),
        (good | {"faces": [face | {"probabilities": {}}]}, "face 1 has no probabilities"),
        (good | {"faces": [face | {"probabilities": {"fear": 1.5}}]}, "not within 0..1"),
        (good | {"faces": [face | {"emotion": "joy"}]}, "'joy', which is none of its classes"),
        (good | {"faces": [face | {"box": [1, 2, 3, 4]}]}, "face 1 has no box"),
        (good | {"faces": [face | {"box": {"x": 1}}]}, "y must be a number, got None"),
    ):
        with pytest.raises(DataError, match=words) as caught:
            read_timeline(written(path, good, bad))
        assert str(caught.value).startswith(f"{path}, line 2: ")
        assert "\n" not in str(caught.value)


def test_files_without_frames_are_told(videos: Videos, tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    for lines, words in (((), "holds no records"), (("", " "), "holds no records")):
        with pytest.raises(DataError, match=words):
            read_timeline(written(path, *lines))
    for wrong in (tmp_path / "gone.jsonl", tmp_path):
        with pytest.raises(DataError, match="cannot be read"):
            read_timeline(wrong)


def test_a_line_without_end_is_not_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_bytes(b"[" * ((1 << 24) + 5))
    with pytest.raises(DataError, match="line 1: is longer than 16 MiB"):
        read_timeline(path)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.data())
def test_whatever_a_field_holds_the_word_is_clear(videos: Videos, data: st.DataObject) -> None:
    record = videos.record(0.5, [videos.face(1, "fear")])
    target: dict[str, Any] = data.draw(st.sampled_from([record, record["faces"][0], record["faces"][0]["box"]]))
    target[data.draw(st.sampled_from(sorted(target)))] = data.draw(values)
    message = ""
    try:
        check_frame(record)
    except DataError as error:
        message = str(error)
    assert "\n" not in message
    assert len(message) < 300


def test_several_files_are_read_together(videos: Videos, tmp_path: Path) -> None:
    paths = [
        written(tmp_path / "a.jsonl", *videos.moods("h" * 10, "n" * 10)),
        written(tmp_path / "b.jsonl", videos.record(0.0, source="empty.mp4")),
        written(tmp_path / "c.jsonl", *videos.moods("s" * 10, source="c.mp4")),
    ]
    first, empty, last = read_timelines(paths, names={(1, 2): "Anna", (3, 1): "Anna"})
    assert [one.label for one in (*first.persons, *last.persons)] == ["Person 1.1", "Anna", "Anna"]
    assert ([one.video for one in (first, empty, last)], empty.classes) == ([1, 2, 3], ())
    (alone,) = read_timelines(paths[:1], names={(1, 2): "Anna"})
    assert (alone.video, [one.label for one in alone.persons]) == (None, ["Person 1", "Anna"])


def test_files_that_do_not_go_together_are_refused(videos: Videos, tmp_path: Path) -> None:
    path = written(tmp_path / "a.jsonl", *videos.moods("h" * 10))
    other = written(tmp_path / "b.jsonl", *videos.moods("h" * 10, model="mien 9"))
    with pytest.raises(DataError, match=r"b\.jsonl: is by another model, 'mien 9', than .*a\.jsonl, 'mien 0\.4\.0'"):
        read_timelines([path, other])
    other = written(tmp_path / "b.jsonl", *videos.moods("a" * 10, classes="ab"))
    with pytest.raises(DataError, match=r"b\.jsonl: has other classes than .*a\.jsonl"):
        read_timelines([path, other])
    with pytest.raises(ConfigError, match=r"a\.jsonl: there is no person 7"):
        read_timelines([path], names={(1, 7): "Anna"})
