"""What a run is made of at any moment, and how it is kept and brought back, bit for bit."""

from __future__ import annotations

import copy
import dataclasses
import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

from mien.errors import ConfigError
from mien.training import checkpoint
from mien.training.checkpoint import Description
from mien.training.face_resnet import FaceBlock
from mien.training.muon import Muon
from mien.training.network import Network, NetworkConfig, build
from mien.training.recipes import Recipe
from mien.training.resnet import Block

# Muon's work grows with the square of a matrix's shorter side. For the two layers of 4,096 units of the paper's AlexNet
# one step takes 18 seconds on two CPU cores, a forward and backward pass of 128 faces of 227x227 pixels 4.
MUON_AT_MOST: Final = 1024


@dataclass(slots=True)
class Progress:
    """Where a run stands: the running epoch, its steps done and their summed loss, all updates of the weights so far,
    how many of them there were when the frozen convolutions thawed, and the best epoch so far.
    """

    epoch: int = 0
    step: int = 0
    updates: int = 0
    thawed: int = 0
    loss_sum: float = 0.0
    best: float = math.inf
    best_epoch: int = -1


@dataclass(slots=True)
class TrainingState:
    """Weights being trained, their moving average, the optimizer, progress, and a record for each finished epoch."""

    network: Network
    averaged: Network
    optimizer: torch.optim.Optimizer
    progress: Progress = field(default_factory=Progress)
    history: list[Mapping[str, Any]] = field(default_factory=list)

    @classmethod
    def begin(cls, config: NetworkConfig, recipe: Recipe) -> TrainingState:
        """Fresh weights from the recipe's seed."""
        torch.manual_seed(recipe.seed)
        network = build(config).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return cls(network, copy.deepcopy(network).eval(), _optimizer(network, recipe))

    def freeze(self, convolutions: int) -> None:
        """Hold the first convolutions still, weights and batch statistics alike; the others learn."""
        for layer, number in _numbered(self.network):
            layer.requires_grad_(number > convolutions).train(number > convolutions)
        thaws = not convolutions and any(group["freezes"] for group in self.optimizer.param_groups)
        if thaws and not self.progress.thawed:
            self.progress.thawed = self.progress.updates
            self._count_steps()

    def _count_steps(self) -> None:
        """Tell Muon how many steps each group has learned: it counts them itself, but the frozen ones too."""
        if not isinstance(self.optimizer, Muon):
            return
        for group in self.optimizer.param_groups:
            group["step"] = self.progress.updates - (self.progress.thawed if group["freezes"] else 0)

    def average(self, decay: float) -> None:
        """Move the averaged weights and batch statistics towards the current ones; the decay rises at first."""
        fraction = 1 - min(decay, (1 + self.progress.updates) / (10 + self.progress.updates))
        pairs = zip(self.averaged.state_dict().values(), self.network.state_dict().values(), strict=True)
        with torch.no_grad():
            means, values = [], []
            for mean, value in pairs:
                if mean.is_floating_point():
                    means.append(mean)
                    values.append(value)
                else:
                    mean.copy_(value)
            torch._foreach_lerp_(means, values, fraction)

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
        """Write the averaged weights alone: what is evaluated and exported."""
        checkpoint.save(path, self._stamped(described), _under("model", self.averaged.state_dict()))

    def restore(self, path: Path, described: Description) -> Description:
        """Bring back what `save_whole` kept; returns the description, with what the run began from.

        Raises ConfigError where that run had other data, teachers or outliers, or another recipe.
        """
        kept, tensors = checkpoint.load(path)
        if kept.data["fingerprint"] != described.data["fingerprint"]:
            raise ConfigError(f"{path} was trained on other data than this: its fingerprint differs")
        if _hashes(kept) != _hashes(described):
            raise ConfigError(
                f"{path} was taught by other teachers than these: resume it with `mien distill` and its own"
            )
        if kept.data.get("outliers") != described.data.get("outliers"):
            raise ConfigError(
                f"{path} was trained with other pictures without faces: name the same with `outliers=DIR`"
            )
        before = Recipe.from_dict(kept.recipe).to_dict()  # one of an older Mien lacks the fields that came since
        changed = [key for key, value in described.recipe.items() if before[key] != value]
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
        self.progress, self.history = Progress(**kept.progress), list(kept.history)
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": moments, "param_groups": groups})
        self._count_steps()
        data = {**kept.data, **described.data}
        before, now = kept.data.get("ranks", [1]), described.data.get("ranks", [1])
        if before != now:
            data["ranks"] = before if before[-1] == now[0] else [*before, *now]
        return dataclasses.replace(described, data=data)

    def _stamped(self, described: Description) -> Description:
        return dataclasses.replace(
            described,
            progress=dataclasses.asdict(self.progress),
            history=tuple(self.history),
            temperature=self.history[-1]["temperature"] if self.history else 1.0,
        )


def _optimizer(network: Network, recipe: Recipe) -> torch.optim.Optimizer:
    """Weight decay is for matrices and kernels only; rate is the group's factor on the recipe's learning rate."""
    inner = {id(p) for p in network.parameters() if p.ndim > 1 and min(p.flatten(1).shape) <= MUON_AT_MOST}
    inner -= {id(network.first.weight), id(network.last.weight)}
    trunk = [(p, number <= recipe.freeze) for layer, number in _numbered(network) for p in layer.parameters()]
    parts = (
        ([p for p, freezes in trunk if freezes], recipe.trunk_rate, True),
        ([p for p, freezes in trunk if not freezes], recipe.trunk_rate, False),
        (list(network.classifier.parameters()), 1.0, False),
    )
    groups: list[dict[str, Any]] = []
    for part, rate, freezes in parts:
        for muon, matrices in ((True, True), (False, True), (False, False)):
            weights = [p for p in part if (p.ndim > 1) is matrices and (id(p) in inner) is muon]
            decay = recipe.weight_decay if matrices else 0.0
            how = {"weight_decay": decay, "rate": rate, "use_muon": muon, "freezes": freezes}
            if weights:
                groups.append({"params": weights, **how})
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=recipe.learning_rate, momentum=0.9, nesterov=True)
    if recipe.optimizer == "muon":
        # use_adjusted_lr makes its steps as long as AdamW's (Liu et al., 2025), so that one learning rate serves both.
        return Muon(groups, use_adjusted_lr=True, adamw_betas=(0.9, 0.999), adamw_eps=1e-8)
    return torch.optim.AdamW(groups, lr=recipe.learning_rate)


def _numbered(network: Network) -> list[tuple[nn.Module, int]]:
    """The layers of the trunk, each with the number of its convolution, from 1; a residual block counts as one."""
    layers = list(network.features)
    met = itertools.accumulate(isinstance(layer, nn.Conv2d | Block | FaceBlock) for layer in layers)
    return list(zip(layers, met, strict=True))


def _hashes(described: Description) -> list[str]:
    return [teacher["sha256"] for teacher in described.data.get("teachers", [])]


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}


def _of(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    start = prefix + "."
    return {name.removeprefix(start): tensor for name, tensor in tensors.items() if name.startswith(start)}
