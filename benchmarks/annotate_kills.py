"""`mien annotate` while things are killed: the rows of both engines beside those of a run that nobody disturbed.

    python benchmarks/annotate_kills.py FOLDER [--detector-model FILE] [--markdown FILE]

FOLDER holds pictures (benchmarks/annotate_pictures.py makes some). Runs, each into a separate folder:

quiet   the local engine, two workers
local   the same, a worker killed (SIGKILL) at 30 %
ray     Ray Data on a cluster of two nodes on this machine, an actor killed at 25 %, a node removed at 50 %
driver  the command killed at 40 %, then run again, by Ray: files of shards that were done keep their time of change
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from output import table_of, write_text

from mien.annotate import Engine, Options, annotate
from mien.annotate.run import Progress, Watcher

Row = dict[str, object]


def rows(out: Path) -> Any:
    return pq.read_table(out / "faces").to_pandas().sort_values(["source", "face"]).reset_index(drop=True)


def compare(out: Path, quiet: Path) -> Row:
    """How the rows differ from the undisturbed ones."""
    mine, its = rows(out), rows(quiet)
    errors = [
        pq.read_table(folder / "errors").to_pandas().sort_values("source").values.tolist() for folder in (out, quiet)
    ]
    texts = ["source", "face", "emotion", "uncertain", "model"]
    same = len(mine) == len(its) and (mine[texts] == its[texts]).all(axis=None)
    numbers = mine.select_dtypes("number").columns
    apart = float(np.nanmax(np.abs(mine[numbers].to_numpy() - its[numbers].to_numpy()))) if same else float("nan")
    return {
        "faces": len(mine),
        "errors": len(errors[0]),
        "same pictures and faces": bool(same) and errors[0] == errors[1],
        "largest difference of a number": apart,
        "doubled": int(mine.duplicated(["source", "face"]).sum()),
    }


def processes(word: bytes, of: int | None = None) -> list[int]:
    """Ids of the processes below this one whose command line holds a word."""
    found = []
    for one in Path(f"/proc/{of or os.getpid()}/task").glob("*/children"):
        for pid in map(int, one.read_text().split()):
            try:
                found += [pid] if word in Path(f"/proc/{pid}/cmdline").read_bytes() else []
                found += processes(word, pid)
            except OSError:
                continue
    return found


class At(Watcher):
    """Acts once a fraction of the pictures is done, in the order of its steps."""

    def __init__(self, *steps: tuple[float, Callable[[], object]]) -> None:
        self._steps = list(steps)

    def on_progress(self, progress: Progress) -> None:
        if self._steps and progress.done >= self._steps[0][0] * progress.pictures:
            self._steps.pop(0)[1]()


def kill_one(word: bytes) -> None:
    os.kill(processes(word)[0], signal.SIGKILL)


def measure(folder: Path, out: Path, detector_model: Path | None) -> list[Row]:
    from ray.cluster_utils import Cluster

    source, options = str(folder), Options(detector_model=detector_model)
    table: list[Row] = []

    def note(name: str, seconds: float, **more: object) -> None:
        table.append({"run": name, "seconds": round(seconds), **compare(out / name, out / "quiet"), **more})
        print(table[-1], flush=True)

    def timed(name: str, engine: Engine, watcher: Watcher | None = None) -> float:
        began = time.monotonic()
        manifest = annotate(source, str(out / name), options=options, engine=engine, watcher=watcher).manifest
        assert manifest["complete"]
        assert manifest["counts"]["input"] == manifest["counts"]["read"] + manifest["counts"]["errors"]
        return time.monotonic() - began

    note("quiet", timed("quiet", Engine(workers=2)))
    note("local", timed("local", Engine(workers=2), At((0.3, lambda: kill_one(b"spawn_main")))))

    cluster: Any = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    node = cluster.add_node(num_cpus=1)
    harm = At(
        (0.25, lambda: kill_one(b"_Actor")),
        (0.5, lambda: cluster.remove_node(node, allow_graceful=False)),
    )
    note("ray", timed("ray", Engine(name="ray", address=cluster.address), harm))

    detector = ["--detector-model", str(detector_model)] if detector_model else []
    command = [sys.executable, "-m", "mien", "annotate", source, "-o", str(out / "driver"), *detector]
    shards = len(list((out / "quiet" / "plan" / "done").iterdir()))
    driver = subprocess.Popen([*command, "--workers", "2"])
    began = time.monotonic()
    while len(list((out / "driver").glob("plan/done/*.json"))) < 0.4 * shards:
        time.sleep(0.05)
    driver.kill()
    driver.wait()
    time.sleep(2)
    done = {path.stem for path in (out / "driver").glob("plan/done/*.json")}
    before = {p: p.stat().st_mtime_ns for p in (out / "driver").rglob("part-*.parquet") if p.stem[5:] in done}
    subprocess.run([*command, "--engine", "ray", "--address", cluster.address], check=False)
    untouched = sum(path.stat().st_mtime_ns == when for path, when in before.items())
    note("driver", time.monotonic() - began, saved=f"{untouched} of {len(before)} parts untouched")
    cluster.shutdown()
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--detector-model", type=Path)
    parser.add_argument("--markdown", type=Path)
    asked = parser.parse_args()
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    with TemporaryDirectory() as out:
        table = measure(asked.folder, Path(out), asked.detector_model)
    text = table_of(table)
    print(text, end="")
    if asked.markdown:
        write_text(asked.markdown, text)


if __name__ == "__main__":
    main()
