from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from mien.errors import ModelError
from mien.runtime import weights
from mien.runtime.weights import YUNET, find_model, find_yunet, shipped_models, user_cache


def test_the_cache_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MIEN_CACHE", str(tmp_path))
    assert user_cache() == tmp_path
    monkeypatch.setenv("MIEN_CACHE", "")
    assert user_cache().is_absolute()
    assert "mien" in user_cache().parts


def test_yunet_from_the_package_comes_before_the_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    cache, assets = tmp_path / "cache", tmp_path / "assets"
    monkeypatch.setenv("MIEN_CACHE", str(cache))
    monkeypatch.setattr(weights, "_ASSETS", assets)
    assert find_yunet() is None
    for folder in (cache, assets / "vendor"):
        folder.mkdir(parents=True)
        (folder / YUNET.name).touch()
        assert find_yunet() == folder / YUNET.name


@pytest.fixture
def models(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Path]:
    folder = tmp_path / "models"
    folder.mkdir()
    monkeypatch.setattr(weights, "_ASSETS", tmp_path)

    def ship(*names: str) -> Path:
        for name in names:
            (folder / name).touch()
        return folder

    return ship


def test_the_newest_model_is_the_default(models: Callable[..., Path]) -> None:
    folder = models("1.9.onnx", "1.10.onnx", "0.3.onnx", "notes.txt")
    assert list(shipped_models()) == ["0.3", "1.9", "1.10"]
    assert find_model() == find_model("1.10") == folder / "1.10.onnx"
    assert find_model("1.9") == folder / "1.9.onnx"


def test_a_model_may_be_a_file(models: Callable[..., Path], tmp_path: Path) -> None:
    models("1.0.onnx")
    mine = tmp_path / "mine.onnx"
    mine.touch()
    assert find_model(mine) == find_model(str(mine)) == mine


def test_an_unknown_model_is_named_with_the_known_ones(models: Callable[..., Path]) -> None:
    with pytest.raises(ModelError, match="ships no model"):
        find_model()
    models("1.0.onnx", "1.1.onnx")
    with pytest.raises(ModelError, match=r"a shipped version \(1\.0, 1\.1\), got 2\.0"):
        find_model("2.0")


def test_a_path_without_a_model_is_named(models: Callable[..., Path], tmp_path: Path) -> None:
    models("1.0.onnx")
    for missing in ("none.onnx", str(tmp_path / "1.0")):
        with pytest.raises(ModelError, match=f"{re.escape(missing)}: no such file"):
            find_model(missing)
    with pytest.raises(ModelError, match="expected a model's file, this is a folder"):
        find_model(tmp_path)
