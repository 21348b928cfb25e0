from __future__ import annotations

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
