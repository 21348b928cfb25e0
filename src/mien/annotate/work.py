"""The work on one shard, the same whatever engine runs it: fetch, read, find faces, judge them, keep the part."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cached_property
from time import perf_counter
from typing import TYPE_CHECKING, Final

import mien
from mien.annotate.attempts import KILLED, Attempts
from mien.annotate.equipment import Equipment
from mien.annotate.fetching import STORAGE, Failure, Fetched, fetch
from mien.annotate.parts import Done, Part, kept_part
from mien.annotate.plan import Plan, Shard, Shards, kept_plan
from mien.annotate.storage import Folder, one_line
from mien.errors import ConfigError, ImageError, ImageFormatError, ImageTooLargeError, MienError, StorageError
from mien.media.records import to_rows

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
            if done is None or STORAGE in done.errors:
                done = self._annotate(out, shard, attempts, look)
            attempts.over()
            return Report(shard, done)
        except MienError as error:  # a text passes between any two processes, an exception may not
            return Report(shard, None, str(error))

    def _annotate(self, out: Folder, number: int, attempts: Attempts, look: Callable[[int], object]) -> Done:
        began = perf_counter()
        shard = self._shards[number]
        try:
            part = self._gather(shard, attempts, look, one_by_one=False)
        except MienError:
            raise
        except Exception:  # a picture on which a library fails as none should: it is among these, and is found
            part = self._gather(shard, attempts, look, one_by_one=True)
        if part.failed_by(STORAGE) >= max(_FEW, part.items):
            raise StorageError(f"none of the {part.items} pictures of shard {number} can be read: {part.last_failure}")
        part.seconds["all"] = perf_counter() - began
        return part.keep(out)

    def _gather(self, shard: Shard, attempts: Attempts, look: Callable[[int], object], *, one_by_one: bool) -> Part:
        """The rows of a shard. Its batches depend on its pictures alone, unless they are judged one by one."""
        part = Part(shard.number, self._plan.model["classes"])
        handed: deque[Fetched] = deque()

        def contents(fetched: Iterator[Fetched]) -> Iterator[bytes]:
            for item in fetched:
                look(item.number)
                if item.number in attempts.passed_over:
                    part.fail(item.number, item.source, KILLED)
                    continue
                part.seconds["fetch"] += item.seconds
                if isinstance(item.content, Failure):
                    part.fail(item.number, item.source, item.content)
                    continue
                if attempts.careful:
                    attempts.at(item.number)
                handed.append(replace(item, content=b""))
                yield item.content

        with closing(fetch(self._plan, shard)) as fetched:
            pictures = contents(fetched)
            results: Iterator[Analysis | ImageError]
            if one_by_one:
                results = map(self._judged, pictures)
            else:
                results = self._analyzer.try_many(pictures, overlap=self._overlap and not attempts.careful)
            for result in results:
                item = handed.popleft()
                if isinstance(result, ImageError):
                    part.fail(item.number, item.source, _failure(result))
                    continue
                part.add(item.source, to_rows(result.to_dict()), result.model)
                for stage, milliseconds in result.stages.items():
                    part.seconds[stage] += milliseconds / 1000
        return part

    def _judged(self, content: bytes) -> Analysis | ImageError:
        """The answer for one picture; whatever goes wrong is its own error."""
        try:
            return next(self._analyzer.try_many([content]))
        except MienError:
            raise
        except Exception as error:  # libraries raise nearly anything
            return ImageError(f"cannot be judged: {one_line(error)}")

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
        return Equipment.kept(Folder(self._url), self._plan).analyzer(self._plan, self._providers)


def _failure(error: ImageError) -> Failure:
    kind = {ImageFormatError: "format", ImageTooLargeError: "large"}.get(type(error), "damaged")
    return Failure(kind, str(error).removeprefix(_NAMELESS))
