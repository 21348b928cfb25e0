"""The label map, and labels that are left out: in every form that has labels, the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mien.data.dataset import FaceDataset
from mien.data.notes import ReadingNotes
from mien.data.packing import write_pack
from mien.data.readers import read_faces
from mien.data.readers.labels import RAF_DB, parse_labels
from mien.emotions import EMOTIONS, FER2013_CODES, SYNONYMS
from mien.errors import ConfigError, DataError

if TYPE_CHECKING:
    from tests.data.conftest import Forms

FACE = np.random.default_rng(0).integers(0, 256, (48, 48), np.uint8)

Write = Callable[[Path, "Forms", list[str]], Path]
"""Writes a face for each label."""


def as_folders(root: Path, forms: Forms, labels: list[str]) -> Path:
    for i, label in enumerate(labels):
        (root / "train" / label).mkdir(parents=True, exist_ok=True)
        (root / "train" / label / f"{i}.png").write_bytes(forms.png(FACE))
    return root


def as_csv(root: Path, forms: Forms, labels: list[str]) -> Path:
    (root / "face.png").write_bytes(forms.png(FACE))
    lines = ["path,label,split", *(f"face.png,{label},train" for label in labels)]
    (root / "faces.csv").write_text("\n".join(lines), encoding="utf-8")
    return root / "faces.csv"


def as_parquet(root: Path, forms: Forms, labels: list[str]) -> Path:
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    values = [float(label) if label.isdigit() else label for label in labels]
    labels_or_numbers = values if all(isinstance(value, float) for value in values) else labels
    table = pa.table({"image": [forms.png(FACE)] * len(labels), "label": labels_or_numbers})
    pq.write_table(table, root / "train.parquet")
    return root / "train.parquet"


def as_kaggle(root: Path, _: Forms, labels: list[str]) -> Path:
    pixels = " ".join(map(str, FACE.ravel()))
    lines = ["emotion,pixels,Usage", *(f"{label},{pixels},Training" for label in labels)]
    (root / "fer2013.csv").write_text("\n".join(lines), encoding="utf-8")
    return root / "fer2013.csv"


WRITERS: list[Write] = [as_folders, as_csv, as_parquet, as_kaggle]


def names(read: FaceDataset) -> list[str]:
    return sorted(read.classes[label] for label in read.labels)


@pytest.mark.parametrize("write", WRITERS)
def test_numbers_mean_what_the_map_says(write: Write, forms: Forms, tmp_path: Path) -> None:
    path = write(tmp_path, forms, ["1", "2", "3", "4", "5", "6", "7", "8", "8", "9"])
    read = read_faces(path, labels=f"{RAF_DB},8=drop,9=")
    assert names(read) == sorted(EMOTIONS)
    assert read.notes == ReadingNotes(labels_left_out={"8": 2, "9": 1})


@settings(max_examples=60, deadline=None)
@given(
    meanings=st.dictionaries(
        st.sampled_from(["0", "3", "12", "bored", "happy", "contempt"]),
        st.sampled_from([*EMOTIONS, *SYNONYMS, "Fear", " sad ", "drop", "", None, "contempt"]),
    ),
    labels=st.lists(st.sampled_from(["0", "3", "12", "Bored", "happy", "CONTEMPT", "sad"]), max_size=8),
)
def test_every_row_is_read_or_counted_as_the_map_says(
    meanings: Mapping[str, str | None],
    labels: list[str],
    forms: Forms,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    path = as_csv(tmp_path_factory.mktemp("labels"), forms, ["anger", *labels])
    read = read_faces(path, labels=meanings, skip_bad=True)
    expected, left_out, bad = ["anger"], dict[str, int](), 0
    for label in map(str.lower, labels):
        name = meanings.get(label, label)
        name = (name or "").strip().lower()
        name = SYNONYMS.get(name, name)
        if name in EMOTIONS:
            expected.append(name)
        elif name in ("", "drop", "contempt"):
            left_out[label] = left_out.get(label, 0) + 1
        else:
            bad += 1
    assert (names(read), read.notes.labels_left_out, len(read.bad)) == (sorted(expected), left_out, bad)
    assert set(read.notes.labels_not_found) == set(meanings) - {label.lower() for label in labels}


@pytest.mark.parametrize("write", [as_folders, as_csv, as_parquet])
def test_contempt_is_left_out_unless_it_is_a_class(write: Write, forms: Forms, tmp_path: Path) -> None:
    path = write(tmp_path, forms, ["anger", "Contempt", "happy", "Contempt"])
    read = read_faces(path)
    assert names(read) == ["anger", "happiness"]
    assert not read.bad
    assert read.notes == ReadingNotes(labels_left_out={"contempt": 2})
    own = read_faces(path, own_classes=True)
    assert (own.classes, len(own)) == (("Contempt", "anger", "happy"), 4)
    assert own.notes == ReadingNotes()
    assert names(read_faces(path, labels="contempt=disgust")) == ["anger", "disgust", "disgust", "happiness"]
    assert len(read_faces(path, labelled=False)) == 4


@pytest.mark.parametrize("write", [as_folders, as_csv, as_parquet])
def test_numbers_without_a_map_name_the_option_and_an_example(write: Write, forms: Forms, tmp_path: Path) -> None:
    path = write(tmp_path, forms, ["1", "2"])
    with pytest.raises(DataError, match=rf"unknown emotion '1'; .*`labels={RAF_DB}` does for RAF-DB"):
        read_faces(path)
    assert read_faces(path, own_classes=True).classes == ("1", "2")


def test_an_unknown_code_names_the_option(forms: Forms, tmp_path: Path) -> None:
    """CK+ as a table in Kaggle's columns has 7 for contempt."""
    path = as_kaggle(tmp_path, forms, ["0", "7", "6"])
    with pytest.raises(DataError, match="unknown emotion code '7', expected 0 to 6; `labels=CODE=CLASS` says"):
        read_faces(path)
    read = read_faces(path, labels="7=contempt")
    assert names(read) == [FER2013_CODES[0], FER2013_CODES[6]]
    assert read.notes == ReadingNotes(labels_left_out={"7": 1})


