"""What a run did, in numbers: counted from the notes of its shards, saved as OUT/manifest.json."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from mien.annotate.plan import Plan
from mien.annotate.shard_output import ShardSummary
from mien.annotate.storage import Folder

MANIFEST: Final = "manifest.json"

_SCHEMA: Final = 1


@dataclass
class Totals:
    """The sums over shards that are done."""

    shards: int = 0
    pictures: int = 0
    without_faces: int = 0
    faces: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    emotions: Counter[str] = field(default_factory=Counter)
    seconds: Counter[str] = field(default_factory=Counter)

    @property
    def items(self) -> int:
        """Pictures, read or not."""
        return self.pictures + self.errors.total()

    def add(self, done: ShardSummary) -> None:
        """Add a shard."""
        self.shards += 1
        self.pictures += done.pictures
        self.without_faces += done.without_faces
        self.faces += done.faces
        self.errors.update(done.errors)
        self.emotions.update(done.emotions)
        for stage, seconds in done.seconds.items():
            self.seconds[stage] += seconds  # type: ignore[assignment]


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the command: when it began (ISO 8601), its engine and workers, and what it did in how many seconds."""

    began: str
    engine: str
    workers: int | None
    shards: int
    pictures: int
    seconds: float


def manifest(plan: Plan, totals: Totals, runs: list[dict[str, Any]], *, complete: bool) -> dict[str, Any]:
    """The manifest of what is done so far; complete where that is all of it."""
    return {
        "schema": _SCHEMA,
        "complete": complete,
        "mien": plan.version,
        "input": {
            "url": plan.input,
            "kind": plan.kind,
            "sha256": plan.digest,
            "unreadable": list(plan.unreadable),
            "passed_over": dict(sorted(plan.passed.items())),
        },
        "model": plan.model,
        "detector": plan.detector,
        "options": plan.options.to_dict(),
        "counts": {
            "input": plan.pictures,
            "read": totals.pictures,
            "errors": totals.errors.total(),
            "left": plan.pictures - totals.items,
            "with_faces": totals.pictures - totals.without_faces,
            "without_faces": totals.without_faces,
            "faces": totals.faces,
        },
        "errors": dict(sorted(totals.errors.items())),
        "emotions": {name: totals.emotions[name] for name in plan.model["classes"]},
        "shards": {"planned": plan.shards, "done": totals.shards},
        "seconds": {name: round(float(seconds), 1) for name, seconds in totals.seconds.items()},
        "planned": plan.created,
        "runs": runs,
    }


def write_manifest(out: Folder, plan: Plan, totals: Totals, run: Run, *, complete: bool) -> dict[str, Any]:
    """Write the manifest, with this run after the earlier ones. Raises StorageError."""
    written = manifest(plan, totals, [*_runs(out), asdict(run)], complete=complete)
    out.write(MANIFEST, (json.dumps(written, indent=1) + "\n").encode())
    return written


def _runs(out: Folder) -> list[dict[str, Any]]:
    try:
        runs = json.loads(out.read(MANIFEST) or b"{}").get("runs", [])
    except (ValueError, AttributeError, RecursionError):
        return []
    return runs if isinstance(runs, list) else []
