from __future__ import annotations

import csv
import json
import os
import sys
from pathlib import Path

import pytest
from PIL import Image

from mien.errors import ConfigError
from mien.media.records import ROW_COLUMNS
from mien.media.sinks import csv_rows, drawn_paths, json_lines, save_picture, written_aside
from mien.media.sources import find_images


def test_a_file_is_whole_or_absent(tmp_path: Path) -> None:
    path = tmp_path / "result.txt"
    with written_aside(path) as part:
        part.write_text("one", encoding="utf-8")
        assert not path.exists()
    assert path.read_text(encoding="utf-8") == "one"

    def fail(stop: type[BaseException]) -> None:
        with written_aside(path) as part:
            part.write_text("two", encoding="utf-8")
            raise stop

    for stop in (ValueError, KeyboardInterrupt):
        with pytest.raises(stop):
            fail(stop)
    assert path.read_text(encoding="utf-8") == "one"
    assert [entry.name for entry in tmp_path.iterdir()] == ["result.txt"]


def test_where_nothing_can_be_written_one_line_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    for path, words in (
        (tmp_path, "is a folder"),
        (tmp_path / "gone" / "x", "cannot be written"),
        (tmp_path / "file" / "x", "cannot be written"),
    ):
        with pytest.raises(ConfigError, match=words), written_aside(path) as part:
            part.write_text("", encoding="utf-8")
    with pytest.raises(ConfigError, match="cannot be made a folder"):
        save_picture(Image.new("RGB", (2, 2)), tmp_path / "file" / "x.png")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such devices")
def test_devices_stay_devices_and_links_stay_links(tmp_path: Path) -> None:
    with written_aside(Path("/dev/null")) as part:
        assert part == Path("/dev/null")
    assert not Path("/dev/null").is_file()
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("old", encoding="utf-8")
    link.symlink_to(target)
    with written_aside(link) as part:
        part.write_text("new", encoding="utf-8")
    assert link.is_symlink()
    assert target.read_text(encoding="utf-8") == "new"


def test_json_lines_go_to_a_file_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    records = [{"source": "ä\n.jpg"}, {"source": "\udcff.jpg"}]  # the second: a name that is not UTF-8
    with json_lines(str(path)) as write:
        write(records[0])
        write(records[1])
        assert not path.exists()
    assert [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] == records


def test_json_lines_to_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    with json_lines("-") as write:
        write({"a": 1})
    assert capsys.readouterr().out == '{"a": 1}\n'


def frame_record(source: str, faces: list[dict[str, object]]) -> dict[str, object]:
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


def test_csv_rows_go_to_a_file_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "faces.csv"
    with csv_rows(str(path), ["a, b", "c"]) as write:
        write(frame_record("ä\n.mp4", [FACE, {**FACE, "track": None}]))
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
        "0.75",
        "0.25",
    ]
    assert rows[0] == first
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


def test_pictures_are_written_by_their_suffix(tmp_path: Path) -> None:
    picture = Image.new("RGB", (5, 4), "red")
    for name, kind in (("x/y/a.png", "PNG"), ("b.JPG", "JPEG")):
        save_picture(picture, tmp_path / name)
        with Image.open(tmp_path / name) as written:
            assert (written.format, written.size) == (kind, (5, 4))


def drawn(paths: list[str]) -> list[str]:
    found, problems = find_images(paths)
    assert problems == []
    return [path.as_posix() for path in drawn_paths(found, Path("out"))]


def test_drawn_copies_keep_folders_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("one/x.jpg", "one/sub/x.jpg", "one/y.webp", "one/y.png", "two/x.jpg"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert drawn(["one"]) == ["out/x.jpg", "out/y.png", "out/y.webp.png", "out/sub/x.jpg"]
    assert drawn(["one/sub"]) == ["out/x.jpg"]
    assert drawn(["one/x.jpg", "two/x.jpg"]) == ["out/one/x.jpg", "out/two/x.jpg"]
    assert drawn([str(tmp_path / "one" / ".." / "two"), "one/sub"]) == ["out/two/x.jpg", "out/one/sub/x.jpg"]
    assert drawn_paths([], Path("out")) == []


def test_an_original_is_never_overwritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "x.png").touch()
    found, _ = find_images(["in"])
    with pytest.raises(ConfigError, match=r"x\.png is one of the pictures"):
        drawn_paths(found, tmp_path / "in")
