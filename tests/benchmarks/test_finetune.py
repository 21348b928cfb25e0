"""The benchmark of fine-tuning, on made faces and a small network with random weights."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from mien.data.dataset import FaceDataset
from mien.emotions import EMOTIONS, FERPLUS_COLUMNS

pytest.importorskip("torch", reason="fine-tuning needs torch")

from mien.training import checkpoint
from mien.training.network import AlexNet, AlexNetConfig
from mien.training.recipes import Recipe

bench = pytest.importorskip("finetune", reason="benchmarks/ is not there")


@pytest.fixture(scope="module")
def dataset() -> FaceDataset:
    """Noise of seven classes; all but the first 14 rows are for validation; the last two rows are copies of others."""
    n = 142
    rng = np.random.default_rng(0)
    faces = rng.integers(0, 256, (n, 48, 48), dtype=np.uint8)
    faces[-2:] = faces[14:16]
    winner = np.arange(n) % 7
    votes = np.zeros((n, len(FERPLUS_COLUMNS)), np.float32)
    votes[np.arange(n), [FERPLUS_COLUMNS.index(EMOTIONS[k]) for k in winner]] = 10
    votes[20] = 1  # tied: left out
    return FaceDataset(
        source="noise",
        classes=EMOTIONS,
        faces=faces,
        labels=np.zeros(n, np.int64),
        votes=votes,
        split=np.where(np.arange(n) < 14, "training", "validation"),
        row=np.arange(n).astype(str),
    )


def test_faces_are_regrouped_by_the_votes(dataset: FaceDataset) -> None:
    faces = bench.regrouped(dataset)
    assert faces.row.tolist() == [str(i) for i in range(14, 140) if i != 20]
    expected = {"anger": 0, "disgust": 0, "fear": 0, "sadness": 0, "neutral": 1, "happiness": 2, "surprise": 3}
    assert faces.labels.tolist() == [expected[EMOTIONS[int(row) % 7]] for row in faces.row]
    assert faces.classes == ("negative", "neutral", "positive", "surprised")


def test_learned_and_tested_faces_are_apart(dataset: FaceDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "SIZES", (3, 7))
    faces = bench.regrouped(dataset)
    training, test = bench.divide(faces, 0)
    assert [np.bincount(training[size].labels).tolist() for size in (3, 7)] == [[3] * 4, [7] * 4]
    assert set(training[3].row) < set(training[7].row)
    assert sorted([*training[7].row, *test.row]) == sorted(faces.row)
    assert set(training[3].split) == {"training"}
    assert set(bench.divide(faces, 1)[1].row) != set(test.row)


def test_probabilities_are_summed_over_the_groups() -> None:
    values = np.array([[0.1, 0.05, 0.2, 0.15, 0.3, 0.12, 0.08]])
    np.testing.assert_allclose(bench.summed(values), [[0.47, 0.3, 0.15, 0.08]])


@pytest.mark.slow
def test_the_whole_benchmark_on_a_small_network(
    dataset: FaceDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = AlexNetConfig(input_size=67, width=0.1, hidden=(16, 16))
    recipe = Recipe(network=network)
    source = tmp_path / "best.safetensors"
    tensors = {f"model.{name}": value for name, value in AlexNet(network).state_dict().items()}
    checkpoint.save(source, checkpoint.Description(EMOTIONS, recipe.to_dict(), {}, {}, ()), tensors)
    monkeypatch.setattr(bench, "SIZES", (4, 8))
    monkeypatch.setattr(bench, "SCRATCH_EPOCHS", {4: 2, 8: 1})
    monkeypatch.setattr(bench, "read_dataset", lambda _: dataset)
    settings = ["--set", "epochs=1", "--set", "batch=4", "--set", "holdback=0"]
    out = ["--json", str(tmp_path / "out.json"), "--markdown", str(tmp_path / "out.md")]
    monkeypatch.setattr(sys, "argv", ["finetune.py", "--init", str(source), "--seeds", "2", *settings, *out])
    bench.main()

    rows = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))["rows"]
    assert [(row["way"], row["size"], row["epochs"]) for row in rows] == [
        ("best.safetensors as it is, summed over the groups", 0, 0),
        ("fine-tuned from best.safetensors", 4, 1),
        ("the same, convolutions frozen", 4, 1),
        ("from scratch", 4, 2),
        ("fine-tuned from best.safetensors", 8, 1),
        ("the same, convolutions frozen", 8, 1),
        ("from scratch", 8, 1),
    ]
    assert all(len(row["accuracy"]) == 2 and 0 <= min(row["accuracy"]) <= max(row["accuracy"]) < 1 for row in rows)
    lines = (tmp_path / "out.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 2 + len(rows)
    mean, spread = 100 * np.mean(rows[1]["accuracy"]), 100 * np.std(rows[1]["accuracy"], ddof=1)
    assert f"| {mean:.1f} ± {spread:.1f} |" in lines[3]
