"""Parquet as Hugging Face's datasets writes it: ClassLabel, pictures as {bytes, path}, and a folder of shards."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mien.data.dataset import FaceDataset, Split
from mien.data.notes import ReadingNotes
from mien.data.readers import read_faces
from mien.data.readers.shards import split_of
from mien.emotions import EMOTIONS
from mien.errors import DataError

if TYPE_CHECKING:
    from tests.data.conftest import Forms, Same

pa = pytest.importorskip("pyarrow")

NAMES = ["happy", "sad", "angry", "neutral", "surprise", "fear", "disgust"]
CODES = [NAMES.index({"anger": "angry", "happiness": "happy", "sadness": "sad"}.get(name, name)) for name in EMOTIONS]


def write(file: Path, columns: Mapping[str, Sequence[Any]], features: object = None) -> Path:
    import pyarrow.parquet as pq

    file.parent.mkdir(parents=True, exist_ok=True)
    table = pa.table(dict(columns))
    if features is not None:
        text = features if isinstance(features, str) else json.dumps({"info": {"features": features}})
        table = table.replace_schema_metadata({"huggingface": text})
    pq.write_table(table, file)
    return file


def features(label: str = "label", image: str = "image", names: object = NAMES) -> dict[str, object]:
    return {image: {"_type": "Image"}, label: {"names": names, "_type": "ClassLabel"}}


def hugging_face(
    file: Path, forms: Forms, made: FaceDataset, *, label: str = "label", image: str = "image", wrapped: bool = True
) -> Path:
    pictures = [forms.png(face) for face in made.faces[:]]
    columns: dict[str, Sequence[Any]] = {
        image: [{"bytes": one, "path": "face.png"} for one in pictures] if wrapped else pictures,
        label: [CODES[i] for i in made.labels],
    }
    return write(file, columns, features(label, image))


@settings(max_examples=15, deadline=None)
@given(
    label=st.sampled_from(["label", "labels", "emotion"]),
    image=st.sampled_from(["image", "img"]),
    wrapped=st.booleans(),
    split=st.sampled_from([("train", "training"), ("validation", "validation"), ("test", "test")]),
)
def test_class_labels_have_the_names_of_the_metadata(
    label: str,
    image: str,
    wrapped: bool,
    split: tuple[str, Split],
    forms: Forms,
    same: Same,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    made = forms.random(4, 12, votes=False)
    file = tmp_path_factory.mktemp("hub") / f"{split[0]}-00000-of-00001.parquet"
    read = read_faces(hugging_face(file, forms, made, label=label, image=image, wrapped=wrapped))
    same(read, replace(made, split=np.full(12, split[1])))
    assert read.notes == ReadingNotes()


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("train-00000-of-00002.parquet", "training"),
        ("data/validation-00001-of-00002.parquet", "validation"),
        ("data/test-00000-of-00001-0123456789abcdef.parquet", "test"),
        ("default/train/0000.parquet", "training"),
        ("PublicTest-00000-of-00001.parquet", "validation"),
        ("private_test.parquet", "test"),
        ("fer2013_val.parquet", "validation"),
        ("valid.parquet", "validation"),
        ("train/validation.parquet", "validation"),
        ("trainval.parquet", None),
        ("train-test.parquet", None),
        ("contest.parquet", None),
        ("0000.parquet", None),
    ],
)
def test_the_split_that_a_path_means(name: str, split: Split | None) -> None:
    assert split_of(PurePosixPath(name)) == split


@pytest.mark.parametrize("folder", ["", "data"])
def test_shards_are_one_dataset_in_the_order_of_their_names(
    folder: str, forms: Forms, same: Same, tmp_path: Path
) -> None:
    made = forms.random(5, 12, votes=False)
    names = ["test-00000-of-00001", "train-00000-of-00002", "train-00001-of-00002", "validation-00000-of-00001"]
    for i, name in enumerate(names):
        part = made.take(np.arange(3 * i, 3 * i + 3))
        hugging_face(tmp_path / folder / f"{name}.parquet", forms, part)
    (tmp_path / "README.md").write_text("x")
    (tmp_path / "sample.png").write_text("x")
    (tmp_path / "Thumbs.db").write_text("x")
    (tmp_path / ".cache").mkdir()
    (tmp_path / ".cache" / "other.parquet").write_text("x")
    done: list[tuple[int, int]] = []
    read = read_faces(tmp_path, progress=lambda *how: done.append(how))
    below = f"{folder}/" if folder else ""
    rows = np.array([f"{below}{name}.parquet/{i}" for name in names for i in range(3)])
    splits = np.repeat(["test", "training", "training", "validation"], 3)
    same(read, replace(made, split=splits, row=rows))
    assert read.notes == ReadingNotes(files_passed_over={".md": 1, ".png": 1})
    assert done == [(3, 12), (6, 12), (9, 12), (12, 12)]


def test_shards_of_any_name_and_form(forms: Forms, tmp_path: Path) -> None:
    made = forms.random(6, 4)
    forms.parquet(tmp_path / "a.parquet", made)
    forms.parquet(tmp_path / "b.parquet", made)
    read = read_faces(tmp_path)
    assert read.split.tolist() == [*made.split, *made.split]
    assert read.votes is not None
    np.testing.assert_array_equal(read.votes[4:], made.votes)


def test_a_column_of_splits_goes_before_the_name(forms: Forms, tmp_path: Path) -> None:
    pictures = [forms.png(np.zeros((48, 48), np.uint8))] * 3
    columns: dict[str, Sequence[Any]] = {"image": pictures, "label": ["sad"] * 3, "split": ["train", None, "val"]}
    path = write(tmp_path / "test.parquet", columns)
    assert read_faces(path).split.tolist() == ["training", "test", "validation"]


def test_pictures_with_a_stray_parquet_are_class_folders(forms: Forms, tmp_path: Path) -> None:
    (tmp_path / "happy").mkdir()
    (tmp_path / "happy" / "1.png").write_bytes(forms.png(np.zeros((48, 48), np.uint8)))
    write(tmp_path / "embeddings.parquet", {"x": [1]})
    read = read_faces(tmp_path)
    assert read.row.tolist() == ["happy/1.png"]
    assert read.notes.files_passed_over == {".parquet outside the class folders": 1}


def test_each_shard_has_its_own_names(forms: Forms, tmp_path: Path) -> None:
    picture = [forms.png(np.zeros((48, 48), np.uint8))]
    for name, names in (("a", ["fear", "anger"]), ("b", ["anger", "fear"])):
        write(tmp_path / f"{name}.parquet", {"image": picture, "label": [0]}, features(names=names))
    read = read_faces(tmp_path)
    assert [EMOTIONS[i] for i in read.labels] == ["fear", "anger"]


def test_a_shard_of_another_form_is_named_before_any_is_read(forms: Forms, made: FaceDataset, tmp_path: Path) -> None:
    hugging_face(tmp_path / "a.parquet", forms, made)
    write(tmp_path / "b.parquet", {"x": [1]})
    with pytest.raises(DataError, match=r"b\.parquet: unknown form, its columns are x"):
        read_faces(tmp_path, skip_bad=True)
    write(tmp_path / "b.parquet", {"image": [b""]})
    with pytest.raises(DataError, match=r"b\.parquet: missing column label"):
        read_faces(tmp_path, skip_bad=True)
    (tmp_path / "b.parquet").write_text("version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(DataError, match=r"b\.parquet: not a whole Parquet file"):
        read_faces(tmp_path, skip_bad=True)


def test_of_several_columns_the_usual_name_counts(forms: Forms, tmp_path: Path) -> None:
    picture = forms.png(np.zeros((48, 48), np.uint8))
    columns: dict[str, Sequence[Any]] = {"gender": [1], "emotion": [0], "thumbnail": [b"x"], "img": [picture]}
    described: dict[str, object] = features("emotion", "img") | {"thumbnail": {"_type": "Image"}}
    described["gender"] = {"_type": "ClassLabel", "names": ["sad", "fear"]}
    path = write(tmp_path / "train.parquet", columns, described)
    assert read_faces(path).labels.tolist() == [EMOTIONS.index("happiness")]
    del columns["emotion"]
    with pytest.raises(DataError, match="missing column label; it has gender, thumbnail, img"):
        read_faces(write(path, columns | {"race": [0]}, described | {"race": described["gender"]}))


@pytest.mark.parametrize("values", [[1.0, float("nan")], [1.0, None], [1, None], ["1", ""]])
def test_gaps_in_a_column_of_numbers(values: list[Any], forms: Forms, tmp_path: Path) -> None:
    pictures = [forms.png(np.zeros((48, 48), np.uint8))] * 2
    path = write(tmp_path / "train.parquet", {"image": pictures, "label": values})
    read = read_faces(path, labels="1=fear", skip_bad=True)
    assert (read.labels.tolist(), [row.reason for row in read.bad]) == ([EMOTIONS.index("fear")], ["it has no label"])


ODD_VALUES = {
    -1: "it has no label",
    None: "it has no label",
    7: "its label is 7, but the file names the classes 0 to 6",
    -2: "its label is -2",
}


@pytest.mark.parametrize("value", ODD_VALUES)
def test_odd_class_numbers(value: int | None, forms: Forms, tmp_path: Path) -> None:
    pictures = [forms.png(np.zeros((48, 48), np.uint8))] * 2
    path = write(tmp_path / "train.parquet", {"image": pictures, "label": [0, value]}, features())
    with pytest.raises(DataError, match=f"row 1: {ODD_VALUES[value]}"):
        read_faces(path)
    read = read_faces(path, skip_bad=True)
    assert (len(read), len(read.bad)) == (1, 1)
    assert len(read_faces(path, labelled=False)) == 2


@pytest.mark.parametrize(
    "image",
    [{"bytes": None, "path": None}, {"bytes": None, "path": "none.png"}, {"bytes": b"x", "path": "face.png"}, None],
)
def test_odd_pictures(image: object, forms: Forms, tmp_path: Path) -> None:
    good = {"bytes": forms.png(np.zeros((48, 48), np.uint8)), "path": "face.png"}
    path = write(tmp_path / "train.parquet", {"image": [good, image], "label": [0, 1]}, features())
    read = read_faces(path, skip_bad=True)
    assert (len(read), [row.row for row in read.bad]) == (1, ["1"])


def test_bytes_null_with_a_path(forms: Forms, tmp_path: Path) -> None:
    face = np.random.default_rng(3).integers(0, 256, (48, 48), np.uint8)
    (tmp_path / "face.png").write_bytes(forms.png(face))
    path = write(tmp_path / "train.parquet", {"image": [{"bytes": None, "path": "face.png"}], "label": [0]}, features())
    np.testing.assert_array_equal(read_faces(path).faces, face[None])


def test_names_map_by_the_label_map(forms: Forms, tmp_path: Path) -> None:
    """Numbers as names, as RAF-DB's folders become; and a map that does not meet them is reported."""
    pictures = [forms.png(np.zeros((48, 48), np.uint8))] * 3
    names = ["1", "2", "8"]
    path = write(tmp_path / "train.parquet", {"image": pictures, "label": [0, 1, 2]}, features(names=names))
    read = read_faces(path, labels="1=surprise,2=fear,8=drop,9=sad")
    assert [EMOTIONS[i] for i in read.labels] == ["surprise", "fear"]
    assert read.notes == ReadingNotes(labels_left_out={"8": 1}, labels_not_found=("9",))


@pytest.mark.parametrize(
    "metadata",
    [
        "no json",
        "[" * 100_000,
        "[]",
        '{"info": null}',
        '{"info": {"features": []}}',
        '{"info": {"features": {"label": null, "image": {"_type": 3}}}}',
        '{"info": {"features": {"label": {"_type": "ClassLabel", "names": "abc"}}}}',
        '{"info": {"features": {"label": {"_type": "ClassLabel", "names": [1, null]}}}}',
        '{"info": {"features": {"label": {"_type": "ClassLabel", "names": []}}}}',
        '{"info": {"features": {"label": {"_type": "Value"}, "gone": {"_type": "ClassLabel", "names": ["a"]}}}}',
    ],
)
def test_metadata_without_names_leaves_numbers_to_the_label_map(metadata: str, forms: Forms, tmp_path: Path) -> None:
    pictures = [forms.png(np.zeros((48, 48), np.uint8))]
    path = write(tmp_path / "train.parquet", {"image": pictures, "label": [3]}, metadata)
    with pytest.raises(DataError, match=r"row 0: unknown emotion '3'; .*`labels=1=surprise"):
        read_faces(path)
    assert read_faces(path, labels="3=fear").labels.tolist() == [EMOTIONS.index("fear")]
