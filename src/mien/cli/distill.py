"""`mien distill`: train a student on what trained teachers answer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mien.cli import training
from mien.cli.reading import read_dataset
from mien.errors import ConfigError


@training.one_voice()
def distill(
    teachers: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="TEACHER...", help="Checkpoints: runs' folders or .safetensors files. Several answer by their mean."
        ),
    ] = None,
    data: training.Data = None,
    out: training.Out = Path("runs/distilled"),
    recipe: Annotated[
        str | None,
        typer.Option(help="Any recipe of `mien train`.", show_default="distill; with --resume, the run's own"),
    ] = None,
    network: training.Network = None,
    epochs: training.Epochs = None,
    seed: training.Seed = None,
    settings: training.Settings = None,
    init: training.Init = None,
    resume: training.Resume = False,
    drop_leaks: training.DropLeaks = False,
    own_classes: training.OwnClasses = False,
    skip_bad: training.SkipBad = False,
    accelerator: training.TrainOn = "auto",
    devices: training.Devices = None,
    show_recipe: training.ShowRecipe = False,
) -> None:
    """Train AlexNet on labels and on the answers of teachers, who see the same augmented faces.

    `--set teach=0.7` weighs the teachers against the labels. A student may be smaller than its teachers, or as large.
    """
    resume = training.resumes(out, asked=resume)
    chosen = training.choose(
        recipe,
        default="distill",
        resumed=out if resume else None,
        init=init,
        network=network,
        epochs=epochs,
        seed=seed,
        settings=settings,
    )
    if show_recipe:
        training.show(chosen)
        return
    if not teachers:
        raise ConfigError("name at least one teacher: a run's folder or a checkpoint")
    if data is None:
        raise ConfigError("--data is missing: name the labelled faces to train on")
    dataset = read_dataset(data, own_classes=own_classes, skip_bad=skip_bad)
    dataset = training.without_leaks(dataset, drop=drop_leaks)
    training.run(
        dataset,
        chosen,
        out,
        init=init,
        teachers=teachers,
        resume=resume,
        accelerator=accelerator,
        devices=devices,
    )
