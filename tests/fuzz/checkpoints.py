"""Fuzz targets: checkpoints of training, whole and by the description in their header."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from mien.emotions import EMOTIONS

from .target import Run, Target


def _use(path: Path) -> None:
    """What `mien evaluate`, `distill` and `train --init` ask of a checkpoint."""
    from mien.training import checkpoint
    from mien.training.distillation import load_teachers
    from mien.training.initialization import initialise, network_of

    faces = np.zeros((2, 48, 48), np.uint8)
    classes, _ = checkpoint.predict_faces(path, faces)
    checkpoint.describe_model(path)
    load_teachers([path], classes)
    initialise(_tiny_network(), str(path), faces)
    network_of(str(path))


def _tiny_network() -> Any:
    from mien.training.network import AlexNetConfig, build

    return build(AlexNetConfig(input_size=67, width=0.05, filters=(8,) * 5, hidden=(4, 4), pool=1))


def _checkpoint(folder: Path) -> Run:
    path = folder / "model.safetensors"

    def run(data: bytes) -> None:
        path.write_bytes(data)
        _use(path)

    return run


def _header(folder: Path) -> Run:
    """The description alone is damaged."""
    from safetensors.torch import save_file

    path = folder / "model.safetensors"
    tensors = {f"model.{name}": tensor for name, tensor in _tiny_network().state_dict().items()}

    def run(data: bytes) -> None:
        save_file(tensors, path, {"mien.checkpoint": data.decode(errors="replace")})
        _use(path)

    return run


def _description() -> Any:
    import dataclasses

    from mien.training.checkpoint import Description
    from mien.training.recipes import quick

    recipe = dataclasses.replace(quick(), network=_tiny_network().config)
    return Description(EMOTIONS, recipe.to_dict(), {"fingerprint": "a"}, {"epoch": 1}, ({"epoch": 0},), 1.5)


def _seeds() -> list[bytes]:
    from mien.training.checkpoint import save

    tensors = {f"model.{name}": tensor for name, tensor in _tiny_network().state_dict().items()}
    with TemporaryDirectory() as folder:
        save(path := Path(folder) / "a.safetensors", _description(), tensors)
        return [path.read_bytes()]


def _header_seeds() -> list[bytes]:
    from dataclasses import asdict

    return [json.dumps({"schema": 1, **asdict(_description())}).encode()]


_NEEDS = ("torch", "safetensors")
TARGETS = {
    "checkpoint": Target(_checkpoint, _seeds, needs=_NEEDS),
    "checkpoint_header": Target(_header, _header_seeds, needs=_NEEDS),
}
