"""`mien annotate`: the emotions in many pictures, into Parquet, on one machine or a Ray cluster."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from mien.cli import console, options
from mien.cli.options import ANALYZER, FACES
from mien.errors import ConfigError

if TYPE_CHECKING:
    from mien.annotate import Engine, Options


_INPUT, _RUN = "Which pictures", "How they are processed"

Sources = Annotated[
    list[str],
    typer.Argument(
        metavar="INPUT",
        help="A folder (with its subfolders), a glob pattern in quotes, a list of paths (.txt, one per line; - is "
        "standard input), Parquet files with a column of image bytes, or an fsspec URL of one of these, as s3://...",
    ),
]
Out = Annotated[
    str,
    typer.Option(
        "--out", "-o", metavar="DIR|URL", help="Where the tables go. The same command continues an interrupted run."
    ),
]
Limit = Annotated[
    int | None, typer.Option(min=1, metavar="N", rich_help_panel=_INPUT, help="Read the first N pictures only.")
]
Sample = Annotated[
    float,
    typer.Option(
        metavar="0..1", rich_help_panel=_INPUT, help="Read this fraction of them, chosen by a hash of their paths."
    ),
]
ImageColumn = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", rich_help_panel=_INPUT, help="The column of image bytes.", show_default="found by its name"
    ),
]
IdColumn = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", rich_help_panel=_INPUT, help="The column that names each picture.", show_default="FILE#ROW"
    ),
]
Planned = Annotated[
    bool,
    typer.Option(
        "--planned", rich_help_panel=_INPUT, help="Continue the plan in --out, even if INPUT has changed since."
    ),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Print what would be done and how long it would take. Write nothing.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the manifest, or the estimate, on standard output.")]
EngineName = Annotated[
    Literal["local", "ray"], typer.Option(rich_help_panel=_RUN, help="Processes on this machine, or a Ray cluster.")
]
Workers = Annotated[
    int | None,
    typer.Option(
        "--workers",
        "-j",
        min=0,
        metavar="N",
        rich_help_panel=_RUN,
        help="Processes (0: this one only), or the most actors of Ray.",
        show_default="one per CPU",
    ),
]
Address = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT",
        rich_help_panel=_RUN,
        help="The Ray cluster.",
        show_default="the one that Ray finds, else a new one here",
    ),
]
Gpus = Annotated[
    float, typer.Option(min=0, metavar="N", rich_help_panel=_RUN, help="GPUs of each of Ray's actors, as 0.25.")
]
Providers = Annotated[
    list[str] | None,
    typer.Option(
        "--provider",
        metavar="NAME",
        rich_help_panel=_RUN,
        help="onnxruntime's execution providers, the best first, as CUDAExecutionProvider. May be repeated.",
        show_default="the CPU",
    ),
]
Shard = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="N",
        rich_help_panel=_RUN,
        help="Pictures per shard. A restart repeats the unfinished shards.",
        show_default="16 to 1,000",
    ),
]
MaxPixels = Annotated[
    int,
    typer.Option(
        min=1, metavar="N", rich_help_panel=FACES, help="Refuse pictures with more pixels, width times height."
    ),
]


def annotate(
    sources: Sources,
    *,
    out: Out,
    limit: Limit = None,
    sample: Sample = 1.0,
    image_column: ImageColumn = None,
    id_column: IdColumn = None,
    planned: Planned = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
    engine: EngineName = "local",
    workers: Workers = None,
    address: Address = None,
    gpus: Gpus = 0.0,
    provider: Providers = None,
    shard: Shard = None,
    detector: options.Detector = "auto",
    detector_model: options.DetectorFile = None,
    model: options.Model = None,
    min_face: options.MinFace = ANALYZER.min_face,
    min_face_score: options.MinFaceScore = ANALYZER.min_face_score,
    max_faces: options.MaxFaces = ANALYZER.max_faces,
    detect_mode: options.DetectMode = ANALYZER.detect_mode,
    detect_side: options.DetectSide = ANALYZER.detect_side,
    uncertain_below: options.UncertainBelow = ANALYZER.uncertain_below,
    prior: options.Prior = "training",
    max_pixels: MaxPixels = ANALYZER.max_pixels,
) -> None:
    """Read the emotions in many pictures, into Parquet: millions of them, on one machine or more.

    OUT receives `faces/` (one row per face), `errors/` (one row per picture that could not be read), and
    `manifest.json`, which counts them. After an interruption the same command continues: a shard is written when it is
    complete, and missing or damaged shards are done again. Exits with 1 if pictures could not be read.
    """
    from mien.annotate import Engine, Options
    from mien.annotate.run import dry_run as estimate
    from mien.cli.annotate_progress import print_estimate
    from mien.options import AnalyzerOptions, OptionFields

    source = _only(sources)
    faces: OptionFields = {"min_face": min_face, "min_face_score": min_face_score, "max_faces": max_faces}
    faces |= {"detect_mode": detect_mode, "detect_side": detect_side, "uncertain_below": uncertain_below}
    analyzer = AnalyzerOptions(**faces | {"prior": options.prior_of(prior), "max_pixels": max_pixels})
    chosen = Options(model, detector, detector_model, analyzer, image_column, id_column, sample, limit, shard)
    if dry_run:
        with console.err().status("listing the input"):
            estimated = estimate(source, out, options=chosen)
        print_estimate(estimated, workers, as_json=as_json)
        return
    where = Engine(name=engine, workers=workers, providers=provider, address=address, gpus=gpus)
    manifest = _run(source, out, chosen, where, planned=planned)
    if as_json:
        typer.echo(json.dumps(manifest))
    if manifest["counts"]["errors"] or manifest["input"]["unreadable"]:
        raise typer.Exit(1)


def _only(sources: Sequence[str]) -> str:
    """The one input. Raises ConfigError on several, as a shell makes of a pattern without quotes."""
    if len(sources) > 1:
        raise ConfigError(
            f"expected one INPUT, got {len(sources):,} ({sources[0]}, {sources[1]}, ...): put a pattern in quotes, or "
            "pipe a list into `mien annotate -`"
        )
    return sources[0]


def _run(source: str, out: str, chosen: Options, engine: Engine, *, planned: bool) -> dict[str, Any]:
    """Annotate and print how it goes; returns the manifest."""
    from mien.annotate import annotate as run
    from mien.cli.annotate_progress import print_outcome, watched

    if engine.name == "ray":
        console.log(f"Ray: {engine.address or 'on this machine'}, which takes a while")
    try:
        with watched() as watcher:
            outcome = run(source, out, options=chosen, engine=engine, planned=planned, watcher=watcher)
    except KeyboardInterrupt:
        console.log(f"stopped; the same command goes on in {out}")
        raise
    print_outcome(outcome.manifest, out, nothing_left=not outcome.worked)
    return outcome.manifest
