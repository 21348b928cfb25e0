from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mien.data.dataset import FaceDataset
from mien.data.readers import read_faces
from mien.errors import ConfigError, DataError, MissingExtraError

if TYPE_CHECKING:
    from tests.data.conftest import Forms, Same


@pytest.fixture(scope="module", autouse=True)
def _pyarrow() -> None:
    pytest.importorskip("pyarrow")


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 6), votes=st.booleans())
def test_round_trip(
    seed: int,
    n: int,
    votes: bool,
    forms: Forms,
    same: Same,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    made = forms.random(seed, n, votes=votes)
    made = replace(made, row=np.array([str(100 + i) for i in range(n)]))
    same(read_faces(forms.parquet(tmp_path_factory.mktemp("parquet") / "x", made)), made)


@pytest.mark.parametrize("missing", ["emotion", "image", "contempt"])
def test_missing_column(missing: str, forms: Forms, made: FaceDataset, tmp_path: Path) -> None:
    path = forms.parquet(tmp_path / "x.parquet", made, **{missing: []})
    with pytest.raises(DataError, match=rf"x\.parquet: missing column {missing}; it has"):
        read_faces(path)


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("emotion", 7, "unknown emotion code '7'"),
        ("emotion", None, "unknown emotion code 'None'"),
        ("usage", "Holdout", "unknown split 'Holdout'"),
        ("usage", None, "unknown split 'None'"),
        ("image", b"no picture", "not a picture"),
        ("image", None, "image must be the bytes of a picture file, got NoneType"),
        ("nf", None, "votes must be numbers"),
        ("nf", -1, "votes must be finite and not negative"),
    ],
)
def test_bad_row(
    column: str,
    value: object,
    reason: str,
    forms: Forms,
    same: Same,
    made: FaceDataset,
    tmp_path: Path,
) -> None:
    whole = forms.parquet(tmp_path / "whole.parquet", made)
    import pyarrow.parquet as pq

    values = pq.read_table(whole)[column].to_pylist()
    values[3] = value
    path = forms.parquet(tmp_path / "x.parquet", made, **{column: values})
    with pytest.raises(DataError) as caught:
        read_faces(path)
    assert str(caught.value).startswith(f"{path}: row 3: ")
    assert reason in str(caught.value)
    read = read_faces(path, skip_bad=True)
    same(read, made.take(np.array([0, 1, 2, 4])))
    assert [row.row for row in read.bad] == ["3"]


def test_without_usage_all_is_of_the_default_split(forms: Forms, same: Same, made: FaceDataset, tmp_path: Path) -> None:
    read = read_faces(forms.parquet(tmp_path / "x.parquet", made, usage=[]))
    same(read, replace(made, split=np.full(len(made), "training")))
    assert read.notes.without_split == {"training": len(made)}


def test_truncated(forms: Forms, made: FaceDataset, tmp_path: Path) -> None:
    path = forms.parquet(tmp_path / "x.parquet", made)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match=r"x\.parquet: not a whole Parquet file"):
        read_faces(path)


def test_without_pyarrow(forms: Forms, made: FaceDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = forms.parquet(tmp_path / "x.parquet", made)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match=r"reading Parquet needs .*mien\[tables\]"):
        read_faces(path)


def test_own_classes_need_names(forms: Forms, made: FaceDataset, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="own classes"):
        read_faces(forms.parquet(tmp_path / "x.parquet", made), own_classes=True)
