"""How much fine-tuning saves: few faces of custom classes, from Mien's weights and from scratch.

    python benchmarks/finetune.py [--init mien|FILE|imagenet] [--data FILE] [--seeds N] [--json FILE] [--markdown FILE]

The classes are regrouped from FER2013's by the FER+ majority: positive is happiness; negative is anger, disgust, fear
and sadness; neutral; surprised. All faces are of the validation split, from which no model of Mien has learned;
copies are left out. Per seed, 200 faces a class are drawn; 50 of them, and all of them, are what is learned from (the
recipe holds a tenth of them back); the remaining faces of the split are the test, the same for every row of that seed.
Each seed draws other faces and other weights; the spread is the standard deviation over the seeds.

Rows: the recipe `finetune`; the same with all convolutions frozen; the same network and augmentation from random
weights, by the rate of the recipe `scratch` and SCRATCH_EPOCHS passes, where every face is learned from and the last
epoch counts; and, where the source is a model of the seven emotions, that model as it is, its
probabilities summed over each group, without any training.
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from output import markdown_table, write_json, write_text
from rich.progress import TaskID
from rich.table import Table

from mien.cli import console
from mien.cli.reading import read_dataset
from mien.data.dataset import FaceDataset, evaluated_rows
from mien.emotions import EMOTIONS
from mien.errors import ConfigError
from mien.evaluation.metrics import evaluate
from mien.runtime.classifier import Classifier
from mien.runtime.weights import find_model
from mien.training.checkpoint import describe, predict_faces
from mien.training.initialization import network_of
from mien.training.loop import Devices, Start, train
from mien.training.network import NetworkConfig
from mien.training.recipes import Recipe, named_recipe, with_settings
from mien.training.watcher import Step, Watcher

GROUPS = {
    "negative": ("anger", "disgust", "fear", "sadness"),
    "neutral": ("neutral",),
    "positive": ("happiness",),
    "surprised": ("surprise",),
}
SIZES = (50, 200)
"""Faces a class to learn from."""

SCRATCH_EPOCHS = {50: 80, 200: 30}
"""Passes over the faces from random weights, by faces a class."""

Floats = NDArray[np.floating]
Predict = Callable[[NDArray[np.uint8]], Floats]
Report = Callable[[Step], None]


@dataclass(frozen=True)
class Source:
    """Where fine-tuning begins: the network that fits it, and its probabilities (N, 7) if it knows the seven."""

    init: str
    network: NetworkConfig
    predict: Predict | None


@dataclass(frozen=True)
class Row:
    """The figures of one way, 0..1, one a seed."""

    way: str
    size: int
    epochs: int
    accuracy: tuple[float, ...]
    macro_f1: tuple[float, ...]

    def show(self) -> list[str]:
        """Way, faces a class, epochs, accuracy and macro-F1 in per cent with their spread."""
        learned = str(self.size) if self.size else "–"
        return [self.way, learned, str(self.epochs or "–"), *(_spread(v) for v in (self.accuracy, self.macro_f1))]


HEADS = ("way", "faces a class", "epochs", "accuracy, %", "macro-F1, %")


def _spread(values: Sequence[float]) -> str:
    deviation = f" ± {100 * np.std(values, ddof=1):.1f}" if len(values) > 1 else ""
    return f"{100 * np.mean(values):.1f}{deviation}"


def open_source(init: str) -> Source:
    """The source by its name, as `mien train --init` takes it."""
    path, network = Path(init), network_of(init)
    if path.is_dir() or path.suffix == ".safetensors":
        known = describe(path).classes == EMOTIONS
        return Source(init, network, (lambda faces: predict_faces(path, faces)[1]) if known else None)
    if init == "imagenet" or path.suffix in {".pth", ".pt"}:
        return Source(init, network, None)
    classifier = Classifier(find_model(None if init == "mien" else init), threads=torch.get_num_threads())
    return Source(init, network, classifier.probabilities if classifier.classes == EMOTIONS else None)


def regrouped(dataset: FaceDataset) -> FaceDataset:
    """The validation faces that protocol ferplus has, each picture once, labelled by group."""
    validation = dataset.of_split("validation")
    truth, mask = evaluated_rows(validation, "ferplus")
    group = np.array([list(GROUPS).index(next(g for g, of in GROUPS.items() if name in of)) for name in EMOTIONS])
    labelled = dataclasses.replace(validation, classes=tuple(GROUPS), labels=group[truth], votes=None).take(mask)
    _, first = np.unique(labelled.faces[:].reshape(len(labelled), -1), axis=0, return_index=True)
    return labelled.take(np.sort(first))


def divide(faces: FaceDataset, seed: int) -> tuple[dict[int, FaceDataset], FaceDataset]:
    """By faces a class, what is learned from, the smaller within the larger; and the test, which is in none of them."""
    rng = np.random.default_rng(seed)
    drawn = [rng.permutation(np.flatnonzero(faces.labels == label)) for label in range(len(faces.classes))]
    if min(map(len, drawn)) <= max(SIZES):
        raise ConfigError(f"expected more than {max(SIZES)} faces a class, got {min(map(len, drawn))}")
    rest = np.sort(np.concatenate([rows[max(SIZES) :] for rows in drawn]))
    learned = {size: faces.take(np.sort(np.concatenate([rows[:size] for rows in drawn]))) for size in SIZES}
    training = {size: dataclasses.replace(d, split=np.full(len(d), "training")) for size, d in learned.items()}
    return training, faces.take(rest)


def ways(source: Source, size: int, settings: Sequence[str]) -> dict[str, tuple[Recipe, str | None]]:
    """By name, the recipe of each way to train, and the weights that it begins with."""
    whole = with_settings(dataclasses.replace(named_recipe("finetune"), network=source.network), settings)
    longer = SCRATCH_EPOCHS[size]
    rate = named_recipe("scratch").learning_rate
    scratch = dataclasses.replace(
        whole, freeze=0, thaw=0, trunk_rate=1.0, holdback=0.0, learning_rate=rate, epochs=longer
    )
    return {
        f"fine-tuned from {Path(source.init).name}": (whole, source.init),
        "the same, convolutions frozen": (dataclasses.replace(whole, freeze=5, thaw=0), source.init),
        "from scratch": (scratch, None),
    }


def summed(probabilities: Floats) -> Floats:
    """Probabilities (N, 7) of the emotions as those of the groups (N, 4)."""
    return np.stack(
        [probabilities[:, [EMOTIONS.index(name) for name in names]].sum(1) for names in GROUPS.values()], axis=1
    )


class _OnStep(Watcher):
    def __init__(self, report: Report) -> None:
        self._report = report

    def on_step(self, step: Step) -> None:
        self._report(step)


def learn(learned: FaceDataset, recipe: Recipe, init: str | None, faces: NDArray[np.uint8], report: Report) -> Floats:
    """Train on few faces by a recipe; the best epoch's probabilities of other faces, (N, 4)."""
    with tempfile.TemporaryDirectory() as folder:
        best = train(
            learned,
            recipe,
            Path(folder) / "run",
            start=Start(init=init),
            devices=Devices("cpu"),
            watcher=_OnStep(report),
        )
        return predict_faces(best, faces)[1]


