"""The readers and the audit on FER2013 itself, against the published counts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mien.data.audit import audit
from mien.data.dataset import FaceDataset, evaluated_rows
from mien.data.readers import read_faces
from mien.emotions import EMOTIONS, FER2013_CODES, FERPLUS_COLUMNS

DATA = Path(__file__).parents[3] / "shared" / "data"
PARQUET = DATA / "fer2013" / "trainval.parquet"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.real_data,
    pytest.mark.skipif(not PARQUET.is_file(), reason="../shared/data/fer2013/trainval.parquet is not there"),
]


@pytest.fixture(scope="module")
def fer2013() -> FaceDataset:
    pytest.importorskip("pyarrow")
    return read_faces(PARQUET)


@pytest.fixture(scope="module")
def columns() -> dict[str, NDArray[Any]]:
    """Its columns, read without Mien."""
    pq = pytest.importorskip("pyarrow.parquet")
    names = ["row", "usage", "emotion", "group", *FERPLUS_COLUMNS]
    return {name: np.array(values) for name, values in pq.read_table(PARQUET, columns=names).to_pydict().items()}


def test_published_counts(fer2013: FaceDataset) -> None:
    assert len(fer2013) == 31_548
    assert len(fer2013.of_split("training")) == 28_005
    validation = fer2013.of_split("validation")
    assert len(validation) == 3_543
    assert not fer2013.bad


def test_labels_votes_and_rows(fer2013: FaceDataset, columns: dict[str, NDArray[Any]]) -> None:
    assert [EMOTIONS[i] for i in fer2013.labels] == [FER2013_CODES[code] for code in columns["emotion"]]
    assert fer2013.votes is not None
    np.testing.assert_array_equal(fer2013.votes, np.stack([columns[name] for name in FERPLUS_COLUMNS], 1))
    assert fer2013.row.tolist() == list(map(str, columns["row"]))


def test_no_leaks_and_the_known_groups_of_copies(fer2013: FaceDataset, columns: dict[str, NDArray[Any]]) -> None:
    found = audit(fer2013)
    assert found.leaks == 0
    assert set(found.shared.values()) == {0}
    for usage, split in (("Training", "training"), ("PublicTest", "validation")):
        group = columns["group"][columns["usage"] == usage]
        assert found.copies[split] == len(group) - len(set(group.tolist()))
    labels: dict[int, set[int]] = {}
    for group, code in zip(columns["group"].tolist(), columns["emotion"].tolist(), strict=True):
        labels.setdefault(group, set()).add(code)
    assert len(found.conflicts) == sum(len(codes) > 1 for codes in labels.values()) > 0


def test_original_and_ferplus_labels_agree_on_two_thirds(fer2013: FaceDataset) -> None:
    truth, mask = evaluated_rows(fer2013, "ferplus")
    assert (truth == fer2013.labels)[mask].mean() == pytest.approx(0.66, abs=0.02)


def test_the_forms_that_users_have_agree_with_it(fer2013: FaceDataset, tmp_path: Path) -> None:
    made = subprocess.run(
        [sys.executable, str(DATA / "kaggle_csv.py"), str(tmp_path), "--rows", "300"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    kaggle = read_faces(tmp_path / "fer2013.csv")
    picked = np.sort(np.random.default_rng(0).permutation(len(fer2013))[:300])  # as kaggle_csv.py picks them
    expected = fer2013.take(picked)
    np.testing.assert_array_equal(kaggle.faces, expected.faces)
    np.testing.assert_array_equal(kaggle.labels, expected.labels)
    np.testing.assert_array_equal(kaggle.votes, expected.votes)
    np.testing.assert_array_equal(kaggle.split, expected.split)

    folders = read_faces(tmp_path / "images")
    assert len(folders) == 300
    by_row = {int(row.rsplit("/", 1)[1].removesuffix(".png")): i for i, row in enumerate(folders.row)}
    order = np.array([by_row[int(row)] for row in expected.row])
    np.testing.assert_array_equal(folders.faces[order], expected.faces)
    np.testing.assert_array_equal(folders.labels[order], expected.labels)
    np.testing.assert_array_equal(
        folders.split[order], np.where(expected.split == "validation", "test", expected.split)
    )
