"""Plots: that they are pictures of their data, whole or absent, and say what is missing."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mien.errors import ConfigError, MissingExtraError
from mien.evaluation.calibration import Reliability, reliability
from mien.evaluation.metrics import Metrics, evaluate
from mien.evaluation.plots import (
    plot_confusion,
    plot_reliability,
    plot_risk_coverage,
    plot_training,
    require_plots,
)
from mien.evaluation.selective import certain_part, risk_coverage


@pytest.fixture
def metrics() -> Metrics:
    probabilities = np.random.default_rng(0).dirichlet([1, 1, 1], 50)
    return evaluate(probabilities, np.arange(50) % 3, classes=("left", "middle", "right"), resamples=10)


@pytest.fixture
def history() -> list[dict[str, float]]:
    return [
        {
            "epoch": epoch,
            "train_loss": 2 / epoch,
            "held_loss": 2.2 / epoch,
            "validation_loss": 2.1 / epoch,
            "held_accuracy": 0.9 - 0.5 / epoch,
            "validation_accuracy": 0.8 - 0.5 / epoch,
            "learning_rate": 1e-3 / epoch,
        }
        for epoch in range(1, 6)
    ]


def looked_at(path: Path) -> Image.Image:
    with Image.open(path) as picture:
        picture.load()
    assert min(picture.size) > 300
    assert len(picture.convert("RGB").getcolors(1 << 24) or []) > 20
    return picture


def test_each_plot_is_a_picture(tmp_path: Path, metrics: Metrics, history: list[dict[str, float]]) -> None:
    pytest.importorskip("matplotlib")
    calibrated = Reliability(np.array([0.3, 0.8]), np.array([0.4, 0.7]), np.array([5, 5]))
    plot_confusion(metrics, tmp_path / "new" / "confusion.png", title="left & right")
    plot_reliability(calibrated, tmp_path / "reliability.png")
    plot_training(history, tmp_path / "training.png")
    plot_training(history[:1], tmp_path / "training1.png")
    for name in ("new/confusion.png", "reliability.png", "training.png", "training1.png"):
        looked_at(tmp_path / name)
    assert not list(tmp_path.rglob("*.part"))


def test_a_confusion_matrix_shows_its_numbers(tmp_path: Path, metrics: Metrics) -> None:
    pytest.importorskip("matplotlib")
    from matplotlib import rc_context

    with rc_context({"svg.fonttype": "none"}):
        plot_confusion(metrics, tmp_path / "c.svg", title="the title")
    text = (tmp_path / "c.svg").read_text(encoding="utf-8")
    for count in metrics.confusion.ravel():
        assert f">{count}<" in text
    for name, support in metrics.support.items():
        assert f">{name} ({support})<" in text
    assert "the title" in text
    assert f"n = {metrics.n}" in text


def test_a_reliability_diagram_says_the_error(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    from matplotlib import rc_context

    probabilities = np.tile([0.9, 0.1], (10, 1))
    with rc_context({"svg.fonttype": "none"}):
        plot_reliability(reliability(probabilities, np.zeros(10, int)), tmp_path / "r.svg")
    assert "expected calibration error 10.0 %, n = 10" in (tmp_path / "r.svg").read_text(encoding="utf-8")


def test_a_risk_coverage_curve_says_what_is_certain(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    from matplotlib import rc_context

    probabilities = np.array([[0.9, 0.1]] * 8 + [[0.5, 0.5]] * 2)
    truth = np.array([0] * 6 + [1] * 4)
    curve = risk_coverage(probabilities, truth)
    with rc_context({"svg.fonttype": "none"}):
        plot_risk_coverage(curve, certain_part(probabilities, truth), tmp_path / "c.svg", title="the title")
        plot_risk_coverage(curve, certain_part(probabilities, truth, 0.95), tmp_path / "none.svg")
    text = (tmp_path / "c.svg").read_text(encoding="utf-8")
    assert "the title" in text
    assert "AURC 28.0 %; certain 80.0 %, of which 75.0 % right" in text
    assert "confidence 0.6 and above: 25.0 % wrong" in text
    assert "all faces: 40.0 % wrong" in text
    assert "certain" not in (tmp_path / "none.svg").read_text(encoding="utf-8")


def test_training_curves_show_what_the_run_has(tmp_path: Path, history: list[dict[str, float]]) -> None:
    pytest.importorskip("matplotlib")
    from matplotlib import rc_context

    without = [{key: value for key, value in line.items() if not key.startswith("validation")} for line in history]
    bare = [{key: value for key, value in line.items() if not key.startswith("held")} for line in without]
    with rc_context({"svg.fonttype": "none"}):
        for name, lines in (("all", history), ("without", without), ("bare", bare)):
            plot_training(lines, tmp_path / f"{name}.svg")
    text = {path.stem: path.read_text(encoding="utf-8") for path in tmp_path.glob("*.svg")}
    assert "held back (80.00 %)" in text["all"]
    assert "validation (70.00 %)" in text["all"]
    assert "held back (80.00 %)" in text["without"]
    assert "validation" not in text["without"]
    assert "training" in text["bare"]
    assert "held back" not in text["bare"]


def test_nothing_to_draw_and_unknown_formats_are_refused(tmp_path: Path, metrics: Metrics) -> None:
    pytest.importorskip("matplotlib")
    with pytest.raises(ConfigError, match="no epoch"):
        plot_training([], tmp_path / "t.png")
    for name in ("c.txt", "c"):
        with pytest.raises(ConfigError, match=r"\.png.*got c"):
            plot_confusion(metrics, tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_a_failed_plot_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    figure = pytest.importorskip("matplotlib.figure")
    target = tmp_path / "c.png"
    target.write_bytes(b"old")

    def torn(self: object, path: Path, **_: object) -> None:
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(figure.Figure, "savefig", torn)
    with pytest.raises(KeyboardInterrupt):
        plot_confusion(metrics, target)
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_without_matplotlib_the_extra_is_named(
    tmp_path: Path, metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("matplotlib", "matplotlib.figure"):
        monkeypatch.setitem(sys.modules, name, None)
    calls: list[Callable[[], object]] = [
        lambda: plot_confusion(metrics, tmp_path / "c.png"),
        lambda: require_plots("c.png"),
    ]
    for call in calls:
        with pytest.raises(MissingExtraError, match=r"pip install 'mien\[train\]'"):
            call()
