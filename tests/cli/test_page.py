"""`mien page`: its options reach the page, and its errors are one line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from mien.service.page_files import is_built

from ..conftest import YUNET_FILE, needs_yunet

needs_page = pytest.mark.skipif(not is_built(), reason="the page is not built: run `make page`")


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mien", "page", *map(str, arguments)]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)


@needs_page
@needs_yunet
def test_options_reach_the_page(tmp_path: Path) -> None:
    out = tmp_path / "site"
    options = ["--max-faces", 3, "--detect-mode", "thorough", "--detect-side", 640, "--uncertain-below", 0.5]
    done = run("-o", out, "--detector-model", YUNET_FILE, "--prior", "uniform", *options)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    config = json.loads((out / "page.json").read_text())
    assert config["service"] is None
    assert (config["max_faces"], config["detect_mode"], config["detect_side"]) == (3, "thorough", 640)
    assert config["uncertain_below"] == 0.5
    assert len(config["prior_weights"]) == 7
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    assert f"wrote {out}: {config['model']}, {size / 1e6:.1f} MB" in done.stderr


@needs_page
def test_a_custom_model_is_put_into_the_site(tmp_path: Path, brightness_model: Path) -> None:
    done = run("-o", tmp_path / "site", "--model", brightness_model)
    assert done.returncode == 0, done.stderr
    config = json.loads((tmp_path / "site" / "page.json").read_text())
    assert config["model"] == "brightness-1.0-float32"
    assert (tmp_path / "site" / config["engine"]["model"]).read_bytes() == brightness_model.read_bytes()


@needs_page
def test_errors_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("Dear")
    for arguments, message in (
        (["-o", tmp_path / "mine", "--force"], "mine holds other files (letter.txt)"),
        (["-o", tmp_path / "site", "--model", tmp_path / "gone.onnx"], "gone.onnx"),
        (["-o", tmp_path / "site", "--prior", "often"], "--prior is training, uniform"),
    ):
        done = run(*arguments)
        assert done.returncode == 2
        assert message in done.stderr
        assert done.stderr.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
