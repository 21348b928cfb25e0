from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mien.data.dataset import FaceDataset
from mien.data.readers import read_faces
from mien.emotions import EMOTIONS
from mien.errors import DataError

if TYPE_CHECKING:
    from tests.data.conftest import Forms, Same


def write_csv(
    forms: Forms, folder: Path, made: FaceDataset, columns: Sequence[str] = ("path", "label", "split")
) -> Path:
    (folder / "pictures").mkdir(parents=True, exist_ok=True)
    lines = [",".join(columns)]
    for i, face in enumerate(made.faces[:]):
        name = f"pictures/{i}.png"
        (folder / name).write_bytes(forms.png(face))
        cells = {"path": name, "label": EMOTIONS[made.labels[i]], "split": made.split[i]}
        lines.append(",".join(cells.get(column, "") for column in columns))
    path = folder / "faces.csv"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def write_parquet(file: Path, /, **columns: Sequence[object]) -> Path:
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    pq.write_table(pa.table(columns), file)
    return file


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 6))
def test_csv_round_trip(
    seed: int,
    n: int,
    forms: Forms,
    same: Same,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    made = forms.random(seed, n, votes=False)
    read = read_faces(write_csv(forms, tmp_path_factory.mktemp("manifest"), made))
    same(read, replace(made, row=np.array([f"pictures/{i}.png" for i in range(n)])))


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 6), wrapped=st.booleans())
def test_parquet_round_trip(
    seed: int,
    n: int,
    wrapped: bool,
    forms: Forms,
    same: Same,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    made = forms.random(seed, n, votes=False)
    pictures = [forms.png(face) for face in made.faces[:]]
    path = write_parquet(
        tmp_path_factory.mktemp("manifest") / "faces.parquet",
        image=[{"bytes": p, "path": None} for p in pictures] if wrapped else pictures,
        label=[EMOTIONS[label] for label in made.labels],
        split=made.split.tolist(),
    )
    same(read_faces(path), made)


def test_parquet_with_paths(forms: Forms, made: FaceDataset, tmp_path: Path) -> None:
    write_csv(forms, tmp_path, made)
    paths = [f"pictures/{i}.png" for i in range(5)]
    path = write_parquet(tmp_path / "faces.parquet", path=paths, label=["sad"] * 5)
    read = read_faces(path, default_split="test")
    np.testing.assert_array_equal(read.faces, made.faces)
    assert set(read.split.tolist()) == {"test"}
    assert read.row.tolist() == paths


def test_split_may_be_missing_or_empty(forms: Forms, made: FaceDataset, tmp_path: Path) -> None:
    path = write_csv(forms, tmp_path, made, ("label", "path"))
    assert set(read_faces(path).split.tolist()) == {"training"}
    path.write_text("path,label,split\npictures/0.png,happy,\npictures/1.png,happy,val\n", encoding="utf-8")
    assert read_faces(path, default_split="test").split.tolist() == ["test", "validation"]


def test_absolute_paths(forms: Forms, made: FaceDataset, tmp_path: Path) -> None:
    write_csv(forms, tmp_path, made)
    path = tmp_path / "elsewhere" / "faces.csv"
    path.parent.mkdir()
    path.write_text(f"path,label\n{tmp_path / 'pictures' / '3.png'},joy\n", encoding="utf-8")
    np.testing.assert_array_equal(read_faces(path).faces, made.faces[3:4])


def test_own_classes(forms: Forms, made: FaceDataset, tmp_path: Path) -> None:
    path = write_csv(forms, tmp_path, made)
    path.write_text("path,label\npictures/0.png,tired\npictures/1.png,Bored\n", encoding="utf-8")
    read = read_faces(path, own_classes=True)
    assert (read.classes, read.labels.tolist()) == (("Bored", "tired"), [1, 0])


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("pictures/0.png,bored,train", "unknown emotion 'bored'; known are anger"),
        ("pictures/0.png,happy,someday", "unknown split 'someday'"),
        ("pictures/0.png,,train", "it has no label"),
        ("pictures/0.png", "it has no label"),
        (",happy,train", "it has no path"),
        ("pictures/none.png,happy,train", "no such file"),
    ],
)
def test_bad_row(line: str, reason: str, forms: Forms, made: FaceDataset, tmp_path: Path) -> None:
    path = write_csv(forms, tmp_path, made)
    with path.open("a", encoding="utf-8") as file:
        file.write(f"\n{line}\n")
    with pytest.raises(DataError) as caught:
        read_faces(path)
    assert str(caught.value).startswith(f"{path}: row 5: ")
    assert reason in str(caught.value)
    read = read_faces(path, skip_bad=True)
    assert (len(read), [row.row for row in read.bad]) == (5, ["5"])


@pytest.mark.parametrize("missing", ["path", "label"])
def test_missing_column(missing: str, forms: Forms, made: FaceDataset, tmp_path: Path) -> None:
    columns = [name for name in ("path", "label", "split") if name != missing]
    path = write_csv(forms, tmp_path, made, columns)
    with pytest.raises(DataError, match=rf"faces\.csv: missing column {missing}; it has"):
        read_faces(path)


def test_parquet_bad_rows(forms: Forms, made: FaceDataset, tmp_path: Path) -> None:
    pictures = [forms.png(made.faces[:][0]), None, b"no picture", forms.png(made.faces[:][3])]
    path = write_parquet(tmp_path / "faces.parquet", image=pictures, label=["sad", "sad", "sad", None])
    with pytest.raises(DataError, match=r"faces\.parquet: row 1: image must be the bytes of a picture file"):
        read_faces(path)
    read = read_faces(path, skip_bad=True)
    assert (len(read), [row.row for row in read.bad]) == (1, ["1", "2", "3"])


def test_parquet_missing_column(forms: Forms, made: FaceDataset, tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "faces.parquet", image=[forms.png(made.faces[:][0])])
    with pytest.raises(DataError, match=r"faces\.parquet: missing column label"):
        read_faces(path)


@pytest.mark.parametrize("columns", [("path", "split"), ("path", "label", "split")])
def test_without_labels_rows_need_none(columns: tuple[str, ...], forms: Forms, tmp_path: Path) -> None:
    made = forms.random(3, 6, votes=False)
    text = (path := write_csv(forms, tmp_path, made, columns)).read_text(encoding="utf-8")
    path.write_text(text.replace("happiness", "").replace("anger", "no emotion"), encoding="utf-8")
    read = read_faces(path, labelled=False)
    assert (read.labels == -1).all()
    assert read.split.tolist() == made.split.tolist()
    np.testing.assert_array_equal(read.faces, made.faces)
    pictures = [forms.png(face) for face in made.faces[:]]
    parquet = write_parquet(tmp_path / "faces.parquet", image=pictures, label=["", None, "bored", "sad", "sad", None])
    assert (read_faces(parquet, labelled=False).labels == -1).all()
    with pytest.raises(DataError, match="it has no label"):
        read_faces(parquet)
