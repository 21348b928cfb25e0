"""A dataset that is easy to learn, and a recipe that is quick to train."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from mien.data.dataset import FaceDataset
from mien.emotions import EMOTIONS, FERPLUS_COLUMNS
from mien.training.recipes import Recipe, scratch, with_settings

TINY_SETTINGS = [
    "network.input_size=67",
    "network.width=0.1",
    "network.hidden=16,16",
    "network.dropout=0.1",
    "epochs=3",
    "batch=16",
    "warmup=0.5",
    "learning_rate=0.003",
    "holdback=0.1",
    "ema=0.9",
]


def striped_faces(n: int = 280, *, seed: int = 0) -> FaceDataset:
    """n noisy faces whose class is the direction and width of their stripes; three in four are for training."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % len(EMOTIONS)
    y, x = np.mgrid[0:48, 0:48]
    angle = np.pi * labels / len(EMOTIONS)
    phase = rng.uniform(0, 2 * np.pi, n)
    across = np.cos(angle)[:, None, None] * x + np.sin(angle)[:, None, None] * y
    stripes = np.sin(across * 2 * np.pi / 12 + phase[:, None, None])
    faces = (128 + 80 * stripes + rng.normal(0, 10, (n, 48, 48))).clip(0, 255).astype(np.uint8)
    votes = np.zeros((n, len(FERPLUS_COLUMNS)), np.float32)
    for i, label in enumerate(labels):
        votes[i, FERPLUS_COLUMNS.index(EMOTIONS[label])] = 8
        votes[i, FERPLUS_COLUMNS.index("unknown")] = 2
    return FaceDataset(
        source="striped",
        classes=EMOTIONS,
        faces=faces,
        labels=labels.astype(np.int64),
        votes=votes,
        split=np.where(np.arange(n) % 4 == 3, "validation", "training"),
        row=np.array([str(i) for i in range(n)]),
    )


@pytest.fixture(scope="session")
def striped() -> FaceDataset:
    return striped_faces()


@pytest.fixture(scope="session")
def tiny() -> Recipe:
    return with_settings(scratch(), TINY_SETTINGS)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, striped: FaceDataset, tiny: Recipe) -> Path:
    """The folder of a finished run of the tiny recipe."""
    from mien.training import loop

    out = tmp_path_factory.mktemp("runs") / "tiny"
    loop.train(striped, tiny, out, devices=loop.Devices("cpu"))
    return out
