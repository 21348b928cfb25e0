"""`mien train`: from labelled faces to a trained AlexNet."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mien.cli import console, options, training
from mien.cli.reading import read_dataset
from mien.errors import ConfigError

if TYPE_CHECKING:
    from mien.data.dataset import FaceDataset
    from mien.training.recipes import Recipe

RecipeName = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="scratch (full), quick (minutes), teacher (a deeper network, for `mien distill`), finetune (with "
        "--init), fer2013 (the original labels) or pretrain (without labels).",
        show_default="scratch; with --init, finetune; with --resume, the run's own",
    ),
]
PreviewAugment = Annotated[
    Path | None, typer.Option(metavar="FILE.png", help="Write a contact sheet of augmented faces, and train nothing.")
]


def train(
    *,
    data: options.OptionalData = None,
    out: options.RunFolder = Path("runs/scratch"),
    recipe: RecipeName = None,
    network: options.Network = None,
    epochs: options.Epochs = None,
    seed: options.Seed = None,
    settings: options.RecipeSettings = None,
    init: options.Init = None,
    outliers: options.Outliers = None,
    resume: options.Resume = False,
    drop_leaks: options.DropLeaks = False,
    own_classes: options.OwnClasses = False,
    labels: options.LabelMap = None,
    skip_bad: options.SkipBad = False,
    accelerator: options.Accelerator = "auto",
    devices: options.Devices = None,
    show_recipe: options.ShowRecipe = False,
    preview_augment: PreviewAugment = None,
) -> None:
    """Train AlexNet on labelled faces, from scratch or from given weights; or a teacher for it.

    After an interruption, the same command with `--resume` continues the run, and ends exactly as it would have ended.
    """
    choice = training.RecipeChoice(recipe, init, network, epochs, seed, settings)
    if not show_recipe:
        training.check_inputs([data, outliers], init, *([out] if resume else []))
    with training.only_rank_zero_logs():
        resume = training.resumes(out, asked=resume)
        default = "scratch" if init is None else "finetune"
        chosen = training.choose(choice, default=default, resumed=out if resume else None)
        if show_recipe:
            training.show(chosen)
            return
        if (chosen.name == "finetune" or chosen.freeze) and init is None and not resume:
            raise ConfigError("fine-tuning and frozen convolutions need initial weights: name them with --init")
        if data is None:
            raise ConfigError("--data is missing: name the labelled faces to train on")
        dataset = read_dataset(data, own_classes=own_classes, labels=labels, skip_bad=skip_bad)
        if preview_augment is not None:
            _preview(dataset, chosen, preview_augment)
            return
        dataset = training.without_leaks(dataset, drop=drop_leaks)
        how = {"init": init, "outliers": outliers, "resume": resume, "accelerator": accelerator, "devices": devices}
        training.run(dataset, chosen, out, **how)


def _preview(dataset: FaceDataset, recipe: Recipe, path: Path) -> None:
    from mien.training.preview import write_preview

    write_preview(dataset, recipe, path)
    console.log(f"wrote {path}")
