"""`mien data pack`: a dataset as a pack, from which training reads faces as it needs them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mien.cli import console
from mien.cli.reading import reading, tell_skipped


def pack(
    source: Annotated[
        Path, typer.Argument(help="fer2013.csv (plain, .gz, .zip), a manifest, Parquet, or a folder.", metavar="DATA")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="PACK", help="The pack's folder, not there yet.")],
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Go on after malformed rows; exit 1 if any.")] = False,
    own_classes: Annotated[
        bool, typer.Option("--own-classes", help="Take folder or label names as classes, not as Mien's seven.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace a pack that is there.")] = False,
) -> None:
    """Write a dataset as a folder of arrays, of which faces are read as they are needed: so it may outgrow memory.

    Every command that takes --data takes a pack, and answers as on the dataset itself. Neither needs to fit into memory
    for packing.
    """
    from mien.data.packing import write_pack

    with reading() as progress:
        packed = write_pack(source, out, skip_bad=skip_bad, own_classes=own_classes, force=force, progress=progress)
    tell_skipped(packed.bad)
    size = sum(path.stat().st_size for path in out.iterdir())
    console.out().print(
        f"wrote {console.escape(str(out))}: {len(packed):,} faces, {size / 1e6:,.1f} MB",
        soft_wrap=True,
        highlight=False,
    )
    if packed.bad:
        raise typer.Exit(1)
