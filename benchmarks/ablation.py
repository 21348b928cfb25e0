"""The ablation of docs/results.md: each row a recipe with something changed, over seeds, as real runs of `mien train`.

Without --run it gathers what the runs in --runs have measured so far; with --run it first trains what is missing, row
by row, and goes on where it was stopped. --json and --markdown write what docs/results.md holds.

    python benchmarks/ablation.py --run --rows quick adamw
    python benchmarks/ablation.py --json docs/results/ablation.json --markdown ablation.md
"""

from __future__ import annotations

import argparse
import shlex
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from output import markdown_table, write_json, write_text

from mien.training import checkpoint
from mien.training.checkpoint import BEST, LAST
from mien.training.network import build, multiply_adds

STRONG = (
    "augmentation.rotation=15",
    "augmentation.brightness=0.2",
    "augmentation.contrast=0.3",
    "augmentation.noise=0.03",
)
ADAMW = ("optimizer=adamw", "learning_rate=0.0015")
FINER = ("network.input_size=96", "network.stride=2", "network.pool=4")


@dataclass(frozen=True)
class Row:
    """A row: name, what it is, the recipe, what is set in it, and the runs that it learns from and begins with."""

    name: str
    says: str
    recipe: str = "quick"
    settings: tuple[str, ...] = ()
    seeds: tuple[int, ...] = (0,)
    teachers: tuple[str, ...] = ()
    init: str | None = None

    def command(self, runs: str, seed: int, data: str = "trainval.parquet") -> list[str]:
        """What trains it: arguments of `mien`."""
        settings = [part for setting in self.settings for part in ("--set", setting)]
        verb = ["distill", *(f"{runs}/{name}" for name in self.teachers)] if self.teachers else ["train"]
        begin = (
            ["--init", self.init if self.init in ("mien", "imagenet") else f"{runs}/{self.init}"] if self.init else []
        )
        return [
            *verb,
            *("--data", data, "--drop-leaks", "--recipe", self.recipe, *begin, *settings),
            *("--seed", str(seed), "--out", f"{runs}/{self.name}-{seed}"),
        ]


ROWS = (
    Row(
        "canonical",
        "the paper's AlexNet, 227 px, FC 4096, 5 epochs of AdamW",
        "scratch",
        (
            *ADAMW,
            *("network.width=1", "network.hidden=4096,4096", "network.pool=6", "network.dropout=0.5"),
            *("network.input_size=227", "epochs=5"),
        ),
    ),
    Row("quick", "12 epochs at 131 px, gentle augmentation, Muon"),
    Row("adamw", "`quick` with AdamW", settings=ADAMW),
    Row(
        "strong",
        "`quick` with stronger augmentation (and a rate of 1.5e-3)",
        settings=(*STRONG, "learning_rate=0.0015"),
    ),
    Row("adamw-strong", "`adamw` with stronger augmentation", settings=(*ADAMW, *STRONG)),
    Row(
        "adamw-strong-b48",
        "`adamw-strong` in batches of 48, rate 1e-3, average of 0.999",
        settings=(*STRONG, "optimizer=adamw", "learning_rate=0.001", "batch=48", "ema=0.999"),
    ),
    Row("outliers", "`quick` without single votes", settings=("outlier_votes=1",)),
    Row("sharp", "`quick` with votes to the power 1.5", settings=("sharpness=1.5",)),
    Row(
        "doubt",
        "`quick` with other votes as doubt, not-a-face rows too",
        settings=("other_votes=spread", "min_share=0"),
    ),
    Row("own", "`quick` with a tenth of the original label", settings=("own_share=0.1",)),
    Row("balance", "`quick` with rare classes drawn more often", settings=("balance=0.3",)),
    Row("mixup", "`quick` with MixUp", settings=("augmentation.mixup=0.3",)),
    Row("cutmix", "`quick` with CutMix", settings=("augmentation.cutmix=0.5",)),
    Row("dropout", "`quick` with dropout of a half", settings=("network.dropout=0.5",)),
    Row("pretrain", "Barlow Twins without labels, 20 epochs", "pretrain"),
    Row("pretrained", "`quick` begun with `pretrain`", init="pretrain-0"),
    Row(
        "finer",
        "`quick` at 96 px with a first convolution that steps by 2 pixels",
        settings=FINER,
    ),
    Row("half", "half the paper's widths, 30 epochs", "scratch", ("network.width=0.5",), seeds=(1, 0, 2)),
    Row("scratch", "three quarters of the paper's widths, 30 epochs", "scratch"),
    Row(
        "finer-half",
        "`half` at 96 px with a first convolution that steps by 2 pixels",
        "scratch",
        ("network.width=0.5", *FINER),
    ),
    Row("finer-scratch", "`scratch` at 96 px with a first convolution that steps by 2 pixels", "scratch", FINER),
    Row(
        "progressive",
        "as `half` in 40 epochs: 30 at 131 px, 5 at 163, 5 at 227",
        "scratch",
        ("network.width=0.5", "network.input_size=227", "epochs=40", "sizes=131,163", "size_epochs=30,5"),
    ),
    Row(
        "distilled",
        "begun with `scratch`, taught by it and `half`, 14 epochs",
        "distill",
        ("epochs=14", "outlier_votes=0"),
        seeds=(2,),
        teachers=("scratch-0", "half-1"),
        init="scratch-0",
    ),
    Row(
        "fer2013-begun",
        "the original labels, 6 epochs, begun with `half`",
        "fer2013",
        ("epochs=6", "learning_rate=0.0005"),
        init="half-1",
    ),
    Row("fer2013", "the original labels, half widths, from random weights", "fer2013", ("network.width=0.5",)),
    Row(
        "fer2013-long",
        "the original labels, 16 epochs, begun with `scratch`; with mirror images",
        "fer2013",
        ("network.mirror=true", "epochs=16", "learning_rate=0.001"),
        init="scratch-0",
    ),
    Row("teacher", "a residual network, 24 epochs at 96 px: a teacher", "teacher", seeds=(3,)),
    Row(
        "student",
        "begun with `scratch`, taught by `teacher`, 18 epochs; with mirror images",
        "distill",
        ("network.mirror=true",),
        seeds=(4,),
        teachers=("teacher-3",),
        init="scratch-0",
    ),
    Row(
        "finer-student",
        "begun with `finer`, taught by `teacher`, 30 epochs; with mirror images",
        "distill",
        ("network.width=0.5", *FINER, "network.mirror=true", "epochs=30"),
        seeds=(5, 6, 7),
        teachers=("teacher-3",),
        init="finer-0",
    ),
    Row(
        "finer-fresh",
        "`finer-student` from random weights, 40 epochs",
        "distill",
        ("network.width=0.5", *FINER, "network.mirror=true", "epochs=40", "learning_rate=0.002"),
        seeds=(5,),
        teachers=("teacher-3",),
    ),
    Row(
        "quarter",
        "a quarter of the paper's widths, taught by `teacher`, 20 epochs",
        "distill",
        ("network.width=0.25", "network.hidden=256,256", "network.dropout=0.1", "epochs=20", "learning_rate=0.002"),
        teachers=("teacher-3",),
    ),
    Row(
        "eighth",
        "an eighth, at 99 px, taught by `teacher`, 20 epochs",
        "distill",
        (
            *("network.width=0.125", "network.hidden=128,128", "network.dropout=0", "network.input_size=99"),
            *("network.pool=2", "epochs=20", "learning_rate=0.002"),
        ),
        teachers=("teacher-3",),
    ),
)


