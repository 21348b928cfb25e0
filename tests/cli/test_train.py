from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch")

TINY = [
    item
    for setting in (
        "network.input_size=67",
        "network.width=0.1",
        "network.hidden=16,16",
        "epochs=1",
        "batch=16",
        "holdback=0.1",
    )
    for item in ("--set", setting)
]


def mien(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mien", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False)


def assert_one_line_error(result: subprocess.CompletedProcess[str], *parts: str) -> None:
    assert result.returncode == 2, result.stderr
    assert "Traceback" not in result.stderr
    *before, last = result.stderr.strip().splitlines()
    assert all(line.startswith(("warning:", "left out")) for line in before)
    for part in parts:
        assert part in last


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Class folders of plain faces, bright ones happy and dark ones sad, one of them in training and validation."""
    root = tmp_path_factory.mktemp("faces")
    rng = np.random.default_rng(0)
    for split, count in (("train", 24), ("val", 6)):
        for name, level in (("happy", 180), ("sad", 70)):
            (root / split / name).mkdir(parents=True)
            for i in range(count):
                face = rng.normal(level, 20, (48, 48)).clip(0, 255).astype(np.uint8)
                Image.fromarray(face).save(root / split / name / f"{i}.png")
    (root / "val" / "sad" / "leak.png").write_bytes((root / "train" / "sad" / "0.png").read_bytes())
    return root


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, folders: Path) -> Path:
    out = tmp_path_factory.mktemp("runs") / "one"
    result = mien("train", "--data", folders, "--out", out, "--drop-leaks", *TINY)
    assert result.returncode == 0, result.stderr
    assert "left out 1 training faces" in result.stderr
    assert "epoch 1" in result.stderr
    assert "validation" in result.stderr
    assert result.stdout == ""
    return out


def test_a_leak_is_warned_of_and_the_remedy_named(folders: Path, tmp_path: Path) -> None:
    result = mien("train", "--data", folders, "--out", tmp_path / "run", *TINY)
    assert result.returncode == 0, result.stderr
    assert "1 training faces stand in validation or test" in result.stderr
    assert "--drop-leaks" in result.stderr


def test_train_evaluate_export_evaluate(run: Path, folders: Path, tmp_path: Path) -> None:
    checkpoint = mien("evaluate", run, "--data", folders, "--json")
    assert checkpoint.returncode == 0, checkpoint.stderr
    model = tmp_path / "model.onnx"
    written = mien("export", run, "--int8", "--data", folders, "--out", model, "--name", "two")
    assert written.returncode == 0, written.stderr
    assert "two-0-int8" in written.stdout
    assert "int8" in written.stdout
    assert "float32" in written.stdout
    onnx = mien("evaluate", model, "--data", folders, "--json")
    assert onnx.returncode == 0, onnx.stderr
    figures = [json.loads(result.stdout) for result in (checkpoint, onnx)]
    assert figures[0]["protocol"] == figures[1]["protocol"] == "fer2013"
    assert figures[0]["n"] == figures[1]["n"] == 13
    assert figures[0]["accuracy"] == pytest.approx(figures[1]["accuracy"], abs=0.2)


def test_a_console_that_knows_ascii_only_gets_figures_too(run: Path, folders: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "mien", "evaluate", str(run), "--data", str(folders)],
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert b"worst confusions" in result.stdout
    assert b"accuracy" in result.stdout


def test_a_finished_run_is_not_overwritten(run: Path, folders: Path) -> None:
    assert_one_line_error(mien("train", "--data", folders, "--out", run, "--drop-leaks", *TINY), "holds a run already")


def test_a_resumed_run_takes_its_own_recipe(run: Path, folders: Path) -> None:
    result = mien("train", "--data", folders, "--out", run, "--drop-leaks", "--resume")
    assert result.returncode == 0, result.stderr
    changed = mien("train", "--data", folders, "--out", run, "--drop-leaks", "--resume", "--set", "batch=8")
    assert_one_line_error(changed, "another recipe: batch")


def test_own_classes_travel_to_the_card(folders: Path, tmp_path: Path) -> None:
    out = tmp_path / "own"
    result = mien("train", "--data", folders, "--out", out, "--own-classes", "--drop-leaks", *TINY)
    assert result.returncode == 0, result.stderr
    written = mien("export", out, "--out", tmp_path / "own.onnx", "--data", folders)
    assert written.returncode == 0, written.stderr
    info = mien("info", "--model", tmp_path / "own.onnx", "--json")
    assert json.loads(info.stdout)["model"]["classes"] == ["happy", "sad"]


def test_the_contact_sheet_is_a_picture_and_trains_nothing(folders: Path, tmp_path: Path) -> None:
    result = mien(
        "train", "--data", folders, "--out", tmp_path / "run", "--preview-augment", tmp_path / "sheet.png", *TINY
    )
    assert result.returncode == 0, result.stderr
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size == (12 * 98, 8 * 98)
        assert len(np.unique(np.asarray(sheet))) > 50
    assert not (tmp_path / "run").exists()


def test_the_recipe_is_shown_and_can_be_typed_back() -> None:
    shown = mien("train", "--show-recipe", "--recipe", "quick").stdout.split()
    assert "epochs=12" in shown
    again = mien("train", "--show-recipe", *(part for line in shown for part in ("--set", line))).stdout.split()
    assert again == shown


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ([], ["--data is missing"]),
        (["--data", "nowhere"], ["nowhere"]),
        (["--recipe", "slow", "--data", "x"], ["slow", "scratch, quick"]),
        (["--network", "vgg", "--data", "x"], ["vgg", "alexnet-compact"]),
        (["--set", "epoch=1", "--data", "x"], ["epoch: no such field"]),
        (["--resume", "--out", "nowhere/run"], ["no checkpoint"]),
        (["--preview-augment", "sheet.txt"], [".png"]),
        (["--out", "/dev/null/run"], ["cannot be made a folder"]),
    ],
)
def test_bad_usage_is_one_line(folders: Path, arguments: list[str], parts: list[str]) -> None:
    known = "--data" in arguments or not arguments
    assert_one_line_error(mien("train", *([] if known else ["--data", folders]), *arguments, *TINY), *parts)


def test_what_is_no_checkpoint_is_one_line(tmp_path: Path, folders: Path) -> None:
    text = tmp_path / "text.safetensors"
    text.write_text("hello", encoding="utf-8")
    assert_one_line_error(mien("export", text, "--out", tmp_path / "m.onnx"), "not a readable checkpoint")
    assert_one_line_error(mien("export", tmp_path, "--out", tmp_path / "m.onnx"), "no checkpoint")
    assert_one_line_error(mien("evaluate", text, "--data", folders), "not a readable checkpoint")
    assert list(tmp_path.iterdir()) == [text]


def test_int8_without_data_is_one_line(run: Path, tmp_path: Path) -> None:
    assert_one_line_error(mien("export", run, "--int8", "--out", tmp_path / "m.onnx"), "calibrated on training faces")
