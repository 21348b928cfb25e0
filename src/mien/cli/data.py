"""`mien data`: get, check and pack datasets before training on them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import typer

from mien.cli import console, data_get, data_pack, options
from mien.cli.reading import read_dataset, reading

if TYPE_CHECKING:
    from rich.table import Table

    from mien.data.audit import Audit, Counts

app = typer.Typer(no_args_is_help=True, help="Get, check and pack datasets of faces.")
app.add_typer(data_get.app, name="get")
app.command()(data_pack.pack)

_SHOWN = 10


@app.callback()
def _root() -> None:
    """Get, check and pack datasets of faces."""


@app.command()
def check(
    path: options.Dataset,
    *,
    skip_bad: options.SkipBad = False,
    own_classes: options.OwnClasses = False,
    labels: options.LabelMap = None,
    as_json: options.AsJson = False,
) -> None:
    """Count faces by split and class; find exact duplicates, leaks between splits, conflicting labels, bad rows.

    Exits with 0 on any dataset that can be read, whatever is found in it; with 1 if malformed rows were left out; with
    2 if it cannot be read.
    """
    from mien.data.audit import audit

    dataset = read_dataset(path, skip_bad=skip_bad, own_classes=own_classes, labels=labels, notes=False)
    with reading("verifying") as progress:
        audited = audit(dataset, progress)
    if as_json:
        typer.echo(json.dumps(audited.to_dict()))
    else:
        _print(audited)
    if audited.bad:
        raise typer.Exit(1)


def _print(audited: Audit) -> None:
    console.out().print(f"{console.escape(audited.source)}: {audited.rows:,} faces", soft_wrap=True)
    console.out().print(_table("By its own labels", audited.labels))
    if audited.majority is not None:
        console.out().print(_table("By FER+ majority", audited.majority))
    for split, rows in audited.copies.items():
        console.out().print(f"copies within {split}: {rows:,}")
    for (split, other), rows in audited.shared.items():
        console.out().print(f"{split} faces that stand in {other} as well: {rows:,}")
    if audited.leaks:
        console.out().print(
            f"[yellow]{audited.leaks:,} training faces leak into validation or test[/]: --drop-leaks of mien train"
        )
    console.out().print(f"faces under conflicting labels: {len(audited.conflicts):,}")
    for rows_of_face in audited.conflicts[:_SHOWN]:
        console.out().print(f"  rows {console.escape(', '.join(rows_of_face))}", soft_wrap=True)
    if len(audited.conflicts) > _SHOWN:
        console.out().print(f"  and {len(audited.conflicts) - _SHOWN:,} more: --json lists all")
    for line in audited.notes.lines():
        console.out().print(console.escape(console.printable(line)), soft_wrap=True, highlight=False)
    console.out().print(f"bad rows skipped: {len(audited.bad):,}")
    console.out().print(f"fingerprint: {audited.fingerprint}", soft_wrap=True)


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
