"""How long each stage of a stream takes, for --stats."""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from time import perf_counter
from typing import TypeVar

from mien.cli import console

T = TypeVar("T")


class StageTimes:
    """Milliseconds by stage, collected over frames. Stages may run in several threads, but each in one only."""

    def __init__(self) -> None:
        self._spent: dict[str, array[float]] = defaultdict(lambda: array("d"))

    def add(self, stages: Mapping[str, float]) -> None:
        """Add the stages of one frame, as `Analysis.stages` has them."""
        for name, milliseconds in stages.items():
            self._spent[name].append(milliseconds)

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Add the time that the block takes."""
        began = perf_counter()
        yield
        self._spent[name].append(1000 * (perf_counter() - began))

    def each(self, name: str, items: Iterable[T]) -> Iterator[T]:
        """The items, adding the time that each takes to make."""
        iterator = iter(items)
        while True:
            began = perf_counter()
            try:
                item = next(iterator)
            except StopIteration:
                return
            self._spent[name].append(1000 * (perf_counter() - began))
            yield item

    def show(self) -> None:
        """Print a table on standard error. Stages that run in parallel add up to more than the time that passed."""
        from rich.box import SIMPLE
        from rich.table import Table

        table = Table("stage", "frames", "ms a frame", "95 % within, ms", "seconds in all", box=SIMPLE)
        for name, spent in self._spent.items():
            within = sorted(spent)[min(len(spent) - 1, int(0.95 * len(spent)))]
            cells = (f"{len(spent)}", f"{sum(spent) / len(spent):.2f}", f"{within:.2f}", f"{sum(spent) / 1000:.1f}")
            table.add_row(name, *cells)
        console.err().print(table)
