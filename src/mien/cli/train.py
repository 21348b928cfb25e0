"""`mien train`: from labelled faces to a trained AlexNet."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mien.cli import console, training
from mien.cli.reading import read_dataset
from mien.errors import ConfigError


@training.one_voice()
def train(
    data: training.Data = None,
    out: training.Out = Path("runs/scratch"),
    recipe: Annotated[
        str | None,
        typer.Option(
            help="scratch (full), quick (minutes), teacher (a deeper network, for `mien distill`), finetune (with "
            "--init), fer2013 (the original labels) or pretrain (without labels).",
            show_default="scratch; with --init, finetune; with --resume, the run's own",
        ),
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
    preview_augment: Annotated[
        Path | None,
        typer.Option(metavar="FILE.png", help="Write a contact sheet of augmented faces, and train nothing."),
    ] = None,
) -> None:
    """Train AlexNet on labelled faces, from scratch or from weights that are there; or a teacher for it.

    A run that was killed goes on with `--resume` and ends exactly where it would have ended.
    """
    resume = training.resumes(out, asked=resume)
    chosen = training.choose(
        recipe,
        default="scratch" if init is None else "finetune",
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
    if (chosen.name == "finetune" or chosen.freeze) and init is None and not resume:
        raise ConfigError("fine-tuning and frozen convolutions need weights that are there: name them with --init")
    if data is None:
        raise ConfigError("--data is missing: name the labelled faces to train on")
    dataset = read_dataset(data, own_classes=own_classes, skip_bad=skip_bad)
    if preview_augment is not None:
        from mien.training.preview import write_preview

        write_preview(dataset, chosen, preview_augment)
        console.err().print(f"wrote {console.escape(str(preview_augment))}", soft_wrap=True)
        return
    dataset = training.without_leaks(dataset, drop=drop_leaks)
    training.run(dataset, chosen, out, init=init, resume=resume, accelerator=accelerator, devices=devices)
