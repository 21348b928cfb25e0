"""What `mien annotate` prints: its plan, its progress, its outcome, and what it would do."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

from mien.cli import console
from mien.images.find import passed_over

if TYPE_CHECKING:
    from mien.annotate.plan import Plan
    from mien.annotate.run import Estimate, Progress

_LINE_S = 30.0


@contextmanager
def watched() -> Iterator[Watch]:
    """What to call with the plan and the progress: it shows a bar on a terminal, else a line every half minute."""
    with console.progress("{task.fields[figures]}") as bar:
        yield Watch(bar)


class Watch:
    """Prints the plan in a line, and shows the progress."""

    def __init__(self, bar: Any) -> None:
        self._bar, self._task = bar, bar.add_task("listing the input", total=None, figures="")
        self._began = self._printed = time.monotonic()
        self._is_first = True

    def on_plan(self, plan: Plan) -> None:
        """Print the plan, once it is known."""
        _report_left_out(plan)
        console.log(
            f"{_count(plan.pictures, 'picture')} in {_count(plan.shards, 'part')}, for {plan.model['id']} with the "
            f"detector {plan.detector['name']}",
        )

    def on_progress(self, progress: Progress) -> None:
        """Show where the run stands."""
        if self._is_first:
            self._is_first = False
            self._began = self._printed = time.monotonic()
            self._bar.update(self._task, visible=False)
            self._task = self._bar.add_task("pictures", total=progress.pictures, completed=progress.before, figures="")
            if progress.before:
                console.log(f"{progress.before:,} of them are done already")
        now = time.monotonic()
        rate = (progress.done - progress.before) / max(now - self._began, 1e-9)
        figures = f"{rate:.1f}/s  {progress.faces:,} faces  {progress.errors:,} errors"
        self._bar.update(self._task, completed=progress.done, figures=figures)
        if not console.err().is_terminal and now - self._printed > _LINE_S and rate:
            self._printed = now
            left = _duration((progress.pictures - progress.done) / rate)
            console.log(f"{progress.done:,} of {progress.pictures:,} pictures, {figures}, {left} left")


def print_outcome(manifest: Mapping[str, Any], out: str, *, nothing_left: bool) -> None:
    """Print what a run did, and what OUT holds now."""
    counts, run = manifest["counts"], manifest["runs"][-1]
    if nothing_left:
        console.log(f"nothing was left to do in {out}")
    else:
        rate = run["pictures"] / max(run["seconds"], 0.1)
        console.log(f"{_count(run['pictures'], 'picture')} in {_duration(run['seconds'])}, {rate:.1f}/s")
    console.log(
        f"{_count(counts['faces'], 'face')} in {_count(counts['with_faces'], 'picture')}, "
        f"{counts['without_faces']:,} without, {counts['errors']:,} not read: {out}",
    )
    if counts["errors"]:
        kinds = ", ".join(f"{n:,} {kind}" for kind, n in manifest["errors"].items())
        console.report(f"{_count(counts['errors'], 'picture')} not read ({kinds}): {out}/errors says which and why")


def _report_left_out(plan: Plan) -> None:
    """Report what of the input cannot be read, and what was passed over."""
    for unreadable in plan.unreadable:
        console.report(unreadable)
    if plan.passed:
        console.note(passed_over(plan.passed))


def print_estimate(estimate: Estimate, workers: int | None, *, as_json: bool) -> None:
    """Print what a run would do, and about how long it would take."""
    from mien.cpus import usable_cpus

    plan, cpus = estimate.plan, usable_cpus() if workers is None else max(1, workers)
    _report_left_out(plan)
    seconds = (plan.pictures - estimate.done) * estimate.seconds / cpus
    if as_json:
        values = {
            "pictures": plan.pictures,
            "parts": plan.shards,
            "done": estimate.done,
            "model": plan.model["id"],
            "detector": plan.detector["name"],
            "tried": estimate.tried,
            "seconds_a_picture": estimate.seconds,
            "cpus": cpus,
            "seconds": seconds,
        }
        typer.echo(json.dumps(values))
        return
    typer.echo(f"{_count(plan.pictures, 'picture')} in {_count(plan.shards, 'part')}, {estimate.done:,} done already")
    typer.echo(f"model {plan.model['id']}, detector {plan.detector['name']}")
    typer.echo(
        f"{1000 * estimate.seconds:.1f} ms a picture on one CPU, by {estimate.tried} of them: about "
        f"{_duration(seconds)} on {_count(cpus, 'CPU')}"
    )


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _duration(seconds: float) -> str:
    """Seconds in the unit that people would use."""
    for size, unit in ((86_400, "days"), (3600, "h"), (60, "min")):
        if seconds >= size * (2 if unit == "days" else 1):
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"
