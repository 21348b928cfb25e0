"""`mien train`: from labelled faces to a trained AlexNet."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.markup import escape
from rich.progress import Progress, TaskID, TextColumn

from mien.cli.console import progress, stderr
from mien.cli.reading import read_dataset
from mien.errors import ConfigError

if TYPE_CHECKING:
    from mien.data.dataset import FaceDataset
    from mien.training.loop import Step
    from mien.training.recipes import Recipe


def train(
    data: Annotated[
        Path | None,
        typer.Option(help="Labelled faces: fer2013.csv, FER+ folder, class folders, manifest or Parquet."),
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the run: checkpoints, metrics, curves.")] = Path(
        "runs/scratch"
    ),
    recipe: Annotated[
        str | None,
        typer.Option(help="scratch (full) or quick (minutes).", show_default="scratch; with --resume, the run's own"),
    ] = None,
    network: Annotated[
        str | None, typer.Option(help="alexnet (the paper's) or alexnet-compact.", show_default="the recipe's")
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Passes over the faces.", show_default="the recipe's")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Of all randomness.", show_default="the recipe's")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="FIELD=VALUE",
            help="Any field of the recipe, as often as you like: `--set batch=64 --set network.dropout=0.3 "
            "--set augmentation.rotation=20`. `--show-recipe` lists them.",
        ),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out, bit for bit.")] = False,
    drop_leaks: Annotated[
        bool, typer.Option("--drop-leaks", help="Leave out training faces that stand in validation or test too.")
    ] = False,
    own_classes: Annotated[
        bool, typer.Option("--own-classes", help="Take folder or label names as classes, not as Mien's seven.")
    ] = False,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Go on after malformed rows.")] = False,
    accelerator: Annotated[
        Literal["auto", "cpu", "gpu", "cuda", "mps"], typer.Option(help="What to train on; auto takes a GPU if any.")
    ] = "auto",
    devices: Annotated[int, typer.Option(min=1, help="Devices, or processes on a CPU.")] = 1,
    show_recipe: Annotated[bool, typer.Option("--show-recipe", help="Print the whole recipe and exit.")] = False,
    preview_augment: Annotated[
        Path | None,
        typer.Option(metavar="FILE.png", help="Write a contact sheet of augmented faces, and train nothing."),
    ] = None,
) -> None:
    """Train AlexNet from scratch on labelled faces.

    A run that was killed goes on with `--resume` and ends exactly where it would have ended.
    """
    from mien.training.recipes import with_settings

    shorthand = [f"{name}={value}" for name, value in (("epochs", epochs), ("seed", seed)) if value is not None]
    chosen = _with_network(_recipe(recipe, out if resume else None), network)
    chosen = with_settings(chosen, [*shorthand, *(settings or [])])
    if show_recipe:
        _show(chosen)
        return
    if data is None:
        raise ConfigError("--data is missing: name the labelled faces to train on")
    dataset = read_dataset(data, own_classes=own_classes, skip_bad=skip_bad)
    if preview_augment is not None:
        from mien.training.preview import write_preview

        write_preview(dataset, chosen, preview_augment)
        stderr.print(f"wrote {escape(str(preview_augment))}", soft_wrap=True)
        return
    dataset = _without_leaks(dataset, drop=drop_leaks)
    _run(dataset, chosen, out, resume=resume, accelerator=accelerator, devices=devices)


def _recipe(name: str | None, resumed: Path | None) -> Recipe:
    """The recipe of this name; by default that of the run to resume, or scratch."""
    from mien.training.checkpoint import LAST, describe
    from mien.training.recipes import Recipe, named_recipe

    if name is None and resumed is not None:
        return Recipe.from_dict(describe(resumed / LAST).recipe)
    return named_recipe(name or "scratch")


def _with_network(recipe: Recipe, network: str | None) -> Recipe:
    from dataclasses import replace

    from mien.training.network import named_network

    return recipe if network is None else replace(recipe, network=named_network(network))


def _show(recipe: Recipe) -> None:
    for key, value in recipe.to_dict().items():
        for name, inner in value.items() if isinstance(value, Mapping) else ((None, value),):
            path = key if name is None else f"{key}.{name}"
            typer.echo(f"{path}={','.join(map(str, inner)) if isinstance(inner, list | tuple) else inner}")


def _without_leaks(dataset: FaceDataset, *, drop: bool) -> FaceDataset:
    from mien.data.audit import drop_leaks, leaks

    leaked = leaks(dataset)
    if not leaked.any():
        return dataset
    if drop:
        stderr.print(f"left out {leaked.sum():,} training faces whose pixels stand in validation or test as well")
        return drop_leaks(dataset)
    stderr.print(
        f"[yellow]warning:[/] {leaked.sum():,} training faces stand in validation or test as well, "
        "which flatters every figure: --drop-leaks leaves them out",
        soft_wrap=True,
    )
    return dataset


def _run(dataset: FaceDataset, recipe: Recipe, out: Path, *, resume: bool, accelerator: str, devices: int) -> None:
    from mien.training.checkpoint import LAST
    from mien.training.loop import train as run

    with progress(TextColumn("{task.fields[figures]}")) as bar:
        watch = _Watch(bar, bar.add_task("training", total=None, figures=""))
        try:
            best = run(
                dataset,
                recipe,
                out,
                resume=resume,
                accelerator=accelerator,
                devices=devices,
                commit=_commit(),
                on_step=watch.step,
                on_epoch=watch.epoch,
            )
        except KeyboardInterrupt:
            if (out / LAST).exists():
                stderr.print(f"stopped; the same command with --resume goes on in {escape(str(out))}", soft_wrap=True)
            raise
    stderr.print(f"best epoch: {escape(str(best))}", soft_wrap=True)


class _Watch:
    """Keeps the progress bar, and prints a line an epoch."""

    def __init__(self, bar: Progress, task: TaskID) -> None:
        self.bar, self.task, self.judged = bar, task, ""

    def step(self, step: Step) -> None:
        self.bar.update(
            self.task,
            description=f"epoch {step.epoch}/{step.epochs}",
            total=step.epochs * step.steps,
            completed=(step.epoch - 1) * step.steps + step.step,
            figures=f"loss {step.loss:.3f}  {self.judged}  {step.faces_per_s:,.0f} faces/s",
        )

    def epoch(self, record: Mapping[str, Any]) -> None:
        split = "validation" if "validation_accuracy" in record else "held"
        parts = [f"epoch {record['epoch']}", f"loss {record['train_loss']:.4f}"]
        if f"{split}_accuracy" in record:
            name = "held-back" if split == "held" else split
            self.judged = f"{name} {100 * record[f'{split}_accuracy']:.2f} %"
            parts += [f"{self.judged} ({record['protocol']})", f"macro-F1 {100 * record[f'{split}_macro_f1']:.2f} %"]
        stderr.print("  ".join([*parts, f"{record['faces_per_s']:,.0f} faces/s"]), highlight=False, soft_wrap=True)


def _commit() -> str | None:
    """The git commit of Mien's own code, where it runs from a checkout of it."""
    here = Path(__file__)

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(here.parent), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()

    try:
        return git("rev-parse", "HEAD") if git("ls-files", here.name) else None
    except OSError:
        return None
