from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from mien.cli import console
from mien.cli.app import app


@pytest.fixture
def photo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A picture that the test's model calls fear."""
    monkeypatch.chdir(tmp_path)
    image = np.full((60, 60, 3), 70, np.uint8)
    image[10:30, 10:30] = 200
    Image.fromarray(image).save("photo.png")
    return tmp_path / "photo.png"


@pytest.fixture
def explain(brightness_model: Path):
    def run(*arguments: str, detector: str = "none", stdin: bytes | None = None) -> Result:
        options = ["--model", str(brightness_model), "--detector", detector]
        return CliRunner().invoke(app, ["explain", *options, *arguments], input=stdin)

    return run


def test_the_maps_are_written_and_a_line_a_face_is_printed(explain, photo: Path) -> None:
    result = explain("photo.png", "-o", "out/why.png")
    assert result.exit_code == 0
    head, line = [line.split("\t") for line in result.stdout.splitlines()]
    row = dict(zip(head, line, strict=True))
    assert row["face"] == "1"
    assert row["emotion"] == row["explained"]
    assert row["probability"] == row["confidence"]
    assert float(row["most for"]) >= 0 >= float(row["most against"])
    assert "the maps are in" in result.stderr
    with Image.open("out/why.png") as sheet:
        assert sheet.format == "PNG"
        assert np.asarray(sheet).std() > 10


def test_another_class_is_asked_about(explain, photo: Path) -> None:
    result = explain("photo.png", "-o", "why.jpg", "--emotion", "surprise")
    assert result.exit_code == 0
    _, line = result.stdout.splitlines()
    assert line.split("\t")[3] == "surprise"
    with Image.open("why.jpg") as sheet:
        assert sheet.format == "JPEG"


def test_the_same_photo_gives_the_same_picture(explain, photo: Path) -> None:
    for name in ("a.png", "b.png"):
        assert explain("photo.png", "-o", name).exit_code == 0
    assert Path("a.png").read_bytes() == Path("b.png").read_bytes()


def test_standard_input_and_a_terminal(explain, photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "is_terminal", lambda: True)
    result = explain("-", "-o", "why.png", stdin=photo.read_bytes())
    assert result.exit_code == 0
    assert "\t" not in result.stdout
    assert "most for" in result.stdout


def test_without_a_face_nothing_is_written(explain, photo: Path) -> None:
    result = explain("photo.png", "-o", "why.png", detector="haar")
    assert result.exit_code == 1
    assert "photo.png: no face found" in " ".join(result.stderr.split())
    assert not Path("why.png").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["photo.png", "-o", "why.gif"], "expected a name that ends in .jpeg, .jpg, .png"),
        (["photo.png", "-o", "photo.png"], "photo.png is read from: name another file to write"),
        (["photo.png", "-o", "why.png", "--emotion", "joy"], "must be one of anger, disgust"),
        (["gone.png", "-o", "why.png"], "gone.png"),
        (["photo.png", "-o", "photo.png/why.png"], "photo.png"),
    ],
)
def test_what_cannot_be_is_one_clear_error(explain, photo: Path, arguments: list[str], words: str) -> None:
    before = photo.read_bytes()
    result = explain(*arguments)
    assert result.exit_code != 0
    assert words in str(result.exception)
    assert type(result.exception).__module__ == "mien.errors"
    assert photo.read_bytes() == before
    assert not Path("why.png").exists()


def test_out_is_needed(explain, photo: Path) -> None:
    assert explain("photo.png").exit_code == 2
