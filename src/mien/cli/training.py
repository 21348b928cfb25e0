"""What `mien train` and `mien distill` share: their options, the run itself with its progress bar, Ctrl-C."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from mien.cli import console
from mien.errors import MienError

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from mien.data.dataset import FaceDataset
    from mien.training.checkpoint import Description
    from mien.training.loop import Step
    from mien.training.recipes import Recipe

Accelerator = Literal["auto", "cpu", "gpu", "cuda", "mps"]

Data = Annotated[
    Path | None,
    typer.Option(help="Labelled faces: fer2013.csv, FER+ folder, class folders, manifest, Parquet or a pack."),
]
Out = Annotated[Path, typer.Option("--out", "-o", help="Folder of the run: checkpoints, metrics, curves.")]
Network = Annotated[
    str | None,
    typer.Option(
        help="alexnet (the paper's), alexnet-compact, alexnet-torchvision, or resnet, a teacher.",
        show_default="the recipe's",
    ),
]
Epochs = Annotated[int | None, typer.Option(min=1, help="Passes over the faces.", show_default="the recipe's")]
Seed = Annotated[int | None, typer.Option(min=0, help="Of all randomness.", show_default="the recipe's")]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="FIELD=VALUE",
        help="Any field of the recipe, as often as you like: `--set batch=64 --set network.dropout=0.3 "
        "--set augmentation.rotation=20`. `--show-recipe` lists them.",
    ),
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with the run in --out, bit for bit.")]
DropLeaks = Annotated[
    bool, typer.Option("--drop-leaks", help="Leave out training faces that stand in validation or test too.")
]
OwnClasses = Annotated[
    bool, typer.Option("--own-classes", help="Take folder or label names as classes, not as Mien's seven.")
]
SkipBad = Annotated[bool, typer.Option("--skip-bad", help="Go on after malformed rows.")]
TrainOn = Annotated[Accelerator, typer.Option("--accelerator", help="What to train on; auto takes a GPU if any.")]
Devices = Annotated[
    int | None,
    typer.Option(
        min=1, help="Devices of this machine, or processes on its CPU.", show_default="1; under torchrun, its processes"
    ),
]
ShowRecipe = Annotated[bool, typer.Option("--show-recipe", help="Print the whole recipe and exit.")]
Init = Annotated[
    str | None,
    typer.Option(
        metavar="mien|imagenet|FILE",
        help="Weights to begin with: `mien` (the shipped model), a run or checkpoint, an ONNX file of Mien, `imagenet` "
        "(torchvision's AlexNet, downloaded), or a .pth file of that format.",
        show_default="random",
    ),
]


@contextmanager
def one_voice() -> Iterator[None]:
    """Of the processes of a training on one machine let the first one speak, and the others only where they fail.

    The first one tells why they fail: the others leave it the time to, as torchrun ends them all when one has ended.
    One that is still there then speaks for itself, unless they had joined, as then they fail together.
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
    """Whether to resume the run in `out`: where it is asked for, and where torchrun started its processes anew."""
    from mien.training.distributed import continues

    if asked or not continues(out):
        return asked
    console.err().print(f"started anew: goes on in {console.escape(str(out))}", soft_wrap=True)
    return True


def choose(
    name: str | None,
    *,
    default: str,
    resumed: Path | None,
    init: str | None,
    network: str | None,
    epochs: int | None,
    seed: int | None,
    settings: Sequence[str] | None,
) -> Recipe:
    """The recipe of this name, by default that of the run to resume or the command's own, with what was set.

    Its network is the named one, or the one that fits the weights to begin with.
    """
    from dataclasses import replace

    from mien.errors import ConfigError
    from mien.training.checkpoint import LAST, describe
    from mien.training.initialization import network_of
    from mien.training.network import AlexNetConfig, named_network
    from mien.training.recipes import Recipe, named_recipe, with_settings

    before = None if resumed is None else Recipe.from_dict(describe(resumed / LAST).recipe)
    recipe = before if before is not None and name is None else named_recipe(name or default)
    features = recipe.network.classes
    if network is not None:
        recipe = replace(recipe, network=named_network(network))
    elif before is not None:
        recipe = replace(recipe, network=before.network)
    elif init is not None:
        if not isinstance(recipe.network, AlexNetConfig):
            raise ConfigError(f"--init fills AlexNet: the recipe {recipe.name} begins at random")
        recipe = replace(recipe, network=replace(network_of(init), dropout=recipe.network.dropout))
    if recipe.labels == "none":  # the last layer holds features then, as many as the recipe says
        recipe = replace(recipe, network=replace(recipe.network, classes=features, dropout=0.0))
    shorthand = [f"{field}={value}" for field, value in (("epochs", epochs), ("seed", seed)) if value is not None]
    return with_settings(recipe, [*shorthand, *(settings or [])])


