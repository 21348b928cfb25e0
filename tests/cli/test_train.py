from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from time import monotonic, sleep

import numpy as np
import pytest
from PIL import Image

from .conftest import TINY, assert_one_line_error, mien

pytest.importorskip("torch")


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


@pytest.mark.slow
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


@pytest.mark.slow
def test_custom_classes_travel_to_the_card(folders: Path, tmp_path: Path) -> None:
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
        (["--recipe", "slow"], ["slow", "scratch, quick"]),
        (["--network", "vgg"], ["vgg", "alexnet-compact"]),
        (["--set", "epoch=1"], ["epoch: no such field"]),
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


@pytest.mark.slow
def test_fine_tuning_begins_with_what_fits_and_reports_it(run: Path, folders: Path, tmp_path: Path) -> None:
    out = tmp_path / "own"
    tuned = ("train", "--init", run, "--data", folders, "--own-classes", "--drop-leaks", "--out", out)
    few = ("--set", "epochs=1", "--set", "batch=16", "--set", "freeze=2")
    result = mien(*tuned, *few)
    assert result.returncode == 0, result.stderr
    assert "begins with 19 tensors of one/best.safetensors, at random: classifier.6.weight" in result.stderr
    again = mien(*tuned, "--recipe", "finetune", *few, "--resume")
    assert again.returncode == 0, again.stderr
    assert_one_line_error(mien("train", "--recipe", "finetune", "--data", folders), "--init")
    assert_one_line_error(mien("train", "--recipe", "teacher", "--init", "mien", "--data", folders), "begins at random")
    face = mien("train", "--recipe", "teacher", "--init", "faces.dat", "--show-recipe")
    assert "network.kind=face-resnet" in face.stdout, face.stderr
    blind = ("train", "--recipe", "pretrain", "--network", "resnet", "--data", folders)
    assert_one_line_error(mien(*blind), "only AlexNet")
    for missing in ("nowhere.onnx", "nowhere.dat"):
        assert_one_line_error(mien(*tuned[:2], missing, *tuned[3:]), missing)


@pytest.mark.slow
def test_pictures_without_faces_are_outliers(folders: Path, tmp_path: Path) -> None:
    pictures, out = tmp_path / "walls", tmp_path / "run"
    pictures.mkdir()
    Image.new("L", (200, 100), 90).save(pictures / "wall.jpg")
    train = ("train", "--data", folders, "--drop-leaks", "--out", out, *TINY)
    assert_one_line_error(mien(*train, "--outliers", pictures), "the recipe's outliers is 0")
    assert_one_line_error(mien(*train, "--outliers", "nowhere"), "nowhere: no such file or folder")
    chosen = (*train, "--outliers", pictures, "--set", "outliers=0.2")
    result = mien(*chosen)
    assert result.returncode == 0, result.stderr
    assert mien(*chosen, "--resume").returncode == 0
    assert_one_line_error(mien("train", "--data", folders, "--drop-leaks", "--out", out, "--resume"), "--outliers DIR")


@pytest.mark.slow
def test_a_run_without_labels_predicts_nothing_but_begins_a_training(folders: Path, tmp_path: Path) -> None:
    out = tmp_path / "pretrained"
    result = mien("train", "--recipe", "pretrain", "--data", folders, "--out", out, "--set", "network.classes=9", *TINY)
    assert result.returncode == 0, result.stderr
    for command in (("evaluate", out, "--data", folders), ("export", out, "--out", tmp_path / "p.onnx")):
        refused = mien(*command)
        assert refused.returncode != 0
        assert "begin a training with it" in refused.stderr.splitlines()[-1]
    begun = mien("train", "--recipe", "scratch", "--init", out, "--data", folders, "--out", tmp_path / "on", *TINY)
    assert begun.returncode == 0, begun.stderr
    assert "begins with 19 tensors of pretrained" in begun.stderr


def ended_by(ending: signal.Signals, when: Callable[[], object], *arguments: str | Path, **variables: Path) -> str:
    """Run a command, send it the signal when that is so, and return what it printed on standard error."""
    command = [sys.executable, "-m", "mien", *map(str, arguments)]
    environment = os.environ | {name: str(value) for name, value in variables.items()}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment) as one:
        until = monotonic() + 120
        while not when():
            assert one.poll() is None, one.communicate()[1]
            assert monotonic() < until, "took too long"
            sleep(0.01)
        one.send_signal(ending)
        one.send_signal(ending)  # as `timeout` does
        _, errors = one.communicate(timeout=60)
    assert one.returncode == 128 + ending, errors
    assert "Traceback" not in errors
    return errors


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="no signal to a single process")
def test_a_signal_stops_a_training_that_can_go_on(folders: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    train = ["train", "--data", folders, "--out", out, "--drop-leaks", *TINY, "--set", "epochs=2000"]

    def epochs() -> int:
        metrics = out / "metrics.jsonl"
        return len(metrics.read_text().splitlines()) if metrics.exists() else 0

    errors = ended_by(signal.SIGTERM, lambda: epochs() > 1, *train)
    assert errors.splitlines()[-1] == f"stopped; the same command with --resume goes on in {out}"
    assert not list(out.glob(".*.part"))
    before = epochs()
    again = ended_by(signal.SIGHUP, lambda: epochs() > before, *train, "--resume")
    assert "epoch 1  " not in again
    assert not list(out.glob(".*.part"))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="no signal to a single process")
def test_a_signal_during_an_export_leaves_nothing(run: Path, folders: Path, tmp_path: Path) -> None:
    (out := tmp_path / "out").mkdir()
    (temporary := tmp_path / "temporary").mkdir()
    ended_by(
        signal.SIGTERM,
        lambda: list(temporary.rglob("*.onnx")),
        *("export", run, "--int8", "--data", folders, "--out", out / "model.onnx"),
        TMPDIR=temporary,
    )
    assert not list(out.iterdir())
    assert not list(temporary.rglob("*.onnx"))
