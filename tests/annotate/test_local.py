"""The local engine: the same rows from any number of processes, whoever of them is killed."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("fsspec")
pytest.importorskip("pyarrow")
import pyarrow.parquet as pq

from mien.annotate import Options
from mien.annotate.run import Progress
from mien.errors import ConfigError, StorageError
from mien.signals import ENDING

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="kills by signals")

PICTURES = 60
FEW = Options(shard=5)

# What worker processes run before anything else, by Python's sitecustomize: some pictures take long, some kill. While
# the file "held" is there, each process waits before its 16th picture, so that no run ends before it is harmed.
CUSTOM = """
import itertools, os, signal, sys, time
from pathlib import Path
if any("spawn_main" in word for word in sys.orig_argv):
    if os.environ.get("MIEN_TEST_MOST_FAILED_STARTS"):
        os._exit(1)
    import mien.analyzer as analyzer
    from mien.annotate import prefetch, quarantine, shard_output
    quarantine._MOST_ATTEMPTS = 4
    def die_at(module, name, is_deadly):
        function = getattr(module, name)
        def deadly(*arguments):
            if is_deadly(*arguments):
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments)
        setattr(module, name, deadly)
    where = os.environ.get("MIEN_TEST_DEADLY")
    if where == "judging":
        die_at(analyzer.Analyzer, "_classify", lambda _, batch: any(one.picture.width == 51 for one in batch))
    if where == "fetching":
        die_at(prefetch, "read_at_most", lambda system, path, limit: path.endswith(("007.png", "031.png")))
    if where == "writing":
        die_at(shard_output.ShardOutput, "_tables", lambda part: part.shard == 1)
    look, held, looked = analyzer.Analyzer._detect, Path(__file__).with_name("held"), itertools.count()
    def slower(self, source, color):
        time.sleep(float(os.environ.get("MIEN_TEST_SLEEP", "0")))
        if next(looked) >= 15:
            while held.exists():
                time.sleep(0.01)
        if b"KILLS" in source:
            os.kill(os.getpid(), signal.SIGKILL)
        return look(self, source, color)
    analyzer.Analyzer._detect = slower
