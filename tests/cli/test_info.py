from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

import pytest
from typer.testing import CliRunner

import mien
from mien.cli.app import app
from mien.emotions import EMOTIONS
from mien.runtime import weights

from ..conftest import YUNET_FILE, needs_yunet


def test_json_holds_versions_model_detector_and_threads(brightness_model: Path) -> None:
    result = CliRunner().invoke(app, ["info", "--json", "--model", str(brightness_model), "--detector", "haar"])
    assert result.exit_code == 0
    facts = json.loads(result.stdout)
    assert facts["versions"]["mien"] == mien.__version__
    assert set(facts["versions"]) >= {"python", "onnxruntime", "opencv", "numpy"}
    assert facts["model"]["id"] == "brightness-1.0-float32"
    assert facts["model"]["classes"] == list(EMOTIONS)
    assert facts["model"]["sha256"] == sha256(brightness_model.read_bytes()).hexdigest()
    assert facts["model"]["bytes"] == brightness_model.stat().st_size
    assert facts["model"]["metrics"] == {"ferplus/validation": {"accuracy": 0.5, "n": 12}}
    assert facts["detector"] == {"name": "haar", "file": None, "why": "asked for"}
    assert "CPUExecutionProvider" in facts["providers"]
    assert 1 <= facts["threads"]["usable"] <= facts["threads"]["machine"]


def test_the_table_shows_the_same_for_people(brightness_model: Path) -> None:
    result = CliRunner().invoke(app, ["info", "--model", str(brightness_model)], env={"COLUMNS": "200"})
    assert result.exit_code == 0
    for words in (
        "brightness-1.0-float32",
        "anger, disgust",
        "accuracy 0.5, n 12",
        "ferplus/validation",
        "onnxruntime",
    ):
        assert words in result.stdout


def test_auto_uses_haar_and_shows_why_if_there_is_no_yunet(
    brightness_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIEN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(weights, "_ASSETS", tmp_path / "assets")
    facts = json.loads(CliRunner().invoke(app, ["info", "--json", "--model", str(brightness_model)]).stdout)
    assert facts["detector"]["name"] == "haar"
    assert "mien detector yunet" in facts["detector"]["why"]


@needs_yunet
def test_auto_uses_the_yunet_that_came_with_the_package(
    brightness_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "_ASSETS", tmp_path)
    file = weights.vendored_yunet()
    file.parent.mkdir()
    file.write_bytes(YUNET_FILE.read_bytes())
    facts = json.loads(CliRunner().invoke(app, ["info", "--json", "--model", str(brightness_model)]).stdout)
    assert facts["detector"] == {"name": "yunet", "file": str(file), "why": "it came with the package"}


def test_what_cannot_be_loaded_is_reported_and_the_rest_shown(tmp_path: Path) -> None:
    arguments = ["info", "--model", str(tmp_path / "gone.onnx"), "--detector-model", str(tmp_path / "gone.onnx")]
    for options in ([], ["--json"]):
        result = CliRunner().invoke(app, [*arguments, *options], env={"COLUMNS": "300"})
        assert result.exit_code == 1
        assert mien.__version__ in result.stdout
        assert result.stdout.count("gone.onnx") >= 2
        assert result.exception is None or isinstance(result.exception, SystemExit)


@pytest.mark.parametrize(
    ("flags", "path", "why"),
    [({"sse2", "avx2"}, "exact", "without VNNI"), ({"sse2", "avx2", "avx_vnni"}, "fast", "avx_vnni")],
)
def test_the_cpus_flags_and_the_mode_of_int8_are_named(
    flags: set[str], path: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mien.runtime import int8_backend

    monkeypatch.setattr(int8_backend, "cpu_flags", lambda: frozenset(flags))
    facts = json.loads(CliRunner().invoke(app, ["info", "--json"]).stdout)
    assert facts["int8"]["path"] == path
    assert why in facts["int8"]["why"]
    assert facts["int8"]["flags"] == sorted(flags)
    table = CliRunner().invoke(app, ["info"], env={"COLUMNS": "200"}).stdout
    assert f"{path}: " in table
    assert why in table
    assert "avx2" in table
    assert "not used" not in table


def test_a_float_model_has_no_use_for_it(brightness_model: Path) -> None:
    table = CliRunner().invoke(app, ["info", "--model", str(brightness_model)], env={"COLUMNS": "200"}).stdout
    assert "not used: this model is float32" in table
