"""How long each stage of a stream takes, for --stats."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from time import perf_counter
from typing import TypeVar

from mien.cli import console

T = TypeVar("T")


class StageTimes:
    """Milliseconds by stage, collected over frames. Stages may run in several threads, but each in one only."""

    def __init__(self) -> None:
        self._stages: dict[str, _Stage] = defaultdict(_Stage)

    def add(self, stages: Mapping[str, float]) -> None:
        """Add the stages of one frame, as `Analysis.stages` has them."""
        for name, milliseconds in stages.items():
            self._stages[name].add(milliseconds)

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Add the time that the block takes."""
        began = perf_counter()
        yield
        self._stages[name].add(1000 * (perf_counter() - began))

    def each(self, name: str, items: Iterable[T]) -> Iterator[T]:
        """The items, adding the time that each takes to make."""
        iterator = iter(items)
        while True:
            began = perf_counter()
            try:
                item = next(iterator)
            except StopIteration:
                return
            self._stages[name].add(1000 * (perf_counter() - began))
            yield item

    def show(self) -> None:
        """Print a table on standard error. Stages that run in parallel add up to more than the time that passed."""
        from rich.box import SIMPLE
        from rich.table import Table

        table = Table("stage", "frames", "ms a frame", "95 % within, ms", "seconds in all", box=SIMPLE)
        for name, stage in self._stages.items():
            within = sorted(stage.last)[min(len(stage.last) - 1, int(0.95 * len(stage.last)))]
            cells = (f"{stage.count}", f"{stage.total / stage.count:.2f}", f"{within:.2f}", f"{stage.total / 1000:.1f}")
            table.add_row(name, *cells)
        console.err().print(table)


class _Stage:
    """How often a stage ran, its milliseconds in all, and those of the last frames: a camera may run for days."""

    def __init__(self) -> None:
        self.count, self.total = 0, 0.0
        self.last: deque[float] = deque(maxlen=10_000)

    def add(self, milliseconds: float) -> None:
        self.count += 1
        self.total += milliseconds
        self.last.append(milliseconds)
