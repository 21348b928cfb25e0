"""One run, from the input to the manifest: plan, find what is left, work it off, count."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from secrets import token_hex
from typing import Any, Final, Literal

import mien
from mien.annotate.columns import Columns, find_columns
from mien.annotate.listing import Listing, look_up
from mien.annotate.local import usable_cpus, work_here, work_in_processes
from mien.annotate.manifest import Run, Totals, write_manifest
from mien.annotate.model_bundle import Equipment
from mien.annotate.plan import PLAN, Options, Plan, Shard, complete, kept_plan
from mien.annotate.prefetch import fetch
from mien.annotate.shard_output import DONE, ERRORS, FACES, Done, kept_part, note_name, part_name
from mien.annotate.storage import Folder
from mien.annotate.worker import Report
from mien.errors import ConfigError, DataError, StorageError

Engine = Literal["local", "ray"]

_CHECKERS: Final = 8


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run stands: pictures looked at and in all, those that were done before it began, errors, faces."""

    done: int
    pictures: int
    before: int
    errors: int
    faces: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run came to: the manifest as it was written, and how many shards it worked off itself."""

    manifest: dict[str, Any]
    worked: int


def annotate(
    source: str,
    out: str,
    *,
    model: str | None = None,
    detector: str = "auto",
    detector_model: Path | None = None,
    options: Options = Options(),  # noqa: B008 - frozen
    engine: Engine = "local",
    workers: int | None = None,
    providers: Sequence[str] | None = None,
    address: str | None = None,
    gpus: float = 0.0,
    planned: bool = False,
    on_plan: Callable[[Plan], object] = lambda _: None,
    on_progress: Callable[[Progress], object] = lambda _: None,
) -> Outcome:
    """Read the emotions off the faces of many pictures, into Parquet.

    source      a folder, a glob, a picture, a list of paths (.txt), Parquet files that hold pictures, or an fsspec URL
                of one of these; "-" is a list on standard input
    out         a folder, or an fsspec URL of one: it receives faces/ (a row a face), errors/ (a row for each picture
                that was not read), manifest.json, and plan/, by which a later run goes on
    model, detector, detector_model, providers
                as in `mien.load`
    options     what the rows depend on besides
    engine      "local", or "ray" (extra `[ray]`)
    workers     processes, or with Ray the most actors; None: one a CPU; 0: this process, with the engine local
    address     of the Ray cluster
    gpus        what each of Ray's actors takes of a GPU
    planned     go on with the plan that out keeps, without looking at the source again
    on_plan     is given the plan, when it is made or found
    on_progress is called now and then, with workers=0 from another thread

    A shard whose parts are whole is not done again, unless storage failed in it. Pictures that cannot be read do not
    stop it. Raises ConfigError on options or a source that make no sense, or where out holds results of something else;
    StorageError where it cannot go on: what is done stays, and the same call goes on there.
    """
    if engine not in ("local", "ray"):
        raise ConfigError(f"expected the engine local or ray, got {engine!r}")
    if workers is not None and workers < (0 if engine == "local" else 1):
        raise ConfigError(f"workers must be {0 if engine == 'local' else 1} or more, got {workers}")
    if engine == "local" and (address or gpus):
        raise ConfigError("an address and shares of GPUs go with the engine ray")
    folder = Folder(out)
    folder.check()
    here = providers if engine == "local" else None  # a cluster's nodes have others than this machine
    equipment = Equipment.gather(model, detector=detector, detector_model=detector_model, providers=here)
    plan = _plan(source, folder, options, equipment, planned=planned)
    on_plan(plan)
    began, clock = datetime.now(UTC).isoformat(timespec="seconds"), time.monotonic()
    totals, left = _found(folder, plan)
    before = totals.items
    if engine == "local" and workers is None:
        workers = usable_cpus()

    def tell(looked: int = 0) -> None:
        done = min(totals.items + looked, plan.pictures)  # whoever looks carefully tells one too many at the end
        on_progress(Progress(done, plan.pictures, before, totals.errors.total(), totals.faces))

    tell()
    reports = _reports(folder.everywhere, providers, left, tell, engine, workers=workers, address=address, gpus=gpus)
    counted = totals.shards

    def write(*, complete: bool) -> dict[str, Any]:
        run = Run(
            began,
            engine,
            workers,
            shards=totals.shards - counted,
            pictures=totals.items - before,
            seconds=round(time.monotonic() - clock, 1),
        )
        return write_manifest(folder, plan, totals, run, complete=complete)

    try:
        with closing(reports):
            for report in reports:
                if report.done is None:
                    raise StorageError(report.problem or f"shard {report.shard} failed")
                totals.add(report.done)
        tell()
        _check_all_there(folder, plan, totals)
    except BaseException:
        with suppress(StorageError):  # what went wrong says more than that this does too
            write(complete=False)
        raise
    written = write(complete=not plan.lost)
    for place in ("", "plan", DONE, "plan/attempts", FACES, ERRORS):
        folder.clean(place)
    return Outcome(written, totals.shards - counted)


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a run would do: its plan, the pictures that are done already, and seconds a picture on one CPU, by trying
    so many."""

    plan: Plan
    done: int
    tried: int
    seconds: float


