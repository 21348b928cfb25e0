from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mien.emotions import EMOTIONS
from mien.records import ROW_COLUMNS, Origin, csv_rows, json_lines, to_record, to_rows
from mien.types import Box, Face, Pose

SHARES = dict(zip(EMOTIONS, (0.01, 0.02, 0.03, 0.8, 0.1, 0.03, 0.01), strict=True))


def test_a_record_has_the_schema_of_the_wire_format() -> None:
    face = Face(Box(-4.26, 10.04, 30.0, 200.0), 0.98765, SHARES)
    record = to_record([face], Origin("a/b.jpg", 100, 60), model="m-1-int8")
    assert json.loads(json.dumps(record)) == {
        "schema": 1,
        "model": "m-1-int8",
        "source": "a/b.jpg",
        "frame": None,
        "time_s": None,
        "width": 100,
        "height": 60,
        "faces": [
            {
                "box": {"x": 0.0, "y": 10.0, "width": 25.7, "height": 50.0},
                "score": 0.9877,
                "emotion": "happiness",
                "confidence": 0.8,
                "uncertain": False,
                "probabilities": SHARES,
                "track": None,
                "pose": None,
            }
        ],
        "error": None,
    }
    assert list(record["faces"][0]["probabilities"]) == list(EMOTIONS)


def test_a_record_has_landmarks_only_where_they_are_asked_for() -> None:
    points: Any = ((1.04, 2), (np.float32(9.96), 2), (5, 6), (-2, 9), (120, 9))
    faces = [Face(Box(0, 0, 5, 5), None, SHARES, points), Face(Box(6, 0, 5, 5), None, SHARES)]
    first, second = json.loads(json.dumps(to_record(faces, Origin(None, 100, 60), model="m", landmarks=True)))["faces"]
    assert first["landmarks"] == {
        "right_eye": {"x": 1.0, "y": 2.0},
        "left_eye": {"x": 10.0, "y": 2.0},
        "nose": {"x": 5.0, "y": 6.0},
        "right_mouth": {"x": -2.0, "y": 9.0},
        "left_mouth": {"x": 120.0, "y": 9.0},
    }
    assert second["landmarks"] is None
    without = to_record(faces, Origin(None, 100, 60), model="m")
    assert not any("landmarks" in face for face in without["faces"])
    assert to_rows(to_record(faces, Origin(None, 100, 60), model="m", landmarks=True)) == to_rows(without)


def test_a_record_tells_which_way_a_head_is_turned() -> None:
    face = Face(Box(0, 0, 5, 5), None, SHARES, pose=Pose(-68.96, 4.04, np.float64(-0.04)))
    (found,) = json.loads(json.dumps(to_record([face], Origin(None, 9, 9), model="m")))["faces"]
    assert found["pose"] == {"yaw": -69.0, "pitch": 4.0, "roll": 0.0}
    assert "-0.0" not in json.dumps(found["pose"])
    assert found["uncertain"]


def test_the_record_of_a_streams_frame_tells_when_it_is_shown_and_whose_face_it_is() -> None:
    face = Face(Box(0, 0, 5, 5), None, SHARES, track=3)
    record = to_record([face], Origin("v.mp4", 9, 9, frame=7, time_s=np.float64(7 / 30)), model="m")
    assert (record["frame"], record["time_s"], record["faces"][0]["track"]) == (7, 0.233333, 3)
    assert [(row["frame"], row["time_s"], row["track"]) for row in to_rows(record)] == [(7, 0.233333, 3)]


def test_a_record_tells_by_the_faces_own_threshold_what_is_uncertain() -> None:
    faces = [Face(Box(0, 0, 5, 5), None, SHARES, None, threshold) for threshold in (0.8, 0.81)]
    record = json.loads(json.dumps(to_record(faces, Origin(None, 9, 9), model="m")))
    assert [face["uncertain"] for face in record["faces"]] == [False, True]
    assert [row["uncertain"] for row in to_rows(record)] == [False, True]


def test_what_is_not_known_is_null() -> None:
    record = to_record([Face(Box(0, 0, 5, 5), None, SHARES)], Origin(None, 9, 9), model="m")
    assert record["source"] is None
    assert record["faces"][0]["score"] is None
    failed = to_record([], Origin("x.jpg"), model="m", error="x.jpg: no such file")
    assert (failed["width"], failed["faces"], failed["error"]) == (None, [], "x.jpg: no such file")


def test_confidence_and_probabilities_have_six_digits_and_points_one() -> None:
    probabilities = {"a": 0.12345649, "b": 0.87654351}
    points: Any = ((1.26, 2.26),) * 5
    face = Face(Box(0, 0, 5, 5), None, probabilities, points)
    (found,) = to_record([face], Origin(None, 9, 9), model="m", landmarks=True)["faces"]
    assert found["confidence"] == 0.876544
    assert found["probabilities"] == {"a": 0.123456, "b": 0.876544}
    assert found["landmarks"]["nose"] == {"x": 1.3, "y": 2.3}  # type: ignore[index]


