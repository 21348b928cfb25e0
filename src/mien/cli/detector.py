"""`mien detector`: list the installed face detectors, and fetch YuNet where the package does not hold it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mien.cli import console
from mien.errors import MienError

app = typer.Typer(no_args_is_help=True, help="Face detectors: fetch YuNet, list what is installed.")

Source = Annotated[
    Path | None,
    typer.Option("--from", metavar="FILE", help="Take this file instead: the OpenCV zoo's of May 2026 or March 2023."),
]


@app.command()
def yunet(
    *,
    source: Source = None,
) -> None:
    """Fetch YuNet (230 kB, MIT license) from the OpenCV zoo into the user's cache, verified by SHA-256.

    Nothing is fetched if the package holds it, as it usually does. Afterwards, `--detector auto` uses it. The cache is
    $MIEN_CACHE, or the usual folder of this system. Prints the file's path.
    """
    from mien.runtime.download import fetch, is_genuine
    from mien.runtime.weights import YUNET, user_cache, vendored_yunet
    from mien.runtime.yunet_file import place_yunet

    destination = user_cache() / YUNET.name
    if source is not None:
        place_yunet(source, destination)
    elif is_genuine(vendored_yunet(), YUNET.sha256):
        console.log("YuNet came with the package")
        destination = vendored_yunet()
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
