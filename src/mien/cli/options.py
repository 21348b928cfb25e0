"""Options that several commands share, as types of their parameters."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, Literal, TypeAlias

import typer

PANEL: Final = "Model"
"""Where the help lists them."""

DetectorName: TypeAlias = Annotated[
    Literal["auto", "haar", "yunet", "none"],
    typer.Option(rich_help_panel=PANEL, help="Face detector; auto takes yunet where it is at hand."),
]

DetectorFile: TypeAlias = Annotated[
    Path | None,
    typer.Option(metavar="FILE", rich_help_panel=PANEL, help="YuNet's ONNX file, instead of the one at hand."),
]

ModelName: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="FILE|VERSION",
        rich_help_panel=PANEL,
        help="An ONNX file, or the version of a shipped model; default: newest.",
    ),
]
