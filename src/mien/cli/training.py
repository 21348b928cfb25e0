"""What `mien train` and `mien distill` share: the choice of a recipe, the run with its progress bar, Ctrl-C."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import typer

from mien.cli import console
from mien.cli.predictions import labels_of
from mien.cli.reading import check_exist, read_dataset
from mien.errors import ConfigError, MienError, ModelError

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from mien.data.dataset import FaceDataset
    from mien.training.checkpoint import Description
    from mien.training.recipes import Recipe
    from mien.training.watcher import Step

_WEIGHTS: Final = (".safetensors", ".onnx", ".pth", ".pt", ".dat")
"""The suffixes of files that hold weights to begin with."""


@dataclass(frozen=True, slots=True)
class RecipeChoice:
    """A recipe and what is changed of it, as options say it; None: as the recipe, the run or the weights have it."""

    name: str | None
    init: str | None
    network: str | None
    epochs: int | None
    seed: int | None
    settings: list[str] | None

    def changes(self) -> list[str]:
        """The changed fields as FIELD=VALUE."""
        short = {"epochs": self.epochs, "seed": self.seed}
        return [*(f"{name}={value}" for name, value in short.items() if value is not None), *(self.settings or [])]


def check_inputs(data: Sequence[Path | None], init: str | None, *checkpoints: Path) -> None:
    """Raise DataError or ModelError where a named file is missing, before PyTorch is imported.

    Processes of torchrun leave it to what reads the files: there the first of them reports for all.
    """
    if "LOCAL_RANK" in os.environ:
        return
    for path in data:
        check_exist(path)
    check_exist(None, checkpoints)
    if init is not None and Path(init).suffix in _WEIGHTS and not Path(init).exists():
        raise ModelError(f"{init}: no such file")


@contextmanager
def only_rank_zero_logs() -> Iterator[None]:
    """Of the processes that train on this machine let the first one print, and the others only where they fail.

    The first one reports why they fail. The others leave it the time to, as torchrun ends them all when one has ended.
    One that still runs then reports for itself, unless they had joined, as then they fail together.
    """
    from mien.training.distributed import joined, local_rank

    other = local_rank() > 0
    console.err().quiet = other
    try:
        yield
    except MienError:
        if other:
            time.sleep(1 if joined() else 3)
            if joined():
                raise typer.Exit(2) from None
        raise
    finally:
        console.err().quiet = False


def resumes(out: Path, *, asked: bool) -> bool:
    """Whether to resume the run in `out`: if asked for, or if torchrun has restarted its processes."""
    from mien.training.distributed import continues

    if asked or not continues(out):
        return asked
    console.log(f"started anew: goes on in {out}")
    return True


def choose(choice: RecipeChoice, *, default: str, resumed: Path | None) -> Recipe:
    """The chosen recipe with its changes; without a name that of the run to resume, or the command's default.

    Its network is the named one, or the one that fits the weights to begin with.
    """
    from mien.training.checkpoint import LAST, describe
    from mien.training.initialization import network_of
    from mien.training.network import AlexNetConfig, named_network
    from mien.training.recipes import Recipe, named_recipe, with_settings

    before = None if resumed is None else Recipe.from_dict(describe(resumed / LAST).recipe)
    recipe = before if before is not None and choice.name is None else named_recipe(choice.name or default)
    features = recipe.network.classes
    if choice.network is not None:
        recipe = replace(recipe, network=named_network(choice.network))
    elif before is not None:
        recipe = replace(recipe, network=before.network)
    elif choice.init is not None:
        network = network_of(choice.init)
        if isinstance(network, AlexNetConfig) and not isinstance(recipe.network, AlexNetConfig):
            raise ConfigError(f"--init fills AlexNet: the recipe {recipe.name} begins at random")
        recipe = replace(recipe, network=replace(network, dropout=recipe.network.dropout))
    if recipe.labels == "none":  # the last layer holds features then; the recipe sets their number
        recipe = replace(recipe, network=replace(recipe.network, classes=features, dropout=0.0))
    return with_settings(recipe, choice.changes())


def show(recipe: Recipe) -> None:
    """Print a recipe, one field per line, as --set takes them."""
    for key, value in recipe.to_dict().items():
        for name, inner in value.items() if isinstance(value, Mapping) else ((None, value),):
            path = key if name is None else f"{key}.{name}"
            typer.echo(f"{path}={','.join(map(str, inner)) if isinstance(inner, list | tuple) else inner}")


def with_unlabeled(dataset: FaceDataset, paths: Sequence[Path], *, skip_bad: bool) -> FaceDataset:
    """The dataset with the training faces of these files besides, as faces without labels."""
    for path in paths:
        labeled = len(dataset)
        dataset = dataset.with_unlabeled(read_dataset(path, skip_bad=skip_bad, labelled=False))
        console.log(f"{len(dataset) - labeled:,} faces of {path} without labels")
    return dataset


def without_leaks(dataset: FaceDataset, *, drop: bool) -> FaceDataset:
    """The dataset without leaked faces, or as it is with a warning."""
    from mien.data.audit import drop_leaks, leaks

    leaked = leaks(dataset)
    if not leaked.any():
        return dataset
    if drop:
        console.log(f"left out {leaked.sum():,} training faces whose pixels are in validation or test as well")
        return drop_leaks(dataset)
    console.err().print(
        f"[yellow]warning:[/] {leaked.sum():,} training faces stand in validation or test as well, "
        "which flatters every figure: --drop-leaks leaves them out",
        soft_wrap=True,
    )
    return dataset


def run(dataset: FaceDataset, recipe: Recipe, out: Path, **arguments: Any) -> None:
    """Train with a progress bar; arguments are the fields of Start, accelerator and devices."""
    from mien.training.checkpoint import LAST
    from mien.training.loop import Devices, Start, train

    where = Devices(arguments.pop("accelerator"), arguments.pop("devices"))

    with console.progress("{task.fields[figures]}") as bar:
        watch = _Watch(bar, bar.add_task("training", total=None, figures=""))
        try:
            best = train(
                dataset,
                recipe,
                out,
                start=Start(**arguments, commit=_commit()),
                devices=where,
                watcher=watch,
            )
        except KeyboardInterrupt:
            if (out / LAST).exists():
                console.log(f"stopped; the same command with --resume goes on in {out}")
            raise
    console.log(f"best epoch: {best}")


class _Watch:
    """Moves the progress bar, and prints one line per epoch."""

    def __init__(self, bar: Progress, task: TaskID) -> None:
        self.bar, self.task, self.evaluated = bar, task, ""
        self.classes: Sequence[str] = ()

    def on_begin(self, described: Description) -> None:
        self.classes = described.classes
        ranks = described.data.get("ranks", [1])
        if len(ranks) > 1:
            console.note(f"trained by {', then '.join(map(str, ranks))} ranks: not bit for bit what either would give")
        begun = described.data.get("init")
        if begun is None:
            return
        fresh = f", at random: {', '.join(begun['fresh'])}" if begun["fresh"] else ""
        console.log(f"begins with {begun['taken']} tensors of {begun['source']}{fresh}")

    def on_predictions(self, done: int, total: int) -> None:
        self.bar.update(self.task, description="teachers' predictions", total=total, completed=done)

    def on_step(self, step: Step) -> None:
        self.bar.update(
            self.task,
            description=f"epoch {step.epoch}/{step.epochs}",
            total=step.epochs * step.steps,
            completed=(step.epoch - 1) * step.steps + step.step,
            figures=f"loss {step.loss:.3f}  {self.evaluated}  {step.faces_per_s:,.0f} faces/s",
        )

    def on_epoch(self, record: Mapping[str, Any]) -> None:
        split = "validation" if "validation_accuracy" in record else "held"
        parts = [f"epoch {record['epoch']}", f"loss {record['train_loss']:.4f}"]
        if f"{split}_accuracy" in record:
            name = "held-back" if split == "held" else split
            self.evaluated = f"{name} {100 * record[f'{split}_accuracy']:.2f} %"
            by = labels_of(record["protocol"], self.classes)
            parts += [f"{self.evaluated} ({by})", f"macro-F1 {100 * record[f'{split}_macro_f1']:.2f} %"]
        console.log("  ".join([*parts, f"{record['faces_per_s']:,.0f} faces/s"]))


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
