"""The training loop, top to bottom. lightning-fabric knows devices, precision and ranks; the rest stands here.

Every random draw of a step comes from a seed made of the recipe's seed, the epoch, the step and the rank. So no
generator's state needs keeping, and a run that was killed and resumed ends bit for bit where it would have ended.
"""

from __future__ import annotations

import copy
import dataclasses
import json
import math
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from mien.data.audit import fingerprint
from mien.data.dataset import FaceDataset
from mien.errors import ConfigError
from mien.evaluation.calibration import apply_temperature, fit_temperature
from mien.evaluation.metrics import evaluate
from mien.evaluation.plots import plot_training
from mien.training import checkpoint
from mien.training.augment import Augmenter
from mien.training.checkpoint import Description
from mien.training.material import Judged, Material, gather
from mien.training.network import AlexNet, prepare
from mien.training.recipes import Recipe

LAST: Final = "last.safetensors"
BEST: Final = "best.safetensors"


@dataclass(frozen=True, slots=True)
class Step:
    """What the loop tells after a step: where it stands, the mean loss of the epoch so far, and its speed."""

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    faces_per_s: float


@dataclass(slots=True)
class Progress:
    """Where a run stands; with the tensors it is all that a checkpoint keeps."""

    epoch: int = 0
    step: int = 0
    loss_sum: float = 0.0
    best: float = math.inf
    best_epoch: int = -1


def train(
    dataset: FaceDataset,
    recipe: Recipe,
    out: Path,
    *,
    resume: bool = False,
    accelerator: str = "auto",
    devices: int = 1,
    commit: str | None = None,
    on_step: Callable[[Step], None] = lambda _: None,
    on_epoch: Callable[[Mapping[str, Any]], None] = lambda _: None,
) -> Path:
    """Train AlexNet by a recipe; returns the checkpoint with the best epoch's averaged weights.

    The folder `out` receives last.safetensors, best.safetensors, metrics.jsonl and curves.png. With resume the run in
    `out` goes on; its recipe and data must be the same. Raises ConfigError or DataError before any work begins.
    """
    material = gather(dataset, recipe)
    fabric = Fabric(accelerator=accelerator, devices=devices, precision=_precision(recipe, accelerator))
    fabric.launch()
    ranks = fabric.world_size
    if recipe.batch % ranks:
        raise ConfigError(f"batch {recipe.batch} does not divide among {ranks} ranks")

    torch.manual_seed(recipe.seed)
    network = AlexNet(_network_for(recipe, material)).to(memory_format=torch.channels_last)
    averaged = copy.deepcopy(network).eval()
    optimizer = _optimizer(network, recipe)
    progress, history = Progress(), list[Mapping[str, Any]]()
    described = Description(
        classes=material.classes,
        recipe=dataclasses.replace(recipe, network=network.config).to_dict(),
        data=_provenance(dataset, material),
        progress=dataclasses.asdict(progress),
        history=(),
        commit=commit,
    )
    if resume:
        progress, history = _restore(out / LAST, described, network, averaged, optimizer)
    elif (out / LAST).exists():
        raise ConfigError(f"{out} holds a run already: resume it, or choose another folder")
    out.mkdir(parents=True, exist_ok=True)

    averaged = fabric.to_device(averaged)
    model, optimizer = fabric.setup(network, optimizer)
    augment = Augmenter(recipe.augmentation)
    faces = fabric.to_device(torch.from_numpy(material.learned.faces)[:, None])
    targets = fabric.to_device(torch.from_numpy(material.learned.targets))
    steps = len(faces) // recipe.batch
    saved_at, speed = time.monotonic(), 0.0

    def save(path: Path, *, temperature: float = 1.0, whole: bool) -> None:
        description = dataclasses.replace(
            described, progress=dataclasses.asdict(progress), history=tuple(history), temperature=temperature
        )
        tensors = {f"model.{name}": tensor for name, tensor in averaged.state_dict().items()}
        if whole:
            tensors |= {f"raw.{name}": tensor for name, tensor in network.state_dict().items()}
            tensors |= _optimizer_tensors(optimizer)
        if fabric.is_global_zero:
            checkpoint.save(path, description, tensors)

    for epoch in range(progress.epoch, recipe.epochs):
        if _stopped_early(progress, recipe):
            break
        order = _shuffled(len(faces), recipe.seed, epoch)
        began, began_at = time.monotonic(), progress.step
        model.train()
        for step in range(progress.step, steps):
            torch.manual_seed(_seed(recipe.seed, epoch, step, fabric.global_rank))
            rows = order[step * recipe.batch : (step + 1) * recipe.batch][fabric.global_rank :: ranks].to(faces.device)
            batch, batch_targets = augment(faces[rows].float() / 255, targets[rows])
            _set_learning_rate(optimizer, recipe, epoch + step / steps)
            logits = model(prepare(batch, network.config).contiguous(memory_format=torch.channels_last))
            loss = functional.cross_entropy(logits.float(), batch_targets, label_smoothing=recipe.label_smoothing)
            optimizer.zero_grad()
            fabric.backward(loss)
            if recipe.clip:
                fabric.clip_gradients(model, optimizer, max_norm=recipe.clip)
            optimizer.step()
            _average(averaged, network, recipe.ema, epoch * steps + step)

            progress.step = step + 1
            progress.loss_sum += loss.item()
            speed = recipe.batch * (progress.step - began_at) / (time.monotonic() - began)
            on_step(Step(epoch, recipe.epochs, progress.step, steps, progress.loss_sum / progress.step, speed))
            if time.monotonic() - saved_at > 60 * recipe.save_minutes:
                save(out / LAST, whole=True)
                saved_at = time.monotonic()

        judgement, temperature = _judge(averaged, material)
        record = {
            "epoch": epoch + 1,
            "train_loss": progress.loss_sum / steps,
            "learning_rate": _learning_rate(recipe, epoch + 1),
            "protocol": material.protocol,
            **judgement,
            "faces_per_s": round(speed, 1),
        }
        history.append(record)
        progress.epoch, progress.step, progress.loss_sum = epoch + 1, 0, 0.0
        criterion = judgement.get("held_loss", judgement.get("validation_loss", -epoch))
        if criterion < progress.best:
            progress.best, progress.best_epoch = criterion, epoch
            save(out / BEST, temperature=temperature, whole=False)
        save(out / LAST, temperature=temperature, whole=True)
        saved_at = time.monotonic()
        if fabric.is_global_zero:
            _write_history(out, history)
        on_epoch(record)
    return out / BEST


