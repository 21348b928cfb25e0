"""Training from a pack: the same run, bit for bit, and no more memory than its columns need."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from mien.data.dataset import FaceDataset
from mien.data.packed_faces import PackedFaces, keys_of
from mien.training import checkpoint
from mien.training.loop import Devices, Start, train
from mien.training.recipes import Recipe

CPU = Devices("cpu")


def packed(dataset: FaceDataset, folder: Path) -> FaceDataset:
    np.save(folder / "faces.npy", dataset.faces[:])
    pixels = np.load(folder / "faces.npy", mmap_mode="r")
    return dataclasses.replace(dataset, faces=PackedFaces(folder, pixels, keys_of(pixels)))


@pytest.mark.parametrize("balance", [pytest.param(0.0, marks=pytest.mark.slow), 0.5])
def test_a_run_on_a_pack_is_the_run_on_its_source(
    tmp_path: Path, striped: FaceDataset, tiny: Recipe, trained: Path, balance: float
) -> None:
    recipe = dataclasses.replace(tiny, balance=balance, epochs=2)
    runs: list[Path] = []
    for dataset in (striped, packed(striped, tmp_path)):
        runs.append(tmp_path / f"run{len(runs)}")
        train(dataset, recipe, runs[-1], devices=CPU, start=Start(teachers=[trained]))
    for name in (checkpoint.LAST, checkpoint.BEST):
        one, other = (load_file(run / name) for run in runs)
        assert one.keys() == other.keys()
        for key, value in one.items():
            assert np.array_equal(value, other[key]), key
    records = [
        [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()] for run in runs
    ]
    for record in (*records[0], *records[1]):
        del record["faces_per_s"]
    assert records[0] == records[1]
    left, right = (checkpoint.describe(run / checkpoint.BEST).data for run in runs)
    assert left == right


# Trains on a pack of 230 MB with room for 150 MB more than there is when it begins; its faces do not fit there.
LIMITED = """
import resource, sys
from pathlib import Path
import numpy as np
from mien.data.audit import audit
from mien.data.pack import describe, measure
from mien.data.readers import read_faces
from mien.emotions import EMOTIONS
from mien.training.loop import Devices, train
from mien.training.recipes import scratch, with_settings
from mien.training.checkpoint import predict_faces

N, FEW = 100_000, 200
folder, out = Path(sys.argv[1]), Path(sys.argv[2])
folder.mkdir()
rng = np.random.default_rng(0)
faces = np.lib.format.open_memmap(folder / "faces.npy", "w+", np.uint8, (N, 48, 48))
faces[:FEW] = rng.integers(0, 256, (FEW, 48, 48), np.uint8)
del faces  # the others are a hole in the file
np.save(folder / "keys.npy", rng.integers(0, 2**64, N, np.uint64))
np.save(folder / "labels.npy", np.where(np.arange(N) % (N // FEW), -1, np.arange(N) // (N // FEW) % 7))
np.save(folder / "split.npy", np.where(np.arange(N) < N // 2, "training", "validation"))
np.save(folder / "row.npy", np.arange(N).astype("U6"))
values = {"source": "made", "classes": EMOTIONS, "faces": N, "skipped": 0, "fingerprint": "", "files": measure(folder)}
describe(folder, values)
dataset = read_faces(folder)
describe(folder, {**values, "fingerprint": audit(dataset.take(np.arange(N))).fingerprint})

used = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmData")) * 1024
resource.setrlimit(resource.RLIMIT_DATA, (used + (150 << 20), resource.RLIM_INFINITY))
audit(dataset)
recipe = with_settings(scratch(), sys.argv[3:])
best = train(dataset, recipe, out, devices=Devices("cpu"))
predict_faces(best, dataset.take(np.arange(2000)).faces)
try:
    dataset.faces[:]
except MemoryError:
    print("the faces do not fit")
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_DATA holds to its word on Linux")
def test_memory_does_not_grow_with_the_pack(tmp_path: Path) -> None:
    from .conftest import TINY_SETTINGS

    settings = [*TINY_SETTINGS, "epochs=1", "batch=32", "precision=32-true"]
    command = [sys.executable, "-c", LIMITED, str(tmp_path / "pack"), str(tmp_path / "run"), *settings]
    alone = {**os.environ, "OMP_NUM_THREADS": "1"}  # each thread has memory of its own
    result = subprocess.run(command, env=alone, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout == "the faces do not fit\n"
    assert (tmp_path / "run" / "best.safetensors").exists()