def dry_run(
    source: str,
    out: str,
    *,
    model: str | None = None,
    detector: str = "auto",
    detector_model: Path | None = None,
    options: Options = Options(),  # noqa: B008 - frozen
    tried: int = 32,
) -> Estimate:
    """Plan as `annotate` does and try some pictures, but write nothing. Raises as it does."""
    folder = Folder(out)
    folder.check()
    equipment = Equipment.gather(model, detector=detector, detector_model=detector_model)
    listing = look_up(source, skip=folder.place())
    some = _Some(tried)
    plan = complete(draft_plan(listing, options, equipment), listing, None, on_shard=some.add)
    kept = kept_plan(folder)
    if kept is None:
        _check_free(folder)
    else:
        _check_same(folder, kept, plan)
    analyzer = equipment.analyzer(plan, None)
    clock, met = time.monotonic(), 0
    for shard in some.shards:
        with closing(fetch(plan, shard)) as fetched:
            contents = [item.content for item in fetched]
        met += len(contents)
        for _ in analyzer.try_many(content for content in contents if isinstance(content, bytes)):
            pass
    spent = (time.monotonic() - clock) / met
    return Estimate(plan, 0 if kept is None else _found(folder, kept)[0].items, met, spent)


class _Some:
    """Some pictures from all over a plan, as small shards, whatever their number will be."""

    def __init__(self, most: int) -> None:
        self._most, self._stride, self._seen = most, 1, 0
        self.shards: list[Shard] = []

    def add(self, shard: Shard) -> None:
        """The next shard of the plan."""
        if self._seen % self._stride == 0:
            paths = shard.paths[:: max(1, len(shard.paths) // 4)][:4]
            start = max(shard.start, shard.stop - 4)  # of a sample's rows the last one is sure to be wanted
            self.shards.append(replace(shard, paths=paths, start=start))
        self._seen += 1
        if len(self.shards) * 4 > self._most:
            self.shards, self._stride = self.shards[::2], 2 * self._stride


def _plan(source: str, out: Folder, options: Options, equipment: Equipment, *, planned: bool) -> Plan:
    """The plan that out keeps, held against what is asked for now; or a new one, kept there."""
    kept = kept_plan(out)
    if kept is None:
        if planned:
            raise ConfigError(f"{out.url}: keeps no plan to go on with")
        _check_free(out)
        listing = look_up(source, skip=out.place())
        plan = draft_plan(listing, options, equipment)
        equipment.keep(out)
        return complete(plan, listing, out)
    if planned:
        listing = Listing(kept.input, kept.kind, kept.naming, iter(()))
        asked = replace(kept, options=options, model=equipment.model_record, detector=equipment.detector_record)
        _check_same(out, kept, replace(asked, digest=""))
    else:
        listing = look_up(source, skip=out.place())
        asked = draft_plan(listing, options, equipment)
        _check_same(out, kept, asked)
        _check_same(out, kept, complete(asked, listing, None))
    equipment.keep(out)
    return kept


def draft_plan(listing: Listing, options: Options, equipment: Equipment) -> Plan:
    """A plan that says how to judge, and does not yet know the pictures."""
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
        model=equipment.model_record,
        detector=equipment.detector_record,
    )


def _columns(listing: Listing, options: Options) -> Columns:
    """The columns of the first Parquet file that can be read; those before it are lost."""
    for path in listing.paths:
        try:
            columns = find_columns(path, listing.url, options.image_column, options.id_column)
        except DataError as error:
            listing.lost.append(str(error))
            continue
        listing.paths = chain([path], listing.paths)
        return columns
    raise StorageError(listing.lost[0])


def _check_free(out: Folder) -> None:
    others = [name for name in out.names() if name != "plan"]
    if others:
        raise ConfigError(f"{out.url}: holds other files ({others[0]}): name a new folder")


def _check_same(out: Folder, kept: Plan, asked: Plan) -> None:
    differences = kept.differences(asked)
    if differences:
        raise ConfigError(
            f"{out.url}: was planned with {'; '.join(differences)}: ask as then, or name another folder"
            + (
                ", or `planned=True` goes on with the plan as it was"
                if kept.digest != asked.digest and asked.digest
                else ""
            )
        )


def _check_all_there(out: Folder, plan: Plan, totals: Totals) -> None:
    """Raise StorageError where pictures are unaccounted for, or where somebody removed files meanwhile."""
    there = {f"{place}/{name}" for place in ("plan", FACES, DONE) for name in out.names(place)}
    wanted = chain([PLAN], *((part_name(FACES, shard), note_name(shard)) for shard in range(plan.shards)))
    gone = [name for name in wanted if name not in there]
    if gone or totals.shards != plan.shards or totals.items != plan.pictures:
        what = f"files have gone ({gone[0]})" if gone else f"{totals.items:,} of {plan.pictures:,} pictures are done"
        advice = "delete the folder, or name another" if PLAN in gone else "run the same command again"
        raise StorageError(f"{out.url}: {what}: {advice}")


def _found(out: Folder, plan: Plan) -> tuple[Totals, list[int]]:
    """What is done and whole, and the shards that are left: those that are to be redone as well."""
    totals = Totals()
    noted = set(out.names(DONE))

    def look(shard: int) -> Done | None:
        return kept_part(out, shard) if note_name(shard).rsplit("/", 1)[1] in noted else None

    left = []
    with ThreadPoolExecutor(_CHECKERS) as pool:
        for shard, done in enumerate(pool.map(look, range(plan.shards))):
            if done is None or done.to_be_redone:
                left.append(shard)
            else:
                totals.add(done)
    return totals, left


def _reports(
    url: str,
    providers: Sequence[str] | None,
    shards: Sequence[int],
    tell: Callable[[int], object],
    engine: Engine,
    *,
    workers: int | None,
    address: str | None,
    gpus: float,
) -> Generator[Report]:
    run = token_hex(8)
    if not shards:
        return
    if engine == "ray":
        from mien.annotate.cluster import work_on_ray

        yield from work_on_ray(url, providers, run, shards, tell, workers=workers, address=address, gpus=gpus)
    elif workers:
        yield from work_in_processes(url, providers, run, shards, tell, workers=workers)
    else:
        yield from work_here(url, providers, run, shards, tell)
