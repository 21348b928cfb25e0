"""What was wrong with a video: a line for each kind of damage, however often it comes."""

from __future__ import annotations

from typing import Final

CHANGES_SIZE: Final = "the picture changes its size, and was scaled to the first one's"


class Problems:
    """Kinds of damage, how often each came, and when first."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[int, float]] = {}

    def add(self, what: str, time_s: float) -> None:
        """Add a problem at a time of the video."""
        times, first = self._found.get(what, (0, time_s))
        self._found[what] = times + 1, first

    def clear(self) -> None:
        """Forget all."""
        self._found.clear()

    def lines(self, name: str) -> list[str]:
        """A line for each kind, about the video of this name."""
        return [
            f"{name}: {what} at {first:.2f} s" + (f" (and {times - 1} times more)" if times > 1 else "")
            for what, (times, first) in self._found.items()
        ]
