"""Commands in processes of their own, and what those that train need: faces and a trained run."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

TINY = [
    item
    for setting in (
        "network.input_size=67",
        "network.width=0.1",
        "network.hidden=16,16",
        "epochs=1",
        "batch=16",
        "holdback=0.1",
    )
    for item in ("--set", setting)
]


COMMAND = """
import os, sys
os.chdir(folder)
os.environ.clear()
os.environ.update(environment)
for path, number in ((out, 1), (err, 2)):
    os.dup2(os.open(path, os.O_WRONLY), number)
sys.argv = ["mien", *arguments]
from mien.cli import main
main()
"""


def mien(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a command in a process of its own.

    PyTorch takes seconds to import: where it can be, the process is forked from one that has done so.
    """
    if not hasattr(os, "fork"):
        command = [sys.executable, "-m", "mien", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False)
    forking = multiprocessing.get_context("forkserver")
    trains = ["mien.training.loop", "mien.training.export"] if find_spec("torch") else []
    forking.set_forkserver_preload(["mien.cli.app", *trains])
    with tempfile.NamedTemporaryFile() as out, tempfile.NamedTemporaryFile() as err:
        given = {"out": out.name, "err": err.name, "arguments": [*map(str, arguments)]}
        where = {"folder": str(Path.cwd()), "environment": dict(os.environ)}
        process = forking.Process(target=exec, args=(COMMAND, given | where))
        process.start()
        process.join()
        printed = (Path(file.name).read_text(encoding="utf-8") for file in (out, err))
        return subprocess.CompletedProcess(given["arguments"], process.exitcode or 0, *printed)


def assert_one_line_error(result: subprocess.CompletedProcess[str], *parts: str) -> None:
    assert result.returncode == 2, result.stderr
    assert "Traceback" not in result.stderr
    *before, last = result.stderr.strip().splitlines()
    assert all(line.startswith(("warning:", "left out")) for line in before)
    for part in parts:
        assert part in last


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Class folders of plain faces, bright ones happy and dark ones sad, one of them in training and validation."""
    root = tmp_path_factory.mktemp("faces")
    rng = np.random.default_rng(0)
    for split, count in (("train", 24), ("val", 6)):
        for name, level in (("happy", 180), ("sad", 70)):
            (root / split / name).mkdir(parents=True)
            for i in range(count):
                face = rng.normal(level, 20, (12, 12)).clip(0, 255).astype(np.uint8)
                Image.fromarray(face.repeat(4, axis=0).repeat(4, axis=1)).save(root / split / name / f"{i}.png")
    (root / "val" / "sad" / "leak.png").write_bytes((root / "train" / "sad" / "0.png").read_bytes())
    return root


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory, folders: Path) -> Path:
    out = tmp_path_factory.mktemp("runs") / "one"
    result = mien("train", "--data", folders, "--out", out, "--drop-leaks", *TINY)
    assert result.returncode == 0, result.stderr
    assert "left out 1 training faces" in result.stderr
    assert "epoch 1" in result.stderr
    assert "validation" in result.stderr
    assert result.stdout == ""
    return out
