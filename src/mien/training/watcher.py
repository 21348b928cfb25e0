"""What a training reports while it goes on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from mien.training.checkpoint import Description


@dataclass(frozen=True, slots=True)
class Step:
    """What the loop reports after a step: where it stands, the mean loss of the epoch so far, and its speed."""

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    faces_per_s: float


class Watcher(Protocol):
    """What is called while a run goes on, on the first rank; a subclass may define some of it."""

    def on_begin(self, description: Description) -> None:
        """The run begins, or goes on."""
        return

    def on_predictions(self, done: int, total: int) -> None:
        """Before the first step: teachers have predicted `done` of `total` faces, a face counted once for each view."""
        return

    def on_step(self, step: Step) -> None:
        """A step was made."""
        return

    def on_epoch(self, record: Mapping[str, Any]) -> None:
        """An epoch was evaluated; record is a line of metrics.jsonl."""
        return


class Unwatched(Watcher):
    """Does nothing."""
