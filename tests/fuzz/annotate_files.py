"""Fuzz targets: what `mien annotate` reads from its input and from the folder of an earlier run."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mien.emotions import EMOTIONS

from .target import Run, Target


def _plan_of_today() -> Any:
    from mien.annotate.columns import Columns
    from mien.annotate.listing import Naming
    from mien.annotate.plan import Options, Plan

    model = {"id": "a-1", "sha256": "0" * 64, "classes": list(EMOTIONS)}
    naming = Naming("/in", "in")
    return Plan("0.4.0", "/in", "parquet", naming, Columns("image"), Options(), model, {"name": "none", "sha256": None})


def _hashed(data: bytes) -> bytes:
    """The JSON with the hash that it should have, so that what is behind the hash is reached as well."""
    try:
        values = json.loads(data)
        given = {name: value for name, value in values.items() if name not in ("schema", "sha256")}
        digest = hashlib.sha256(json.dumps(given, sort_keys=True).encode()).hexdigest()
        return json.dumps({"schema": values["schema"], "sha256": digest, **given}).encode()
    except (ValueError, AttributeError, KeyError, TypeError, RecursionError):
        return data


def _plan(folder: Path) -> Run:
    from mien.annotate.manifest import Totals, manifest
    from mien.annotate.model_bundle import ModelBundle
    from mien.annotate.plan import PLAN, saved_plan
    from mien.annotate.storage import Folder

    out, current = Folder(str(folder)), _plan_of_today()

    def run(data: bytes) -> None:
        for content in (data, _hashed(data)):
            out.write(PLAN, content)
            plan = saved_plan(out)
            assert plan is not None
            plan.differences(current)
            current.differences(plan)
            plan.to_json()
            plan.naming.source("/in/a.png")
            json.dumps(manifest(plan, Totals(), [], complete=True))
            ModelBundle.saved(out, plan)

    return run


def _summary(folder: Path) -> Run:
    """The small JSON files beside a plan: they are passed over where they are damaged."""
    from mien.annotate.manifest import MANIFEST, Totals, write_manifest
    from mien.annotate.manifest import Run as Ran
    from mien.annotate.quarantine import Attempts
    from mien.annotate.shard_output import note_name, saved_summary
    from mien.annotate.storage import Folder

    out, plan = Folder(str(folder)), _plan_of_today()

    def run(data: bytes) -> None:
        for content in (data, _ordered_hash(data)):
            out.write(note_name(0), content)
            done = saved_summary(out, 0)
            totals = Totals()
            if done is not None:
                totals.add(done)
            out.write(MANIFEST, content)
            write_manifest(out, plan, totals, Ran("now", "local", 1, 1, 1, 1.0), complete=True)
            out.write("plan/attempts/000000.json", content)
            Attempts(out, 0, "run").clear()

    return run


def _ordered_hash(data: bytes) -> bytes:
    try:
        values = json.loads(data)
        given = {name: value for name, value in values.items() if name not in ("schema", "sha256")}
        digest = hashlib.sha256(json.dumps(given).encode()).hexdigest()
        return json.dumps({"schema": values["schema"], "sha256": digest, **given}).encode()
    except (ValueError, AttributeError, KeyError, TypeError, RecursionError):
        return data


def _summary_seeds() -> list[bytes]:
    from mien.annotate.shard_output import ShardSummary

    part = ("0" * 64, 0)
    summary = ShardSummary(
        0, 3, 1, 2, {"damaged": 1}, {"fear": 2}, {"all": 0.5}, {"faces/part-000000.parquet": part[::-1]}
    )
    attempts = {"run": "run", "count": 3, "at": 2, "deaths": {"2": 1}}
    runs = {"runs": [{"began": "now"}]}
    return [summary.to_json().encode(), json.dumps(attempts).encode(), json.dumps(runs).encode()]


def _shards(folder: Path) -> Run:
    from mien.annotate.plan import Shards
    from mien.annotate.storage import Folder

    out = Folder(str(folder))

    def run(data: bytes) -> None:
        out.write("plan/shards-000000.parquet", data)
        shard = Shards(out)[0]
        assert shard.file is not None or all(isinstance(path, str) for path in shard.paths)

    return run


def _shard_seeds() -> list[bytes]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    seeds = []
    for start in (None, 0):
        table = pa.table({"path": pa.array([b"a.png"]), "start": pa.array([start], pa.int64()), "stop": [2]})
        buffer = io.BytesIO()
        pq.write_table(table, buffer, compression="zstd", write_page_checksum=True)
        seeds.append(buffer.getvalue())
    return seeds


def _pictures(folder: Path) -> Run:
    """A Parquet file of pictures."""
    from mien.annotate.columns import find_columns, row_groups, rows

    path = folder / "in.parquet"

    def run(data: bytes) -> None:
        path.write_bytes(data)
        place, origin = path.as_posix(), folder.as_posix()
        columns = find_columns(place, origin, None, None)
        total = min(sum(row_groups(place, origin)), 1000)
        for _, content, name in rows(place, origin, columns, 0, total):
            assert content is None or isinstance(content, bytes)
            assert name is None or isinstance(name, str)

    return run


def _picture_seeds() -> list[bytes]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    png = io.BytesIO()
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(png, "PNG")
    pictures = [png.getvalue(), None]
    seeds = []
    for column in (pictures, [None if content is None else {"bytes": content, "path": "a"} for content in pictures]):
        buffer = io.BytesIO()
        pq.write_table(pa.table({"image": column, "id": [1, 2]}), buffer, compression="none", row_group_size=1)
        seeds.append(buffer.getvalue())
    return seeds


def _list(folder: Path) -> Run:
    """A list of paths, or a file of anything else that is named as INPUT."""
    from itertools import islice

    from mien.annotate.listing import list_input

    path = folder / "in.txt"

    def run(data: bytes) -> None:
        path.write_bytes(data)
        listing = list_input(str(path))
        for each in islice(listing.paths, 100):
            listing.naming.source(each).encode()

    return run


TARGETS = {
    "annotate_plan": Target(_plan, lambda: [_plan_of_today().to_json().encode()], needs=("fsspec",)),
    "annotate_notes": Target(_summary, _summary_seeds, needs=("fsspec", "pyarrow")),
    "annotate_shards": Target(_shards, _shard_seeds, needs=("fsspec", "pyarrow")),
    "annotate_parquet": Target(_pictures, _picture_seeds, needs=("fsspec", "pyarrow")),
    "annotate_list": Target(_list, lambda: [b"a.png\nb/c.jpg\r\n# x\nhttp://a/b.png\n"], needs=("fsspec",)),
}
