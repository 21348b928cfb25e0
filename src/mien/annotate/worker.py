"""The work on one shard, the same for every engine: fetch, read, detect and classify faces, save the part."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import count
from time import perf_counter
from typing import TYPE_CHECKING, Final, TypeAlias

import mien
from mien.annotate.model_bundle import ModelBundle
from mien.annotate.plan import Plan, Shard, Shards, saved_plan
from mien.annotate.prefetch import FAILED, Failure, Fetched, fetch
from mien.annotate.quarantine import KILLED, Attempts
from mien.annotate.shard_output import ShardOutput, ShardSummary, saved_summary
from mien.annotate.storage import Folder
from mien.errors import (
    ConfigError,
    ImageError,
    ImageFormatError,
    ImageTooLargeError,
    MienError,
    StorageError,
    one_line,
    reason,
)
from mien.records import to_rows

if TYPE_CHECKING:
    from mien.analysis import Analysis
    from mien.analyzer import Analyzer

OnPicture: TypeAlias = Callable[[int], object]

_BYTES_PREFIX: Final = "the bytes: "
_MIN_PICTURES: Final = 8  # fewer may all be bad by themselves


@dataclass(frozen=True, slots=True)
class Report:
    """What a worker reports of a shard: that it is done, or, in one line, why it could not be processed."""

    shard: int
    done: ShardSummary | None
    problem: str | None = None


class Worker:
    """Processes shards of the plan in a folder.

    url is the folder's, providers are onnxruntime's (None: the CPU), run separates one run's attempts from another's.
    With overlap it detects faces in one thread and classifies them in another, which takes a few per cent more CPU time
    and is worth it where there is a second CPU, or a GPU.
    """

    def __init__(self, url: str, providers: Sequence[str] | None, run: str, *, overlap: bool = True) -> None:
        self._url, self._providers, self._run, self._overlap = url, providers, run, overlap

    def work(self, shard: int, on_picture: OnPicture = lambda _: None) -> Report:
        """Process a shard, unless it is done. on_picture is called with the number of each picture, as it begins."""
        try:
            out = Folder(self._url)
            attempts = Attempts(out, shard, self._run)
            done = saved_summary(out, shard)  # another worker may have crashed after it was done
            if done is None or done.needs_retry:
                done = self._annotate(out, shard, attempts, on_picture)
            attempts.clear()
            return Report(shard, done)
        except MienError as error:  # text can always be sent to another process, exceptions not always
            return Report(shard, None, str(error))

    def _annotate(self, out: Folder, number: int, attempts: Attempts, on_picture: OnPicture) -> ShardSummary:
        began = perf_counter()
        shard, analyzer = self._shards[number], self._analyzer
        on_picture(0)  # a crash from here on counts as an attempt
        try:
            part = (self._one_by_one if attempts.one_by_one else self._batched)(shard, analyzer, attempts, on_picture)
        except MienError:
            raise
        except Exception:  # a library failed: find the bad picture one by one
            part = self._one_by_one(shard, analyzer, attempts, on_picture)
        if part.items >= _MIN_PICTURES and part.needs_retry == part.items:  # all failed: not caused by the pictures
            raise StorageError(
                f"none of the {part.items} pictures of shard {number} could be processed: {part.last_reason}"
            )
        part.seconds["all"] = perf_counter() - began
        return part.save(out)

    def _batched(self, shard: Shard, analyzer: Analyzer, attempts: Attempts, on_picture: OnPicture) -> ShardOutput:
        """The rows of a shard, in batches that depend on its pictures alone."""
        part = ShardOutput(shard.number, self._plan.model["classes"])
        waiting: deque[Fetched] = deque()

        def contents(fetched: Iterator[Fetched]) -> Iterator[bytes]:
            for item in fetched:
                on_picture(item.number)
                part.seconds["fetch"] += item.seconds
                if isinstance(item.content, Failure):
                    part.fail(item.number, item.source, item.content)
                    continue
                waiting.append(replace(item, content=b""))
                yield item.content

        with (
            closing(fetch(self._plan, shard)) as fetched,
            closing(analyzer.try_many(contents(fetched), overlap=self._overlap)) as results,
        ):
            for result in results:
                _add(part, waiting.popleft(), result)
        return part

    def _one_by_one(self, shard: Shard, analyzer: Analyzer, attempts: Attempts, on_picture: OnPicture) -> ShardOutput:
        """The rows of a shard, one picture at a time, each noted before anything is done with it."""
        part = ShardOutput(shard.number, self._plan.model["classes"])
        with closing(fetch(self._plan, shard, in_advance=False, without=attempts.skipped)) as fetched:
            for number in count():
                on_picture(number)
                skipped = number in attempts.skipped
                attempts.note_picture(None if skipped else number)
                item = next(fetched, None)
                if item is None:
                    break
                if skipped:
                    part.fail(number, item.source, KILLED)
                elif isinstance(item.content, Failure):
                    part.fail(number, item.source, item.content)
                else:
                    _add(part, item, _classified(analyzer, item.content))
        attempts.note_picture(None)
        return part

    @cached_property
    def _plan(self) -> Plan:
        plan = saved_plan(Folder(self._url))
        if plan is None or plan.version != mien.__version__:
            made = "there is no plan" if plan is None else f"the plan was made by Mien {plan.version}"
            raise ConfigError(f"{self._url}: {made}, this worker has {mien.__version__}")
        return plan

    @cached_property
    def _shards(self) -> Shards:
        return Shards(Folder(self._url))

    @cached_property
    def _analyzer(self) -> Analyzer:
        try:
            return ModelBundle.saved(Folder(self._url), self._plan).analyzer(self._plan, self._providers)
        except OSError as error:
            raise StorageError(f"the model cannot be loaded: {reason(error)}") from error


def _classified(analyzer: Analyzer, content: bytes) -> Analysis | ImageError | Failure:
    """The result for one picture; a library's exception becomes a Failure."""
    try:
        return next(iter(analyzer.try_many([content])))
    except MienError:
        raise
    except Exception as error:  # libraries raise nearly anything
        return Failure(FAILED, f"cannot be classified: {one_line(error)}")


def _add(part: ShardOutput, item: Fetched, result: Analysis | ImageError | Failure) -> None:
    if isinstance(result, ImageError):
        kind = {ImageFormatError: "format", ImageTooLargeError: "large"}.get(type(result), "damaged")
        result = Failure(kind, str(result).removeprefix(_BYTES_PREFIX))
    if isinstance(result, Failure):
        part.fail(item.number, item.source, result)
        return
    part.add(item.source, to_rows(result.to_dict()), result.model)
    for stage, milliseconds in result.stages.items():
        part.seconds[stage] += milliseconds / 1000
