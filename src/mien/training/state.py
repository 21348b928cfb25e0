"""What a run is made of at any moment, and how it is kept and brought back, bit for bit."""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mien.errors import ConfigError
from mien.training import checkpoint
from mien.training.checkpoint import Description
from mien.training.network import AlexNet, AlexNetConfig
from mien.training.recipes import Recipe


@dataclass(slots=True)
class Progress:
    """Where a run stands: the running epoch and the steps done in it, its summed loss, and the best epoch so far."""

    epoch: int = 0
    step: int = 0
    loss_sum: float = 0.0
    best: float = math.inf
    best_epoch: int = -1


@dataclass(slots=True)
class TrainingState:
    """Weights being trained, their moving average, the optimizer, progress, and a record for each finished epoch."""

    network: AlexNet
    averaged: AlexNet
    optimizer: torch.optim.Optimizer
    progress: Progress = field(default_factory=Progress)
    history: list[Mapping[str, Any]] = field(default_factory=list)

    @classmethod
    def begin(cls, config: AlexNetConfig, recipe: Recipe) -> TrainingState:
        """Fresh weights from the recipe's seed."""
        torch.manual_seed(recipe.seed)
        network = AlexNet(config).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return cls(network, copy.deepcopy(network).eval(), _optimizer(network, recipe))

    def average(self, decay: float, steps_done: int) -> None:
        """Move the averaged weights and batch statistics towards the current ones; the decay rises at first."""
        share = 1 - min(decay, (1 + steps_done) / (10 + steps_done))
        with torch.no_grad():
            pairs = zip(self.averaged.state_dict().values(), self.network.state_dict().values(), strict=True)
            for mean, value in pairs:
                if mean.is_floating_point():
                    mean.lerp_(value, share)
                else:
                    mean.copy_(value)

    def close_epoch(self, record: Mapping[str, Any]) -> bool:
        """Note a finished epoch. True when it is the best so far, by held-back or validation loss."""
        self.history.append(record)
        epoch = self.progress.epoch
        self.progress.epoch, self.progress.step, self.progress.loss_sum = epoch + 1, 0, 0.0
        criterion = record.get("held_loss", record.get("validation_loss", -float(epoch)))
        if not criterion < self.progress.best:
            return False
        self.progress.best, self.progress.best_epoch = criterion, epoch
        return True

    def save_whole(self, path: Path, described: Description) -> None:
        """Write all that `restore` needs."""
        checkpoint.save(
            path,
            self._stamped(described),
            {
                **_under("model", self.averaged.state_dict()),
                **_under("raw", self.network.state_dict()),
                **{
                    f"optimizer.{index}.{name}": value
                    for index, values in self.optimizer.state_dict()["state"].items()
                    for name, value in values.items()
                },
            },
        )

    def save_averaged(self, path: Path, described: Description) -> None:
        """Write the averaged weights alone: what is judged and exported."""
        checkpoint.save(path, self._stamped(described), _under("model", self.averaged.state_dict()))

    def restore(self, path: Path, described: Description) -> None:
        """Bring back what `save_whole` kept. Raises ConfigError where that run had other data or another recipe."""
        kept, tensors = checkpoint.load(path)
        if kept.data["fingerprint"] != described.data["fingerprint"]:
            raise ConfigError(f"{path} was trained on other data than this: its fingerprint differs")
        changed = [key for key, value in described.recipe.items() if kept.recipe.get(key) != value]
        if changed:
            raise ConfigError(f"{path} was trained by another recipe: {', '.join(changed)} differ")
        checkpoint.fill(self.network, _of("raw", tensors), path)
        checkpoint.fill(self.averaged, _of("model", tensors), path)
        weights = [weight for group in self.optimizer.param_groups for weight in group["params"]]
        moments: dict[int, dict[str, Tensor]] = {}
        for name, tensor in _of("optimizer", tensors).items():
            index, _, key = name.partition(".")
            weight = weights[int(index)]
            # In memory it must lie as it lay before, or sums would round otherwise.
            like = torch.empty_like(weight).copy_(tensor) if tensor.shape == weight.shape else tensor
            moments.setdefault(int(index), {})[key] = like
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": moments, "param_groups": groups})
        self.progress, self.history = Progress(**kept.progress), list(kept.history)

    def _stamped(self, described: Description) -> Description:
        return dataclasses.replace(
            described,
            progress=dataclasses.asdict(self.progress),
            history=tuple(self.history),
            temperature=self.history[-1]["temperature"] if self.history else 1.0,
        )


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


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}


def _of(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    start = prefix + "."
    return {name.removeprefix(start): tensor for name, tensor in tensors.items() if name.startswith(start)}
