from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mien.data.dataset import FaceDataset
from mien.emotions import EMOTIONS, FERPLUS_COLUMNS
from mien.errors import ConfigError, DetectorError
from mien.runtime.classifier import Classifier
from mien.runtime.detectors import WholeImageDetector

pytest.importorskip("skimage.data")
robustness = pytest.importorskip("robustness", reason="benchmarks/ is not there")
tables = pytest.importorskip("robustness_tables")


def no_eyes(n: int) -> dict[int, np.ndarray]:
    return {roll: np.full(n, np.nan) for roll in (0, 15, -15, 30, -30)}


def confident_in(classes: list[int], probability: float = 0.9) -> np.ndarray:
    """Answers (N, 7) that give the named class so much."""
    probabilities = np.full((len(classes), len(EMOTIONS)), (1 - probability) / (len(EMOTIONS) - 1))
    probabilities[np.arange(len(classes)), classes] = probability
    return probabilities


def bright_faces(classes: list[int]) -> FaceDataset:
    """Validation faces that the brightness model gets right: class k has mean grey 255 k / 6."""
    n = len(classes)
    votes = np.zeros((n, len(FERPLUS_COLUMNS)), np.float32)
    votes[np.arange(n), [FERPLUS_COLUMNS.index(EMOTIONS[k]) for k in classes]] = 10
    greys = np.rint(255 * np.array(classes) / 6).astype(np.uint8)
    faces = np.repeat(greys, 48 * 48).reshape(n, 48, 48)
    rows = np.array([str(i) for i in range(n)])
    return FaceDataset("made", EMOTIONS, faces, np.array(classes), votes, np.array(["validation"] * n), rows)


def by_name(rows: list[Any]) -> Mapping[str, Any]:
    return {f"{row.group}: {row.name}": row for row in rows}


def test_every_condition_is_a_fault_and_the_same_each_time() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (2, 48, 48), np.uint8)
    before = noise.copy()
    found = robustness.conditions(no_eyes(2))
    names = [(condition.group, condition.name) for condition in found]
    assert len(set(names)) == len(names)
    for condition in found:
        assert len(condition.versions) == (2 if condition.name.startswith(("15°", "30°")) else 1)
        for version in condition.versions:
            once, twice = version(noise), version(noise)
            np.testing.assert_array_equal(once, twice)
            assert (once.shape, once.dtype) == (noise.shape, noise.dtype)
            assert (once != noise).any()
    np.testing.assert_array_equal(noise, before)


def test_the_two_sides_of_a_roll_go_by_their_own_angles() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (1, 48, 48), np.uint8)
    found = by_name(robustness.conditions({roll: np.array([float(roll)]) for roll in (0, 15, -15, 30, -30)}))
    eyes, true = found["roll: 15°, aligned by landmarks"], found["roll: 15°, aligned, true angle"]
    for one, other in zip(eyes.versions, true.versions, strict=True):
        np.testing.assert_array_equal(one(noise), other(noise))
    assert (eyes.versions[0](noise) != eyes.versions[1](noise)).any()
    assert eyes.alignment == {"found": 1.0, "angle": 15.0, "error": 0.0}


def test_alignment_figures() -> None:
    rolls = {15: np.array([10.0, 12.0, np.nan]), -15: np.array([-8.0, 3.0, -16.0])}
    figures = robustness.alignment_figures(rolls)
    assert figures["found"] == pytest.approx(5 / 6)
    assert figures["angle"] == 10  # of 10, 12, 8, -3, 16
    assert figures["error"] == 5  # of 5, 3, 7, 18, 1
    assert robustness.alignment_figures({0: np.array([np.nan])}) == {"found": 0.0, "angle": None, "error": None}


def test_the_drop_is_paired() -> None:
    before = np.repeat([1.0, 0.0], 500)
    assert robustness.paired_drop(before, before) == (0.0, (0.0, 0.0))
    after = before.copy()
    after[:40], after[500:510] = 0, 1
    drop, (low, high) = robustness.paired_drop(before, after)
    assert drop == pytest.approx(0.03)
    half = 1.96 * np.std(before - after) / np.sqrt(1000)
    assert low == pytest.approx(0.03 - half, abs=0.0015)
    assert high == pytest.approx(0.03 + half, abs=0.0015)


