"""`mien predict`: the emotions of the faces in photos, or in a video."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mien.cli import options
from mien.cli.options import ANALYZER, OUTPUT
from mien.cli.outputs import Drawing, Outputs, RecordFiles

if TYPE_CHECKING:
    from mien.analyzer import Analyzer
    from mien.options import OptionFields

_VIDEO = "Video"

Paths = Annotated[
    list[str],
    typer.Argument(metavar="PATH", help="Photos, folders (with their subfolders), or glob patterns; or one video."),
]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out",
        "-o",
        metavar="DIR|FILE",
        rich_help_panel=OUTPUT,
        help="Write copies with marked faces: of photos into this folder, of a video into this file.",
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
Chart = Annotated[
    Path | None,
    typer.Option(metavar="FILE", rich_help_panel=_VIDEO, help="Draw each person's emotions over time (PNG, SVG, PDF)."),
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
    chart: Chart = None,
    stats: Stats = False,
) -> None:
    """Name the emotion of every face in photos, or in a video.

    Prints a table, tab-separated if standard output is no terminal: one line per face of photos, one line per person
    of a video. An uncertain emotion has a question mark in the table, and a yes in the tab-separated lines. A photo
    that cannot be read is reported, the others are processed, and the exit code is 1. Ctrl-C ends a video early; what
    was done is saved.
    """
    from mien.analyzer import load
    from mien.errors import ConfigError

    if theme == "emoji" and max_faces is not None:
        raise ConfigError("--theme emoji covers every face that is found: leave out --max-faces")

    def analyzer(*, reduce: bool) -> Analyzer:
        faces: OptionFields = {"min_face": min_face, "min_face_score": min_face_score, "max_faces": max_faces}
        faces |= {"order": order, "detect_mode": detect_mode, "detect_side": detect_side}
        faces |= {"uncertain_below": uncertain_below, "prior": options.prior_of(prior), "flip": flip, "reduce": reduce}
        return load(model, detector=detector, detector_model=detector_model, threads=threads, **faces)

    outputs = Outputs(out, Drawing(theme, emoji, labels), RecordFiles(json_lines, csv, landmarks))
    of_video = {"start": start, "end": end, "every": every, "chart": chart, "stats": stats or None}
    video = _only_video(paths, [name for name, value in of_video.items() if value is not None])
    if video is None:
        from mien.cli.photos import predict_photos

        predict_photos(paths, analyzer, outputs)
        return
    from mien.cli.video import Excerpt, predict_video

    predict_video(video, analyzer(reduce=False), outputs, Excerpt(start, end, every), chart=chart, stats=stats)


def _only_video(paths: list[str], of_video: list[str]) -> Path | None:
    """The video, or None for photos.

    Raises ConfigError on a video among other paths, and on options of videos without one.
    """
    from mien.errors import ConfigError
    from mien.images.animation import moves

    videos = [path for path in paths if moves(path)]
    if videos and len(paths) > 1:
        raise ConfigError(f"a video goes alone: {videos[0]} is one, and there are {len(paths)} paths")
    if of_video and not videos:
        raise ConfigError(f"--{of_video[0]} goes with a video, and there is none")
    return Path(videos[0]) if videos else None
