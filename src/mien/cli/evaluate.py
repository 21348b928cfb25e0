"""`mien evaluate`: how well a model does on labelled faces."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from mien.cli import console, options
from mien.cli.predictions import (
    SplitChoice,
    default_protocol,
    labels_of,
    opened_model,
    predicted,
    read_split,
    truth_of,
)
from mien.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mien.cli.predictions import Truth
    from mien.data.dataset import FaceDataset, Protocol
    from mien.evaluation.metrics import Metrics

    Truths = dict[Protocol, Truth]

ProtocolChoice = Literal["fer2013", "ferplus", "ferplus-strict", "all"]

Model = Annotated[
    str | None,
    typer.Argument(
        help="An ONNX file, the version of a shipped model, or a checkpoint: a run's folder or a .safetensors "
        "file, which needs mien[train].",
        show_default="the shipped model",
    ),
]
Split = Annotated[SplitChoice, typer.Option(help="The split to evaluate on.")]
ProtocolName = Annotated[
    ProtocolChoice | None,
    typer.Option(
        help="Where the truth comes from: the original label (fer2013), the majority of the FER+ votes (ferplus), the "
        "majority if it has more than half of all votes (ferplus-strict), or each of them.",
        show_default="ferplus if the data has votes, else fer2013",
    ),
]
Confusion = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Draw the confusion matrix to this file (.png, .svg, .pdf). With --protocol all: one file per protocol, "
        "its name before the suffix. Needs matplotlib, as mien[train] brings.",
    ),
]
Reliability = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Draw accuracy against confidence, as --confusion does.")
]
RiskCoverage = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Draw the fraction of wrong predictions against the fraction of faces classified, as --confusion does.",
    ),
]
Probabilities = Annotated[
    Path | None,
    typer.Option(
        "--probabilities",
        "--out",
        "-o",
        metavar="FILE.npz",
        help="Save the predictions: row (N,), classes (C,), probabilities (N, C), and truth_PROTOCOL (N,), which is "
        "-1 for a row that the protocol leaves out.",
    ),
]


@dataclass(frozen=True, slots=True)
class Plots:
    """The files to draw plots to; None: not drawn."""

    confusion: Path | None
    reliability: Path | None
    risk_coverage: Path | None

    def __iter__(self) -> Iterator[tuple[str, Path]]:
        """Each plot that is drawn: its kind and its file."""
        kinds = ("confusion matrix", "reliability", "risk-coverage curve")
        for kind, path in zip(kinds, (self.confusion, self.reliability, self.risk_coverage), strict=True):
            if path is not None:
                yield kind, path


def evaluate(
    model: Model = None,
    *,
    data: options.Data,
    split: Split = "validation",
    protocol: ProtocolName = None,
    flip: options.Flip = False,
    prior: options.Prior = "training",
    as_json: options.AsJson = False,
    confusion: Confusion = None,
    reliability: Reliability = None,
    risk_coverage: RiskCoverage = None,
    probabilities: Probabilities = None,
    labels: options.LabelMap = None,
    skip_bad: options.SkipBad = False,
    threads: options.Threads = None,
) -> None:
    """Evaluate a model on labelled faces: accuracy and macro-F1 with intervals, calibration, confusions.

    With --json, one object per protocol; its fractions are 0 to 1. A class without faces has null for recall and F1,
    and one that was never predicted has null for precision; macro-F1 is the mean over the classes that have faces.
    Exits with 1 if malformed rows were left out.
    """
    from mien.evaluation.metrics import evaluate as measure
    from mien.runtime.prior import named_prior, prior_weights, reweighted

    chosen = options.prior_of(prior)
    plots = Plots(confusion, reliability, risk_coverage)
    _check_outputs(plots, probabilities)
    opened = opened_model(model, data, threads)
    classes = opened.classes
    weights = prior_weights(chosen, classes, opened.class_frequencies)
    name = opened.name + named_prior(chosen, classes)
    dataset = read_split(data, split, classes, labels=labels, skip_bad=skip_bad)
    truths = _truths(dataset, split, protocol)
    found = predicted(opened.predict, dataset.faces, flip=flip)
    if weights is not None:
        found = reweighted(found, weights)
    if probabilities is not None:
        _save(probabilities, dataset, truths, found)
    for each, (truth, mask) in truths.items():
        metrics = measure(found[mask], truth[mask], classes=classes)
        if as_json:
            _print_json(metrics, model=name, protocol=each, split=split)
        else:
            _print(metrics, f"{name} on {data.name}, {split} split, by {labels_of(each, classes)}")
            _note_chance(metrics)
        suffix = f"-{each}" if protocol == "all" else ""
        for kind, path in plots:
            file = path.with_stem(path.stem + suffix)
            _draw(kind, file, f"{name}, {each}, {split}", metrics, (found[mask], truth[mask]))
    if dataset.bad:
        raise typer.Exit(1)


def _check_outputs(plots: Plots, probabilities: Path | None) -> None:
    """Raise before long work what would be raised after it: ConfigError, MissingExtraError."""
    from mien.evaluation.plots import require_plots

    for _, path in plots:
        require_plots(path)
    if probabilities is not None and probabilities.suffix != ".npz":
        raise ConfigError(f"the file of the probabilities must end in .npz, got {probabilities.name}")


def _truths(dataset: FaceDataset, split: SplitChoice, protocol: ProtocolChoice | None) -> Truths:
    """The truth and the evaluated rows under each protocol asked for; of all, those that the data has labels for."""
    from mien.data.dataset import PROTOCOLS

    names: tuple[Protocol, ...]
    if protocol == "all":
        names = ("fer2013",) if dataset.votes is None else PROTOCOLS
    else:
        names = (protocol or default_protocol(dataset),)
    return {name: truth_of(dataset, split, name) for name in names}


def _save(path: Path, dataset: FaceDataset, truths: Truths, predicted: NDArray[np.float32]) -> None:
    import numpy as np

    from mien.files import make_folder, written_aside

    arrays: dict[str, Any] = {f"truth_{name}": np.where(mask, truth, -1) for name, (truth, mask) in truths.items()}
    make_folder(path.parent)
    with written_aside(path) as part, part.open("wb") as file:
        np.savez_compressed(file, row=dataset.row, classes=np.array(dataset.classes), probabilities=predicted, **arrays)
    console.log(f"probabilities: {path}")


def _draw(
    kind: str, path: Path, title: str, metrics: Metrics, predictions: tuple[NDArray[np.float32], NDArray[np.int64]]
) -> None:
    """Draw a plot; predictions are the probabilities and the truth."""
    from mien.evaluation.calibration import reliability
    from mien.evaluation.plots import plot_confusion, plot_reliability, plot_risk_coverage
    from mien.evaluation.selective import risk_coverage

    if kind == "confusion matrix":
        plot_confusion(metrics, path, title=title)
    elif kind == "reliability":
        plot_reliability(reliability(*predictions), path, title=title)
    else:
        plot_risk_coverage(risk_coverage(*predictions), metrics.certain, path, title=title)
    console.log(f"{kind}: {path}")


def _print_json(metrics: Metrics, *, model: str, protocol: Protocol, split: SplitChoice) -> None:
    from mien.evaluation.metrics import report

    line = {"model": model, **report(metrics, protocol=protocol, split=split)}
    typer.echo(json.dumps(line, ensure_ascii=False, allow_nan=False))


def _note_chance(metrics: Metrics) -> None:
    """Say where naming the most frequent class each time may be as good."""
    often = max(metrics.support, key=lambda name: metrics.support[name])
    chance = metrics.support[often] / metrics.n
    if metrics.accuracy_ci95[0] <= chance < 1:
        console.note(
            f"no better than guessing: {100 * chance:.0f} % of the faces are {often}. More faces, or more epochs"
        )


def _print(metrics: Metrics, title: str) -> None:
    """The figures for people, in per cent."""
    console.out().print(f"[bold]{console.escape(title)}[/]: {metrics.n} faces", highlight=False, soft_wrap=True)
    for label, value, (low, high) in (
        ("accuracy", metrics.accuracy, metrics.accuracy_ci95),
        ("macro-F1", metrics.macro_f1, metrics.macro_f1_ci95),
    ):
        interval = f"(95 % interval {100 * low:.2f} to {100 * high:.2f})"
        console.out().print(f"{label:30}{100 * value:6.2f} %  {interval}", highlight=False)
    console.out().print(f"{'expected calibration error':30}{100 * metrics.ece:6.2f} %", highlight=False)
    certain = metrics.certain
    right = "" if certain.accuracy is None else f"of which {100 * certain.accuracy:.2f} % right, "
    label = f"certain (confidence {certain.threshold:g} on)"
    console.out().print(
        f"{label:30}{100 * certain.fraction:6.2f} %  ({right}AURC {100 * metrics.aurc:.2f} %)", highlight=False
    )
    from rich.table import Table

    table = Table("class", *(f"{name}, %" for name in ("precision", "recall", "F1")), "faces")
    for column in table.columns[1:]:
        column.justify = "right"
    for name in metrics.classes:
        fractions = (metrics.precision[name], metrics.recall[name], metrics.f1[name])
        cells = ("–" if value is None else f"{100 * value:.1f}" for value in fractions)
        table.add_row(console.escape(name), *cells, str(metrics.support[name]))
    console.out().print(table)
    worst = metrics.worst_confusions(5)
    if worst:
        console.out().print("worst confusions (of all faces of a class):", highlight=False)
    for one in worst:
        console.out().print(
            f"  {console.escape(str(one))} ({one.count} of {metrics.support[one.truth]})", highlight=False
        )
