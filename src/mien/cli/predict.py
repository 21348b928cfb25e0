"""`mien predict`: the emotions of the faces in photos and videos."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mien.cli import options
from mien.cli.options import ANALYZER, OUTPUT
from mien.cli.outputs import Drawing, Outputs, RecordFiles

if TYPE_CHECKING:
    from collections.abc import Callable

    from mien.analyzer import Analyzer
    from mien.cli.inputs import Inputs
    from mien.options import OptionFields

_VIDEO = "Video"

Paths = Annotated[
    list[str],
    typer.Argument(
        metavar="PATH", help="Photos, videos, folders (with their subfolders), or glob patterns. - is standard input."
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out",
        "-o",
        metavar="DIR|FILE",
        rich_help_panel=OUTPUT,
        help="Write copies with marked faces. One photo or video: a file or a folder. Several: a folder.",
    ),
]
Landmarks = Annotated[
    bool,
    typer.Option(
        "--landmarks",
        rich_help_panel=OUTPUT,
        help="Write eyes, nose and corners of the mouth into the JSON Lines too, where the detector finds them.",
    ),
]
Start = Annotated[
    float | None, typer.Option(metavar="SECONDS", min=0, rich_help_panel=_VIDEO, help="Start of the part to read.")
]
End = Annotated[
    float | None, typer.Option(metavar="SECONDS", min=0, rich_help_panel=_VIDEO, help="End of the part to read.")
]
Every = Annotated[
    float | None, typer.Option(metavar="SECONDS", min=0, rich_help_panel=_VIDEO, help="Read one frame per N seconds.")
]
Rate = Annotated[
    float | None,
    typer.Option(
        metavar="N",
        min=0,
        rich_help_panel=_VIDEO,
        help="Read a folder of pictures as a video of N frames a second.",
    ),
]
Persons = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        min=1,
        rich_help_panel=_VIDEO,
        help="How many persons each video shows. Use it where one person gets several numbers.",
        show_default="as they look",
    ),
]
Chart = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        rich_help_panel=_VIDEO,
        help="Draw each person's emotions over time (PNG, SVG, PDF); of several videos into this folder.",
    ),
]
Resume = Annotated[
    bool,
    typer.Option("--resume", rich_help_panel=_VIDEO, help="Pass over videos whose files are all there already."),
]
Stats = Annotated[
    bool, typer.Option("--stats", rich_help_panel=_VIDEO, help="Print at the end how long each stage took.")
]


def predict(
    paths: Paths,
    *,
    out: Out = None,
    json_lines: options.JsonLines = None,
    csv: options.Csv = None,
    landmarks: Landmarks = False,
    theme: options.Theme = "labels",
    emoji: options.Emoji = None,
    labels: options.Labels = None,
    detector: options.Detector = "auto",
    detector_model: options.DetectorFile = None,
    model: options.Model = None,
    threads: options.Threads = None,
    flip: options.Flip = ANALYZER.flip,
    min_face: options.MinFace = ANALYZER.min_face,
    min_face_score: options.MinFaceScore = ANALYZER.min_face_score,
    max_faces: options.MaxFaces = ANALYZER.max_faces,
    order: options.Order = ANALYZER.order,
    detect_mode: options.DetectMode = ANALYZER.detect_mode,
    detect_side: options.DetectSide = ANALYZER.detect_side,
    uncertain_below: options.UncertainBelow = ANALYZER.uncertain_below,
    prior: options.Prior = "training",
    start: Start = None,
    end: End = None,
    every: Every = None,
    rate: Rate = None,
    persons: Persons = None,
    chart: Chart = None,
    resume: Resume = False,
    stats: Stats = False,
) -> None:
    """Name the emotion of every face in photos and videos.

    Prints a table, tab-separated if standard output is no terminal: one line per face of photos, one line per person of
    videos. An uncertain emotion has a question mark in the table, and a yes in the tab-separated lines. What cannot be
    read is reported, the rest is processed, and the exit code is 1. Ctrl-C, SIGTERM and a closed terminal end it early;
    what was done is saved. For several videos name folders: `--out DIR`, `--json DIR/`, `--csv DIR/`.
    """
    from mien.analyzer import load
    from mien.cli.inputs import find_inputs, stdin_stored
    from mien.drawing.style import COVERING
    from mien.errors import ConfigError

    if theme in COVERING and max_faces is not None:
        raise ConfigError(f"--theme {theme} covers every face that is found: leave out --max-faces")

    def analyzer(*, reduce: bool) -> Analyzer:
        faces: OptionFields = {"min_face": min_face, "min_face_score": min_face_score, "max_faces": max_faces}
        faces |= {"order": order, "detect_mode": detect_mode, "detect_side": detect_side}
        faces |= {"uncertain_below": uncertain_below, "prior": options.prior_of(prior), "flip": flip, "reduce": reduce}
        return load(model, detector=detector, detector_model=detector_model, threads=threads, **faces)

    outputs = Outputs(out, Drawing(theme, emoji, labels), RecordFiles(json_lines, csv, landmarks), chart)
    of_video = {"start": start, "end": end, "every": every, "persons": persons, "chart": chart}
    of_video |= {"resume": resume or None, "stats": stats or None}
    with stdin_stored(paths) as stored:
        inputs = find_inputs(stored, rate=rate, skip=[folder for folder in (out, chart) if folder])
        _check(inputs, [name for name, value in of_video.items() if value is not None], resume=resume)
        _predict(inputs, analyzer, outputs, (start, end, every, rate, persons), resume=resume, stats=stats)


def _check(inputs: Inputs, of_video: list[str], *, resume: bool) -> None:
    """Raise ConfigError on options of videos without one, and on those of several for one."""
    from mien.errors import ConfigError

    if of_video and not (inputs.only or inputs.search.videos):
        raise ConfigError(f"--{of_video[0]} goes with a video, and there is none")
    if resume and inputs.only:
        raise ConfigError(f"--resume goes with several videos or a folder of them, and {inputs.only} is one")


def _predict(
    inputs: Inputs,
    analyzer: Callable[..., Analyzer],
    outputs: Outputs,
    part: tuple[float | None, float | None, float | None, float | None, int | None],
    *,
    resume: bool,
    stats: bool,
) -> None:
    """Read what there is; part is start, end, every, rate and persons. What is not needed is not imported."""
    if not (inputs.only or inputs.search.videos):
        from mien.cli.photos import predict_photos

        predict_photos(inputs.search, analyzer, outputs)
        return
    from mien.cli.two_passes import Excerpt
    from mien.cli.video import predict_video

    if inputs.only:
        predict_video(inputs.only, analyzer(reduce=False), outputs, Excerpt(*part), stats=stats)
        return
    from mien.cli.videos import predict_videos

    predict_videos(inputs.search, analyzer, outputs, Excerpt(*part), resume=resume, stats=stats)
