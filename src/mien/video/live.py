"""What live sources have in common: they give frames as they come, and end soon when they are closed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from threading import Event
from time import perf_counter
from typing import Final, Self

from mien.types import Frame


@dataclass(frozen=True, slots=True)
class Clock:
    """The time that live sources go by: seconds that rise, and a wait of up to N seconds that the event may end."""

    now: Callable[[], float] = perf_counter
    wait: Callable[[Event, float], object] = field(default=Event.wait)


SYSTEM_CLOCK: Final = Clock()


class Live:
    """A live source: a context manager that iterates Frames as they come, upright, timed from the first one.

    It is iterated once, and may be by another thread than the one that opened it. Raises ImageError where it fails for
    good. name is what results and messages call it: "camera 0", or the path.
    """

    def __init__(self, name: str, clock: Clock) -> None:
        self.name = name
        self._clock = clock
        self._closing = Event()
        self._began: float | None = None

    def __iter__(self) -> Iterator[Frame]:
        raise NotImplementedError

    def now_s(self) -> float:
        """The time now on the clock of the frames' `time_s`, in seconds; 0 before the first frame."""
        return 0.0 if self._began is None else self._clock.now() - self._began

    def close(self) -> None:
        """End soon, wherever it waits; from any thread. The thread that iterates lets go of camera or file."""
        self._closing.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
