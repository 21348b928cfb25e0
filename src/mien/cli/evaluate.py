"""`mien evaluate`: how well a model does on labelled faces."""

from __future__ import annotations

import json as json_module
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from mien.cli import console
from mien.cli.reading import read_dataset
from mien.errors import ConfigError, DataError, MissingExtraError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mien.data.dataset import FaceDataset, Protocol
    from mien.data.packed_faces import Faces
    from mien.evaluation.metrics import Metrics

    Truths = dict[Protocol, tuple[NDArray[np.int64], NDArray[np.bool_]]]
    Predict = Callable[[Faces, Callable[[int], None]], NDArray[np.float32]]

SplitChoice = Literal["training", "validation", "test"]
ProtocolChoice = Literal["fer2013", "ferplus", "ferplus-strict", "all"]

_BATCH = 256


def evaluate(
    model: Annotated[
        str | None,
        typer.Argument(
            help="An ONNX file, the version of a shipped model, or a checkpoint: a run's folder or a .safetensors "
            "file, which needs mien[train].",
            show_default="the shipped model",
        ),
    ] = None,
    *,
    data: Annotated[
        Path, typer.Option(help="Labelled faces: fer2013.csv, FER+ folder, class folders, manifest or Parquet.")
    ],
    split: Annotated[SplitChoice, typer.Option(help="Which part of the data to judge on.")] = "validation",
    protocol: Annotated[
        ProtocolChoice | None,
        typer.Option(
            help="What counts as the truth: the original label; the majority of the FER+ votes; that, where more than "
            "half of all votes agree; or each of them.",
            show_default="ferplus where the data has votes, else fer2013",
        ),
    ] = None,
    flip: Annotated[
        bool, typer.Option("--flip", help="Average the answers for each face and its mirror image.")
    ] = False,
    json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object a protocol, and nothing else, on standard output.")
    ] = False,
    confusion: Annotated[
        Path | None,
        typer.Option(
            help="Draw the confusion matrix to this file (.png, .svg, .pdf); with --protocol all, one file each, the "
            "protocol's name before the suffix. Needs matplotlib, as mien[train] brings."
        ),
    ] = None,
    reliability: Annotated[
        Path | None, typer.Option(help="Draw accuracy against confidence to this file, as --confusion does.")
    ] = None,
    risk_coverage: Annotated[
        Path | None,
        typer.Option(help="Draw the share of wrong answers against the share of faces answered, as --confusion does."),
    ] = None,
    probabilities: Annotated[
        Path | None,
        typer.Option(
            help="Save to this .npz file: row (N,), classes (C,), probabilities (N, C), and truth_PROTOCOL (N,), "
            "which is -1 for a row that the protocol leaves out."
        ),
    ] = None,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Go on after malformed rows; exit 1 if any.")] = False,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads for an ONNX model.", show_default="one a core")
    ] = None,
) -> None:
    """Judge a model on labelled faces: accuracy and macro-F1 with intervals, calibration, the certain part, confusions.

    All shares in the JSON are 0 to 1. A class without faces has null for recall and F1, and one that was never answered
    has null for precision; macro-F1 is the mean over the classes that have faces.
    """
    from mien.evaluation.metrics import evaluate as judge
    from mien.evaluation.metrics import report
    from mien.evaluation.plots import require_plots

    pictures = {"confusion matrix": confusion, "reliability": reliability, "risk-coverage curve": risk_coverage}
    for picture in pictures.values():
        if picture is not None:
            require_plots(picture)
    if probabilities is not None and probabilities.suffix != ".npz":
        raise ConfigError(f"--probabilities takes a file that ends in .npz, got {probabilities.name}")
    name, classes, predict = _open_model(model, threads)
    dataset = _read(data, split, classes, skip_bad=skip_bad)
    truths = _truths(dataset, split, protocol)
    answers = _predict(predict, dataset.faces, flip=flip)
    if probabilities is not None:
        _save(probabilities, dataset, truths, answers)
    for each, (truth, mask) in truths.items():
        metrics = judge(answers[mask], truth[mask], classes=classes)
        if json:
            line = {"model": name, **report(metrics, protocol=each, split=split)}
            typer.echo(json_module.dumps(line, ensure_ascii=False, allow_nan=False))
        else:
            _print(metrics, f"{name} on {data.name}, {split} split, protocol {each}")
        suffix = f"-{each}" if protocol == "all" else ""
        suffixed = {kind: path.with_stem(path.stem + suffix) for kind, path in pictures.items() if path is not None}
        _draw(suffixed, f"{name}, {each}, {split}", metrics, answers[mask], truth[mask])
    if dataset.bad:
        raise typer.Exit(1)


def _open_model(model: str | None, threads: int | None) -> tuple[str, tuple[str, ...], Predict]:
    """A model's name, its classes, and what turns faces into probabilities, reporting each batch's size."""
    if model is not None and (Path(model).is_dir() or Path(model).suffix == ".safetensors"):
        return _open_checkpoint(Path(model), threads)
    import numpy as np

    from mien.runtime.classifier import Classifier
    from mien.runtime.weights import find_model

    classifier = Classifier(find_model(model), threads=threads)

    def predict(faces: Faces, done: Callable[[int], None]) -> NDArray[np.float32]:
        parts = []
        for start in range(0, len(faces), _BATCH):
            parts.append(classifier.probabilities(faces[start : start + _BATCH]))
            done(len(parts[-1]))
        return np.concatenate(parts)

    return classifier.card.id, tuple(classifier.classes), predict


