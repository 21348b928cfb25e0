from __future__ import annotations

import dataclasses
import json
import math
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from mien.data.dataset import FaceDataset
from mien.errors import ConfigError, DataError, ModelError
from mien.training import checkpoint, loop
from mien.training.checkpoint import BEST, LAST
from mien.training.loop import Devices, Start, learning_rate, train
from mien.training.recipes import Recipe, scratch, with_settings
from mien.training.splits import Examples, gather
from mien.training.state import TrainingState
from mien.training.watcher import Step, Watcher

from .conftest import TINY_SETTINGS

CPU = Devices("cpu")

# Trains in a process of its own, so that it can be killed for real.
SCRIPT = """
import sys
from pathlib import Path
from tests_training import striped_faces, TINY_SETTINGS
from mien.training.loop import Devices, Start, train
from mien.training.recipes import scratch, with_settings

recipe = with_settings(scratch(), [*TINY_SETTINGS, "save_minutes=0"])
train(striped_faces(), recipe, Path(sys.argv[1]), start=Start(resume="resume" in sys.argv), devices=Devices("cpu"))
"""


def start(folder: Path, *arguments: str) -> subprocess.Popen[bytes]:
    (folder / "run.py").write_text(SCRIPT, encoding="utf-8")
    (folder / "tests_training.py").write_text(
        (Path(__file__).parent / "conftest.py").read_text(encoding="utf-8"), encoding="utf-8"
    )
    with (folder / "log.txt").open("ab") as log:
        return subprocess.Popen([sys.executable, "run.py", *arguments], cwd=folder, stdout=log, stderr=log)


def assert_equal_files(one: Path, other: Path) -> None:
    left, right = load_file(one), load_file(other)
    assert left.keys() == right.keys()
    for name, value in left.items():
        assert np.array_equal(value, right[name]), name


class OnStep(Watcher):
    """Calls a function after each step."""

    def __init__(self, function: Callable[[Step], None]) -> None:
        self._function = function

    def on_step(self, step: Step) -> None:
        self._function(step)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="kill -9 is for POSIX")
