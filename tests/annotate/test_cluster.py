"""The Ray engine on a cluster of two nodes on this machine, of which workers, a node and the driver are killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("fsspec")
pytest.importorskip("pyarrow")
pytest.importorskip("ray.data")
import pyarrow.parquet as pq
import ray
from ray.cluster_utils import Cluster

from mien.annotate import Options
from mien.annotate.run import Progress
from mien.errors import ConfigError

pytestmark = [
    pytest.mark.slow,  # Ray's processes need a machine for themselves
    pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="looks for processes in /proc"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

PICTURES = 160
FEW = Options(shard=8)

# What Ray's workers run before anything else, by Python's sitecustomize: each picture takes a while, some kill. While
# the file "held" is there, each process waits before its 51st picture, so that no run ends before it is harmed.
CUSTOM = """
import itertools, os, signal, sys, time
from pathlib import Path
if any("default_worker" in word for word in sys.orig_argv):
    import mien.analyzer as analyzer
    look, held, looked = analyzer.Analyzer._detect, Path(__file__).with_name("held"), itertools.count()
    def slower(self, source, color):
        time.sleep(0.02)
        if next(looked) >= 50:
            while held.exists():
                time.sleep(0.01)
        if b"KILLS" in source:
            os.kill(os.getpid(), signal.SIGKILL)
        return look(self, source, color)
    analyzer.Analyzer._detect = slower
"""


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cluster") / "photos"
    folder.mkdir()
    for number in range(PICTURES):
        level = number * 255 // (PICTURES - 1)
        Image.fromarray(np.full((50, 50), level, np.uint8)).save(folder / f"{number:03d}.png")
    (folder / "text.png").write_text("no picture")
    return folder


@pytest.fixture(scope="module")
def custom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("custom")
    (folder / "sitecustomize.py").write_text(CUSTOM)
    return folder


@pytest.fixture
def held(custom: Path) -> Iterator[Path]:
    """The file that keeps a run from ending while it is there."""
    path = custom / "held"
    path.touch()
    yield path
    path.unlink(missing_ok=True)


@pytest.fixture(scope="module")
def cluster(custom: Path) -> Iterator[Cluster]:
    others = os.environ.get("PYTHONPATH")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("PYTHONPATH", os.pathsep.join([str(custom), *([others] if others else [])]))
        patched.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patched.setenv("RAY_BACKEND_LOG_LEVEL", "fatal")
        cluster: Any = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
        yield cluster
        cluster.shutdown()


@pytest.fixture
def second(cluster: Any) -> Iterator[Any]:
    node = cluster.add_node(num_cpus=1)
    yield node
    if node in cluster.list_all_nodes():
        cluster.remove_node(node)


def rows(out: Path) -> Any:
    return pq.read_table(out / "faces").to_pandas().sort_values("source").reset_index(drop=True)


def actors(of: int | None = None) -> list[int]:
    """The processes below this one that are Ray's actors and work for us."""
    found = []
    for threads in Path(f"/proc/{of or os.getpid()}/task").glob("*/children"):
        try:
            for pid in map(int, threads.read_text().split()):
                found += [pid] if b"(_Actor)" in Path(f"/proc/{pid}/cmdline").read_bytes() else []
                found += actors(pid)
        except OSError:  # it has just ended
            continue
    return found


