"""The training loop, top to bottom. lightning-fabric knows devices, precision and ranks; the rest stands here.

Every random draw of a step comes from a seed made of the recipe's seed, the epoch, the step and the rank. So no
generator's state needs keeping, and a run that was killed and resumed ends bit for bit where it would have ended.
"""

from __future__ import annotations

import dataclasses
import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch import Tensor

from mien.data.audit import fingerprint, leaks
from mien.data.dataset import FaceDataset
from mien.data.packed_faces import Faces
from mien.errors import ConfigError
from mien.evaluation.plots import plot_training
from mien.files import make_folder, written_aside
from mien.training.augment import Augmenter
from mien.training.batches import Feed
from mien.training.checkpoint import BEST, LAST, Description, logits_of
from mien.training.distillation import Teacher, load_teachers, taught
from mien.training.distributed import (
    as_first,
    first,
    launch,
    launch_id,
    mean_loss,
    one_of_ranks,
    predictions,
    settle,
    synchronised,
)
from mien.training.epoch_figures import evaluate_epoch
from mien.training.initialization import initialise
from mien.training.network import Network, NetworkConfig
from mien.training.objectives import BarlowTwins, Objective, Supervised
from mien.training.outliers import Outliers, load_outliers
from mien.training.precision import precision_of
from mien.training.recipes import Recipe
from mien.training.splits import Examples, Material, class_frequencies, class_frequencies_record, gather
from mien.training.state import TrainingState
from mien.training.views import Views, predict_views
from mien.training.watcher import Step, Unwatched, Watcher

_MULTINOMIAL: Final = 1 << 24  # torch.multinomial takes no more rows


@dataclass(frozen=True, slots=True)
class Start:
    """What a run starts from.

    resume    go on with the run in the folder; its recipe, data and teachers must be the same
    init      weights to begin with (see `initialization`); None: random ones
    teachers  checkpoints to distil from
    predictions
              file of the teachers' predictions for the recipe's `views`, written where it is missing; None: in `out`
    outliers  folder of pictures without faces, for the recipe's `outliers`; None: without such pictures
    commit    git commit of the code, for the checkpoint
    """

    resume: bool = False
    init: str | None = None
    teachers: Sequence[Path] = ()
    predictions: Path | None = None
    outliers: Path | None = None
    commit: str | None = None


@dataclass(frozen=True, slots=True)
class Devices:
    """Where a run computes: Fabric's accelerator, and the number of devices of this machine. None: one, or under
    `torchrun` as many as it started processes.
    """

    accelerator: str = "auto"
    count: int | None = None


@one_of_ranks()
def train(
    dataset: FaceDataset,
    recipe: Recipe,
    out: Path,
    *,
    start: Start = Start(),
    devices: Devices = Devices(),
    watcher: Watcher | None = None,
) -> Path:
    """Train AlexNet by a recipe; returns the checkpoint with the best epoch's averaged weights.

    The folder `out` receives last.safetensors, best.safetensors, metrics.jsonl and curves.png. Raises ConfigError,
    DataError or ModelError before any work begins.
    """
    watcher = watcher or Unwatched()
    material = gather(dataset, recipe, taught=bool(start.teachers))
    recipe = dataclasses.replace(recipe, network=dataclasses.replace(recipe.network, classes=len(material.classes)))
    taught_by = load_teachers(start.teachers, material.classes)
    outliers = load_outliers(recipe, start.outliers, class_frequencies(material))
    fabric = launch(recipe, devices.accelerator, devices.count, precision_of(recipe, devices.accelerator))
    described = Description(
        classes=material.classes,
        recipe=recipe.to_dict(),
        data=_provenance(dataset, material, recipe, taught_by, outliers, fabric.world_size),
        progress={},
        history=(),
        commit=start.commit,
        launch=launch_id(),
    )
    state, described = _begin(fabric, recipe, described, out, material, start)
    if fabric.is_global_zero:
        watcher.on_begin(described)
    synchronised(fabric, state.network)
    model, optimizer = fabric.setup(state.network, state.optimizer)
    settle(fabric, model, recipe.network)
    for teacher in taught_by:
        fabric.to_device(teacher.network)
    material = dataclasses.replace(material, held=taught(material.held, taught_by, recipe.teach))
    views = _views(out, material.learned, recipe, taught_by, start, fabric, watcher)
    feed = Feed(fabric, material.learned, views)
    run = _Run(fabric, recipe, out, watcher, described, state, model, optimizer, material, feed, taught_by, outliers)
    progress = state.progress
    for epoch in range(progress.epoch, recipe.epochs):
        network = recipe.network_in(epoch)
        if epoch and network != recipe.network_in(epoch - 1):
            progress.best, progress.best_epoch = math.inf, epoch - 1  # the best epoch is one at the final size
        if recipe.patience and network == recipe.network and epoch - 1 - progress.best_epoch >= recipe.patience:
            break
        run.epoch(epoch, network)
    return out / BEST


