"""What a fuzz target is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

from mien.errors import MienError

Run = Callable[[bytes], object]
"""Gives one input to Mien. Whatever it raises, MienError apart, is a crash."""


@dataclass(frozen=True)
class Target:
    """An entry of Mien that takes bytes from outside.

    prepare  makes, once, what takes the inputs, or a context with it; the folder is empty, and the target's own
    seeds    small inputs that are as they should be, from which a fuzzer begins
    needs    modules without which it cannot run
    """

    prepare: Callable[[Path], Run | AbstractContextManager[Run]]
    seeds: Callable[[], list[bytes]]
    needs: tuple[str, ...] = ()

    @contextmanager
    def open(self, folder: Path) -> Iterator[Run]:
        """A function that takes an input, and passes over MienError, which is how Mien refuses one."""
        prepared = self.prepare(folder)
        with prepared if isinstance(prepared, AbstractContextManager) else nullcontext(prepared) as run:

            def carefully(data: bytes) -> None:
                with suppress(MienError):
                    run(data)

            yield carefully