def test_numbers_of_numpy_become_plain_ones() -> None:
    shares = dict(zip(EMOTIONS, np.full(7, 1 / 7, np.float32), strict=True))
    box = Box(*np.array([1, 2, 3, 4], np.float32))
    json.dumps(to_record([Face(box, np.float32(0.5), shares)], Origin(None, 9, 9), model="m"))  # type: ignore[arg-type]


@given(st.builds(Box, *[st.floats(-50, 150)] * 2, *[st.floats(0.5, 200)] * 2), st.integers(1, 100), st.integers(1, 100))
def test_boxes_lie_within_the_picture_and_near_the_true_ones(box: Box, width: int, height: int) -> None:
    (face,) = to_record([Face(box, None, SHARES)], Origin(None, width, height), model="m")["faces"]
    told, true = face["box"], box.clipped(width, height)
    assert 0 <= told["x"] <= told["x"] + told["width"] <= width + 1e-9
    assert 0 <= told["y"] <= told["y"] + told["height"] <= height + 1e-9
    for key in ("x", "y", "width", "height"):
        assert abs(told[key] - getattr(true, key)) <= 0.1 + 1e-9


def test_rows_are_flat_and_one_a_face() -> None:
    faces = [Face(Box(x, 0, 5, 5), None, SHARES) for x in (0, 6)]
    rows = to_rows(to_record(faces, Origin("a.png", 20, 20), model="m"))
    assert [(row["source"], row["face"], row["x"]) for row in rows] == [("a.png", 1, 0), ("a.png", 2, 6)]
    assert rows[0]["p_happiness"] == 0.8
    assert list(rows[0]) == [
        *ROW_COLUMNS,
        *(f"p_{name}" for name in EMOTIONS),
    ]
    assert to_rows(to_record([], Origin("a.png", 20, 20), model="m")) == []


def test_json_lines_go_to_a_file_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    records: list[Any] = [{"source": "ä\n.jpg"}, {"source": "\udcff.jpg"}]  # the second: a name that is not UTF-8
    with json_lines(str(path)) as write:
        write(records[0])
        write(records[1])
        assert not path.exists()
    assert [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] == records


def test_json_lines_to_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    with json_lines("-") as write:
        write(cast(Any, {"a": 1}))
    assert capsys.readouterr().out == '{"a": 1}\n'


def test_csv_rows_go_to_a_file_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "faces.csv"
    with csv_rows(str(path), ["a, b", "c"]) as write:
        pose = {"yaw": -6.5, "pitch": 2.0, "roll": 0.0}
        write(frame_record("ä\n.mp4", [{**FACE, "pose": pose}, {**FACE, "track": None}]))
        write(frame_record("nobody.mp4", []))
        write(frame_record("\udcff.mp4", [FACE]))  # a name that is not UTF-8
        assert not path.exists()
    with path.open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    assert header == [*ROW_COLUMNS, "p_a, b", "p_c"]
    first = [
        "ä\n.mp4",
        "4",
        "0.16",
        "1",
        "3",
        "1.5",
        "2.0",
        "30.0",
        "40.0",
        "",
        "a, b",
        "0.75",
        "False",
        "-6.5",
        "2.0",
        "0.0",
        "0.75",
        "0.25",
    ]
    assert rows[0] == first
    assert rows[1][13:16] == rows[2][13:16] == [""] * 3  # without landmarks; FACE is one of Mien 0.3
    assert [(row[0], row[3], row[4]) for row in rows[1:]] == [("ä\n.mp4", "2", ""), ("\\udcff.mp4", "1", "3")]
    assert list(tmp_path.iterdir()) == [path]


def test_csv_rows_that_fail_leave_no_file(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), csv_rows(str(tmp_path / "faces.csv"), ["c"]):
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())


def test_csv_rows_to_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    with csv_rows("-", ["a, b", "c"]) as write:
        assert len(capsys.readouterr().out.splitlines()) == 1
        write(frame_record("x.mp4", [FACE]))
        assert capsys.readouterr().out.startswith("x.mp4,4,0.16,1,3,")
    sys.stdout.write("still open")


def frame_record(source: str, faces: list[dict[str, object]]) -> Any:
    return {"source": source, "frame": 4, "time_s": 0.16, "faces": faces}


FACE: dict[str, object] = {
    "box": {"x": 1.5, "y": 2.0, "width": 30.0, "height": 40.0},
    "score": None,
    "emotion": "a, b",
    "confidence": 0.75,
    "uncertain": False,
    "probabilities": {"a, b": 0.75, "c": 0.25},
    "track": 3,
}