@dataclass
class _Run:
    """A training that is set up, on one rank; described is what its checkpoints say of it."""

    fabric: Fabric
    recipe: Recipe
    out: Path
    watcher: Watcher
    described: Description
    state: TrainingState
    model: Any
    optimizer: torch.optim.Optimizer
    material: Material
    feed: Feed
    teachers: Sequence[Teacher]
    outliers: Outliers | None

    def epoch(self, epoch: int, network: NetworkConfig) -> None:
        """Pass over the faces once, or over those that an interruption left; then evaluate, report and save."""
        recipe, progress = self.recipe, self.state.progress
        self.model.train()
        self.state.freeze(recipe.freeze if not recipe.thaw or epoch < recipe.thaw else 0)
        order = _order(self.material.learned, recipe.seed, epoch)
        steps, speed = len(order) // recipe.batch, _Speed(recipe.batch)
        self._steps(epoch, order, steps, _objective(self, network), speed)
        record = {
            "epoch": epoch + 1,
            "train_loss": progress.loss_sum / steps,
            "learning_rate": learning_rate(recipe, epoch + 1),
            "faces_per_s": round(speed.value, 1),
            "input_size": network.input_size,
            "protocol": self.material.protocol,
            **_evaluated(self.fabric, self.state.averaged, network, self.material),
        }
        best = self.state.close_epoch(record)
        first(self.fabric, partial(_keep, self.state, self.out, self.described, best=best))
        if self.fabric.is_global_zero:
            self.watcher.on_epoch(record)

    def _steps(self, epoch: int, order: Tensor, steps: int, objective: Objective, speed: _Speed) -> None:
        recipe, state, progress = self.recipe, self.state, self.state.progress
        saved_at = time.monotonic()
        batches = self.feed.batches(order, recipe.batch, start=progress.step, epoch=epoch)
        for step, batch in enumerate(batches, progress.step):
            torch.manual_seed(_seed(recipe.seed, epoch, step, self.fabric.global_rank))
            loss = objective(self.model, batch)
            value = mean_loss(self.fabric, loss)
            if not math.isfinite(value):
                raise ConfigError(f"the loss is {value} at epoch {epoch + 1}, step {step + 1}: lower learning_rate")
            self._update(loss, learning_rate(recipe, epoch + step / steps))
            state.average(recipe.ema)

            progress.step = step + 1
            progress.updates += 1
            progress.loss_sum += value
            made = Step(epoch + 1, recipe.epochs, step + 1, steps, progress.loss_sum / (step + 1), speed.after_step())
            if self.fabric.is_global_zero:
                self.watcher.on_step(made)
            if self.fabric.is_global_zero and time.monotonic() - saved_at > 60 * recipe.save_minutes:
                state.save_whole(self.out / LAST, self.described)
                saved_at = time.monotonic()

    def _update(self, loss: Tensor, rate: float) -> None:
        """One step of the optimizer down the gradient of the loss."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["rate"]
        self.optimizer.zero_grad()
        self.fabric.backward(loss)
        if self.recipe.clip:
            self.fabric.clip_gradients(self.model, self.optimizer, max_norm=self.recipe.clip, error_if_nonfinite=False)
        self.optimizer.step()


def _views(
    out: Path,
    learned: Examples,
    recipe: Recipe,
    teachers: Sequence[Teacher],
    start: Start,
    fabric: Fabric,
    watcher: Watcher,
) -> Views | None:
    """The recipe's fixed views with what the teachers say of them; None where it has none, or there are no teachers."""
    if not (recipe.views and teachers):
        return None
    path = start.predictions or out / "predictions.safetensors"
    progress = watcher.on_predictions if fabric.is_global_zero else (lambda done, total: None)
    return predict_views(path, learned.faces, recipe, teachers, fabric=fabric, progress=progress)


def _begin(
    fabric: Fabric,
    recipe: Recipe,
    described: Description,
    out: Path,
    material: Material,
    start: Start,
) -> tuple[TrainingState, Description]:
    """A fresh state, or the one that the run in `out` was left in; on the device, and saved in `out` from the start."""
    state = TrainingState.begin(recipe.network, recipe)
    if start.resume != first(fabric, lambda: start.resume):
        raise ConfigError(f"{out}: one rank finds a run to resume there, another none: every machine must see it")
    if not start.resume:
        described = first(fabric, partial(_begin_fresh, state, described, out, material, init=start.init))
    fabric.to_device(state.network)
    fabric.to_device(state.averaged)
    return state, state.restore(out / LAST, described) if start.resume else described


