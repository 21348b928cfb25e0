from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from typer.testing import CliRunner

from mien.cli import data
from mien.cli.console import as_options
from mien.errors import DataError

FACE = np.random.default_rng(0).integers(0, 256, (2, 2304))
ROWS = [" ".join(map(str, face)) for face in FACE]


@pytest.fixture
def good(tmp_path):
    path = tmp_path / "fer2013.csv"
    lines = [f"3,{ROWS[0]},Training", f"4,{ROWS[0]},PublicTest", f"6,{ROWS[1]},PrivateTest"]
    path.write_text("\n".join(["emotion,pixels,Usage", *lines, ""]), encoding="utf-8")
    return path


@pytest.fixture
def bad(good):
    with good.open("a", encoding="utf-8") as file:
        file.write("0,1 2 3,Training\n")
    return good


def run(*args):
    return CliRunner().invoke(data.app, ["check", *map(str, args)])


def test_tables(good):
    result = run(good)
    assert result.exit_code == 0
    out = result.stdout
    assert "3 faces" in out
    assert "training faces that stand in validation as well: 1" in out
    assert "1 training faces leak into validation or test: --drop-leaks" in " ".join(out.split())
    assert "rows 0, 1" in out
    row = next(line for line in out.splitlines() if "happiness" in line)
    assert [cell.strip() for cell in row.split("│")[2:5]] == ["1", "0", "0"]


def test_json_is_all_of_stdout(good):
    result = run(good, "--json")
    assert result.exit_code == 0
    found = json.loads(result.stdout)
    assert found["rows"] == 3
    assert found["leaks"] == 1
    assert found["labels"]["training"]["happiness"] == 1
    assert found["conflicts"] == [["0", "1"]]
    assert found["bad"] == []


def test_bad_row_ends_it_and_names_the_way_on(bad):
    result = run(bad)
    assert isinstance(result.exception, DataError)  # the entry point turns it into one line and exit code 2
    assert f"{bad}: row 3: expected 2304 pixels, got 3" in str(result.exception)
    assert "--skip-bad" in as_options(str(result.exception))
    assert result.stdout == ""


def test_skip_bad_goes_on_and_exits_1(bad):
    result = run(bad, "--skip-bad", "--json")
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert found["rows"] == 3
    assert [row["row"] for row in found["bad"]] == ["3"]
    assert f"skipped: {bad}: row 3: expected 2304 pixels, got 3" in result.stderr


def test_own_classes(tmp_path):
    from PIL import Image

    for name in ("bored", "tired"):
        (tmp_path / name).mkdir()
        Image.fromarray(FACE[0].reshape(48, 48).astype(np.uint8)).save(tmp_path / name / "1.png")
    assert isinstance(run(tmp_path).exception, DataError)
    result = run(tmp_path, "--own-classes", "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["labels"]["training"] == {"bored": 1, "tired": 1, "unlabelled": 0}


NOTES = [
    "rows left out for their label: 3 (8: 2, contempt: 1)",
    "files: 2 passed over: 1 .mp4, 1 .txt",
    "faces whose source names no split: 8, counted as training",
    "labels that were named and that no row has: 9",
]
LABELS = "1=surprise,2=Fear,8=drop,9=sad"


@pytest.fixture
def odd(tmp_path):
    """Class folders with numbers, contempt, and files that are no pictures."""
    from PIL import Image

    for number, name in enumerate(["1", "2"] * 4 + ["8", "8", "contempt"]):
        (tmp_path / "odd" / name).mkdir(parents=True, exist_ok=True)
        Image.fromarray(FACE[0].reshape(48, 48).astype(np.uint8)).save(tmp_path / "odd" / name / f"{number}.png")
    for name in ("1/a.txt", "2/b.mp4", "2/Thumbs.db"):
        (tmp_path / "odd" / name).write_text("x")
    return tmp_path / "odd"


def test_what_is_left_out_is_counted_in_text_and_json(odd):
    result = run(odd, "--labels", LABELS)
    assert result.exit_code == 0
    assert [line for line in result.stdout.splitlines() if line in NOTES] == NOTES
    assert "note:" not in result.stderr
    result = run(odd, "--labels", LABELS, "--json")
    assert json.loads(result.stdout)["notes"] == {
        "labels_left_out": {"8": 2, "contempt": 1},
        "files_passed_over": {".txt": 1, ".mp4": 1},
        "without_split": {"training": 8},
        "labels_not_found": ["9"],
    }
    assert "note:" not in result.stderr


def test_training_and_packing_note_it_once(odd, tmp_path):
    from mien.cli.app import app

    commands = [["data", "pack", odd, "-o", tmp_path / "pack"]]
    if importlib.util.find_spec("torch"):
        commands.append(["train", "--data", odd, "--preview-augment", tmp_path / "sheet.png", "--set", "batch=2"])
    for command in commands:
        result = CliRunner().invoke(app, [*map(str, command), "--labels", LABELS])
        assert result.exit_code == 0, result.output
        assert [line.removeprefix("note: ") for line in result.stderr.splitlines() if "note: " in line] == NOTES
    assert json.loads(run(tmp_path / "pack", "--json").stdout)["notes"]["labels_left_out"] == {"8": 2, "contempt": 1}


@pytest.mark.parametrize("command", ["train", "distill", "evaluate", "export"])
def test_the_map_reaches_the_reading(command, odd, tmp_path, monkeypatch):
    """Of evaluation and export too, whose classes come from the model."""
    from mien.cli.app import app

    class Read(Exception):  # noqa: N818 - no error, but what ends the command here
        pass

    def read_faces(path, **how):
        raise Read(path, how["labels"])

    arguments = [command, "--data", odd, "--labels", LABELS]
    if command != "evaluate":
        pytest.importorskip("torch")
        arguments += ["-o", tmp_path / "out"]
    if command in ("distill", "export"):
        arguments.append(tmp_path)  # a teacher, a checkpoint
    if command == "export":
        description = type("Description", (), {"classes": ("a", "b")})
        monkeypatch.setattr("mien.training.checkpoint.describe", lambda _: description)
    monkeypatch.setattr("mien.data.readers.read_faces", read_faces)
    result = CliRunner().invoke(app, list(map(str, arguments)))
    assert result.exception.args == (odd, LABELS)


def test_numbers_without_a_map_name_the_option(odd):
    message = as_options(str(run(odd).exception))
    assert "unknown emotion '1'" in message
    assert "--labels 1=surprise,2=fear,3=disgust,4=happiness,5=sadness,6=anger,7=neutral does for RAF-DB" in message


def mien(*args):
    env = {**os.environ, "NO_COLOR": "1"}
    command = [sys.executable, "-m", "mien", *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, env=env, check=False)


def test_exit_codes_of_the_program(bad):
    result = mien("data", "check", bad)
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.startswith(f"error: {bad}: row 3: ")
    assert result.stderr.count("\n") == 1
    assert mien("data", "check", bad, "--skip-bad").returncode == 1
    assert mien("data", "check", bad.with_name("nowhere.csv")).returncode == 2


def test_importing_the_commands_stays_light():
    heavy = ["numpy", "cv2", "PIL", "onnxruntime", "pyarrow", "torch"]
    code = f"import sys, mien.cli.data; sys.exit(', '.join(n for n in {heavy} if n in sys.modules) or None)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
