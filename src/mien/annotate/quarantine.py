"""Pictures that crash the worker: found by trying a shard again, and then picture by picture.

A decoder that crashes, or memory that runs out, ends the worker, and nothing is left to report it. So each attempt at a
shard is noted in OUT before it begins. From the third on, each picture is noted before it is read, and one at which two
attempts ended is skipped.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Final

from mien.annotate.prefetch import Failure
from mien.annotate.storage import Folder
from mien.errors import StorageError

_BATCHED_ATTEMPTS: Final = 2
_CRASHES: Final = 2
_MOST_ATTEMPTS: Final = 8
_MOST_SKIPPED: Final = 32

KILLED: Final = Failure("killed", f"the process was killed at this picture, {_CRASHES} times")


class Attempts:
    """The attempts at one shard within one run. Those of earlier runs are ignored.

    The constructor records a new attempt. Raises StorageError where that cannot be written, and after too many.
    """

    def __init__(self, out: Folder, shard: int, run: str) -> None:
        self._out, self._name, self._run = out, f"plan/attempts/{shard:06d}.json", run
        self._count, at, crashes = self._read()
        self._crashes = Counter(crashes)
        if at is not None:
            self._crashes[at] += 1
        if len(self.skipped) > _MOST_SKIPPED:
            raise StorageError(f"shard {shard}: more than {_MOST_SKIPPED} pictures of it killed the process")
        if self._count >= _MOST_ATTEMPTS + _CRASHES * len(self.skipped):
            raise StorageError(f"shard {shard}: {self._count} workers crashed in it, and no picture was at fault")
        self._count += 1
        self._note(None)

    @property
    def one_by_one(self) -> bool:
        """Whether each picture is to be noted before it is read."""
        return self._count > _BATCHED_ATTEMPTS

    @property
    def skipped(self) -> frozenset[int]:
        """The pictures, by their number in the shard, at which attempts ended too often."""
        return frozenset(number for number, crashes in self._crashes.items() if crashes >= _CRASHES)

    def note_picture(self, number: int | None) -> None:
        """Note that a picture is about to be read, or that none is. Raises StorageError."""
        self._note(number)

    def clear(self) -> None:
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
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return 0, None, {}

    def _note(self, at: int | None) -> None:
        values = {"run": self._run, "count": self._count, "at": at, "deaths": self._crashes}
        self._out.write(self._name, json.dumps(values).encode())
