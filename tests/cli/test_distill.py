from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from .conftest import TINY, assert_one_line_error, mien

pytest.importorskip("torch")


def test_a_student_is_trained_evaluated_and_resumed(run: Path, folders: Path, tmp_path: Path) -> None:
    out = tmp_path / "student"
    taught = ("distill", run, "--init", run, "--data", folders, "--drop-leaks", "--out", out, *TINY)
    result = mien(*taught)
    assert result.returncode == 0, result.stderr
    assert "begins with 21 tensors of one/best.safetensors" in result.stderr
    again = mien(*taught, "--resume")
    assert again.returncode == 0, again.stderr
    alone = mien("train", "--data", folders, "--drop-leaks", "--out", out, "--resume")
    assert_one_line_error(alone, "taught by other teachers", "mien distill")
    evaluated = mien("evaluate", out, "--data", folders, "--json")
    assert evaluated.returncode == 0, evaluated.stderr


@pytest.mark.slow
def test_faces_without_labels_are_taught_too(run: Path, folders: Path, tmp_path: Path) -> None:
    manifest, out = tmp_path / "more.csv", tmp_path / "student"
    rng = np.random.default_rng(1)
    for i in range(20):
        Image.fromarray(rng.integers(0, 256, (48, 48), np.uint8)).save(tmp_path / f"{i}.png")
    manifest.write_text("path,mood\n" + "".join(f"{i}.png,bored\n" for i in range(20)), encoding="utf-8")
    taught = ("distill", run, "--data", folders, "--drop-leaks", "--out", out, *TINY)
    result = mien(*taught, "--unlabeled", manifest, "--unlabeled", folders)
    assert result.returncode == 0, result.stderr
    assert f"20 faces of {manifest} without labels" in result.stderr
    assert f"48 faces of {folders} without labels" in result.stderr
    again = mien(*taught, "--unlabeled", manifest, "--unlabeled", folders, "--resume")
    assert again.returncode == 0, again.stderr
    assert_one_line_error(mien(*taught, "--resume"), "other data")
    assert_one_line_error(mien(*taught, "--unlabeled", "nowhere.csv"), "nowhere.csv: no such file")


def test_bad_teachers_are_one_line(run: Path, folders: Path, tmp_path: Path) -> None:
    own = ("--data", folders, "--out", tmp_path / "x", *TINY)
    assert_one_line_error(mien("distill", *own), "at least one teacher")
    assert_one_line_error(mien("distill", tmp_path / "nowhere", *own), "no checkpoint at")
    assert_one_line_error(mien("distill", run, "--own-classes", *own), "the teacher", "not happy, sad")
