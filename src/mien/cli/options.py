"""The options that several commands share, each declared once, as the type of a command's parameter.

Defaults stand in the commands' signatures and come from the dataclasses that the options fill. Those dataclasses are
cheap to import, so that help is printed at once. `-o` and `--out` name the output of every command that writes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, Literal

import typer

from mien.errors import ConfigError
from mien.options import MIN_DETECT_SIDE, AnalyzerOptions
from mien.options import Order as OrderName
from mien.types import DetectMode as DetectModeName
from mien.types import Prior as PriorOption

ANALYZER: Final = AnalyzerOptions()
"""The defaults of what concerns reading pictures and reporting faces."""

MODEL: Final = "Model"
FACES: Final = "Which faces are reported"
DRAWING: Final = "How faces are drawn"
OUTPUT: Final = "What is written"
"""Panels of the help."""


def prior_of(text: str) -> PriorOption:
    """`--prior` as AnalyzerOptions takes it. Raises ConfigError on what is neither a name nor class=frequency,..."""
    if text in ("training", "uniform"):
        return text  # type: ignore[return-value]
    frequencies = {}
    for part in text.split(","):
        name, _, value = part.partition("=")
        try:
            frequencies[name.strip()] = float(value)
        except ValueError:
            raise ConfigError(f"--prior is training, uniform or class=frequency,..., got {text!r}") from None
    return frequencies


# The model and the detector

Model = Annotated[
    str | None,
    typer.Option(
        metavar="FILE|VERSION",
        rich_help_panel=MODEL,
        help="An ONNX file, or the version of a shipped model.",
        show_default="the newest shipped model",
    ),
]
Detector = Annotated[
    Literal["auto", "haar", "yunet", "none"],
    typer.Option(
        rich_help_panel=MODEL,
        help="Face detector. auto: yunet if installed, else haar. none: each picture is one face.",
    ),
]
DetectorFile = Annotated[
    Path | None,
    typer.Option(
        "--detector-model",
        metavar="FILE",
        rich_help_panel=MODEL,
        help="YuNet's ONNX file.",
        show_default="the installed one",
    ),
]
Threads = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="N",
        rich_help_panel=MODEL,
        help="CPU threads for ONNX networks.",
        show_default="onnxruntime's choice",
    ),
]

# Which faces are reported

MinFace = Annotated[
    float,
    typer.Option(metavar="PX", min=0, rich_help_panel=FACES, help="Leave out faces smaller than this many pixels."),
]
MinFaceScore = Annotated[
    float,
    typer.Option(metavar="0..1", min=0, max=1, rich_help_panel=FACES, help="Leave out detections with a lower score."),
]
MaxFaces = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="N",
        rich_help_panel=FACES,
        help="Report at most the N largest faces of a picture or frame.",
        show_default="all",
    ),
]
Order = Annotated[
    OrderName,
    typer.Option(rich_help_panel=FACES, help="Order of a picture's faces: from left to right, or the largest first."),
]
DetectMode = Annotated[
    DetectModeName,
    typer.Option(
        rich_help_panel=FACES,
        help="fast: nearly all faces of 40 pixels and more. thorough: of 20 and more, in two to three times the time.",
    ),
]
DetectSide = Annotated[
    int | None,
    typer.Option(
        min=MIN_DETECT_SIDE,
        metavar="PX",
        rich_help_panel=FACES,
        help="Detect faces in a copy of this longer side: quicker, and small faces are missed.",
        show_default="photos in full size, frames at 960; Haar: 1280, 640",
    ),
]
Prior = Annotated[
    str,
    typer.Option(
        metavar="PRIOR",
        rich_help_panel=FACES,
        help="How frequent each class is expected to be: training, as in the training data; uniform, all alike, which "
        "names rare emotions more often; or class=frequency,... for all classes.",
    ),
]
UncertainBelow = Annotated[
    float,
    typer.Option(
        metavar="0..1",
        min=0,
        max=1,
        rich_help_panel=FACES,
        help="Mark a prediction as uncertain if its probability is lower.",
    ),
]
Flip = Annotated[
    bool,
    typer.Option(
        "--flip",
        help="Average the predictions for each face and its mirror image: slightly better, in twice the time.",
    ),
]

# What is written

JsonLines = Annotated[
    str | None,
    typer.Option(
        "--json",
        metavar="FILE|-",
        rich_help_panel=OUTPUT,
        help="Write JSON Lines, one line per photo or frame. - is standard output.",
    ),
]
Csv = Annotated[
    str | None,
    typer.Option(
        "--csv",
        metavar="FILE|-",
        rich_help_panel=OUTPUT,
        help="Write a table, one row per face. - is standard output.",
    ),
]
Stats = Annotated[
    bool,
    typer.Option("--stats", rich_help_panel=OUTPUT, help="Print at the end how long each stage took."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on standard output, and nothing else there.")]
Force = Annotated[bool, typer.Option("--force", help="Replace an existing output.")]

# How faces are drawn

Theme = Annotated[
    Literal["labels", "emoji", "blur", "pixelate", "minimal"],
    typer.Option(rich_help_panel=DRAWING, help="How faces are marked. emoji, blur, pixelate cover the whole head."),
]
Emoji = Annotated[
    bool | None,
    typer.Option("--emoji/--no-emoji", rich_help_panel=DRAWING, help="Draw emoji.", show_default="as the theme does"),
]
Labels = Annotated[
    bool | None,
    typer.Option(
        "--labels/--no-labels", rich_help_panel=DRAWING, help="Draw labels.", show_default="as the theme does"
    ),
]

# Labelled faces

_DATA = (
    "Labelled faces: fer2013.csv (plain, .gz, .zip, .tar.gz), FER+ folder, class folders, manifest, Parquet, a folder "
    "of Parquet, or a pack."
)

Dataset = Annotated[Path, typer.Argument(metavar="DATA", help=_DATA)]
Data = Annotated[Path, typer.Option("--data", metavar="DATA", help=_DATA)]
OptionalData = Annotated[Path | None, typer.Option("--data", metavar="DATA", help=_DATA)]
SkipBad = Annotated[bool, typer.Option("--skip-bad", help="Leave out malformed rows.")]
OwnClasses = Annotated[
    bool, typer.Option("--own-classes", help="Take folder or label names as classes, not Mien's seven.")
]
LabelMap = Annotated[
    str | None,
    typer.Option(
        "--labels",
        metavar="LABEL=CLASS,...",
        help="What labels or folder names mean, as `1=surprise,2=fear,8=drop`; drop leaves such rows out.",
        show_default="the names of emotions",
    ),
]

# Training

RunFolder = Annotated[
    Path, typer.Option("--out", "-o", metavar="DIR", help="Folder of the run: checkpoints, metrics, curves.")
]
Network = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="alexnet (the paper's), alexnet-compact, alexnet-torchvision; resnet or face-resnet, teachers.",
        show_default="the recipe's",
    ),
]
Epochs = Annotated[
    int | None, typer.Option(min=1, metavar="N", help="Passes over the faces.", show_default="the recipe's")
]
Seed = Annotated[
    int | None, typer.Option(min=0, metavar="N", help="Seed of all random numbers.", show_default="the recipe's")
]
RecipeSettings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="FIELD=VALUE",
        help="Change any field of the recipe; may be repeated: `--set batch=64 --set network.dropout=0.3 "
        "--set augmentation.rotation=20`. `--show-recipe` lists the fields.",
    ),
]
Init = Annotated[
    str | None,
    typer.Option(
        metavar="mien|imagenet|FILE",
        help="Initial weights: `mien` (the shipped model), a run or checkpoint, an ONNX file of Mien, `imagenet` "
        "(torchvision's AlexNet, downloaded), a .pth file of that format, or for face-resnet dlib's .dat file.",
        show_default="random",
    ),
]
Outliers = Annotated[
    Path | None,
    typer.Option(
        "--outliers",
        metavar="DIR",
        help="Pictures without faces: the model learns to be uncertain there; with `--set outliers=0.1`.",
    ),
]
Resume = Annotated[bool, typer.Option("--resume", help="Continue the run in --out, bit for bit.")]
DropLeaks = Annotated[
    bool, typer.Option("--drop-leaks", help="Leave out training faces that are in validation or test too.")
]
Accelerator = Annotated[
    Literal["auto", "cpu", "gpu", "cuda", "mps"], typer.Option(help="What to train on. auto: a GPU if there is one.")
]
Devices = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="N",
        help="Devices of this machine, or processes on its CPU.",
        show_default="1; under torchrun, its processes",
    ),
]
ShowRecipe = Annotated[bool, typer.Option("--show-recipe", help="Print the whole recipe and exit.")]