def show(recipe: Recipe) -> None:
    """Print a recipe, a field a line, as --set takes them."""
    for key, value in recipe.to_dict().items():
        for name, inner in value.items() if isinstance(value, Mapping) else ((None, value),):
            path = key if name is None else f"{key}.{name}"
            typer.echo(f"{path}={','.join(map(str, inner)) if isinstance(inner, list | tuple) else inner}")


def without_leaks(dataset: FaceDataset, *, drop: bool) -> FaceDataset:
    """The dataset without leaked faces, or as it is with a warning."""
    from mien.data.audit import drop_leaks, leaks

    leaked = leaks(dataset)
    if not leaked.any():
        return dataset
    if drop:
        console.err().print(
            f"left out {leaked.sum():,} training faces whose pixels stand in validation or test as well"
        )
        return drop_leaks(dataset)
    console.err().print(
        f"[yellow]warning:[/] {leaked.sum():,} training faces stand in validation or test as well, "
        "which flatters every figure: --drop-leaks leaves them out",
        soft_wrap=True,
    )
    return dataset


def run(dataset: FaceDataset, recipe: Recipe, out: Path, **how: Any) -> None:
    """Train with a progress bar; `how` has the fields of Start, accelerator and devices."""
    from mien.training.checkpoint import LAST
    from mien.training.loop import Devices, Start, train

    where = Devices(how.pop("accelerator"), how.pop("devices"))

    with console.progress("{task.fields[figures]}") as bar:
        watch = _Watch(bar, bar.add_task("training", total=None, figures=""))
        try:
            best = train(
                dataset,
                recipe,
                out,
                start=Start(**how, commit=_commit()),
                devices=where,
                watcher=watch,
            )
        except KeyboardInterrupt:
            if (out / LAST).exists():
                console.err().print(
                    f"stopped; the same command with --resume goes on in {console.escape(str(out))}", soft_wrap=True
                )
            raise
    console.err().print(f"best epoch: {console.escape(str(best))}", soft_wrap=True)


class _Watch:
    """Keeps the progress bar, and prints a line an epoch."""

    def __init__(self, bar: Progress, task: TaskID) -> None:
        self.bar, self.task, self.judged = bar, task, ""

    def on_begin(self, described: Description) -> None:
        ranks = described.data.get("ranks", [1])
        if len(ranks) > 1:
            console.note(f"trained by {', then '.join(map(str, ranks))} ranks: not bit for bit what either would give")
        begun = described.data.get("init")
        if begun is None:
            return
        fresh = f", at random: {', '.join(begun['fresh'])}" if begun["fresh"] else ""
        console.err().print(
            f"begins with {begun['taken']} tensors of {begun['source']}{fresh}", markup=False, soft_wrap=True
        )

    def on_step(self, step: Step) -> None:
        self.bar.update(
            self.task,
            description=f"epoch {step.epoch}/{step.epochs}",
            total=step.epochs * step.steps,
            completed=(step.epoch - 1) * step.steps + step.step,
            figures=f"loss {step.loss:.3f}  {self.judged}  {step.faces_per_s:,.0f} faces/s",
        )

    def on_epoch(self, record: Mapping[str, Any]) -> None:
        split = "validation" if "validation_accuracy" in record else "held"
        parts = [f"epoch {record['epoch']}", f"loss {record['train_loss']:.4f}"]
        if f"{split}_accuracy" in record:
            name = "held-back" if split == "held" else split
            self.judged = f"{name} {100 * record[f'{split}_accuracy']:.2f} %"
            parts += [f"{self.judged} ({record['protocol']})", f"macro-F1 {100 * record[f'{split}_macro_f1']:.2f} %"]
        console.err().print(
            "  ".join([*parts, f"{record['faces_per_s']:,.0f} faces/s"]), highlight=False, soft_wrap=True
        )


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
