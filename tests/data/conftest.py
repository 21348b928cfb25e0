"""Random datasets, and every form written from them."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from mien.data.dataset import FaceDataset
from mien.emotions import EMOTIONS, FER2013_CODES, FERPLUS_COLUMNS

USAGE = {"training": "Training", "validation": "PublicTest", "test": "PrivateTest"}
NAMES = {"anger": "angry", "happiness": "Happy", "sadness": "sad"}


Same = Callable[[FaceDataset, FaceDataset], None]
"""Raises where two datasets differ."""


@dataclass(frozen=True)
class Forms:
    """Writes a dataset in each form that the readers read."""

    @staticmethod
    def random(seed: int, n: int, *, votes: bool = True) -> FaceDataset:
        rng = np.random.default_rng(seed)
        return FaceDataset(
            source="made",
            classes=EMOTIONS,
            faces=rng.integers(0, 256, (n, 48, 48), np.uint8),
            labels=rng.integers(0, 7, n),
            votes=rng.multinomial(10, np.full(10, 0.1), n).astype(np.float32) if votes else None,
            split=rng.choice(["training", "validation", "test"], n),
            row=np.array([str(i) for i in range(n)]),
        )

    @staticmethod
    def png(face: NDArray[np.uint8], form: str = "PNG", **options: Any) -> bytes:
        buffer = io.BytesIO()
        Image.fromarray(face).save(buffer, form, **options)
        return buffer.getvalue()

    @staticmethod
    def kaggle_text(dataset: FaceDataset, header: str = "emotion,pixels,Usage") -> str:
        lines = [header]
        for face, label, split in zip(dataset.faces[:], dataset.labels, dataset.split, strict=True):
            cells = {
                "emotion": str(FER2013_CODES.index(EMOTIONS[label])),
                "pixels": " ".join(map(str, face.ravel())),
                "usage": USAGE[split],
            }
            lines.append(",".join(cells[name.strip().lower()] for name in header.split(",")))
        return "\n".join(lines) + "\n"

    @staticmethod
    def votes_text(dataset: FaceDataset) -> str:
        assert dataset.votes is not None
        lines = ["Usage,Image name," + ",".join([*FERPLUS_COLUMNS[:-1], "NF"])]
        for i, (split, votes) in enumerate(zip(dataset.split, dataset.votes, strict=True)):
            name = f"fer{i + 7:07d}.png" if votes[-1] < 1 else ""  # the number lags, and faces that are none have none
            lines.append(",".join([USAGE[split], name, *(str(int(v)) for v in votes)]))
        return "\n".join(lines) + "\n"

    def kaggle(self, folder: Path, dataset: FaceDataset, **options: Any) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "fer2013.csv"
        path.write_text(self.kaggle_text(dataset, **options), encoding="utf-8")
        if dataset.votes is not None:
            (folder / "fer2013new.csv").write_text(self.votes_text(dataset), encoding="utf-8")
        return path

    def ferplus(self, root: Path, dataset: FaceDataset) -> Path:
        assert dataset.votes is not None
        folders = {"training": "FER2013Train", "validation": "FER2013Valid", "test": "FER2013Test"}
        for split in sorted(set(dataset.split.tolist())):
            folder = root / folders[split]
            folder.mkdir(parents=True)
            with (folder / "label.csv").open("w", newline="", encoding="utf-8") as file:
                writer = csv.writer(file)
                for i in np.flatnonzero(dataset.split == split):
                    name = f"fer{i:07d}.png"
                    (folder / name).write_bytes(self.png(dataset.faces[:][i]))
                    writer.writerow([name, "(0, 0, 48, 48)", *(int(v) for v in dataset.votes[i])])
        return root

    def folders(self, root: Path, dataset: FaceDataset, names: dict[str, str], form: str = "png") -> Path:
        for i, face in enumerate(dataset.faces[:]):
            label = EMOTIONS[dataset.labels[i]]
            folder = root / names[dataset.split[i]] / NAMES.get(label, label)
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{i:05d}.{form}").write_bytes(self.png(face, form.upper()))
        return root

    def parquet(self, path: Path, dataset: FaceDataset, **change: list[Any]) -> Path:
        import pyarrow as pa
        import pyarrow.parquet as pq

        columns: dict[str, Any] = {
            "row": [int(row) for row in dataset.row],
            "usage": [USAGE[split] for split in dataset.split],
            "emotion": [FER2013_CODES.index(EMOTIONS[label]) for label in dataset.labels],
            "image": [self.png(face, "WEBP", lossless=True) for face in dataset.faces[:]],
        }
        if dataset.votes is not None:
            columns |= {name: dataset.votes[:, i].astype(int).tolist() for i, name in enumerate(FERPLUS_COLUMNS)}
        columns |= change
        pq.write_table(pa.table({name: values for name, values in columns.items() if values}), path)
        return path


def assert_same(read: FaceDataset, made: FaceDataset) -> None:
    """Equal in everything but where it came from."""
    assert read.classes == made.classes
    np.testing.assert_array_equal(read.faces, made.faces)
    np.testing.assert_array_equal(read.labels, made.labels)
    np.testing.assert_array_equal(read.split, made.split)
    np.testing.assert_array_equal(read.row, made.row)
    assert (read.votes is None) == (made.votes is None)
    if read.votes is not None and made.votes is not None:
        np.testing.assert_array_equal(read.votes, made.votes)


@pytest.fixture(scope="session")
def forms() -> Forms:
    return Forms()


@pytest.fixture(scope="session")
def same() -> Same:
    return assert_same


@pytest.fixture
def made(forms: Forms) -> FaceDataset:
    return forms.random(1, 5)