def test_a_killed_worker_and_a_lost_node_lose_and_double_nothing(
    cluster: Cluster, second: Any, held: Path, photos: Path, tmp_path: Path, brightness_model: Path, started: Any
) -> None:
    ask: dict[str, Any] = {"model": str(brightness_model), "detector": "none", "options": FEW}
    local = started(photos, tmp_path / "local", **ask, workers=0)
    events: list[str] = []

    def harm(progress: Progress) -> None:
        if progress.done > PICTURES // 5 and not events:
            os.kill(actors()[0], signal.SIGKILL)
            events.append("worker")
        elif progress.done > PICTURES // 2 and len(events) == 1:
            cluster.remove_node(second, allow_graceful=False)
            events.append("node")
            held.unlink()

    manifest = started(photos, tmp_path / "ray", **ask, engine="ray", address=cluster.address, on_progress=harm)
    assert events == ["worker", "node"]
    assert not ray.is_initialized()
    assert manifest["complete"]
    assert manifest["counts"] == local["counts"]
    assert manifest["counts"]["read"] == PICTURES
    assert manifest["errors"] == {"format": 1}
    assert rows(tmp_path / "ray").equals(rows(tmp_path / "local"))
    for path in (tmp_path / "local").rglob("part-*.parquet"):
        assert (tmp_path / "ray" / path.relative_to(tmp_path / "local")).read_bytes() == path.read_bytes()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_driver_that_is_killed_or_stopped_goes_on_where_it_was_with_any_engine(
    cluster: Cluster, held: Path, photos: Path, tmp_path: Path, brightness_model: Path, how: signal.Signals
) -> None:
    out = tmp_path / "out"
    options = ["--model", str(brightness_model), "--detector", "none", "--shard", "8"]
    command = [sys.executable, "-m", "mien", "annotate", str(photos), "-o", str(out), *options]
    driver = subprocess.Popen([*command, "--engine", "ray", "--address", cluster.address])
    end = time.monotonic() + 200
    while len(list(out.glob("plan/done/*.json"))) < 4:
        assert time.monotonic() < end, "took too long"
        time.sleep(0.02)
    driver.send_signal(how)
    assert driver.wait() == (143 if how == signal.SIGTERM else -how)  # Ray's own handler would end it with 15
    while actors():
        assert time.monotonic() < end, "the actors outlive their driver"
        time.sleep(0.05)
    done = {path.stem for path in out.glob("plan/done/*.json")}
    before = {path: path.stat().st_mtime_ns for path in out.rglob("part-*.parquet") if path.stem[5:] in done}
    assert 4 <= len(done) < PICTURES // 8

    again = subprocess.run([*command, "--workers", "1"], capture_output=True, text=True, check=False)
    assert again.returncode == 1, again.stderr  # one picture is none
    assert {path: path.stat().st_mtime_ns for path in before} == before
    sources = pq.read_table(out / "faces")["source"].to_pylist()
    assert len(sources) == len(set(sources)) == PICTURES


def test_a_picture_that_kills_is_found_and_told(
    cluster: Cluster, photos: Path, tmp_path: Path, brightness_model: Path, started: Any
) -> None:
    some = tmp_path / "some"
    some.mkdir()
    for path in sorted(photos.iterdir())[:20]:
        (some / path.name).write_bytes(path.read_bytes() + (b"KILLS" if path.stem == "009" else b""))
    ask: dict[str, Any] = {"model": str(brightness_model), "detector": "none", "options": FEW}
    manifest = started(some, tmp_path / "out", **ask, engine="ray", address=cluster.address)
    assert manifest["errors"] == {"killed": 1}
    assert manifest["counts"]["read"] == 19
    assert pq.read_table(tmp_path / "out" / "errors")["source"].to_pylist() == [str(some / "009.png")]


def test_an_error_of_an_actor_is_one_line(
    cluster: Cluster, photos: Path, tmp_path: Path, brightness_model: Path, started: Any
) -> None:
    ask: dict[str, Any] = {"model": str(brightness_model), "detector": "none", "engine": "ray"}
    for address, told in (
        ("localhost:1", "no Ray cluster answers there: "),
        ("nonsense", "expected HOST:PORT of a Ray"),
    ):
        with pytest.raises(ConfigError, match=f"^{address}: {told}") as error:
            started(photos, tmp_path / "a", address=address, **ask)
        assert "\n" not in str(error.value)
    with pytest.raises(Exception, match=r"expected onnxruntime providers of .*, got Nonsense"):
        started(
            *(photos, tmp_path / "b"),
            **{"model": str(brightness_model), "detector": "none", "providers": ["Nonsense"]},
            **{"engine": "ray", "address": cluster.address, "workers": 1},
        )
    assert not ray.is_initialized()
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("StreamingExecutor")]
