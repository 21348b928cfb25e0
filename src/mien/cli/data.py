"""`mien data`: get, look at and pack datasets before training on them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mien.cli import console, data_get, data_pack
from mien.cli.reading import read_dataset, reading

if TYPE_CHECKING:
    from rich.table import Table

    from mien.data.audit import Audit, Counts

app = typer.Typer(no_args_is_help=True, help="Get, look at and pack datasets of faces.")
app.add_typer(data_get.app, name="get")
app.command()(data_pack.pack)

_SHOWN = 10


@app.callback()
def _root() -> None:
    """Get, look at and pack datasets of faces."""


@app.command()
def check(
    path: Annotated[Path, typer.Argument(help="fer2013.csv (plain, .gz, .zip), a manifest, Parquet, folder or pack.")],
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Go on after malformed rows; exit 1 if any.")] = False,
    own_classes: Annotated[
        bool, typer.Option("--own-classes", help="Take folder or label names as classes, not as Mien's seven.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON to standard output.")] = False,
) -> None:
    """Count faces by split and class; find exact duplicates, leaks between splits, conflicting labels, bad rows.

    What it finds are findings: it exits 0 on any dataset that can be read, 1 where rows were skipped, 2 where it
    cannot be read.
    """
    from mien.data.audit import audit

    dataset = read_dataset(path, skip_bad=skip_bad, own_classes=own_classes)
    with reading("verifying") as progress:
        found = audit(dataset, progress)
    if as_json:
        typer.echo(json.dumps(found.to_dict()))
    else:
        _print(found)
    if found.bad:
        raise typer.Exit(1)


def _print(found: Audit) -> None:
    console.out().print(f"{console.escape(found.source)}: {found.rows:,} faces", soft_wrap=True)
    console.out().print(_table("By its own labels", found.labels))
    if found.majority is not None:
        console.out().print(_table("By FER+ majority", found.majority))
    for split, rows in found.copies.items():
        console.out().print(f"copies within {split}: {rows:,}")
    for (split, other), rows in found.shared.items():
        console.out().print(f"{split} faces that stand in {other} as well: {rows:,}")
    if found.leaks:
        console.out().print(
            f"[yellow]{found.leaks:,} training faces leak into validation or test[/]: --drop-leaks of mien train"
        )
    console.out().print(f"faces under conflicting labels: {len(found.conflicts):,}")
    for rows_of_face in found.conflicts[:_SHOWN]:
        console.out().print(f"  rows {console.escape(', '.join(rows_of_face))}", soft_wrap=True)
    if len(found.conflicts) > _SHOWN:
        console.out().print(f"  and {len(found.conflicts) - _SHOWN:,} more: --json lists all")
    console.out().print(f"bad rows skipped: {len(found.bad):,}")
    console.out().print(f"fingerprint: {found.fingerprint}", soft_wrap=True)


def _table(title: str, counts: Counts) -> Table:
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    table.add_column("class")
    for split in counts:
        table.add_column(split, justify="right")
    for name in next(iter(counts.values()), {}):
        rows = [by_class[name] for by_class in counts.values()]
        table.add_row(console.escape(name), *(f"{n:,}" for n in rows))
    table.add_section()
    table.add_row("all", *(f"{sum(by_class.values()):,}" for by_class in counts.values()))
    return table