def _begin_fresh(
    state: TrainingState, described: Description, out: Path, material: Material, *, init: str | None
) -> Description:
    """The first rank's part: it fills the network, whose weights then go to the others, and begins the folder."""
    if (out / LAST).exists():
        raise ConfigError(f"{out} holds a run already: resume it, or choose another folder")
    if init is not None:
        begun_with = initialise(state.network, init, material.learned.faces)
        state.averaged.load_state_dict(state.network.state_dict())
        described = dataclasses.replace(described, data={**described.data, "init": begun_with})
    make_folder(out)
    state.save_whole(out / LAST, described)
    return described


def _evaluated(fabric: Fabric, averaged: Network, network: NetworkConfig, material: Material) -> dict[str, Any]:
    """How the averaged network does after an epoch, the same on every rank."""
    as_first(fabric, averaged)

    def ask(faces: Faces, _: range) -> NDArray[np.float32]:
        return logits_of(averaged, faces, config=network)

    held, validation = (predictions(fabric, part.faces, ask) for part in (material.held, material.validation))
    return first(fabric, partial(evaluate_epoch, held, validation, material))


def _keep(state: TrainingState, out: Path, described: Description, *, best: bool) -> None:
    """Write what there is after an epoch."""
    if best:
        state.save_averaged(out / BEST, described)
    with written_aside(out / "metrics.jsonl") as part:
        part.write_text("".join(json.dumps(record) + "\n" for record in state.history), encoding="utf-8")
    plot_training(state.history, out / "curves.png")
    state.save_whole(out / LAST, described)


def _objective(run: _Run, network: NetworkConfig) -> Objective:
    """What the steps of an epoch minimise, at the input size of that epoch."""
    recipe = run.recipe
    augment = Augmenter(recipe.augmentation, network.input_size, recipe.spoiling)
    if recipe.labels == "none":
        return BarlowTwins(network, augment)
    if run.outliers is not None:
        run.fabric.to_device(run.outliers)
    return Supervised(
        network, augment, recipe.label_smoothing, run.teachers, recipe.teach, run.fabric.autocast, run.outliers
    )


def learning_rate(recipe: Recipe, epoch: float) -> float:
    """Linear warm-up, then half a cosine to 0 at the last epoch (Loshchilov and Hutter, ICLR 2017)."""
    if epoch < recipe.warmup:
        return recipe.learning_rate * (epoch + 0.01) / (recipe.warmup + 0.01)
    passed = (epoch - recipe.warmup) / max(recipe.epochs - recipe.warmup, 1e-9)
    return recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * min(passed, 1.0)))


def _seed(*parts: int) -> int:
    """One seed out of several numbers."""
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> 1)


def _order(learned: Examples, seed: int, epoch: int) -> Tensor:
    """The faces of an epoch in their order, the same on every rank: each once, or drawn by their weight."""
    generator = torch.Generator().manual_seed(_seed(seed, epoch))
    if learned.draws is None:
        return torch.randperm(len(learned), generator=generator)
    draws = torch.from_numpy(learned.draws)
    if len(draws) <= _MULTINOMIAL:
        return torch.multinomial(draws, len(draws), replacement=True, generator=generator)
    sums = draws.cumsum(0)
    picked = torch.rand(len(draws), generator=generator, dtype=sums.dtype) * sums[-1]
    return torch.searchsorted(sums, picked, right=True).clamp_(max=len(draws) - 1)


class _Speed:
    """Faces per second since the epoch began, or since it was resumed."""

    def __init__(self, batch: int) -> None:
        self.batch, self.steps, self.began, self.value = batch, 0, time.monotonic(), 0.0

    def after_step(self) -> float:
        self.steps += 1
        self.value = self.batch * self.steps / (time.monotonic() - self.began)
        return self.value


def _provenance(
    dataset: FaceDataset,
    material: Material,
    recipe: Recipe,
    teachers: Sequence[Teacher],
    outliers: Outliers | None,
    ranks: int,
) -> dict[str, Any]:
    unlabeled = int((~material.learned.labeled).sum()) if teachers else 0
    return {
        **({"ranks": [ranks]} if ranks > 1 else {}),
        "source": Path(dataset.source).name,
        "fingerprint": fingerprint(dataset),
        "learned": len(material.learned),
        **class_frequencies_record(material),
        **({"unlabeled": unlabeled} if unlabeled else {}),
        "held_back": len(material.held),
        "validation": len(material.validation),
        "protocol": material.protocol,
        "leaked": int(leaks(dataset).sum()),
        "min_share": recipe.min_share,
        "teachers": [teacher.record for teacher in teachers],
        **({"outliers": outliers.sha256} if outliers is not None else {}),
    }
