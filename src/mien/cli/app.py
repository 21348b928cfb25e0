"""All commands in one app."""

from __future__ import annotations

from typing import Annotated

import typer

import mien
from mien.cli import data, detector
from mien.cli.annotate import annotate
from mien.cli.distill import distill
from mien.cli.errors import errors
from mien.cli.evaluate import evaluate
from mien.cli.explain import explain
from mien.cli.export import export
from mien.cli.info import info
from mien.cli.page import page
from mien.cli.predict import predict
from mien.cli.report import report
from mien.cli.serve import serve
from mien.cli.train import train
from mien.cli.webcam import webcam

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(predict)
app.command()(explain)
app.command()(webcam)
app.command()(report)
app.command()(annotate)
app.command()(serve)
app.command()(page)
app.command()(train)
app.command()(distill)
app.command()(evaluate)
app.command()(errors)
app.command()(export)
app.command()(info)
app.add_typer(data.app, name="data")
app.add_typer(detector.app, name="detector")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"mien {mien.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Mien reads seven emotions off faces: anger, disgust, fear, happiness, neutral, sadness, surprise."""
