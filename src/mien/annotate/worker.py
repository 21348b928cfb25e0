"""The work on one shard, the same whatever engine runs it: fetch, read, find faces, judge them, keep the part."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import count
from time import perf_counter
from typing import TYPE_CHECKING, Final

import mien
from mien.annotate.model_bundle import Equipment
from mien.annotate.plan import Plan, Shard, Shards, kept_plan
from mien.annotate.prefetch import FAILED, Failure, Fetched, fetch
from mien.annotate.quarantine import KILLED, Attempts
from mien.annotate.shard_output import Done, Part, kept_part
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

_NAMELESS: Final = "the bytes: "
_FEW: Final = 8


@dataclass(frozen=True, slots=True)
class Report:
    """What a worker says of a shard: that it is done, or, in one line, why nothing can be done."""

    shard: int
    done: Done | None
    problem: str | None = None


class Worker:
    """Works off the shards of the plan that a folder keeps.

    url is the folder's, providers are onnxruntime's (None: the CPU), run tells one run's attempts from another's.
    With overlap it finds faces in one thread and judges them in another, which takes a few per cent more of a processor
    and is worth it where there is a second one, or a GPU.
    """

    def __init__(self, url: str, providers: Sequence[str] | None, run: str, *, overlap: bool = True) -> None:
        self._url, self._providers, self._run, self._overlap = url, providers, run, overlap

    def work(self, shard: int, look: Callable[[int], object] = lambda _: None) -> Report:
        """Work off a shard, unless it is done already. `look` is told each picture's number in it, as it comes."""
        try:
            out = Folder(self._url)
            attempts = Attempts(out, shard, self._run)
            done = kept_part(out, shard)  # another worker may have died after it was done
            if done is None or done.to_be_redone:
                done = self._annotate(out, shard, attempts, look)
            attempts.over()
            return Report(shard, done)
        except MienError as error:  # a text passes between any two processes, an exception may not
            return Report(shard, None, str(error))

    def _annotate(self, out: Folder, number: int, attempts: Attempts, look: Callable[[int], object]) -> Done:
        began = perf_counter()
        shard, analyzer = self._shards[number], self._analyzer
        look(0)  # who dies from here on had begun
        try:
            part = (self._carefully if attempts.careful else self._quickly)(shard, analyzer, attempts, look)
        except MienError:
            raise
        except Exception:  # a library failed as none should: the picture, or whatever it was, is found
            part = self._carefully(shard, analyzer, attempts, look)
        if part.items >= _FEW and part.to_be_redone == part.items:  # no picture's fault
            raise StorageError(f"none of the {part.items} pictures of shard {number} had an answer: {part.last_reason}")
        part.seconds["all"] = perf_counter() - began
        return part.keep(out)

    def _quickly(self, shard: Shard, analyzer: Analyzer, attempts: Attempts, look: Callable[[int], object]) -> Part:
        """The rows of a shard, in batches that depend on its pictures alone."""
        part = Part(shard.number, self._plan.model["classes"])
        handed: deque[Fetched] = deque()

        def contents(fetched: Iterator[Fetched]) -> Iterator[bytes]:
            for item in fetched:
                look(item.number)
                part.seconds["fetch"] += item.seconds
                if isinstance(item.content, Failure):
                    part.fail(item.number, item.source, item.content)
                    continue
                handed.append(replace(item, content=b""))
                yield item.content

        with (
            closing(fetch(self._plan, shard)) as fetched,
            closing(analyzer.try_many(contents(fetched), overlap=self._overlap)) as results,
        ):
            for result in results:
                _add(part, handed.popleft(), result)
        return part

    def _carefully(self, shard: Shard, analyzer: Analyzer, attempts: Attempts, look: Callable[[int], object]) -> Part:
        """The rows of a shard, one picture at a time, each noted before anything is done with it."""
        part = Part(shard.number, self._plan.model["classes"])
        with closing(fetch(self._plan, shard, in_advance=False, without=attempts.passed_over)) as fetched:
            for number in count():
                look(number)
                passed_over = number in attempts.passed_over
                attempts.at(None if passed_over else number)
                item = next(fetched, None)
                if item is None:
                    break
                if passed_over:
                    part.fail(number, item.source, KILLED)
                elif isinstance(item.content, Failure):
                    part.fail(number, item.source, item.content)
                else:
                    _add(part, item, _judged(analyzer, item.content))
        attempts.at(None)
        return part

    @cached_property
    def _plan(self) -> Plan:
        plan = kept_plan(Folder(self._url))
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
            return Equipment.kept(Folder(self._url), self._plan).analyzer(self._plan, self._providers)
        except OSError as error:
            raise StorageError(f"the model cannot be loaded: {reason(error)}") from error


def _judged(analyzer: Analyzer, content: bytes) -> Analysis | ImageError | Failure:
    """The answer for one picture; whatever goes wrong is its own failure."""
    try:
        return next(iter(analyzer.try_many([content])))
    except MienError:
        raise
    except Exception as error:  # libraries raise nearly anything
        return Failure(FAILED, f"cannot be judged: {one_line(error)}")


def _add(part: Part, item: Fetched, result: Analysis | ImageError | Failure) -> None:
    if isinstance(result, ImageError):
        kind = {ImageFormatError: "format", ImageTooLargeError: "large"}.get(type(result), "damaged")
        result = Failure(kind, str(result).removeprefix(_NAMELESS))
    if isinstance(result, Failure):
        part.fail(item.number, item.source, result)
        return
    part.add(item.source, to_rows(result.to_dict()), result.model)
    for stage, milliseconds in result.stages.items():
        part.seconds[stage] += milliseconds / 1000
