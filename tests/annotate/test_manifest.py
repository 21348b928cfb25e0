from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mien.annotate.manifest import Run, Totals, manifest, write_manifest
from mien.annotate.plan import Options, Plan
from mien.annotate.shard_output import ShardSummary
from mien.annotate.storage import Folder
from mien.emotions import EMOTIONS

FIRST = ShardSummary(
    0, 10, 4, 8, {"missing": 2, "storage": 1}, {"happiness": 5, "sadness": 3}, {"fetch": 1.25, "all": 2.0}
)
SECOND = ShardSummary(1, 5, 5, 0, {"missing": 1}, {}, {"fetch": 0.5, "write": 0.25})
RUN = Run("2026-01-01T00:00:00+00:00", "local", 2, 2, 19, 3.5)


def totals(*dones: ShardSummary) -> Totals:
    summed = Totals()
    for done in dones:
        summed.add(done)
    return summed


def test_shards_are_summed() -> None:
    summed = totals(FIRST, SECOND)
    assert (summed.shards, summed.pictures, summed.without_faces, summed.faces, summed.items) == (2, 15, 9, 8, 19)
    assert summed.errors == {"missing": 3, "storage": 1}
    assert summed.emotions == {"happiness": 5, "sadness": 3}
    assert summed.seconds == {"fetch": 1.75, "all": 2.0, "write": 0.25}
    assert summed.items == FIRST.items + SECOND.items
    assert totals().items == 0


def test_the_manifest_of_all_that_was_planned(plan: Callable[..., Plan]) -> None:
    made = plan(Options(limit=19), pictures=19, shards=2, digest="0f", passed={".txt": 2})
    told = manifest(made, totals(FIRST, SECOND), [], complete=True)
    assert told["complete"] is True
    assert told["counts"] == {
        "input": 19,
        "read": 15,
        "errors": 4,
        "left": 0,
        "with_faces": 6,
        "without_faces": 9,
        "faces": 8,
    }
    assert told["errors"] == {"missing": 3, "storage": 1}
    assert list(told["errors"]) == sorted(told["errors"])
    assert list(told["emotions"]) == list(EMOTIONS)
    assert sum(told["emotions"].values()) == told["counts"]["faces"]
    assert told["shards"] == {"planned": 2, "done": 2}
    assert told["seconds"] == {"fetch": 1.8, "all": 2.0, "write": 0.2}
    assert told["input"] == {
        "url": made.input,
        "kind": "pictures",
        "sha256": "0f",
        "unreadable": [],
        "passed_over": {".txt": 2},
    }
    assert told["options"]["limit"] == 19
    assert (told["mien"], told["model"], told["detector"]) == ("1.0", made.model, made.detector)
    assert json.loads(json.dumps(told)) == told


def test_what_is_left_or_was_not_found_is_told(plan: Callable[..., Plan]) -> None:
    half = manifest(plan(pictures=19, shards=2), totals(FIRST), [], complete=False)
    assert half["complete"] is False
    assert half["counts"]["left"] == 6
    lost = manifest(
        plan(pictures=19, shards=2, unreadable=("in/x: denied",)), totals(FIRST, SECOND), [], complete=False
    )
    assert lost["complete"] is False
    assert lost["input"]["unreadable"] == ["in/x: denied"]


@pytest.mark.parametrize("place", ["local", "memory"])
def test_runs_are_kept_one_after_another(place: str, plan: Callable[..., Plan], tmp_path: Path, memory: object) -> None:
    out = Folder(str(tmp_path) if place == "local" else "memory://out")
    made = plan(pictures=19, shards=2)
    first = write_manifest(out, made, totals(FIRST), RUN, complete=False)
    assert json.loads(out.read("manifest.json") or b"") == first
    second = write_manifest(out, made, totals(FIRST, SECOND), replace(RUN, shards=1), complete=True)
    assert json.loads(out.read("manifest.json") or b"") == second
    assert (first["complete"], second["complete"]) == (False, True)
    assert [run["shards"] for run in second["runs"]] == [2, 1]
    assert second["runs"][0] == first["runs"][0]


@pytest.mark.parametrize("text", [b"", b"null", b"[]", b"{", b"\xff", b'{"runs": 1}', b"{}", b"[" * 100_000])
def test_a_damaged_manifest_is_written_anew(text: bytes, plan: Callable[..., Plan], tmp_path: Path) -> None:
    pytest.importorskip("fsspec")
    out = Folder(str(tmp_path))
    out.write("manifest.json", text)
    written = write_manifest(out, plan(pictures=19, shards=2), totals(FIRST), RUN, complete=False)
    assert len(written["runs"]) == 1
