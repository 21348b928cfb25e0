"""`mien annotate` as its user meets it: what it prints, and its exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner, Result

pytest.importorskip("fsspec")
pytest.importorskip("pyarrow")
import pyarrow.parquet as pq

from mien.cli.app import app
from mien.errors import MienError


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name, grey in (("fear.png", 85), ("surprise.jpg", 255), ("sub/fear.png", 85)):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (60, 60), grey).save(path)
    return tmp_path / "photos"


@pytest.fixture
def annotate(brightness_model: Path) -> Any:
    def run(*arguments: str, given: str | None = None) -> Result:
        options = ["--model", str(brightness_model), "--detector", "none", "--workers", "0"]
        return CliRunner().invoke(app, ["annotate", *options, *arguments], input=given)

    return run


def sources(out: str = "out") -> list[str]:
    return list(pq.read_table(f"{out}/faces")["source"].to_pylist())


def test_it_prints_what_it_did(annotate: Any, photos: Path) -> None:
    result = annotate("photos", "-o", "out")
    assert result.exit_code == 0
    assert result.stdout == ""
    plan, did, found = result.stderr.splitlines()
    assert plan == "3 pictures in 1 part, for brightness-1.0-float32 with the detector none"
    assert did.startswith("3 pictures in ")
    assert found == "3 faces in 3 pictures, 0 without, 0 not read: out"
    assert sources() == ["photos/fear.png", "photos/surprise.jpg", "photos/sub/fear.png"]
    again = annotate("photos", "-o", "out")
    assert again.exit_code == 0
    assert "nothing was left to do in out" in again.stderr


def test_bad_pictures_make_it_end_with_1(annotate: Any, photos: Path) -> None:
    (photos / "text.jpg").write_text("no picture")
    result = annotate("photos", "-o", "out", "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["errors"] == {"format": 1}
    assert result.stderr.splitlines()[-1] == ("error: 1 picture not read (1 format): out/errors says which and why")


def test_a_list_on_standard_input(annotate: Any, photos: Path) -> None:
    result = annotate("-", "-o", "out", given="photos/fear.png\nphotos/gone.png\n")
    assert result.exit_code == 1
    assert sources() == ["photos/fear.png"]
    assert pq.read_table("out/errors").to_pylist() == [
        {"source": "photos/gone.png", "kind": "missing", "reason": "no such file"}
    ]


def test_which_faces_are_reported_can_be_chosen(annotate: Any, photos: Path) -> None:
    chosen = ["--min-face", "60", "--min-face-score", "0.5", "--uncertain-below", "0.9", "--max-pixels", "3600"]
    assert annotate("photos", "-o", "out", *chosen).exit_code == 0
    assert len(sources()) == 3
    assert annotate("photos", "-o", "none", "--max-pixels", "3599").exit_code == 1


def test_small_faces_can_be_left_out(annotate: Any, photos: Path) -> None:
    data = pytest.importorskip("skimage.data")
    Image.fromarray(data.astronaut()).save("astronaut.png")
    for min_face, found in (("60", ["astronaut.png"]), ("400", [])):
        chosen = ["--detector", "haar", "--min-face", min_face]
        assert annotate("*.png", "-o", min_face, *chosen).exit_code == 0
        assert sources(min_face) == found


def test_a_dry_run_writes_nothing(annotate: Any, photos: Path) -> None:
    result = annotate("photos/*.png", "-o", "out", "--dry-run")
    assert result.exit_code == 0
    count, model, estimate = result.stdout.splitlines()
    assert count == "1 picture in 1 part, 0 done already"
    assert model == "model brightness-1.0-float32, detector none"
    assert "ms a picture on one CPU, by 1 of them: about 0 s on" in estimate
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["nowhere", "-o", "out"], "nowhere: no such file or folder"),
        (["empty", "-o", "out"], "empty: holds no pictures and no .parquet files"),
        (["notes.md", "-o", "out"], "notes.md: expected a folder, a glob pattern"),
        (["photos/*.webp", "-o", "out"], "holds no pictures"),
        (["photos", "-o", "taken"], r"taken: holds other files \(thesis.tex\): name a new folder"),
        (["photos", "-o", "photos/fear.png"], "^photos/fear.png: is a file, expected a folder or URL to write to$"),
        (["photos", "-o", ""], "expected a folder or URL to write to, got an empty text"),
        (["", "-o", "out"], "^INPUT is empty: expected a folder"),
        (["wide.txt", "-o", "out"], "the list is in UTF-16, expected UTF-8"),
        (
            ["photos/fear.png", "photos/surprise.jpg", "-o", "out"],
            "^expected one INPUT, got 2 .photos/fear.png, .*quotes",
        ),
        (["photos", "-o", "out", "--sample", "0"], "sample must be above 0"),
        (["photos", "-o", "out", "--image-column", "x"], "columns are those of Parquet input"),
        (["photos", "-o", "out", "--planned"], "holds no plan to go on with"),
        (["s4://bucket", "-o", "out"], "s4://bucket: cannot be reached"),
        (["photos", "-o", "out", "--model", "gone.onnx"], "gone.onnx"),
    ],
)
def test_invalid_input_is_one_line(annotate: Any, photos: Path, arguments: list[str], expected: str) -> None:
    (photos.parent / "empty").mkdir()
    (photos.parent / "notes.md").write_text("# notes")
    (photos.parent / "wide.txt").write_text("photos/fear.png", encoding="utf-16")
    (photos.parent / "taken").mkdir()
    (photos.parent / "taken" / "thesis.tex").write_text("mine")
    with pytest.raises(MienError, match=expected) as error:
        raise annotate(*arguments).exception or AssertionError
    assert "\n" not in str(error.value)
    assert not Path("out", "faces").exists()


def test_an_estimate_can_be_read_by_a_program(annotate: Any, photos: Path) -> None:
    result = annotate("photos", "-o", "out", "--dry-run", "--json")
    assert result.exit_code == 0
    estimate = json.loads(result.stdout)
    assert estimate.pop("seconds_a_picture") > 0
    assert estimate.pop("seconds") > 0
    assert estimate == {
        "pictures": 3,
        "parts": 1,
        "done": 0,
        "model": "brightness-1.0-float32",
        "detector": "none",
        "tried": 3,
        "cpus": 1,
    }
    assert not Path("out").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="a shell of POSIX closes it")
def test_a_closed_standard_input_is_reported(photos: Path, brightness_model: Path) -> None:
    command = [sys.executable, "-m", "mien", "annotate", "-", "-o", "out", "--detector", "none", "--model"]
    closed = ["sh", "-c", 'exec "$@" <&-', "sh", *command, str(brightness_model)]
    done = subprocess.run(closed, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == "error: there is no standard input to read a list from"


def test_help_reads_well() -> None:
    result = CliRunner().invoke(app, ["annotate", "--help"], env={"COLUMNS": "120", "TERM": "dumb"})
    assert result.exit_code == 0
    for word in ("--out", "--engine", "--dry-run", "--sample", "--planned", "Which pictures", "How they are processed"):
        assert word in result.stdout