def measure(source: Source, dataset: FaceDataset, seeds: int, settings: Sequence[str] = ()) -> list[Row]:
    """All rows. settings change the recipe of every way."""
    faces = regrouped(dataset)
    figures: dict[tuple[str, int, int], list[tuple[float, float]]] = {}
    with console.progress() as bar:
        for seed in range(seeds):
            training, test = divide(faces, seed)

            def note(way: str, size: int, epochs: int, probabilities: Floats, truth: NDArray[np.int64]) -> None:
                metrics = evaluate(probabilities, truth, classes=tuple(GROUPS), resamples=1)
                found = metrics.accuracy, metrics.macro_f1
                figures.setdefault((way, size, epochs), []).append(found)
                console.err().print(f"{way}, {size} a class: {100 * found[0]:.2f} %, macro-F1 {100 * found[1]:.2f} %")

            for size, learned in training.items():
                for way, (recipe, init) in ways(source, size, settings).items():
                    task = bar.add_task(f"seed {seed}, {size} a class, {way}", total=None)

                    def report(step: Step, task: TaskID = task) -> None:
                        done = (step.epoch - 1) * step.steps + step.step
                        bar.update(task, total=step.epochs * step.steps, completed=done)

                    seeded = dataclasses.replace(recipe, seed=seed)
                    note(way, size, recipe.epochs, learn(learned, seeded, init, test.faces[:], report), test.labels)
                    bar.remove_task(task)
            if source.predict is not None:
                way = f"{Path(source.init).name} as it is, summed over the groups"
                note(way, 0, 0, summed(source.predict(test.faces[:])), test.labels)
    rows = [Row(*key, *zip(*found, strict=True)) for key, found in figures.items()]
    return sorted(rows, key=lambda row: row.size)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--init", default="mien", help="as `mien train --init` takes it")
    parser.add_argument("--data", type=Path, default=Path("../shared/data/fer2013/trainval.parquet"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--set", dest="settings", action="append", default=[], help="a field of every way's recipe")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, default=None)
    parser.add_argument("--markdown", type=Path, default=None)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    rows = measure(open_source(args.init), read_dataset(args.data), args.seeds, args.settings)
    table = Table(*HEADS)
    for row in rows:
        table.add_row(*row.show())
    console.out().print(table)
    if args.json is not None:
        figures = {"init": Path(args.init).name, "protocol": "ferplus", "groups": GROUPS}
        write_json(args.json, {**figures, "rows": [dataclasses.asdict(row) for row in rows]})
    if args.markdown is not None:
        write_text(args.markdown, markdown_table(HEADS, [row.show() for row in rows]))


if __name__ == "__main__":
    main()
