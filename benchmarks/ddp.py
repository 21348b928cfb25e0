"""Does a training on several ranks do what one process does? The same seeds and batch both ways, epoch by epoch.

Each seed trains once in one process with as many threads as there are ranks, and once under torchrun with a thread a
rank, by gloo on the CPU. Two seeds show how far apart runs are that differ in nothing else.

    python benchmarks/ddp.py --data ../shared/data/fer2013/trainval.parquet --markdown ddp.md --chart ddp.png \\
      --set network.input_size=67 --set network.width=0.25 --set network.hidden=128,128 --set network.pool=1

Beside a machine's other work the speeds are worth little; the losses are the same.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from output import markdown_table, write_text

from mien.files import make_folder, written_aside

COLORS = ("#0072b2", "#d55e00", "#009e73", "#888888")

Runs = dict[tuple[int, int], list[dict[str, Any]]]
"""By seed and number of ranks, a record an epoch."""


def run(out: Path, ranks: int, threads: int, arguments: Sequence[str]) -> list[dict[str, Any]]:
    """Train, and return the record of each epoch."""
    launch = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}"] if ranks > 1 else []
    command = [sys.executable, *launch, "-m", "mien", "train", "--accelerator", "cpu", "--out", str(out), *arguments]
    subprocess.run(command, env={**os.environ, "OMP_NUM_THREADS": str(threads)}, check=True)
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


def table(runs: Runs) -> str:
    """Train loss and validation accuracy of each epoch, and the median epoch's speed."""
    seeds, counts = (sorted({key[place] for key in runs}) for place in (0, 1))
    columns = [(seed, ranks) for seed in seeds for ranks in counts]
    names = [f"seed {seed}, {'one process' if ranks == 1 else f'{ranks} ranks'}" for seed, ranks in columns]
    protocol = runs[columns[0]][0]["protocol"]
    rows = []
    for epoch, records in enumerate(zip(*(runs[column] for column in columns), strict=True), 1):
        cells = (f"{record['train_loss']:.4f}; {100 * record['validation_accuracy']:.2f}" for record in records)
        rows.append([str(epoch), *cells])
    speeds = (statistics.median(record["faces_per_s"] for record in runs[column]) for column in columns)
    rows.append(["faces/s", *(f"{speed:,.0f}" for speed in speeds)])
    return f"Train loss; accuracy on validation, % (`{protocol}`)\n\n{markdown_table(['epoch', *names], rows)}"


def draw(runs: Runs, path: Path) -> None:
    """Both curves, a color a seed, dashed where there are several ranks."""
    with mpl.rc_context({"font.size": 9}):
        figure = Figure(figsize=(10, 4), layout="constrained")
        axes = figure.subplots(1, 2)
        for one, (key, factor, label) in zip(
            axes,
            (("train_loss", 1, "train loss"), ("validation_accuracy", 100, "accuracy on validation, %")),
            strict=True,
        ):
            for (seed, ranks), records in sorted(runs.items()):
                one.plot(
                    [record["epoch"] for record in records],
                    [factor * record[key] for record in records],
                    "o-" if ranks == 1 else "s--",
                    color=COLORS[seed % len(COLORS)],
                    markersize=4,
                    linewidth=1.5,
                    label=f"seed {seed}, {'one process' if ranks == 1 else f'{ranks} ranks'}",
                )
            one.set_xlabel("epoch")
            one.set_ylabel(label)
            one.grid(color="#e5e5e5", linewidth=0.6)
            one.spines[["top", "right"]].set_visible(False)
        axes[1].legend(frameon=False, loc="lower right")
        make_folder(path.parent)
        with written_aside(path) as part:
            figure.savefig(part, format="png", dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/fer2013/trainval.parquet"))
    parser.add_argument("--recipe", default="quick")
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="FIELD=VALUE")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--markdown", type=Path)
    parser.add_argument("--chart", type=Path)
    args = parser.parse_args()
    if not args.data.exists():
        print(f"{args.data} is not there: name labelled faces with --data", file=sys.stderr)
        return
    runs: Runs = {}
    with tempfile.TemporaryDirectory() as folder:
        pack = Path(folder) / "pack"  # read by all ranks, and parsed once
        subprocess.run([sys.executable, "-m", "mien", "data", "pack", str(args.data), "-o", str(pack)], check=True)
        common = ["--data", str(pack), "--recipe", args.recipe, "--epochs", str(args.epochs), "--drop-leaks"]
        common += [part for setting in args.settings for part in ("--set", setting)]
        for seed in args.seeds:
            for ranks in (1, args.ranks):
                out = Path(folder) / f"seed{seed}-{ranks}"
                runs[seed, ranks] = run(out, ranks, args.ranks // ranks, [*common, "--seed", str(seed)])
    print(table(runs), end="")
    if args.markdown:
        write_text(args.markdown, table(runs))
    if args.chart:
        draw(runs, args.chart)


if __name__ == "__main__":
    main()
