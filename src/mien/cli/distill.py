"""`mien distill`: train a student on the predictions of trained teachers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mien.cli import options, training
from mien.cli.reading import read_dataset
from mien.errors import ConfigError

Teachers = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="TEACHER...",
        help="Checkpoints: runs' folders or .safetensors files. Predictions of several are averaged.",
    ),
]
Unlabeled = Annotated[
    list[Path] | None,
    typer.Option(
        "--unlabeled",
        metavar="FILE",
        help="Faces that the teachers alone teach, in any form of --data; labels are ignored. May be repeated.",
    ),
]
Predictions = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="With `--set views=8`: where teachers' predictions are stored. Students of the same teachers, data and "
        "views share it.",
        show_default="predictions.safetensors in --out",
    ),
]
RecipeName = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", help="Any recipe of `mien train`.", show_default="distill; with --resume, the run's own"
    ),
]


def distill(
    teachers: Teachers = None,
    *,
    data: options.OptionalData = None,
    unlabeled: Unlabeled = None,
    predictions: Predictions = None,
    out: options.RunFolder = Path("runs/distilled"),
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
) -> None:
    """Train AlexNet on labels and on the predictions of teachers, which see the same augmented faces.

    `--set teach=0.7` weighs the teachers against the labels. A student may be smaller than its teachers, or as large.
    """
    choice = training.RecipeChoice(recipe, init, network, epochs, seed, settings)
    if not show_recipe:
        training.check_inputs([data, outliers, *(unlabeled or [])], init, *(teachers or []), *([out] if resume else []))
    with training.only_rank_zero_logs():
        resume = training.resumes(out, asked=resume)
        chosen = training.choose(choice, default="distill", resumed=out if resume else None)
        if show_recipe:
            training.show(chosen)
            return
        if not teachers:
            raise ConfigError("name at least one teacher: a run's folder or a checkpoint")
        if data is None:
            raise ConfigError("--data is missing: name the labelled faces to train on")
        dataset = read_dataset(data, own_classes=own_classes, labels=labels, skip_bad=skip_bad)
        dataset = training.with_unlabeled(dataset, unlabeled or [], skip_bad=skip_bad)
        dataset = training.without_leaks(dataset, drop=drop_leaks)
        how = {"init": init, "outliers": outliers, "resume": resume, "accelerator": accelerator, "devices": devices}
        training.run(dataset, chosen, out, teachers=teachers, predictions=predictions, **how)