"""


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(PICTURES):
        level = number * 255 // (PICTURES - 1)
        Image.fromarray(np.full((50, 50), level, np.uint8)).save(folder / f"{number:03d}.png")
    (tmp_path / "custom").mkdir()
    (tmp_path / "custom" / "sitecustomize.py").write_text(CUSTOM)
    others = os.environ.get("PYTHONPATH")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path / "custom"), *([others] if others else [])]))
    return folder


@pytest.fixture
def run(brightness_model: Path, tmp_path: Path, photos: Path, started: Any) -> Any:
    def go(out: str = "out", **more: Any) -> dict[str, Any]:
        more = {"model": str(brightness_model), "detector": "none", "options": FEW, "workers": 2, **more}
        return started(photos, tmp_path / out, **more)

    return go


def parts(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("part-*.parquet")}


def check_complete(out: Path, photos: Path, *, cleaned: bool = True) -> None:
    sources = pq.read_table(out / "faces")["source"].to_pylist()
    told = pq.read_table(out / "errors")["source"].to_pylist()
    assert sorted(sources + told) == [str(path) for path in sorted(photos.iterdir())]
    assert not cleaned or not [path for path in out.rglob("*.part") if path.is_file()]
    assert not [path for path in (out / "plan" / "attempts").iterdir() if path.suffix != ".part"]


def test_any_number_of_processes_gives_the_same_parts(run: Any, tmp_path: Path, photos: Path) -> None:
    for workers in (0, 1, 3):
        assert run(f"out{workers}", workers=workers)["counts"]["read"] == PICTURES
        check_complete(tmp_path / f"out{workers}", photos)
    assert parts(tmp_path / "out0") == parts(tmp_path / "out1") == parts(tmp_path / "out3")
    assert not multiprocessing.active_children()


@pytest.mark.slow
def test_a_worker_that_is_killed_takes_nothing_along(
    run: Any, tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIEN_TEST_SLEEP", "0.02")
    (held := tmp_path / "custom" / "held").touch()
    killed: list[int] = []

    def kill(progress: Progress) -> None:
        alive = [child.pid for child in multiprocessing.active_children() if child.pid and child.pid not in killed]
        if progress.done > 8 * (len(killed) + 1) and len(killed) < 3 and alive:
            os.kill(alive[0], signal.SIGKILL)
            killed.append(alive[0])
        if len(killed) == 3:
            held.unlink(missing_ok=True)

    manifest = run(on_progress=kill)
    assert len(killed) == 3
    assert manifest["counts"]["read"] == PICTURES
    check_complete(tmp_path / "out", photos, cleaned=False)
    run("quiet", workers=0)
    assert parts(tmp_path / "out") == parts(tmp_path / "quiet")


@pytest.mark.slow
def test_pictures_that_kill_are_found_and_told(run: Any, tmp_path: Path, photos: Path) -> None:
    deadly = [photos / "007.png", photos / "031.png", photos / "033.png"]
    for path in deadly:
        path.write_bytes(path.read_bytes() + b"KILLS")
    manifest = run()
    assert manifest["errors"] == {"killed": 3}
    errors = pq.read_table(tmp_path / "out" / "errors").to_pylist()
    assert sorted(error["source"] for error in errors) == [str(path) for path in deadly]
    assert all(error["reason"] == "the process was killed at this picture, 2 times" for error in errors)
    check_complete(tmp_path / "out", photos, cleaned=False)


@pytest.mark.slow
@pytest.mark.parametrize("where", ["judging", "fetching"])
def test_wherever_a_picture_kills_only_it_is_skipped(
    run: Any, tmp_path: Path, photos: Path, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIEN_TEST_DEADLY", where)
    deadly = [photos / "007.png", photos / "031.png"]
    for path in deadly:
        Image.new("L", (51, 50), 9).save(path)
    progress: list[Progress] = []
    assert run(on_progress=progress.append)["errors"] == {"killed": 2}
    assert pq.read_table(tmp_path / "out" / "errors")["source"].to_pylist() == [str(path) for path in deadly]
    assert max(one.done for one in progress) == PICTURES
    check_complete(tmp_path / "out", photos, cleaned=False)


@pytest.mark.slow
def test_workers_that_die_of_no_picture_end_the_run(
    run: Any, tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIEN_TEST_DEADLY", "writing")
    with pytest.raises(StorageError, match="shard 1: 4 workers crashed in it, and no picture was at fault"):
        run()
    assert not multiprocessing.active_children()
    monkeypatch.delenv("MIEN_TEST_DEADLY")
    assert run(workers=0)["errors"] == {}
    check_complete(tmp_path / "out", photos, cleaned=False)


def test_progress_is_never_more_than_there_is(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIEN_TEST_SLEEP", "0.01")
    progress: list[Progress] = []
    run(on_progress=progress.append)
    assert (progress[0].done, progress[-1].done) == (0, PICTURES)
    assert all(0 <= one.done <= one.pictures == PICTURES for one in progress)


def test_workers_that_cannot_begin_end_the_run(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIEN_TEST_MOST_FAILED_STARTS", "1")
    with pytest.raises(ConfigError, match="worker processes end before they read a picture"):
        run()


def test_an_error_of_a_worker_is_one_of_the_run(run: Any) -> None:
    with pytest.raises(Exception, match=r"expected onnxruntime providers of .*, got NonsenseProvider"):
        run(providers=["NonsenseProvider"])
    assert not multiprocessing.active_children()


def command(photos: Path, out: Path, model: Path) -> list[str]:
    options = ["--model", str(model), "--detector", "none", "--shard", "5", "--workers", "2"]
    return [sys.executable, "-m", "mien", "annotate", str(photos), "-o", str(out), *options]


def until(condition: Any) -> None:
    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end, "took too long"
        time.sleep(0.02)


def children(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_alive(pid: int) -> bool:
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks for processes in /proc")
@pytest.mark.parametrize(
    "how",
    [
        signal.Signals.SIGKILL,
        *(pytest.param(how, marks=pytest.mark.slow) for how in ENDING),
    ],
)
def test_a_driver_that_is_killed_or_interrupted_goes_on(
    photos: Path, tmp_path: Path, brightness_model: Path, how: signal.Signals
) -> None:
    out = tmp_path / "out"
    (held := tmp_path / "custom" / "held").touch()
    slow = {**os.environ, "MIEN_TEST_SLEEP": "0.05"}
    driver = subprocess.Popen(
        command(photos, out, brightness_model), env=slow, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    until(lambda: len(list(out.glob("plan/done/*.json"))) >= 3)
    workers = children(driver.pid)
    assert len(workers) >= 2
    if how == signal.SIGKILL:
        driver.kill()
    else:
        os.killpg(driver.pid, how)  # as a terminal does, `timeout` and systemd
        held.unlink()
    _, said = driver.communicate(timeout=120)
    until(lambda: not any(map(is_alive, workers)))
    held.unlink(missing_ok=True)
    if how != signal.SIGKILL:
        assert driver.returncode == 128 + how
        assert said.strip().splitlines()[-1] == f"stopped; the same command goes on in {out}"
        assert "Traceback" not in said
        assert not list(out.rglob("*.part"))
        assert not json.loads((out / "manifest.json").read_text())["complete"]
    done = {path.stem for path in out.glob("plan/done/*.json")}
    before = {path: path.stat().st_mtime_ns for path in out.rglob("part-*.parquet") if path.stem[5:] in done}
    assert 3 <= len(done) < PICTURES // 5

    again = subprocess.run(command(photos, out, brightness_model), capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert f"{len(done) * 5} of them are done already" in again.stderr
    assert {path: path.stat().st_mtime_ns for path in before} == before
    check_complete(out, photos, cleaned=how != signal.SIGKILL)  # what a killed writer left is removed an hour later
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["complete"]
    assert manifest["runs"][-1]["shards"] == PICTURES // 5 - len(done)