def train(row: Row, runs: Path, data: Path) -> None:
    """Train the seeds of a row that are missing or were stopped."""
    for seed in row.seeds:
        out = runs / f"{row.name}-{seed}"
        if (out / LAST).exists():
            progress = checkpoint.describe(out / LAST)
            if progress.progress["epoch"] >= progress.recipe["epochs"]:
                continue
        command = [sys.executable, "-m", "mien", *row.command(str(runs), seed, str(data))]
        subprocess.run([*command, *(["--resume"] if (out / LAST).exists() else [])], check=True)


def gather(row: Row, runs: Path) -> dict[str, Any] | None:
    """What the finished seeds of a row have measured with the weights of their best epoch, or None without any."""
    found, config = [], None
    for seed in row.seeds:
        run = runs / f"{row.name}-{seed}"
        if not (run / BEST).exists():
            continue
        described = checkpoint.describe(run / LAST)
        if described.progress["epoch"] < described.recipe["epochs"]:
            continue
        record = dict(described.history[described.progress["best_epoch"]])
        if "validation_accuracy" not in record:  # without labels there is nothing to evaluate
            continue
        found.append({"seed": seed, **record})
        config = described.network
    if config is None:
        return None
    figures = ("validation_accuracy", "validation_macro_f1", "validation_ece")
    return {
        "name": row.name,
        "says": row.says,
        "protocol": found[0]["protocol"],
        "seeds": [one["seed"] for one in found],
        **{name: [one[name] for one in found] for name in figures},
        "train_loss": [one["train_loss"] for one in found],
        "multiply_adds": multiply_adds(config),
        "parameters": sum(p.numel() for p in build(config).parameters()),
        "input_size": config.input_size,
        "command": shlex.join(["mien", *row.command("runs/ablation", found[0]["seed"])]),
    }


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    """The table, its commands below it."""
    figures = ("accuracy, %", "macro-F1, %", "ECE, %", "input", "weights, M", "multiply-adds, M")
    heads = ("row", "what it is", "protocol", "seeds", *figures)
    cells = [
        [
            f"`{row['name']}`",
            row["says"],
            f"`{row['protocol']}`",
            str(len(row["seeds"])),
            *(spread(row[f"validation_{name}"]) for name in ("accuracy", "macro_f1", "ece")),
            str(row["input_size"]),
            f"{row['parameters'] / 1e6:.1f}",
            f"{row['multiply_adds'] / 1e6:,.0f}",
        ]
        for row in rows
    ]
    commands = [f"# {row['name']}\n{row['command']}" for row in rows]
    return "\n".join([markdown_table(heads, cells), "```sh", *commands, "```", ""])


def spread(values: Sequence[float]) -> str:
    """Mean in per cent, with the standard deviation where there are several."""
    mean = f"{100 * statistics.mean(values):.1f}"
    return mean if len(values) == 1 else f"{mean} ± {100 * statistics.stdev(values):.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/fer2013/trainval.parquet"))
    parser.add_argument("--runs", type=Path, default=Path("runs/ablation"))
    parser.add_argument("--rows", nargs="*", choices=[row.name for row in ROWS], help="default: all")
    parser.add_argument("--run", action="store_true", help="train what is missing")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--markdown", type=Path)
    args = parser.parse_args()
    rows = [row for row in ROWS if not args.rows or row.name in args.rows]
    if args.run:
        for row in rows:
            train(row, args.runs, args.data)
    found = [one for one in (gather(row, args.runs) for row in rows) if one is not None]
    if args.json:
        write_json(args.json, found)
    text = markdown(found)
    if args.markdown:
        write_text(args.markdown, text)
    print(text)


if __name__ == "__main__":
    main()
