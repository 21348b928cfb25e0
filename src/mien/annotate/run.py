"""One run, from the input to the manifest: plan, find what is left, process it, count."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import chain
from secrets import token_hex
from typing import Any, Final, Protocol

import mien
from mien.annotate.columns import Columns, find_columns
from mien.annotate.engine import Engine, Job
from mien.annotate.listing import Listing, list_input
from mien.annotate.local import work_here, work_in_processes
from mien.annotate.manifest import Run, Totals, write_manifest
from mien.annotate.model_bundle import ModelBundle
from mien.annotate.plan import PLAN, Options, Plan, Shard, complete, saved_plan
from mien.annotate.prefetch import fetch
from mien.annotate.shard_output import DONE, ERRORS, FACES, ShardSummary, note_name, part_name, saved_summary
from mien.annotate.storage import Folder
from mien.annotate.worker import Report
from mien.cpus import usable_cpus
from mien.errors import ConfigError, DataError, StorageError

_CHECKERS: Final = 8


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run stands: pictures read and in all, those that were done before it began, errors, faces."""

    done: int
    pictures: int
    before: int
    errors: int
    faces: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run came to: the manifest as it was written, and the number of shards that it processed itself."""

    manifest: dict[str, Any]
    worked: int


class Watcher(Protocol):
    """What is called while a run goes on; a subclass may define one of both."""

    def on_plan(self, plan: Plan) -> None:
        """The plan was made or found."""
        return

    def on_progress(self, progress: Progress) -> None:
        """Called now and then; with `Engine(workers=0)` from another thread."""
        return


def annotate(
    source: str,
    out: str,
    *,
    options: Options = Options(),  # noqa: B008 - frozen
    engine: Engine = Engine(),  # noqa: B008 - frozen
    planned: bool = False,
    watcher: Watcher | None = None,
) -> Outcome:
    """Read the emotions off the faces of many pictures, into Parquet.

    source   a folder, a glob, a picture, a list of paths (.txt), Parquet files that hold pictures, or an fsspec URL of
             one of these; "-" is a list on standard input
    out      a folder, or an fsspec URL of one: it receives faces/ (a row a face), errors/ (a row for each picture that
             was not read), manifest.json, and plan/, by which a later run goes on
    planned  go on with the plan in out, without listing the source again

    A shard whose parts are whole is not done again, unless storage failed in it. Pictures that cannot be read do not
    stop it. Raises ConfigError on options or a source that are invalid, or where out holds results of something else;
    StorageError where it cannot go on: what is done stays, and the same call goes on there.
    """
    watcher = watcher or _Unwatched()
    folder = Folder(out)
    folder.check()
    here = engine.providers if engine.name == "local" else None  # a cluster's nodes have others than this machine
    plan = _plan(source, folder, options, ModelBundle.gather(options, here), planned=planned)
    watcher.on_plan(plan)
    began, clock = datetime.now(UTC).isoformat(timespec="seconds"), time.monotonic()
    totals, left = _progress_in(folder, plan)
    before, counted = totals.items, totals.shards
    if engine.name == "local" and engine.workers is None:
        engine = replace(engine, workers=usable_cpus())

    def report(read: int = 0) -> None:
        done = min(totals.items + read, plan.pictures)  # one by one, the last picture is counted twice
        watcher.on_progress(Progress(done, plan.pictures, before, totals.errors.total(), totals.faces))

    def write(*, complete: bool) -> dict[str, Any]:
        done, seconds = (totals.shards - counted, totals.items - before), round(time.monotonic() - clock, 1)
        run = Run(began, engine.name, engine.workers, *done, seconds)
        return write_manifest(folder, plan, totals, run, complete=complete)

    report()
    try:
        with closing(_reports(Job(folder.everywhere, engine.providers, token_hex(8), left), engine, report)) as reports:
            for each in reports:
                if each.done is None:
                    raise StorageError(each.problem or f"shard {each.shard} failed")
                totals.add(each.done)
        report()
        _check_all_there(folder, plan, totals)
    except BaseException:
        with suppress(StorageError):  # the first error matters more
            write(complete=False)
        raise
    written = write(complete=not plan.unreadable)
    for place in ("", "plan", DONE, "plan/attempts", FACES, ERRORS):
        folder.clean(place)
    return Outcome(written, totals.shards - counted)


class _Unwatched(Watcher):
    """Does nothing."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a run would do: its plan, the pictures that are done already, and seconds a picture on one CPU, measured on
    `tried` of them.
    """

    plan: Plan
    done: int
    tried: int
    seconds: float


_TRIED: Final = 32
"""Pictures that a dry run tries."""


def dry_run(source: str, out: str, *, options: Options = Options()) -> Estimate:  # noqa: B008 - frozen
    """Plan as `annotate` does and try some pictures, but write nothing. Raises as it does."""
    folder = Folder(out)
    folder.check()
    bundle = ModelBundle.gather(options)
    listing = list_input(source, skip=folder.place())
    some = _Some(_TRIED)
    plan = complete(draft_plan(listing, options, bundle), listing, None, on_shard=some.add)
    saved = saved_plan(folder)
    if saved is None:
        _check_free(folder)
    else:
        _check_same(folder, saved, plan)
    analyzer = bundle.analyzer(plan, None)
    clock, met = time.monotonic(), 0
    for shard in some.shards:
        with closing(fetch(plan, shard)) as fetched:
            contents = [item.content for item in fetched]
        met += len(contents)
        for _ in analyzer.try_many(content for content in contents if isinstance(content, bytes)):
            pass
    spent = (time.monotonic() - clock) / met
    return Estimate(plan, 0 if saved is None else _progress_in(folder, saved)[0].items, met, spent)


class _Some:
    """Some pictures from all over a plan, as small shards, while the plan's size is not known yet."""

    def __init__(self, most: int) -> None:
        self._most, self._stride, self._seen = most, 1, 0
        self.shards: list[Shard] = []

    def add(self, shard: Shard) -> None:
        """The next shard of the plan."""
        if self._seen % self._stride == 0:
            paths = shard.paths[:: max(1, len(shard.paths) // 4)][:4]
            start = max(shard.start, shard.stop - 4)  # of a sample's rows the last one is certainly in it
            self.shards.append(replace(shard, paths=paths, start=start))
        self._seen += 1
        if len(self.shards) * 4 > self._most:
            self.shards, self._stride = self.shards[::2], 2 * self._stride


def _plan(source: str, out: Folder, options: Options, bundle: ModelBundle, *, planned: bool) -> Plan:
    """The plan in out, compared with what is asked for now; or a new one, saved there."""
    saved = saved_plan(out)
    if saved is None:
        if planned:
            raise ConfigError(f"{out.url}: holds no plan to go on with")
        _check_free(out)
        listing = list_input(source, skip=out.place())
        plan = draft_plan(listing, options, bundle)
        bundle.save(out)
        return complete(plan, listing, out)
    if planned:
        listing = Listing(saved.input, saved.kind, saved.naming, iter(()))
        asked = replace(saved, options=options, model=bundle.model_record, detector=bundle.detector_record)
        _check_same(out, saved, replace(asked, digest=""))
    else:
        listing = list_input(source, skip=out.place())
        asked = draft_plan(listing, options, bundle)
        _check_same(out, saved, asked)
        _check_same(out, saved, complete(asked, listing, None))
    bundle.save(out)
    return saved


def draft_plan(listing: Listing, options: Options, bundle: ModelBundle) -> Plan:
    """A plan without its pictures yet: the options, the model, the columns."""
    columns = None
    if listing.kind == "parquet":
        columns = _columns(listing, options)
    elif options.image_column or options.id_column:
        raise ConfigError("columns are those of Parquet input, and this input holds pictures")
    return Plan(
        version=mien.__version__,
        input=listing.url,
        kind=listing.kind,
        naming=listing.naming,
        columns=columns,
        options=options,
        model=bundle.model_record,
        detector=bundle.detector_record,
    )


def _columns(listing: Listing, options: Options) -> Columns:
    """The columns of the first Parquet file that can be read; those before it are unreadable."""
    for path in listing.paths:
        try:
            columns = find_columns(path, listing.url, options.image_column, options.id_column)
        except DataError as error:
            listing.unreadable.append(str(error))
            continue
        listing.paths = chain([path], listing.paths)
        return columns
    raise StorageError(listing.unreadable[0])


def _check_free(out: Folder) -> None:
    others = [name for name in out.names() if name != "plan"]
    if others:
        raise ConfigError(f"{out.url}: holds other files ({others[0]}): name a new folder")


def _check_same(out: Folder, saved: Plan, asked: Plan) -> None:
    differences = saved.differences(asked)
    if differences:
        raise ConfigError(
            f"{out.url}: was begun with other options ({'; '.join(differences)}): give the same ones, or another folder"
            + (
                ", or `planned=True` goes on with the plan as it was"
                if saved.digest != asked.digest and asked.digest
                else ""
            )
        )


def _check_all_there(out: Folder, plan: Plan, totals: Totals) -> None:
    """Raise StorageError where pictures are unaccounted for, or where files were removed meanwhile."""
    there = {f"{place}/{name}" for place in ("plan", FACES, DONE) for name in out.names(place)}
    wanted = chain([PLAN], *((part_name(FACES, shard), note_name(shard)) for shard in range(plan.shards)))
    gone = [name for name in wanted if name not in there]
    if gone or totals.shards != plan.shards or totals.items != plan.pictures:
        what = f"files have gone ({gone[0]})" if gone else f"{totals.items:,} of {plan.pictures:,} pictures are done"
        advice = "delete the folder, or name another" if PLAN in gone else "run the same command again"
        raise StorageError(f"{out.url}: {what}: {advice}")


def _progress_in(out: Folder, plan: Plan) -> tuple[Totals, list[int]]:
    """What is done and whole, and the shards that are left: those that are to be redone as well."""
    totals = Totals()
    noted = set(out.names(DONE))

    def done_note(shard: int) -> ShardSummary | None:
        return saved_summary(out, shard) if note_name(shard).rsplit("/", 1)[1] in noted else None

    left = []
    with ThreadPoolExecutor(_CHECKERS) as pool:
        for shard, done in enumerate(pool.map(done_note, range(plan.shards))):
            if done is None or done.needs_retry:
                left.append(shard)
            else:
                totals.add(done)
    return totals, left


def _reports(job: Job, engine: Engine, on_progress: Callable[[int], object]) -> Generator[Report]:
    if not job.shards:
        return
    if engine.name == "ray":
        from mien.annotate.cluster import work_on_ray

        yield from work_on_ray(job, engine, on_progress)
    elif engine.workers:
        yield from work_in_processes(job, engine.workers, on_progress)
    else:
        yield from work_here(job, on_progress)