def test_a_run_that_is_killed_and_resumed_ends_where_the_uninterrupted_one_does(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    assert start(tmp_path, "whole").wait(300) == 0, log.read_text(encoding="utf-8")
    cuts: set[Any] = set()
    for _ in range(2):
        process = start(tmp_path, "cut", *(["resume"] if cuts else []))
        before = cuts.copy()
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and process.poll() is None:
            place = _progress(tmp_path / "cut" / LAST)
            if place is not None and place not in before and place[1] % 12 in (3, 4, 5, 6, 7):
                process.kill()
                break
            time.sleep(0.005)
        process.wait()
        place = _progress(tmp_path / "cut" / LAST)
        assert place is not None
        cuts.add(place)
    assert any(step for _, step in cuts), f"no kill fell in mid-epoch: {cuts}"
    assert start(tmp_path, "cut", "resume").wait(300) == 0, log.read_text(encoding="utf-8")
    assert_equal_files(tmp_path / "whole" / LAST, tmp_path / "cut" / LAST)
    assert_equal_files(tmp_path / "whole" / BEST, tmp_path / "cut" / BEST)
    records = [
        [json.loads(line) for line in (tmp_path / run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
        for run in ("whole", "cut")
    ]
    for record in (*records[0], *records[1]):
        del record["faces_per_s"]
    assert records[0] == records[1]


def _progress(path: Path) -> tuple[int, int] | None:
    if not path.exists():
        return None
    progress = checkpoint.describe(path).progress
    return progress["epoch"], progress["step"]


def test_it_learns(trained: Path, tiny: Recipe) -> None:
    lines = (trained / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    history = [json.loads(line) for line in lines]
    assert [record["epoch"] for record in history] == [1, 2, 3]
    assert history[-1]["train_loss"] < history[0]["train_loss"]
    assert history[-1]["validation_accuracy"] > 1.5 / 7
    assert (trained / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert not list(trained.glob("*.part"))


def test_the_best_checkpoint_describes_itself(trained: Path, striped: FaceDataset, tiny: Recipe) -> None:
    description, tensors = checkpoint.load(trained)
    assert description.classes == striped.classes
    assert Recipe.from_dict(description.recipe) == tiny
    assert description.data["protocol"] == "ferplus"
    assert description.data["learned"] + description.data["held_back"] == (striped.split == "training").sum()
    best = min(description.history, key=lambda record: record["held_loss"])
    assert description.temperature == best["temperature"]
    assert all(name.startswith("model.") for name in tensors)


def test_a_run_is_not_overwritten_and_resumes_only_as_itself(trained: Path, striped: FaceDataset, tiny: Recipe) -> None:
    with pytest.raises(ConfigError, match="holds a run already"):
        train(striped, tiny, trained, devices=CPU)
    with pytest.raises(ConfigError, match="another recipe: batch"):
        train(striped, dataclasses.replace(tiny, batch=32), trained, start=Start(resume=True), devices=CPU)
    with pytest.raises(ConfigError, match="other data"):
        train(striped.take(np.arange(1, len(striped))), tiny, trained, start=Start(resume=True), devices=CPU)


@pytest.mark.slow
@pytest.mark.parametrize(("patience", "ended_after"), [(0, 6), (1, 3), (2, 6)])
def test_patience_ends_a_run_that_no_longer_improves(
    tmp_path: Path,
    striped: FaceDataset,
    tiny: Recipe,
    monkeypatch: pytest.MonkeyPatch,
    patience: int,
    ended_after: int,
) -> None:
    losses = iter([3.0, 2.0, 2.5, 1.9, 1.8, 1.7])
    monkeypatch.setattr(loop, "evaluate_epoch", lambda *_: {"held_loss": next(losses), "temperature": 1.0})
    recipe = dataclasses.replace(tiny, epochs=6, patience=patience)
    train(striped, recipe, tmp_path / "run", devices=CPU)
    progress = checkpoint.describe(tmp_path / "run" / LAST).progress
    assert progress["epoch"] == ended_after
    assert progress["best_epoch"] == (1 if patience == 1 else 5)


def test_a_run_that_diverges_says_so(tmp_path: Path, striped: FaceDataset, tiny: Recipe) -> None:
    wild = dataclasses.replace(tiny, optimizer="sgd", learning_rate=10.0, clip=0.0, warmup=0.0)
    with pytest.raises(ConfigError, match=r"the loss is .* lower learning_rate"):
        train(striped, wild, tmp_path / "run", devices=CPU)


def test_a_run_can_be_resumed_from_its_very_start(
    tmp_path: Path, striped: FaceDataset, tiny: Recipe, trained: Path
) -> None:
    class KilledError(Exception):
        pass

    def kill(_: Step) -> None:
        raise KilledError

    with pytest.raises(KilledError):
        train(striped, tiny, tmp_path / "run", devices=CPU, watcher=OnStep(kill))
    train(striped, tiny, tmp_path / "run", devices=CPU, start=Start(resume=True))
    assert_equal_files(tmp_path / "run" / LAST, trained / LAST)


@pytest.mark.parametrize(
    "optimizer", ["muon", pytest.param("adamw", marks=pytest.mark.slow), pytest.param("sgd", marks=pytest.mark.slow)]
)
def test_a_run_stopped_between_any_steps_ends_alike_with_all_that_a_recipe_can_ask(
    tmp_path: Path, striped: FaceDataset, trained: Path, optimizer: str
) -> None:
    class StoppedError(Exception):
        pass

    settings = [
        *TINY_SETTINGS,
        f"optimizer={optimizer}",
        "network.input_size=83",
        "network.pool=1",
        "sizes=67,75",
        "size_epochs=1,1",
        "balance=0.5",
        "freeze=2",
        "thaw=1",
        "trunk_rate=0.5",
        "save_minutes=0",
    ]
    recipe = with_settings(scratch(), settings)
    fresh = Start(teachers=[trained])
    train(striped, recipe, tmp_path / "whole", start=fresh, devices=CPU)

    def stop(step: Step) -> None:
        if (step.epoch, step.step) in {(1, 5), (2, 3), (3, 1)} - stopped:
            stopped.add((step.epoch, step.step))
            raise StoppedError

    stopped: set[tuple[int, int]] = set()
    for resume in (False, True, True):
        start = dataclasses.replace(fresh, resume=resume)
        with pytest.raises(StoppedError):
            train(striped, recipe, tmp_path / "cut", start=start, devices=CPU, watcher=OnStep(stop))
    resumed = dataclasses.replace(fresh, resume=True)
    train(striped, recipe, tmp_path / "cut", start=resumed, devices=CPU, watcher=OnStep(stop))
    assert_equal_files(tmp_path / "whole" / LAST, tmp_path / "cut" / LAST)
    assert_equal_files(tmp_path / "whole" / BEST, tmp_path / "cut" / BEST)
    with pytest.raises(ConfigError, match="other teachers"):
        train(striped, recipe, tmp_path / "cut", start=Start(resume=True), devices=CPU)


def test_frozen_convolutions_keep_weights_and_statistics(tmp_path: Path, striped: FaceDataset) -> None:
    recipe = with_settings(scratch(), [*TINY_SETTINGS, "freeze=2", "epochs=1", "ema=0"])
    state = TrainingState.begin(recipe.network, recipe)
    before = {name: value.clone() for name, value in state.network.state_dict().items()}
    best = train(striped, recipe, tmp_path / "run", devices=CPU)
    _, network = checkpoint.load_network(best)
    changed = {name for name, value in network.state_dict().items() if not value.equal(before[name])}
    convolutions = [i for i, layer in enumerate(network.features) if isinstance(layer, torch.nn.Conv2d)]
    assert {name.split(".")[1] for name in changed if name.startswith("features")} == {
        str(i) for third in convolutions[2:] for i in (third, third + 1)
    }
    assert any(name.startswith("classifier") for name in changed)


@pytest.mark.slow
def test_the_best_epoch_is_one_at_the_final_size(
    tmp_path: Path, striped: FaceDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = iter([3.0, 1.0, 2.0])
    monkeypatch.setattr(loop, "evaluate_epoch", lambda *_: {"held_loss": next(losses), "temperature": 1.0})
    settings = [*TINY_SETTINGS, "network.pool=1", "sizes=83", "size_epochs=2", "patience=1"]
    best = train(striped, with_settings(scratch(), settings), tmp_path / "run", devices=CPU)
    description = checkpoint.describe(best)
    assert description.progress["best_epoch"] == 2
    assert [record["input_size"] for record in description.history] == [83, 83, 67]


@pytest.mark.slow
def test_without_labels_it_learns_to_know_faces_again(tmp_path: Path, striped: FaceDataset) -> None:
    settings = [*TINY_SETTINGS, "labels=none", "network.classes=12", "holdback=0"]
    best = train(striped, with_settings(scratch(), settings), tmp_path / "run", devices=CPU)
    description, network = checkpoint.load_network(best, to_predict=False)
    assert network.config.classes == 12
    with pytest.raises(ModelError, match="predicts nothing"):
        checkpoint.load_network(best)
    with pytest.raises(DataError, match="at least one batch"):
        gather(striped.take(np.arange(12)), with_settings(scratch(), settings))
    losses = [record["train_loss"] for record in description.history]
    assert losses[-1] < losses[0]


def test_the_average_is_the_moving_average_of_weights_and_statistics(tiny: Recipe) -> None:
    state = TrainingState.begin(tiny.network, tiny)
    before = {name: value.clone() for name, value in state.averaged.state_dict().items()}
    for value in state.network.state_dict().values():
        value.add_(1)
    state.progress.updates = 1000
    state.average(0.9)
    for name, value in state.averaged.state_dict().items():
        expected = before[name] + (0.1 if value.is_floating_point() else 1)
        assert value.numpy() == pytest.approx(expected.numpy(), abs=1e-6), name
    state.progress.updates = 0
    state.average(0.9)  # in the first steps the decay is lower
    moved = before["features.0.weight"] + 0.1 + 0.9 * 0.9
    assert state.averaged.state_dict()["features.0.weight"].numpy() == pytest.approx(moved.numpy(), abs=1e-5)


@pytest.mark.parametrize("most", [10, 1 << 24])
def test_faces_are_drawn_by_their_weights_however_many_there_are(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "_MULTINOMIAL", most)
    draws = np.tile([0.0, 1.0, 2.0, 5.0, 0.0], 4000)
    faces, targets = np.zeros((len(draws), 1, 1), np.uint8), np.zeros((len(draws), 1), np.float32)
    examples = Examples(faces, targets, draws)
    order = loop._order(examples, 7, 0)
    assert order.dtype == torch.int64
    assert len(order) == len(draws)
    shares = np.bincount(order.numpy() % 5, minlength=5) / len(order)
    assert shares == pytest.approx([0, 1 / 8, 2 / 8, 5 / 8, 0], abs=0.015)
    assert (shares == 0).tolist() == [True, False, False, False, True]
    assert 0.4 < (order.numpy() < len(draws) // 2).mean() < 0.6
    assert torch.equal(order, loop._order(examples, 7, 0))
    assert not torch.equal(order, loop._order(examples, 7, 1))
    assert not torch.equal(order, loop._order(examples, 8, 0))


def test_few_held_back_faces_fit_no_temperature(trained: Path) -> None:
    assert len(checkpoint.describe(trained).history) == 3
    assert checkpoint.describe(trained).temperature == 1.0


@pytest.mark.slow
def test_sgd_and_own_classes_train_too(tmp_path: Path, striped: FaceDataset) -> None:
    recipe = with_settings(scratch(), [*TINY_SETTINGS, "optimizer=sgd", "holdback=0", "learning_rate=0.05"])
    three = dataclasses.replace(striped, classes=("calm", "cross", "glad"), labels=striped.labels % 3, votes=None)
    best = train(three, recipe, tmp_path / "run", devices=CPU)
    classes, probabilities = checkpoint.predict_faces(best, striped.faces[:5])
    assert classes == ("calm", "cross", "glad")
    assert probabilities.shape == (5, 3)
    history = checkpoint.describe(best).history
    assert history[-1]["train_loss"] < history[0]["train_loss"]


def test_learning_rate_warms_up_and_falls_to_zero() -> None:
    recipe = dataclasses.replace(scratch(), epochs=10, warmup=2.0, learning_rate=0.1)
    rates = [learning_rate(recipe, epoch) for epoch in np.linspace(0, 10, 101)]
    assert 0 < rates[0] < 0.01
    assert max(rates) == pytest.approx(0.1, rel=0.01)
    assert rates.index(max(rates)) in (19, 20, 21)
    assert rates[-1] == pytest.approx(0, abs=1e-9)
    assert math.isclose(learning_rate(recipe, 6), 0.05, rel_tol=1e-6)
