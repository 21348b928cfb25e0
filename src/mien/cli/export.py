"""`mien export`: from a checkpoint to the ONNX file that everything else runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mien.cli import console, options
from mien.cli.reading import check_exist, read_dataset

if TYPE_CHECKING:
    from rich.table import Table

    from mien.training.export import Exported

Checkpoint = Annotated[Path, typer.Argument(help="A checkpoint file, or a run's folder: its best epoch.")]
Out = Annotated[Path, typer.Option("--out", "-o", metavar="FILE.onnx", help="The ONNX file to write.")]
Int8 = Annotated[bool, typer.Option("--int8", help="Quantise to int8; needs --data to calibrate on.")]
Name = Annotated[str, typer.Option(metavar="NAME", help="The model's name, for its card.")]
ModelVersion = Annotated[str, typer.Option(metavar="VERSION", help="The model's version, for its card.")]


def export(
    checkpoint: Checkpoint,
    *,
    out: Out,
    int8: Int8 = False,
    data: options.OptionalData = None,
    labels: options.LabelMap = None,
    name: Name = "mien",
    model_version: ModelVersion = "0",
) -> None:
    """Write one graph: faces (N, 1, 48, 48) uint8 in, probabilities (N, C) out, the model card in its metadata.

    Training faces of --data calibrate int8; the graph is evaluated on its validation faces, for the card. The export
    fails if the float32 graph differs from torch by more than 0.0001 in any probability.
    """
    check_exist(data, [checkpoint])
    from mien.emotions import EMOTIONS
    from mien.training.checkpoint import describe
    from mien.training.export import export as write

    dataset = None
    if data is not None:
        dataset = read_dataset(data, own_classes=describe(checkpoint).classes != EMOTIONS, labels=labels)
    with console.err().status("exporting"):
        exported = write(checkpoint, out, dataset=dataset, int8=int8, name=name, version=model_version)
    console.out().print(
        f"wrote {console.escape(str(out))}: {exported.card.id}, {out.stat().st_size / 1e6:.2f} MB", soft_wrap=True
    )
    console.out().print(f"largest difference between float32 and torch: {exported.parity:.1e}", highlight=False)
    if any(exported.figures.values()):
        console.out().print(_table(exported))
    elif dataset is not None:
        console.log("no figures: the data has no validation split; `mien evaluate --split` takes another one")


def _table(exported: Exported) -> Table:
    from rich.table import Table

    table = Table("protocol/split", "precision", "accuracy, %", "macro-F1, %", "ECE, %", "n")
    for precision, by_protocol in exported.figures.items():
        for protocol, metrics in by_protocol.items():
            figures = (f"{100 * value:.2f}" for value in (metrics.accuracy, metrics.macro_f1, metrics.ece))
            table.add_row(protocol, precision, *figures, str(metrics.n))
    return table