def _network_for(recipe: Recipe, material: Material) -> Any:
    return dataclasses.replace(recipe.network, classes=len(material.classes))


def _precision(recipe: Recipe, accelerator: str) -> str:
    if recipe.precision != "auto":
        return recipe.precision
    if accelerator != "cpu" and torch.cuda.is_available():
        return "bf16-mixed" if torch.cuda.is_bf16_supported() else "32-true"
    capabilities = torch.cpu.get_capabilities()
    return "bf16-mixed" if capabilities.get("avx512_bf16") or capabilities.get("amx_bf16") else "32-true"


def _optimizer(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Weight decay is for matrices and kernels only, not for biases and batch normalisation."""
    parameters = list(network.parameters())
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=recipe.learning_rate, momentum=0.9, nesterov=True)
    return torch.optim.AdamW(groups, lr=recipe.learning_rate)


def _learning_rate(recipe: Recipe, epoch: float) -> float:
    """Linear warm-up, then half a cosine to 0 at the last epoch (Loshchilov and Hutter, ICLR 2017)."""
    if epoch < recipe.warmup:
        return recipe.learning_rate * (epoch + 0.01) / (recipe.warmup + 0.01)
    passed = (epoch - recipe.warmup) / max(recipe.epochs - recipe.warmup, 1e-9)
    return recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * min(passed, 1.0)))


def _set_learning_rate(optimizer: torch.optim.Optimizer, recipe: Recipe, epoch: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = _learning_rate(recipe, epoch)


def _seed(*parts: int) -> int:
    """One seed out of several numbers."""
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> 1)


def _shuffled(count: int, seed: int, epoch: int) -> Tensor:
    """The order of the faces in an epoch; the same on every rank."""
    return torch.randperm(count, generator=torch.Generator().manual_seed(_seed(seed, epoch)))


@torch.no_grad()
def _average(averaged: nn.Module, network: nn.Module, decay: float, step: int) -> None:
    """The moving average of weights and batch statistics; its decay rises with the first steps."""
    share = 1 - min(decay, (1 + step) / (10 + step))
    for mean, value in zip(averaged.state_dict().values(), network.state_dict().values(), strict=True):
        if mean.is_floating_point():
            mean.lerp_(value, share)
        else:
            mean.copy_(value)


def _stopped_early(progress: Progress, recipe: Recipe) -> bool:
    return bool(recipe.patience) and progress.epoch - 1 - progress.best_epoch >= recipe.patience


def _judge(averaged: AlexNet, material: Material) -> tuple[dict[str, float], float]:
    """Held-back loss, accuracy on held-back and validation faces (those that there are), and the temperature."""
    found: dict[str, float] = {}
    temperature = 1.0
    if len(material.held_judged):
        logits = checkpoint.logits_of(averaged, material.held.faces)
        found["held_loss"] = _soft_loss(logits, material.held.targets)
        judged_logits = checkpoint.logits_of(averaged, material.held_judged.faces)
        temperature = fit_temperature(judged_logits, material.held_judged.truth)
        found |= _figures("held", judged_logits, material.held_judged, temperature, material.classes)
    if len(material.validation):
        logits = checkpoint.logits_of(averaged, material.validation.faces)
        found["validation_loss"] = _soft_loss(logits, np.eye(logits.shape[1])[material.validation.truth])
        found |= _figures("validation", logits, material.validation, temperature, material.classes)
    return found | {"temperature": temperature}, temperature


def _soft_loss(logits: NDArray[np.float32], targets: NDArray[Any]) -> float:
    return float(functional.cross_entropy(torch.from_numpy(logits), torch.from_numpy(targets).float()))


def _figures(
    name: str, logits: NDArray[np.float32], faces: Judged, temperature: float, classes: tuple[str, ...]
) -> dict[str, float]:
    metrics = evaluate(apply_temperature(logits, temperature), faces.truth, classes=classes, resamples=1)
    return {f"{name}_accuracy": metrics.accuracy, f"{name}_macro_f1": metrics.macro_f1, f"{name}_ece": metrics.ece}


def _provenance(dataset: FaceDataset, material: Material) -> dict[str, Any]:
    return {
        "source": Path(dataset.source).name,
        "fingerprint": fingerprint(dataset),
        "learned": len(material.learned),
        "held_back": len(material.held),
        "validation": len(material.validation),
        "protocol": material.protocol,
    }


def _optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    state = optimizer.state_dict()["state"]
    return {f"optimizer.{i}.{name}": value for i, values in state.items() for name, value in values.items()}


def _restore(
    path: Path, expected: Description, network: AlexNet, averaged: AlexNet, optimizer: torch.optim.Optimizer
) -> tuple[Progress, list[Mapping[str, Any]]]:
    """Bring back all that `save(whole=True)` kept. Raises ConfigError where the run was of other data or recipe."""
    kept, tensors = checkpoint.load(path)
    if kept.data["fingerprint"] != expected.data["fingerprint"]:
        raise ConfigError(f"{path} was trained on other data than this: its fingerprint differs")
    changed = [key for key, value in expected.recipe.items() if kept.recipe.get(key) != value]
    if changed:
        raise ConfigError(f"{path} was trained by another recipe: {', '.join(changed)} differ")
    parts: dict[str, dict[str, Tensor]] = {"model": {}, "raw": {}, "optimizer": {}}
    for name, tensor in tensors.items():
        part, _, rest = name.partition(".")
        parts[part][rest] = tensor
    checkpoint.fill(network, parts["raw"], path)
    checkpoint.fill(averaged, parts["model"], path)
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in parts["optimizer"].items():
        index, _, key = name.partition(".")
        weight = weights[int(index)]
        # The layout in memory must be the one it was saved from, or sums would round otherwise.
        kept_tensor = torch.empty_like(weight).copy_(tensor) if tensor.shape == weight.shape else tensor
        state.setdefault(int(index), {})[key] = kept_tensor
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    return Progress(**kept.progress), list(kept.history)


def _write_history(out: Path, history: list[Mapping[str, Any]]) -> None:
    aside = out / "metrics.jsonl.part"
    aside.write_text("".join(json.dumps(record) + "\n" for record in history), encoding="utf-8")
    os.replace(aside, out / "metrics.jsonl")
    plot_training(history, out / "curves.png")
