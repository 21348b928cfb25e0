"""Pictures that kill the process: found out by trying a shard again, and again picture by picture.

A decoder that crashes, or memory that ends, takes the worker along, and nothing is left to report it. So each attempt
at a shard is noted in OUT before it begins. From the third on, each picture is noted before it is looked at, and one
at which two attempts ended is passed over.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Final

from mien.annotate.prefetch import Failure
from mien.annotate.storage import Folder
from mien.errors import StorageError

_HASTY: Final = 2
_DEATHS: Final = 2
_GIVEN_UP: Final = 8
_MOST: Final = 32

KILLED: Final = Failure("killed", f"the process was killed at this picture, {_DEATHS} times")


class Attempts:
    """The attempts at one shard within one run. An earlier run's do not count: whoever stopped it stopped no picture.

    Making one notes a new attempt. Raises StorageError where that cannot be written, and after too many.
    """

    def __init__(self, out: Folder, shard: int, run: str) -> None:
        self._out, self._name, self._run = out, f"plan/attempts/{shard:06d}.json", run
        self._count, at, deaths = self._read()
        self._deaths = Counter(deaths)
        if at is not None:
            self._deaths[at] += 1
        if len(self.passed_over) > _MOST:
            raise StorageError(f"shard {shard}: more than {_MOST} pictures of it killed the process")
        if self._count >= _GIVEN_UP + _DEATHS * len(self.passed_over):
            raise StorageError(f"shard {shard}: {self._count} workers died of it, and no picture was at fault")
        self._count += 1
        self._note(None)

    @property
    def careful(self) -> bool:
        """Whether each picture is to be noted before it is looked at."""
        return self._count > _HASTY

    @property
    def passed_over(self) -> frozenset[int]:
        """The pictures, by their number in the shard, at which attempts ended too often."""
        return frozenset(number for number, deaths in self._deaths.items() if deaths >= _DEATHS)

    def at(self, number: int | None) -> None:
        """Note that a picture is about to be looked at, or that none is. Raises StorageError."""
        self._note(number)

    def over(self) -> None:
        """Forget the attempts: the shard is done. Raises StorageError."""
        self._out.remove(self._name)

    def _read(self) -> tuple[int, int | None, dict[int, int]]:
        text = self._out.read(self._name)
        try:
            values = json.loads(text or b"{}")
            if values.get("run") != self._run:
                return 0, None, {}
            at = values["at"]
            return (
                int(values["count"]),
                None if at is None else int(at),
                {int(key): int(n) for key, n in values["deaths"].items()},
            )
        except (ValueError, TypeError, KeyError, AttributeError):
            return 0, None, {}

    def _note(self, at: int | None) -> None:
        values = {"run": self._run, "count": self._count, "at": at, "deaths": self._deaths}
        self._out.write(self._name, json.dumps(values).encode())
