from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mien.data.dataset import FaceDataset
from mien.data.readers import read_faces
from mien.errors import ConfigError, DataError

if TYPE_CHECKING:
    from tests.data.conftest import Forms, Same

FOLDERS = {"training": "FER2013Train", "validation": "FER2013Valid", "test": "FER2013Test"}


def as_stored(made: FaceDataset) -> FaceDataset:
    """The dataset in the order in which the three folders hold it, without the original labels."""
    order = np.concatenate([np.flatnonzero(made.split == split) for split in FOLDERS])
    ids = np.array([f"{FOLDERS[made.split[i]]}/fer{i:07d}.png" for i in order])
    return replace(made.take(order), labels=np.full(len(made), -1), row=ids)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 6))
def test_round_trip(
    seed: int,
    n: int,
    forms: Forms,
    same: Same,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    made = forms.random(seed, n)
    same(read_faces(forms.ferplus(tmp_path_factory.mktemp("ferplus"), made)), as_stored(made))


@pytest.fixture
def root(forms: Forms, tmp_path: Path) -> Path:
    made = forms.random(2, 6)
    return forms.ferplus(tmp_path, replace(made, split=np.full(6, "validation")))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda line: line.rsplit(",", 1)[0], "expected 10 votes, got 9"),
        (lambda line: f"{line},0", "expected 10 votes, got 11"),
        (lambda line: "fer.png", "expected 10 votes, got 0"),
        (lambda line: line.rsplit(",", 1)[0] + ",many", "votes must be numbers"),
        (lambda line: line.replace("fer", "ref"), "no such file"),
    ],
)
def test_bad_row(change: Callable[[str], str], reason: str, root: Path) -> None:
    labels = root / "FER2013Valid" / "label.csv"
    lines = labels.read_text(encoding="utf-8").splitlines()
    lines[4] = change(lines[4])
    labels.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(DataError) as caught:
        read_faces(root)
    assert str(caught.value).startswith(f"{labels}: row 4: ")
    assert reason in str(caught.value)
    read = read_faces(root, skip_bad=True)
    assert len(read) == 5
    assert [(row.file, row.row) for row in read.bad] == [(str(labels), "4")]


def test_damaged_picture(root: Path) -> None:
    picture = root / "FER2013Valid" / "fer0000002.png"
    picture.write_bytes(picture.read_bytes()[:200])
    with pytest.raises(DataError, match=r"label\.csv: row 2: .*fer0000002\.png"):
        read_faces(root)


def test_missing_labels(root: Path) -> None:
    (root / "FER2013Test").mkdir()
    with pytest.raises(DataError, match=r"FER2013Test.label\.csv: missing"):
        read_faces(root)


def test_own_classes_need_names(root: Path) -> None:
    with pytest.raises(ConfigError, match="own classes"):
        read_faces(root, own_classes=True)
