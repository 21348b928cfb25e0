"""`mien data pack`: a dataset as a pack, from which training reads faces when it needs them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mien.cli import console, options
from mien.cli.reading import print_notes, print_skipped, reading

Out = Annotated[Path, typer.Option("--out", "-o", metavar="PACK", help="The folder of the pack, which must be new.")]


def pack(
    source: options.Dataset,
    *,
    out: Out,
    skip_bad: options.SkipBad = False,
    own_classes: options.OwnClasses = False,
    labels: options.LabelMap = None,
    force: options.Force = False,
) -> None:
    """Write a dataset as a folder of arrays. Faces are read from it when they are needed, so it may exceed memory.

    Every command that takes --data takes a pack, and gives the same results as on the dataset itself. Neither needs to
    fit into memory for packing. Exits with 1 if malformed rows were left out.
    """
    from mien.data.packing import write_pack

    with reading() as progress:
        packed = write_pack(
            source, out, skip_bad=skip_bad, own_classes=own_classes, labels=labels, force=force, progress=progress
        )
    print_skipped(packed.bad)
    print_notes(packed)
    size = sum(path.stat().st_size for path in out.iterdir())
    console.out().print(
        f"wrote {console.escape(str(out))}: {len(packed):,} faces, {size / 1e6:,.1f} MB",
        soft_wrap=True,
        highlight=False,
    )
    if packed.bad:
        raise typer.Exit(1)
