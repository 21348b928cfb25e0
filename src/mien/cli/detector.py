"""`mien detector`: list the installed face detectors, and fetch YuNet once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mien.cli import console
from mien.errors import MienError

app = typer.Typer(no_args_is_help=True, help="Face detectors: fetch YuNet, list what is installed.")

Source = Annotated[
    Path | None,
    typer.Option("--from", metavar="FILE", help="Take YuNet from this file, for machines without a network."),
]


@app.command()
def yunet(
    *,
    source: Source = None,
) -> None:
    """Fetch YuNet (230 kB, MIT license) from the OpenCV zoo into the user's cache, verified by SHA-256.

    From then on, `--detector auto` uses it. The cache is $MIEN_CACHE, or the usual folder of this system. Prints the
    file's path.
    """
    from mien.runtime.download import fetch, is_genuine, place
    from mien.runtime.weights import YUNET, user_cache

    destination = user_cache() / YUNET.name
    if source is not None:
        place(source, YUNET.sha256, destination)
    elif is_genuine(destination, YUNET.sha256):
        console.log("YuNet is installed already")
    else:
        with console.progress() as bar:
            task = bar.add_task("YuNet", total=YUNET.size)
            fetch(
                YUNET,
                destination,
                lambda done, total: bar.update(task, completed=done, total=total or None),
            )
    typer.echo(destination)


@app.command(name="list")
def list_detectors() -> None:
    """List the detectors, where each comes from, and which one `auto` uses."""
    from mien.runtime.detectors import DETECTORS, load_detector
    from mien.runtime.weights import find_yunet

    origins = {"haar": "comes with OpenCV", "yunet": str(find_yunet()), "none": "the whole picture is the face"}
    from rich.table import Table

    table = Table("detector", "installed", "from")
    for name in DETECTORS:
        try:
            found = load_detector(name).name
        except MienError as error:
            table.add_row(name, "no", console.escape(console.as_options(str(error))))
        else:
            table.add_row(name, "yes", console.escape(f"uses {found}" if name == "auto" else origins[name]))
    console.out().print(table)
