"""Where should the geometric augmentation work: at 48x48, or in one resampling from 48 to the network's input?

Trains the compact network both ways, by the same recipe and seeds, and prints accuracy and speed. In one resampling,
light (brightness, contrast, blur, noise, erasing) comes first, at 48x48, where it costs little; in two steps, last.

    python benchmarks/geometry.py --seeds 2 --epochs 8 --size 163
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from unittest.mock import patch

import torch
from torch import Tensor

from mien.data.readers import read_faces
from mien.training.augment import Augmentation, Augmenter
from mien.training.loop import train
from mien.training.network import AlexNetConfig, prepare
from mien.training.recipes import scratch, with_settings


class TwoSteps(Augmenter):
    """Mirror, turn, scale and shift at 48x48, then vary the light; enlarging is left to the network's preparation."""

    @torch.no_grad()
    def forward(self, faces: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        for part in self.geometry:
            faces = part(faces)
        return self.light(faces).clamp(0, 1), targets


def speed(augment: Augmenter, size: int, batch: int = 128, rounds: int = 20) -> float:
    """Faces per second of augmenting and enlarging alone."""
    faces, targets = torch.rand(batch, 1, 48, 48), torch.eye(7)[torch.arange(batch) % 7]
    config = AlexNetConfig(input_size=size)
    prepare(augment(faces, targets)[0], config)
    began = time.perf_counter()
    for _ in range(rounds):
        prepare(augment(faces, targets)[0], config)
    return batch * rounds / (time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/fer2013/trainval.parquet"))
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--size", type=int, default=163)
    parser.add_argument("--settings", nargs="*", default=[])
    args = parser.parse_args()
    dataset = read_faces(args.data)
    ways = {"two steps": TwoSteps, "composed": Augmenter}
    for name, way in ways.items():
        print(
            json.dumps({"way": name, "augment_faces_per_s": round(speed(way(Augmentation(), args.size), args.size))}),
            flush=True,
        )
    for seed in range(args.seeds):
        recipe = with_settings(
            scratch(),
            [f"epochs={args.epochs}", f"seed={seed}", f"network.input_size={args.size}", "warmup=1", *args.settings],
        )
        for name, way in ways.items():
            with tempfile.TemporaryDirectory() as folder, patch("mien.training.loop.Augmenter", way):
                train(dataset, recipe, Path(folder) / "run")
                lines = (Path(folder) / "run" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
            records = [json.loads(line) for line in lines]
            last = {key: round(records[-1][key], 4) for key in ("validation_accuracy", "validation_macro_f1")}
            speeds = sorted(record["faces_per_s"] for record in records)
            print(json.dumps({"way": name, "seed": seed, **last, "faces_per_s": speeds[len(speeds) // 2]}), flush=True)


if __name__ == "__main__":
    main()