def test_own_classes_are_those_of_the_map(forms: Forms, tmp_path: Path) -> None:
    path = as_folders(tmp_path, forms, ["1", "2", "3"])
    assert read_faces(path, own_classes=True, labels="1=Bored,2=keen,3=drop").classes == ("Bored", "keen")


def test_a_mapping_takes_labels_of_any_characters(forms: Forms, tmp_path: Path) -> None:
    path = as_csv(tmp_path, forms, ["mood=1"])
    assert names(read_faces(path, labels={"mood=1": "fear"})) == ["fear"]


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        ("1", "expected LABEL=CLASS, got '1'"),
        ("", "expected LABEL=CLASS, got ''"),
        ("1=fear,", "expected LABEL=CLASS, got ''"),
        ("1==fear", "expected LABEL=CLASS, got '1==fear'"),
        ("1=fear;2=sad", "expected LABEL=CLASS, got '1=fear;2=sad'"),
        ("=fear", "a label is missing before =fear"),
        ("1=fear,1=fear", "the label '1' is given twice"),
        ("a=fear, A =anger", "the label ' A ' is given twice"),
        ("1=bored", "the label '1' is given the class 'bored'; known are anger, .*`own_classes=True` takes any"),
        ({1: "fear", "1": "anger"}, "the label '1' is given twice"),
        ({1: 2}, "the label '1' is given the class '2'"),
        (["1=fear"], "labels must be text or a mapping, got list"),
    ],
)
def test_a_wrong_map(labels: Any, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        parse_labels(labels, own_classes=False)


def test_what_has_no_labels_refuses_a_map(forms: Forms, made: FaceDataset, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="FER\\+'s folders hold votes"):
        read_faces(forms.ferplus(tmp_path / "ferplus", made), labels=RAF_DB)
    pack = write_pack(as_folders(tmp_path / "faces", forms, ["1", "8"]), tmp_path / "pack", labels="1=fear,8=drop")
    with pytest.raises(ConfigError, match="is a pack, whose labels were read"):
        read_faces(tmp_path / "pack", labels=RAF_DB)
    assert names(pack) == ["fear"]
    assert pack.notes == read_faces(tmp_path / "pack").notes == ReadingNotes(labels_left_out={"8": 1})


def test_nothing_but_left_out_rows_says_so(forms: Forms, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no rows could be read; rows left out for their label: 2 \(contempt: 2\)"):
        read_faces(as_folders(tmp_path, forms, ["contempt", "contempt"]))


def test_a_picture_that_is_left_out_is_not_decoded(forms: Forms, tmp_path: Path) -> None:
    path = as_folders(tmp_path, forms, ["anger", "contempt"])
    (path / "train" / "contempt" / "1.png").write_bytes(b"no picture")
    assert not read_faces(path).bad
