"""`mien annotate`: the emotions in many pictures, into Parquet, on one machine or a Ray cluster."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from mien.cli import console
from mien.cli.options import DetectorFile, DetectorName, ModelName

if TYPE_CHECKING:
    from mien.annotate.plan import Plan
    from mien.annotate.run import Estimate, Progress

_WHICH, _HOW, _JUDGING = "Which pictures", "How it is worked off", "What counts as a face"
_LINE_S = 30.0


def annotate(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT",
            help="A folder (with its subfolders), a glob pattern in quotes, a list of paths (.txt, one a line; - is "
            "standard input), Parquet files with a column of image bytes, or an fsspec URL of one of these, as s3://...",
        ),
    ],
    *,
    out: Annotated[
        str,
        typer.Option(
            "--out", "-o", metavar="DIR|URL", help="Where the tables go. The same command goes on with what is there."
        ),
    ],
    limit: Annotated[
        int | None, typer.Option(min=1, metavar="N", rich_help_panel=_WHICH, help="Take the first N pictures only.")
    ] = None,
    sample: Annotated[
        float,
        typer.Option(
            metavar="0..1",
            rich_help_panel=_WHICH,
            help="Take so large a share of them, picked by a hash of their paths.",
        ),
    ] = 1.0,
    image_column: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", rich_help_panel=_WHICH, help="The column of image bytes.", show_default="found by its name"
        ),
    ] = None,
    id_column: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", rich_help_panel=_WHICH, help="The column that names each picture.", show_default="FILE#ROW"
        ),
    ] = None,
    planned: Annotated[
        bool,
        typer.Option(
            "--planned", rich_help_panel=_WHICH, help="Go on with the plan in --out, whatever INPUT holds by now."
        ),
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Say what would be done and about how long it takes, and write nothing."),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the manifest, or the estimate, to standard output.")
    ] = False,
    engine: Annotated[
        Literal["local", "ray"], typer.Option(rich_help_panel=_HOW, help="Processes on this machine, or a Ray cluster.")
    ] = "local",
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers",
            "-j",
            min=0,
            metavar="N",
            rich_help_panel=_HOW,
            help="Processes (0: this one alone), or at most so many of Ray's actors.",
            show_default="one a CPU",
        ),
    ] = None,
    address: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            rich_help_panel=_HOW,
            help="The Ray cluster; default: the one that Ray finds, else a new one here.",
        ),
    ] = None,
    gpus: Annotated[
        float,
        typer.Option(min=0, metavar="SHARE", rich_help_panel=_HOW, help="What each of Ray's actors takes of a GPU."),
    ] = 0.0,
    provider: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            rich_help_panel=_HOW,
            help="onnxruntime's execution providers, the best first, as CUDAExecutionProvider; repeat the option.",
            show_default="the CPU",
        ),
    ] = None,
    shard: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            rich_help_panel=_HOW,
            help="Pictures in a part, which is what a restart repeats.",
            show_default="16 to 1,000",
        ),
    ] = None,
    detector: DetectorName = "auto",
    detector_model: DetectorFile = None,
    model: ModelName = None,
    min_face: Annotated[
        float | None,
        typer.Option(metavar="PX", min=0, rich_help_panel=_JUDGING, help="Leave out smaller faces.", show_default="20"),
    ] = None,
    min_face_score: Annotated[
        float | None,
        typer.Option(
            metavar="0..1",
            min=0,
            max=1,
            rich_help_panel=_JUDGING,
            help="Leave out faces the detector is less sure of.",
            show_default="0.7",
        ),
    ] = None,
    uncertain_below: Annotated[
        float | None,
        typer.Option(
            metavar="0..1",
            min=0,
            max=1,
            rich_help_panel=_JUDGING,
            help="Mark faces as uncertain whose emotion is less probable.",
            show_default="0.6",
        ),
    ] = None,
    max_pixels: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", rich_help_panel=_JUDGING, help="Refuse larger pictures.", show_default="100 million"
        ),
    ] = None,
) -> None:
    """Read the emotions in many pictures, into Parquet: millions of them, on one machine or more.

    OUT receives `faces/` (a row a face), `errors/` (a row for each picture that could not be read), and
    `manifest.json`, which counts them. Whatever interrupts it, the same command goes on where it stood: a part appears
    when it is whole, and parts that are missing or damaged are done again. Exits 1 where pictures could not be read.
    """
    from mien.annotate import Engine, Options
    from mien.annotate import annotate as run
    from mien.annotate.run import dry_run as estimate
    from mien.errors import ConfigError
    from mien.options import AnalyzerOptions

    if len(sources) > 1:
        raise ConfigError(
            f"expected one INPUT, got {len(sources):,} ({sources[0]}, {sources[1]}, ...): put a pattern in quotes, or "
            "pipe a list into `mien annotate -`"
        )
    source = sources[0]
    options = Options(
        model=model,
        detector=detector,
        detector_model=detector_model,
        analyzer=AnalyzerOptions(
            **_given(
                min_face=min_face, min_face_score=min_face_score, uncertain_below=uncertain_below, max_pixels=max_pixels
            )
        ),
        image_column=image_column,
        id_column=id_column,
        sample=sample,
        limit=limit,
        shard=shard,
    )
    if dry_run:
        with console.err().status("listing the input"):
            found = estimate(source, out, options=options)
        _tell_estimate(found, workers, as_json=as_json)
        return
    chosen = Engine(name=engine, workers=workers, providers=provider, address=address, gpus=gpus)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a scheduler's signal, handled as Ctrl-C
    if engine == "ray":
        console.err().print(
            f"Ray: {console.escape(address or 'on this machine')}, which takes a while", highlight=False
        )
    try:
        with _watched() as watcher:
            outcome = run(source, out, options=options, engine=chosen, planned=planned, watcher=watcher)
    except KeyboardInterrupt:
        console.err().print(
            f"stopped; the same command goes on in {console.escape(out)}", soft_wrap=True, highlight=False
        )
        raise
    _tell(outcome.manifest, out, nothing_left=not outcome.worked)
    if as_json:
        typer.echo(json.dumps(outcome.manifest))
    if outcome.manifest["counts"]["errors"] or outcome.manifest["input"]["unreadable"]:
        raise typer.Exit(1)


def _given(**options: Any) -> dict[str, Any]:
    """The options that were given; the others have their defaults."""
    return {name: value for name, value in options.items() if value is not None}


@contextmanager
def _watched() -> Iterator[_Watcher]:
    """What shows the plan, and the progress: a bar on a terminal, else a line now and then."""
    with console.progress("{task.fields[figures]}") as bar:
        yield _Watcher(bar)


class _Watcher:
    """Prints the plan in a line, and shows the progress as it comes."""

    def __init__(self, bar: Any) -> None:
        self._bar, self._task = bar, bar.add_task("listing the input", total=None, figures="")
        self._began = self._told = time.monotonic()
        self._is_first = True

    def on_plan(self, plan: Plan) -> None:
        """The plan, once it is known."""
        for lost in plan.unreadable:
            console.report(lost)
        console.err().print(
            f"{_count(plan.pictures, 'picture')} in {_count(plan.shards, 'part')}, for {plan.model['id']} with the "
            f"detector {plan.detector['name']}",
            highlight=False,
        )

    def on_progress(self, progress: Progress) -> None:
        """Where the run stands."""
        if self._is_first:
            self._is_first = False
            self._began = self._told = time.monotonic()
            self._bar.update(self._task, visible=False)
            self._task = self._bar.add_task("pictures", total=progress.pictures, completed=progress.before, figures="")
            if progress.before:
                console.err().print(f"{progress.before:,} of them are done already", highlight=False)
        now = time.monotonic()
        rate = (progress.done - progress.before) / max(now - self._began, 1e-9)
        figures = f"{rate:.1f}/s  {progress.faces:,} faces  {progress.errors:,} errors"
        self._bar.update(self._task, completed=progress.done, figures=figures)
        if not console.err().is_terminal and now - self._told > _LINE_S and rate:
            self._told = now
            left = _duration((progress.pictures - progress.done) / rate)
            console.err().print(
                f"{progress.done:,} of {progress.pictures:,} pictures, {figures}, {left} left", highlight=False
            )


def _tell(manifest: Mapping[str, Any], out: str, *, nothing_left: bool) -> None:
    counts, run = manifest["counts"], manifest["runs"][-1]
    if nothing_left:
        console.err().print(f"nothing was left to do in {console.escape(out)}", soft_wrap=True, highlight=False)
    else:
        rate = run["pictures"] / max(run["seconds"], 0.1)
        console.err().print(
            f"{_count(run['pictures'], 'picture')} in {_duration(run['seconds'])}, {rate:.1f}/s", highlight=False
        )
    console.err().print(
        f"{_count(counts['faces'], 'face')} in {_count(counts['with_faces'], 'picture')}, "
        f"{counts['without_faces']:,} without, {counts['errors']:,} not read: {console.escape(out)}",
        soft_wrap=True,
        highlight=False,
    )
    if counts["errors"]:
        kinds = ", ".join(f"{n:,} {kind}" for kind, n in manifest["errors"].items())
        console.report(f"{_count(counts['errors'], 'picture')} not read ({kinds}): {out}/errors says which and why")


def _tell_estimate(found: Estimate, workers: int | None, *, as_json: bool) -> None:
    from mien.annotate.local import usable_cpus

    plan, cpus = found.plan, usable_cpus() if workers is None else max(1, workers)
    for lost in plan.unreadable:
        console.report(lost)
    seconds = (plan.pictures - found.done) * found.seconds / cpus
    if as_json:
        values = {
            "pictures": plan.pictures,
            "parts": plan.shards,
            "done": found.done,
            "model": plan.model["id"],
            "detector": plan.detector["name"],
            "tried": found.tried,
            "seconds_a_picture": found.seconds,
            "cpus": cpus,
            "seconds": seconds,
        }
        typer.echo(json.dumps(values))
        return
    typer.echo(f"{_count(plan.pictures, 'picture')} in {_count(plan.shards, 'part')}, {found.done:,} done already")
    typer.echo(f"model {plan.model['id']}, detector {plan.detector['name']}")
    typer.echo(
        f"{1000 * found.seconds:.1f} ms a picture on one CPU, by {found.tried} of them: about {_duration(seconds)} on "
        f"{_count(cpus, 'CPU')}"
    )


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _duration(seconds: float) -> str:
    """Seconds as people say it."""
    for size, unit in ((86_400, "days"), (3600, "h"), (60, "min")):
        if seconds >= size * (2 if unit == "days" else 1):
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"
