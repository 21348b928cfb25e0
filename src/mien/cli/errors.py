"""`mien errors`: a page on what a model gets wrong."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

import typer

from mien.cli import console, options
from mien.cli.predictions import SplitChoice, default_protocol, opened_model, predicted, read_split, truth_of
from mien.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mien.data.packed_faces import Faces
    from mien.evaluation.conditions import Group

_MOST_ROLLS: Final = 5000
"""Faces whose roll is measured, at most: it takes some milliseconds a face."""

Out = Annotated[
    Path, typer.Option("--out", "-o", metavar="FILE", help="Write the page to this HTML file, which opens offline.")
]
Model = Annotated[
    str | None,
    typer.Option(
        metavar="FILE|VERSION|RUN",
        help="An ONNX file, the version of a shipped model, or a checkpoint: a run's folder or a .safetensors file, "
        "which needs mien[train].",
        show_default="the shipped model",
    ),
]
ProtocolName = Annotated[
    Literal["fer2013", "ferplus", "ferplus-strict"] | None,
    typer.Option(
        help="Where the truth comes from, as in `mien evaluate`.",
        show_default="ferplus if the data has votes, else fer2013",
    ),
]
Split = Annotated[SplitChoice, typer.Option(help="The split to look at.")]
Limit = Annotated[
    int,
    typer.Option(min=1, max=2000, metavar="N", help="Show at most N confident mistakes and N suspected labels."),
]


def errors(
    *,
    data: options.Data,
    out: Out,
    model: Model = None,
    split: Split = "validation",
    protocol: ProtocolName = None,
    limit: Limit = 48,
    flip: options.Flip = False,
    prior: options.Prior = "training",
    labels: options.LabelMap = None,
    skip_bad: options.SkipBad = False,
    threads: options.Threads = None,
) -> None:
    """Show what a model gets wrong: a page with its most confident mistakes, confusions, and suspected labels.

    The page also has calibration, and accuracy by sharpness, light and head roll. It is one file that opens offline
    and holds faces of the data: do not publish it. Exits with 1 if malformed rows were left out.
    """
    from mien.reports.evaluated import Evaluated
    from mien.reports.gallery import save_gallery
    from mien.runtime.prior import named_prior, prior_weights, reweighted

    chosen = options.prior_of(prior)
    _check_output(out, data)
    opened = opened_model(model, data, threads)
    weights = prior_weights(chosen, opened.classes, opened.class_frequencies)
    dataset = read_split(data, split, opened.classes, labels=labels, skip_bad=skip_bad)
    bad, protocol = dataset.bad, protocol or default_protocol(dataset)
    truth, mask = truth_of(dataset, split, protocol)
    dataset, truth = dataset.take(mask), truth[mask]
    found = predicted(opened.predict, dataset.faces, flip=flip)
    if weights is not None:
        found = reweighted(found, weights)
    name = opened.name + named_prior(chosen, opened.classes)
    rolls = _by_roll(dataset.faces, found.argmax(1) == truth, threads)
    evaluated = Evaluated(name, protocol, split, dataset, truth, found, rolls)
    save_gallery(evaluated, out, faces=limit)
    console.log(
        f"{len(evaluated.wrong):,} of {len(truth):,} faces are wrong, {len(evaluated.suspected):,} labels are suspected"
    )
    console.log(f"the page is in {out}: it shows people's faces, so do not publish it")
    if bad:
        raise typer.Exit(1)


def _check_output(out: Path, data: Path) -> None:
    """Raise ConfigError before long work where the page cannot be written."""
    from mien.cli.outputs import check_apart

    if out.suffix.lower() not in {".html", ".htm"}:
        raise ConfigError(f"the page's name must end in .html, got {out.name}")
    if out.is_dir():
        raise ConfigError(f"{out}: is a folder, expected a file to write")
    check_apart([out], [data])


def _by_roll(faces: Faces, right: NDArray[np.bool_], threads: int | None) -> tuple[Group, ...]:
    """Accuracy by head roll, of up to _MOST_ROLLS faces, evenly spaced; none without YuNet."""
    import numpy as np

    from mien.data.packed_faces import pick
    from mien.evaluation.conditions import by_roll, head_rolls
    from mien.runtime.detectors import load_detector
    from mien.runtime.weights import find_yunet

    if find_yunet() is None:
        console.note("head roll is not measured: it takes YuNet, which `mien detector yunet` fetches")
        return ()
    rows = np.unique(np.linspace(0, len(faces) - 1, min(len(faces), _MOST_ROLLS)).round().astype(np.int64))
    with console.progress() as bar:
        task = bar.add_task("head roll", total=len(rows))
        degrees = head_rolls(
            pick(faces, rows), load_detector("yunet", threads=threads), lambda done: bar.advance(task, done)
        )
    return by_roll(degrees, right[rows])
