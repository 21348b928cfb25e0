"""What does the input path cost in training? Faces per second of the whole step, and of the step on ready tensors.

The whole step picks faces out of the data held on the device, augments, enlarges and normalises them; the other one
is given a tensor that lies ready as the network takes it. All else is the same: network, loss, optimizer, average.
Rounds are interleaved, and the figure is the median of their ratios, so that what else the machine does weighs little.

    python benchmarks/training.py --sizes 131 227
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import statistics
import time
from collections.abc import Callable

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.nn import functional

from mien.training.augment import Augmenter
from mien.training.batches import Batch
from mien.training.network import as_input, named_network
from mien.training.objectives import Objective, Supervised
from mien.training.precision import precision_of
from mien.training.recipes import Recipe, scratch
from mien.training.state import TrainingState


class Steps:
    """Training steps of one recipe on faces of noise, by either way to the loss."""

    def __init__(self, recipe: Recipe, accelerator: str) -> None:
        self.recipe = recipe
        self.fabric = Fabric(accelerator=accelerator, devices=1, precision=precision_of(recipe, accelerator))
        self.state = TrainingState.begin(recipe.network, recipe)
        self.fabric.to_device(self.state.averaged)
        self.model, self.optimizer = self.fabric.setup(self.state.network, self.state.optimizer)
        self.model.train()
        generator = torch.Generator().manual_seed(0)
        count = 20 * recipe.batch
        faces = torch.randint(0, 256, (count, 1, 48, 48), generator=generator, dtype=torch.uint8)
        self.faces = self.fabric.to_device(faces)
        self.targets = self.fabric.to_device(torch.eye(recipe.network.classes)[torch.arange(count) % 7])
        self.whole = Supervised(recipe.network, Augmenter(recipe.augmentation, recipe.network.input_size))
        ready = self.faces[: recipe.batch].float() / 255
        self.ready = as_input(ready, recipe.network)

    def bare(self, model: nn.Module, batch: Batch) -> Tensor:
        """The loss on the tensor that lies ready."""
        return functional.cross_entropy(model(self.ready).float(), batch.targets)

    def run(self, objective: Objective, steps: int) -> float:
        """Faces per second over `steps` steps."""
        batch = self.recipe.batch
        began = time.perf_counter()
        for _ in range(steps):
            rows = torch.randperm(len(self.faces))[:batch].to(self.faces.device)
            picked = self.faces[rows].float() / 255 if objective is self.whole else self.ready
            loss = objective(self.model, Batch(picked, self.targets[rows]))
            self.optimizer.zero_grad()
            self.fabric.backward(loss)
            self.fabric.clip_gradients(self.model, self.optimizer, max_norm=1.0)
            self.optimizer.step()
            self.state.average(self.recipe.ema)
            self.state.progress.updates += 1
            loss.item()  # waits for the device
        return batch * steps / (time.perf_counter() - began)


def measure(steps: Steps, rounds: int, each: int) -> dict[str, float]:
    """Medians over interleaved rounds."""
    ways: dict[str, Callable[[], float]] = {
        "whole": lambda: steps.run(steps.whole, each),
        "bare": lambda: steps.run(steps.bare, each),
    }
    for way in ways.values():
        way()  # warms up
    found = [{name: way() for name, way in ways.items()} for _ in range(rounds)]
    return {
        "whole_faces_per_s": round(statistics.median(one["whole"] for one in found), 1),
        "bare_faces_per_s": round(statistics.median(one["bare"] for one in found), 1),
        "input_cost": round(1 - statistics.median(one["whole"] / one["bare"] for one in found), 4),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", default="alexnet-compact")
    parser.add_argument("--sizes", type=int, nargs="+", default=[131, 227])
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=4, help="steps a round")
    parser.add_argument("--accelerator", default="auto")
    parser.add_argument("--optimizer", default="muon")
    args = parser.parse_args()
    for size in args.sizes:
        network = dataclasses.replace(named_network(args.network), input_size=size)
        recipe = dataclasses.replace(
            scratch(), network=network, sizes=(), size_epochs=(), batch=args.batch, optimizer=args.optimizer
        )
        found = measure(Steps(recipe, args.accelerator), args.rounds, args.steps)
        print(json.dumps({"network": args.network, "input_size": size, "threads": torch.get_num_threads(), **found}))


if __name__ == "__main__":
    main()
