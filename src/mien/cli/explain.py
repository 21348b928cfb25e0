"""`mien explain`: which parts of a photo's faces spoke for their emotion."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mien.cli import console, options
from mien.cli.options import ANALYZER, OUTPUT

if TYPE_CHECKING:
    from mien.explanation import Explanation
    from mien.options import OptionFields

_COLUMNS = ("face", "emotion", "confidence", "explained", "probability", "most for", "most against")

Photo = Annotated[str, typer.Argument(metavar="PHOTO", help="A photo. - is standard input.")]
Out = Annotated[
    Path,
    typer.Option(
        "--out",
        "-o",
        metavar="FILE",
        rich_help_panel=OUTPUT,
        help="Write the faces with their maps and probabilities into this PNG or JPEG.",
    ),
]
Emotion = Annotated[
    str | None,
    typer.Option(metavar="CLASS", help="Ask what spoke for this class.", show_default="each face's likeliest"),
]


def explain(
    photo: Photo,
    *,
    out: Out,
    emotion: Emotion = None,
    detector: options.Detector = "auto",
    detector_model: options.DetectorFile = None,
    model: options.Model = None,
    threads: options.Threads = None,
    min_face: options.MinFace = ANALYZER.min_face,
    min_face_score: options.MinFaceScore = ANALYZER.min_face_score,
    max_faces: options.MaxFaces = ANALYZER.max_faces,
    order: options.Order = ANALYZER.order,
    detect_mode: options.DetectMode = ANALYZER.detect_mode,
    detect_side: options.DetectSide = ANALYZER.detect_side,
    prior: options.Prior = "training",
) -> None:
    """Draw which part of each face in a photo spoke for its emotion.

    Parts are hidden in turn, and a map shows how much the probability depends on each. It shows what the model reacted
    to, not what the person feels. Prints a line a face: the map's largest value for the class, and against it. Exits
    with 1 where there is no face.
    """
    from mien.analyzer import load
    from mien.cli.inputs import stdin_stored
    from mien.cli.outputs import check_apart
    from mien.images.save import check_suffix

    check_suffix(out)
    faces: OptionFields = {"min_face": min_face, "min_face_score": min_face_score, "max_faces": max_faces}
    faces |= {"order": order, "detect_mode": detect_mode, "detect_side": detect_side}
    faces |= {"prior": options.prior_of(prior)}
    with stdin_stored([photo]) as [path]:
        check_apart([out], [Path(path)])
        analyzer = load(model, detector=detector, detector_model=detector_model, threads=threads, **faces)
        explanation = analyzer.explain(path, emotion=emotion)
    if not explanation.faces:
        console.report(f"{photo}: no face found, so there is nothing to explain")
        raise typer.Exit(1)
    explanation.save(out)
    _print(explanation)
    console.log(f"the maps are in {out}")


def _print(explanation: Explanation) -> None:
    lines = [
        (
            str(number),
            one.face.emotion,
            f"{one.face.confidence:.3f}",
            one.emotion,
            f"{one.probabilities[one.emotion]:.3f}",
            f"{max(0.0, float(one.map.max())):.3f}",
            f"{min(0.0, float(one.map.min())) + 0.0:.3f}",
        )
        for number, one in enumerate(explanation.faces, 1)
    ]
    if not console.is_terminal():
        for line in (_COLUMNS, *lines):
            typer.echo("\t".join(line))
        return
    from rich.box import SIMPLE
    from rich.table import Table

    table = Table(*_COLUMNS, box=SIMPLE)
    for line in lines:
        table.add_row(*map(console.escape, line))
    console.out().print(table)