def test_a_condition_goes_by_the_mean_of_its_versions() -> None:
    truth = np.array([0, 1, 2, 3])
    clean = confident_in([0, 1, 2, 0])
    condition = robustness.Condition("roll", "15°", [], {"found": 0.5, "angle": 9.0, "error": 6.0})
    row = robustness.figures_of(condition, [confident_in([0, 1, 0, 0]), confident_in([0, 0, 0, 0], 0.5)], truth, clean)
    assert (row.group, row.name, row.faces) == ("roll", "15°", 4)
    assert row.accuracy == 3 / 8
    assert row.drop == pytest.approx(3 / 4 - 3 / 8)
    assert row.confidence == pytest.approx(0.7)
    assert row.uncertain == 0.5
    assert row.ece == pytest.approx(np.mean([abs(2 / 4 - 0.9), abs(1 / 4 - 0.5)]))
    assert row.alignment == condition.alignment


def test_what_is_no_face_has_predictions_but_no_accuracy() -> None:
    row = robustness.figures_of_non_faces(
        "noise", np.concatenate([confident_in([4, 4, 4], 0.9), confident_in([6], 0.5)])
    )
    assert row.answers == {**dict.fromkeys(EMOTIONS, 0.0), "neutral": 0.75, "surprise": 0.25}
    assert (row.pictures, row.uncertain) == (4, 0.25)
    assert row.confidence == pytest.approx(0.8)


@pytest.fixture(scope="module")
def measured(brightness_model: Path) -> tuple[list[Any], list[Any]]:
    classifier = Classifier(brightness_model, threads=1)
    return robustness.measure(classifier, WholeImageDetector(), bright_faces([0, 2, 4, 6, 3]), limit=4)


@pytest.mark.slow
def test_the_tables_hold_what_the_model_bears(measured: tuple[list[Any], list[Any]]) -> None:
    rows, others = measured
    found = by_name(rows)
    assert rows[0].group == "clean"
    assert {row.faces for row in rows} == {4}
    assert (rows[0].accuracy, rows[0].drop) == (1.0, 0.0)
    # It goes by brightness alone, and the faces are flat.
    for name in ("size: 24 px", "blur: sigma 2 px", "light: contrast 0.3", "roll: 30°", "box: 20 % larger"):
        assert found[name].accuracy == 1
    assert found["light: gain 0.5"].accuracy == found["light: gain 0.5"].macro_f1 == 0.25
    assert found["light: gain 0.5"].drop == 0.75
    assert found["roll: 15°, aligned by landmarks"].alignment == {"found": 0.0, "angle": None, "error": None}
    kinds = {row.name: row for row in others}
    assert kinds["noise"].answers["happiness"] == 1  # mean grey 127.5 is that of class 3
    assert kinds["flat grey"].pictures == 256


def test_the_tables_are_shown_and_written(
    measured: tuple[list[Any], list[Any]], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    rows, others = measured
    tables.show("model, 4 faces", rows, others)
    shown = capsys.readouterr().out
    text = tables.to_markdown("model, 4 faces", rows, others)
    for row in [*rows, *others]:
        cells = tables.cells(row)
        assert f"| {' | '.join(cells)} |" in text
        assert cells[0] in shown
    assert "- 15°, aligned by landmarks: a face detected in 0.0 %." in text
    widths = {line.count("|") for line in text.splitlines() if line.startswith("|")}
    assert widths == {len(tables.HEADS) + 1, len(tables.NON_FACE_HEADS) + 1}
    robustness.write_text(tmp_path / "new" / "table.md", text)
    assert (tmp_path / "new" / "table.md").read_text(encoding="utf-8") == text
    assert json.loads(json.dumps([asdict(row) for row in [*rows, *others]], allow_nan=False))


def test_cells_are_in_per_cent() -> None:
    row = tables.Row("blur", "much", 10, 0.5, 0.4, 0.9, 0.125, 0.1, 0.25, (-0.1, 0.5), {})
    assert tables.cells(row) == ["blur: much", "50.0", "25.0", "-10.0 to 50.0", "40.0", "90.0", "12.5", "10.0"]
    other = tables.NonFaceRow("noise", 9, {"anger": 0.004, "fear": 0.2, "neutral": 0.796}, 0.5, 0.75)
    assert tables.cells(other) == ["noise", "9", "50.0", "75.0", "neutral 80, fear 20"]


def test_what_cannot_be_measured_is_refused(
    brightness_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    classifier = Classifier(brightness_model, threads=1)
    with pytest.raises(ConfigError, match="at least 1 face, got 0"):
        robustness.measure(classifier, WholeImageDetector(), bright_faces([0]), limit=0)
    monkeypatch.setattr(Classifier, "classes", ("a", "b"))
    with pytest.raises(ConfigError, match="the model has a, b"):
        robustness.measure(classifier, WholeImageDetector(), bright_faces([0]))
    monkeypatch.setattr("sys.argv", ["robustness.py", "--detectors", str(tmp_path)])
    with pytest.raises(DetectorError, match="--detectors"):
        robustness.main()
