"""Training on several ranks: two processes on the CPU, that torchrun starts and that meet by gloo."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from safetensors.numpy import load_file

from mien.data.dataset import FaceDataset
from mien.data.packing import write_pack
from mien.data.readers import read_faces
from mien.errors import ConfigError, MienError
from mien.training import checkpoint, distributed
from mien.training.checkpoint import BEST, LAST, logits_of
from mien.training.distributed import continues, joined, launch, one_of_ranks, part_of, settle, synchronised
from mien.training.epoch_figures import evaluate_epoch
from mien.training.loop import Devices, train
from mien.training.recipes import Recipe, scratch, with_settings
from mien.training.splits import gather
from mien.training.state import TrainingState

from .conftest import TINY_SETTINGS

CPU = Devices("cpu")

# Without anything drawn at random ranks differ from one process in their batch statistics alone.
SETTINGS = [
    *TINY_SETTINGS,
    "network.dropout=0",
    *(f"augmentation.{name}=0" for name in ("flip", "rotation", "scale", "shift", "brightness", "contrast")),
    *(f"augmentation.{name}=0" for name in ("blur", "noise", "erasing")),
    "epochs=4",
    "batch=32",
    "save_minutes=0",
    "precision=32-true",
]


@given(st.integers(0, 5000), st.integers(1, 40))
def test_the_ranks_judge_parts_that_are_disjoint_and_complete(count: int, many: int) -> None:
    parts = [part_of(count, rank, many) for rank in range(many)]
    assert [row for part in parts for row in range(part.start, part.stop)] == list(range(count))
    sizes = [part.stop - part.start for part in parts]
    assert max(sizes) - min(sizes) <= 1


@pytest.fixture
def torchrun(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def set_environment(**values: str) -> None:
        for name, value in values.items():
            monkeypatch.setenv(name, value)

    return set_environment


def test_what_contradicts_torchrun_is_refused(torchrun: Callable[..., None], tiny: Recipe) -> None:
    torchrun(TORCHELASTIC_RUN_ID="a", LOCAL_WORLD_SIZE="2", WORLD_SIZE="4", RANK="0", LOCAL_RANK="0")
    with pytest.raises(ConfigError, match="`devices=3` contradicts torchrun, which started 2 processes"):
        launch(tiny, "cpu", 3, "32-true")
    torchrun(WORLD_SIZE="3")
    with pytest.raises(ConfigError, match="as many processes on each machine, got 2 of 3"):
        launch(tiny, "cpu", None, "32-true")
    torchrun(LOCAL_WORLD_SIZE="3")
    with pytest.raises(ConfigError, match="batch 16 does not divide among 3 ranks"):
        launch(tiny, "cpu", None, "32-true")
    torchrun(LOCAL_WORLD_SIZE="2", WORLD_SIZE="2")
    with pytest.raises(ConfigError, match="work on one device only"):
        launch(with_settings(tiny, ["freeze=1"]), "cpu", None, "32-true")


def test_a_torchrun_of_one_process_is_one_process(torchrun: Callable[..., None], tiny: Recipe) -> None:
    torchrun(TORCHELASTIC_RUN_ID="a", LOCAL_WORLD_SIZE="1", WORLD_SIZE="1", RANK="0", LOCAL_RANK="0")
    fabric = launch(tiny, "cpu", None, "32-true")
    assert (fabric.world_size, fabric.is_global_zero) == (1, True)


def test_only_a_run_of_this_very_torchrun_goes_on_unasked(
    torchrun: Callable[..., None], tmp_path: Path, tiny: Recipe
) -> None:
    def keep(launch: str | None) -> None:
        state = TrainingState.begin(tiny.network, tiny)
        described = checkpoint.Description((), tiny.to_dict(), {}, {}, (), launch=launch)
        state.save_averaged(tmp_path / LAST, described)

    assert not continues(tmp_path)
    torchrun(TORCHELASTIC_RUN_ID="a", TORCHELASTIC_RESTART_COUNT="1")
    assert not continues(tmp_path)
    for launched, expected in ((None, False), ("b", False), ("a", True)):
        keep(launched)
        assert continues(tmp_path) is expected
    torchrun(TORCHELASTIC_RUN_ID="none")  # so all are called that have no name
    keep("none")
    assert continues(tmp_path)
    torchrun(TORCHELASTIC_RESTART_COUNT="0")
    assert not continues(tmp_path)


def test_a_lost_rank_is_told_in_one_line_and_other_errors_are_let_through(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distributed, "joined", lambda: True)
    for error in (
        RuntimeError("[pair.cc:547] Connection closed by peer [::1]:1"),
        torch.distributed.DistBackendError(),
    ):
        with pytest.raises(MienError, match="another rank"), one_of_ranks():
            raise error
    with pytest.raises(RuntimeError, match="shapes differ"), one_of_ranks():
        raise RuntimeError("shapes differ")
    monkeypatch.setattr(distributed, "joined", lambda: False)
    with pytest.raises(RuntimeError, match="by peer"), one_of_ranks():
        raise RuntimeError("by peer")


def test_ranks_are_left_by_who_joined_them() -> None:
    def join() -> None:
        store = torch.distributed.HashStore()  # type: ignore[attr-defined]
        torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)

    with one_of_ranks():
        join()
    assert not joined()
    join()
    with one_of_ranks():
        pass
    assert joined()
    torch.distributed.destroy_process_group()


def test_settling_has_no_effect(tiny: Recipe) -> None:
    class Two:
        world_size, device = 2, torch.device("cpu")

        def backward(self, loss: torch.Tensor) -> None:
            loss.backward()  # type: ignore[no-untyped-call]
            self.passed = all(weight.grad is not None for weight in network.parameters())

    network = TrainingState.begin(tiny.network, tiny).network
    before = {name: value.clone() for name, value in network.state_dict().items()}
    two = Two()
    settle(two, network, tiny.network)  # type: ignore[arg-type]
    assert two.passed
    assert all(value.equal(before[name]) for name, value in network.state_dict().items())
    assert all(weight.grad is None for weight in network.parameters())


def test_synchronised_batch_statistics_keep_weights_and_names(tiny: Recipe) -> None:
    class Gpus:
        world_size, device = 2, torch.device("cuda", 0)

    state = TrainingState.begin(tiny.network, tiny)
    before = state.network.state_dict()
    weights = [id(weight) for weight in state.network.parameters()]
    synchronised(Gpus(), state.network)  # type: ignore[arg-type]
    kinds = {type(layer) for layer in state.network.modules()}
    assert torch.nn.SyncBatchNorm in kinds
    assert torch.nn.BatchNorm2d not in kinds
    assert [id(weight) for weight in state.network.parameters()] == weights  # the optimizer's own
    after = state.network.state_dict()
    assert list(after) == list(before) == list(state.averaged.state_dict())
    assert all(value.equal(before[name]) for name, value in after.items())


pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="torchrun needs POSIX")


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory, striped: FaceDataset) -> Path:
    root = tmp_path_factory.mktemp("striped")
    for index, (face, label, split) in enumerate(zip(striped.faces[:], striped.labels, striped.split, strict=True)):
        folder = root / "faces" / split / striped.classes[label]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(face).save(folder / f"{index:04}.png")
    write_pack(root / "faces", root / "pack")
    return root / "pack"


def start(out: Path, pack: Path, *arguments: str, restarts: int = 0) -> subprocess.Popen[str]:
    settings = [part for setting in SETTINGS for part in ("--set", setting)]
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"),
            *(f"--max-restarts={restarts}", "-m", "mien", "train", "--accelerator", "cpu"),
            *("--data", str(pack), "--out", str(out), *settings, *arguments),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def end(process: subprocess.Popen[str]) -> str:
    reported = process.communicate(timeout=120)[0]
    assert process.returncode == 0, reported
    return reported


def records(out: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory, pack: Path) -> tuple[Path, str]:
    """A finished run on two ranks, and what it reported."""
    out = tmp_path_factory.mktemp("runs") / "two"
    return out, end(start(out, pack))


@pytest.mark.slow
def test_two_ranks_learn_what_one_process_does(two: tuple[Path, str], pack: Path, tmp_path: Path) -> None:
    out, reported = two
    assert sorted(path.name for path in out.iterdir()) == ["best.safetensors", "curves.png", LAST, "metrics.jsonl"]
    assert reported.count("epoch 4 ") == reported.count("best epoch") == 1  # one speaks for both
    train(read_faces(pack), with_settings(scratch(), SETTINGS), tmp_path / "one", devices=CPU)
    one, both = records(tmp_path / "one"), records(out)
    assert len(both) == len(one) == 4
    for left, right in zip(one, both, strict=True):
        assert right["train_loss"] == pytest.approx(left["train_loss"], abs=0.05)
    assert both[-1]["train_loss"] < both[0]["train_loss"] - 0.1
    # What was judged, by parts, is what is kept: the first rank's average.
    recipe = with_settings(scratch(), SETTINGS)
    material = gather(read_faces(pack), recipe)
    network = checkpoint.load_network(out / LAST)[1]
    figures = evaluate_epoch(
        logits_of(network, material.held.faces), logits_of(network, material.validation.faces), material
    )
    assert figures == pytest.approx({name: both[-1][name] for name in figures}, abs=1e-5)


def workers(process: subprocess.Popen[str]) -> list[int]:
    return list(map(int, Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()))


def wait_for(out: Path, process: subprocess.Popen[str], least: tuple[int, int]) -> None:
    """Until the run is at this epoch and step or past it."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()[0]
        if (out / LAST).exists():
            progress = checkpoint.describe(out / LAST).progress
            if (progress["epoch"], progress["step"]) >= least:
                return
        time.sleep(0.005)
    raise TimeoutError


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="finds torchrun's processes in /proc")
def test_ranks_that_are_killed_go_on_by_themselves_or_by_resume_and_end_alike(
    two: tuple[Path, str], pack: Path, tmp_path: Path
) -> None:
    out = tmp_path / "cut"
    process = start(out, pack, restarts=1)
    wait_for(out, process, (0, 3))
    os.kill(workers(process)[1], signal.SIGKILL)  # torchrun ends the other one, and starts both anew
    wait_for(out, process, (2, 2))
    for pid in (process.pid, *workers(process)):
        os.kill(pid, signal.SIGKILL)
    assert "started anew: goes on in" in process.communicate()[0]
    place = checkpoint.describe(out / LAST).progress
    assert place["epoch"] < 4
    end(start(out, pack, "--resume"))
    for name in (LAST, BEST):
        one, other = load_file(two[0] / name), load_file(out / name)
        assert one.keys() == other.keys()
        for key, value in one.items():
            assert np.array_equal(value, other[key]), key
    for left, right in zip(records(two[0]), records(out), strict=True):
        assert {**left, "faces_per_s": 0} == {**right, "faces_per_s": 0}


@pytest.mark.slow
def test_an_error_is_told_once_and_ends_all(two: tuple[Path, str], pack: Path) -> None:
    process = start(two[0], pack)
    reported = process.communicate(timeout=60)[0]
    assert process.returncode != 0
    expected = f"error: {two[0]} holds a run already: resume it, or choose another folder"
    assert [line for line in reported.splitlines() if line.startswith("error: ")] == [expected]


@pytest.mark.slow
def test_a_loss_that_is_not_finite_ends_all(pack: Path, tmp_path: Path) -> None:
    wild = ["optimizer=sgd", "learning_rate=10", "clip=0", "warmup=0"]
    process = start(tmp_path / "run", pack, *(part for setting in wild for part in ("--set", setting)))
    reported = process.communicate(timeout=60)[0]
    assert process.returncode != 0
    assert len([line for line in reported.splitlines() if line.startswith("error: ")]) == 1
    assert "lower learning_rate" in reported
    assert "mien/training/loop.py" not in reported  # no traceback of ours
