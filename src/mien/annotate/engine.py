"""What runs a plan: this process, processes of this machine, or a Ray cluster; and the job that they get."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from mien.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """Who does the work. Raises ConfigError on values that do not go together.

    name       "local", or "ray" (extra `[ray]`)
    workers    processes, or with Ray the most actors; None: one for each CPU; 0: this process, with "local" only
    providers  onnxruntime's, as in `mien.load`
    address    of the Ray cluster; None: the one that Ray finds by itself, else a new one on this machine
    gpus       the fraction of a GPU that each of Ray's actors takes
    """

    name: Literal["local", "ray"] = "local"
    workers: int | None = None
    providers: Sequence[str] | None = None
    address: str | None = None
    gpus: float = 0.0

    def __post_init__(self) -> None:
        if self.name not in ("local", "ray"):
            raise ConfigError(f"expected the engine local or ray, got {self.name!r}")
        least = 0 if self.name == "local" else 1
        if self.workers is not None and self.workers < least:
            raise ConfigError(f"workers must be {least} or more, got {self.workers}")
        if self.name == "local" and (self.address or self.gpus):
            raise ConfigError("an address and fractions of GPUs go with the engine ray")


@dataclass(frozen=True, slots=True)
class Job:
    """The shards that are to be processed.

    url        of the folder that holds the plan
    providers  onnxruntime's; None: the CPU
    run        separates one run's attempts from another's
    shards     their numbers
    """

    url: str
    providers: Sequence[str] | None
    run: str
    shards: Sequence[int]
