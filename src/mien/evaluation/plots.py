"""The figures as pictures: confusion matrix, reliability diagram, risk-coverage curve, training curves.

They need matplotlib, which the extra [train] brings; each raises MissingExtraError without it. A picture's format is
that of its suffix (.png, .svg, .pdf), and the file is whole or absent.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from mien.errors import ConfigError, MissingExtraError
from mien.evaluation.calibration import Reliability
from mien.evaluation.metrics import Metrics
from mien.evaluation.selective import CertainPart, RiskCoverage
from mien.files import make_folder, written_aside

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS: Final = frozenset({".png", ".svg", ".pdf"})

_BLUE, _ORANGE, _GREEN, _GREY = "#0072b2", "#d55e00", "#009e73", "#888888"


def plot_confusion(metrics: Metrics, path: str | os.PathLike[str], *, title: str | None = None) -> None:
    """Draw the confusion matrix: each row in per cent of its true class, with the number of faces below."""
    c = len(metrics.classes)
    support = metrics.confusion.sum(1, keepdims=True)
    fraction = metrics.confusion / np.maximum(support, 1)
    side = 2.2 + 0.82 * c
    with _figure(path, side + 0.8, side) as figure:
        axes = figure.add_subplot()
        image = axes.imshow(fraction, cmap="Blues", vmin=0, vmax=1)
        bar = figure.colorbar(image, ax=axes, fraction=0.046, pad=0.03, ticks=[0, 0.25, 0.5, 0.75, 1])
        bar.ax.set_yticklabels(["0 %", "25 %", "50 %", "75 %", "100 %"])
        bar.set_label("fraction of the true class")
        for (row, column), count in np.ndenumerate(metrics.confusion):
            if count == 0:
                axes.text(column, row, "0", ha="center", va="center", color=_GREY)
                continue
            text: dict[str, Any] = {"ha": "center", "color": "white" if fraction[row, column] > 0.55 else "#222222"}
            axes.text(column, row, f"{100 * fraction[row, column]:.0f} %", va="bottom", **text)
            axes.text(column, row + 0.08, f"{count}", va="top", fontsize=7.5, **text)
        axes.set_xticks(range(c), metrics.classes, rotation=35, ha="right", rotation_mode="anchor")
        axes.set_yticks(range(c), [f"{name} ({metrics.support[name]})" for name in metrics.classes])
        axes.set_xlabel("prediction")
        axes.set_ylabel("truth (faces)")
        low, high = metrics.accuracy_ci95
        figures = f"accuracy {100 * metrics.accuracy:.1f} % ({100 * low:.1f} to {100 * high:.1f})"
        figures += f", macro-F1 {100 * metrics.macro_f1:.1f} %, n = {metrics.n}"
        axes.set_title(figures if title is None else f"{title}\n{figures}", fontsize=10)


def plot_reliability(result: Reliability, path: str | os.PathLike[str], *, title: str | None = None) -> None:
    """Draw accuracy against confidence, bin by bin, beside the diagonal of a perfectly calibrated model."""
    with _figure(path, 5.2, 5.2) as figure:
        axes = figure.add_subplot()
        axes.plot([0, 1], [0, 1], color=_GREY, linestyle="--", linewidth=1, label="perfect calibration")
        axes.vlines(result.confidence, result.accuracy, result.confidence, color=_ORANGE, linewidth=2, label="gap")
        axes.plot(
            result.confidence, result.accuracy, "o-", color=_BLUE, clip_on=False, label=f"{len(result.count)} bins"
        )
        axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
        axes.set(xlabel="confidence (mean of the bin)", ylabel="accuracy (fraction right in the bin)")
        axes.grid(alpha=0.3)
        axes.legend(loc="upper left")
        figures = f"expected calibration error {100 * result.ece:.1f} %, n = {result.count.sum()}"
        axes.set_title(figures if title is None else f"{title}\n{figures}", fontsize=10)


def plot_risk_coverage(
    curve: RiskCoverage, certain: CertainPart, path: str | os.PathLike[str], *, title: str | None = None
) -> None:
    """Draw the fraction of wrong predictions against the fraction of faces predicted, and mark the certain part.

    The dashed line is what leaving out faces at random would give.
    """
    with _figure(path, 6.2, 4.6) as figure:
        axes = figure.add_subplot()
        overall = float(curve.risk[-1])
        axes.axhline(overall, color=_GREY, linestyle="--", linewidth=1, label=f"all faces: {100 * overall:.1f} % wrong")
        axes.plot(curve.coverage, curve.risk, color=_BLUE, label="the most confident first")
        figures = f"AURC {100 * curve.aurc:.1f} %"
        if certain.accuracy is not None:
            label = f"confidence {certain.threshold:g} and above: {100 * (1 - certain.accuracy):.1f} % wrong"
            axes.plot([certain.fraction], [1 - certain.accuracy], "o", color=_ORANGE, clip_on=False, label=label)
            figures += f"; certain {100 * certain.fraction:.1f} %, of which {100 * certain.accuracy:.1f} % right"
        axes.set(xlim=(0, 1), xlabel="coverage (fraction of faces predicted)", ylabel="risk (fraction wrong of those)")
        axes.set_ylim(0, max(0.05, 1.4 * float(curve.risk.max())))
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(lambda value, _: f"{100 * value:.4g} %")
        axes.grid(alpha=0.3)
        axes.legend(loc="upper left")
        axes.set_title(figures if title is None else f"{title}\n{figures}", fontsize=10)


def plot_training(history: Sequence[Mapping[str, Any]], path: str | os.PathLike[str]) -> None:
    """Draw losses, accuracies and learning rate by epoch, from the lines of a run's metrics.jsonl.

    A line holds epoch, train_loss, learning_rate, and as far as the run has such faces held_loss, held_accuracy,
    validation_loss and validation_accuracy. Raises ConfigError when there is no epoch to draw.
    """
    if not history:
        raise ConfigError("there is no epoch to draw yet")
    epochs = [line["epoch"] for line in history]
    with _figure(path, 7.5, 8.0) as figure:
        loss, accuracy, rate = figure.subplots(3, 1, sharex=True, height_ratios=[3, 3, 1.4])
        for axes, kind in ((loss, "loss"), (accuracy, "accuracy")):
            axes.grid(alpha=0.3)
            for key, label, color in (
                (f"train_{kind}", "training", _BLUE),
                (f"held_{kind}", "held back", _GREEN),
                (f"validation_{kind}", "validation", _ORANGE),
            ):
                if all(key in line for line in history):
                    last = f" ({100 * history[-1][key]:.2f} %)" if kind == "accuracy" else ""
                    _curve(axes, epochs, [line[key] for line in history], color, label + last)
            if axes.lines:
                axes.legend(loc="best")
        loss.set_ylabel("cross-entropy")
        accuracy.set_ylabel("accuracy")
        accuracy.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.4g} %")
        _curve(rate, epochs, [line["learning_rate"] for line in history], _GREY, "learning rate")
        rate.set_ylim(bottom=0)
        rate.set_ylabel("learning rate")
        rate.set_xlabel("epoch")
        rate.set_xlim(min(epochs) - 0.5, max(epochs) + 0.5)
        rate.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
        figure.align_ylabels()


def _curve(axes: Axes, x: Sequence[float], y: Sequence[float], color: str, label: str) -> None:
    axes.plot(x, y, color=color, label=label, marker="o", markersize=3 if len(x) < 60 else 0)
    axes.grid(alpha=0.3)


def require_plots(path: str | os.PathLike[str]) -> None:
    """Raise before long work what a plot to this path would raise after it: MissingExtraError or ConfigError."""
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError:
        raise MissingExtraError("drawing a plot", "train") from None
    if Path(path).suffix.lower() not in FORMATS:
        raise ConfigError(f"a plot ends in {', '.join(sorted(FORMATS))}; got {Path(path).name}")


@contextmanager
def _figure(path: str | os.PathLike[str], width: float, height: float) -> Iterator[Figure]:
    """A figure, in inches, that is saved aside and renamed when the block ends well."""
    require_plots(path)
    from matplotlib.figure import Figure

    target = Path(path)
    figure = Figure(figsize=(width, height), layout="constrained")
    yield figure
    make_folder(target.parent)
    with written_aside(target) as part:
        figure.savefig(part, format=target.suffix[1:].lower(), dpi=150)