def _open_checkpoint(path: Path, threads: int | None) -> tuple[str, tuple[str, ...], Predict]:
    try:
        from mien.training.checkpoint import describe_model, predict_faces
    except ModuleNotFoundError as error:
        raise MissingExtraError("evaluating a checkpoint", "train") from error
    if threads is not None:
        raise ConfigError("--threads is for ONNX models; for a checkpoint set the environment variable OMP_NUM_THREADS")
    return str(path), describe_model(path).classes, lambda faces, done: predict_faces(path, faces, progress=done)[1]


def _read(path: Path, split: SplitChoice, classes: tuple[str, ...], *, skip_bad: bool) -> FaceDataset:
    """The rows of the split, with the model's classes. Raises ConfigError or DataError where there are none such."""
    from mien.data.dataset import SPLITS
    from mien.emotions import EMOTIONS

    dataset = read_dataset(path, skip_bad=skip_bad, own_classes=classes != EMOTIONS)
    if dataset.classes != classes:
        raise ConfigError(
            f"the model's classes are {', '.join(classes)}; those of {path} are {', '.join(dataset.classes)}"
        )
    chosen = dataset.of_split(split)
    if len(chosen) == 0:
        counts = ", ".join(f"{name} has {(dataset.split == name).sum()}" for name in SPLITS if name != split)
        raise DataError(f"{path} has no rows in the {split} split; {counts}: choose with --split")
    return chosen


def _truths(dataset: FaceDataset, split: SplitChoice, protocol: ProtocolChoice | None) -> Truths:
    """The truth and the rows judged by each protocol asked for; of all, those that the data has labels for."""
    from mien.data.dataset import PROTOCOLS, evaluated_rows

    has_votes = dataset.votes is not None
    names: tuple[Protocol, ...]
    if protocol == "all":
        names = PROTOCOLS if has_votes else ("fer2013",)
    else:
        names = (protocol or ("ferplus" if has_votes else "fer2013"),)
    truths: Truths = {name: evaluated_rows(dataset, name) for name in names}
    for name, (_, mask) in truths.items():
        if not mask.any():
            raise DataError(f"protocol {name} judges none of the {len(mask)} rows in the {split} split")
    return truths


def _predict(predict: Predict, faces: Faces, *, flip: bool) -> NDArray[np.float32]:
    import numpy as np

    from mien.data.packed_faces import chunks

    with console.progress() as bar:
        task = bar.add_task("faces", total=len(faces) * (2 if flip else 1))

        def done(count: int) -> None:
            bar.advance(task, count)

        answers = predict(faces, done)
        if flip:
            mirrored = np.concatenate([predict(np.ascontiguousarray(part[:, :, ::-1]), done) for part in chunks(faces)])
            answers = np.mean([answers, mirrored], axis=0, dtype=np.float32)
        return answers


def _save(path: Path, dataset: FaceDataset, truths: Truths, answers: NDArray[np.float32]) -> None:
    import numpy as np

    from mien.files import make_folder, written_aside

    arrays: dict[str, Any] = {f"truth_{name}": np.where(mask, truth, -1) for name, (truth, mask) in truths.items()}
    make_folder(path.parent)
    with written_aside(path) as part, part.open("wb") as file:
        np.savez_compressed(file, row=dataset.row, classes=np.array(dataset.classes), probabilities=answers, **arrays)
    console.err().print(f"probabilities: {console.escape(str(path))}", soft_wrap=True)


def _draw(
    pictures: Mapping[str, Path], title: str, metrics: Metrics, answers: NDArray[np.float32], truth: NDArray[np.int64]
) -> None:
    """The pictures that were asked for, by their kind."""
    from mien.evaluation.calibration import reliability
    from mien.evaluation.plots import plot_confusion, plot_reliability, plot_risk_coverage
    from mien.evaluation.selective import risk_coverage

    for kind, path in pictures.items():
        if kind == "confusion matrix":
            plot_confusion(metrics, path, title=title)
        elif kind == "reliability":
            plot_reliability(reliability(answers, truth), path, title=title)
        else:
            plot_risk_coverage(risk_coverage(answers, truth), metrics.certain, path, title=title)
        console.err().print(f"{kind}: {console.escape(str(path))}", soft_wrap=True)


def _print(metrics: Metrics, title: str) -> None:
    """The figures as people read them, in per cent."""
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
        f"{label:30}{100 * certain.share:6.2f} %  ({right}AURC {100 * metrics.aurc:.2f} %)", highlight=False
    )
    from rich.table import Table

    table = Table("class", *(f"{name}, %" for name in ("precision", "recall", "F1")), "faces")
    for column in table.columns[1:]:
        column.justify = "right"
    for name in metrics.classes:
        shares = (metrics.precision[name], metrics.recall[name], metrics.f1[name])
        cells = ("–" if share is None else f"{100 * share:.1f}" for share in shares)
        table.add_row(console.escape(name), *cells, str(metrics.support[name]))
    console.out().print(table)
    worst = metrics.worst_confusions(5)
    if worst:
        console.out().print("worst confusions (of all faces of a class):", highlight=False)
    for one in worst:
        console.out().print(
            f"  {console.escape(str(one))} ({one.count} of {metrics.support[one.truth]})", highlight=False
        )
