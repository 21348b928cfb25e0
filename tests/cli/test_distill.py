from __future__ import annotations

from pathlib import Path

import pytest

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


def test_bad_teachers_are_one_line(run: Path, folders: Path, tmp_path: Path) -> None:
    own = ("--data", folders, "--out", tmp_path / "x", *TINY)
    assert_one_line_error(mien("distill", *own), "at least one teacher")
    assert_one_line_error(mien("distill", tmp_path / "nowhere", *own), "no checkpoint at")
    assert_one_line_error(mien("distill", run, "--own-classes", *own), "the teacher", "not happy, sad")
