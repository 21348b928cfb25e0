from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from mien.data.notes import ReadingNotes
from mien.data.readers import read_faces
from mien.data.readers.rows import find_split
from mien.emotions import EMOTIONS, SYNONYMS
from mien.errors import DataError
from mien.runtime.crops import WHOLE_PICTURE, crop_face
from mien.types import Box

if TYPE_CHECKING:
    from tests.data.conftest import Forms, Same

SPLIT_NAMES = {
    "training": ["train", "Training", "TRAIN"],
    "validation": ["val", "valid", "validation", "PublicTest", "public_test", "Dev"],
    "test": ["test", "Testing", "PrivateTest", "private-test"],
}


@pytest.mark.parametrize(("split", "name"), [(split, name) for split, names in SPLIT_NAMES.items() for name in names])
def test_usual_split_names(split: str, name: str) -> None:
    assert find_split(name) == split


@pytest.mark.parametrize("name", ["", "happy", "trainers", "tests and more"])
def test_other_names_are_no_splits(name: str) -> None:
    assert find_split(name) is None


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 6), data=st.data(), form=st.sampled_from(["png", "bmp"]))
def test_round_trip(
    seed: int,
    n: int,
    data: st.DataObject,
    form: str,
    forms: Forms,
    same: Same,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    names = {split: data.draw(st.sampled_from(usual)) for split, usual in SPLIT_NAMES.items()}
    made = forms.random(seed, n, votes=False)
    read = read_faces(forms.folders(tmp_path_factory.mktemp("folders"), made, names, form))
    order = np.argsort([int(row.rsplit("/", 1)[1].split(".")[0]) for row in read.row])  # files are numbered as made
    same(replace(read.take(order), row=made.row), made)
    assert all(row.startswith(names[split]) for row, split in zip(read.row, read.split, strict=True))


def put(root: Path, name: str, face: NDArray[np.uint8] | None = None) -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((48, 48), np.uint8) if face is None else face).save(path)
    return path


@pytest.mark.parametrize("name", [*EMOTIONS, *SYNONYMS, "HAPPY", "Fear"])
def test_usual_class_names(name: str, tmp_path: Path) -> None:
    put(tmp_path, f"train/{name}/a.png")
    assert EMOTIONS[read_faces(tmp_path).labels[0]] == SYNONYMS.get(name.lower(), name.lower())


def test_without_split_level_all_is_of_the_default_split(tmp_path: Path) -> None:
    put(tmp_path, "happy/a.png")
    put(tmp_path, "sad/b.jpg")
    assert read_faces(tmp_path).split.tolist() == ["training", "training"]
    assert read_faces(tmp_path, default_split="test").split.tolist() == ["test", "test"]


def test_own_classes_are_the_folder_names_sorted(tmp_path: Path) -> None:
    for name in ("train/zzz/1.png", "train/Angry/2.png", "val/bored/3.png"):
        put(tmp_path, name)
    read = read_faces(tmp_path, own_classes=True)
    assert read.classes == ("Angry", "bored", "zzz")
    assert [read.classes[i] for i in read.labels] == ["Angry", "zzz", "bored"]


def test_unknown_class_names_it_and_what_is_known(tmp_path: Path) -> None:
    put(tmp_path, "train/happy/1.png")
    put(tmp_path, "train/bored/2.png")
    with pytest.raises(DataError) as caught:
        read_faces(tmp_path)
    text = str(caught.value)
    assert text.startswith(f"{tmp_path}: row train/bored/2.png: unknown emotion 'bored'; known are anger, disgust")
    assert "`mien train --own-classes`" in text
    read = read_faces(tmp_path, skip_bad=True)
    assert (len(read), [row.row for row in read.bad]) == (1, ["train/bored/2.png"])


@pytest.mark.parametrize("content", [b"", b"hello, I am text", "truncated"])
def test_unreadable_picture(content: bytes | str, tmp_path: Path) -> None:
    put(tmp_path, "train/happy/1.jpg")
    bad = put(tmp_path, "train/happy/2.jpg", np.random.default_rng(0).integers(0, 256, (48, 48), np.uint8))
    bad.write_bytes(content if isinstance(content, bytes) else bad.read_bytes()[:500])
    with pytest.raises(DataError, match=r"row train/happy/2\.jpg: "):
        read_faces(tmp_path)
    read = read_faces(tmp_path, skip_bad=True)
    assert (len(read), [row.row for row in read.bad]) == (1, ["train/happy/2.jpg"])


def test_color_keeps_grey_pixels_and_other_sizes_are_resampled(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    small, large = rng.integers(0, 256, (48, 48), np.uint8), rng.integers(0, 256, (96, 96), np.uint8)
    put(tmp_path, "happy/1.png", np.repeat(small[:, :, None], 3, 2))
    put(tmp_path, "happy/2.png", large)
    put(tmp_path, "happy/3.png", rng.integers(0, 256, (60, 30, 3), np.uint8))
    faces = read_faces(tmp_path).faces[:]
    np.testing.assert_array_equal(faces[0], small)
    blocks = large.reshape(48, 2, 48, 2).mean((1, 3))
    assert np.abs(faces[1] - blocks).max() <= 0.5 + 1e-6


def test_the_shortcut_for_48_pixels_is_what_the_rule_gives(tmp_path: Path) -> None:
    face = np.random.default_rng(4).integers(0, 256, (48, 48), np.uint8)
    put(tmp_path, "happy/1.png", face)
    np.testing.assert_array_equal(read_faces(tmp_path).faces[:][0], crop_face(face, Box(0, 0, 48, 48), WHOLE_PICTURE))


def test_what_is_not_a_picture_is_passed_over(tmp_path: Path) -> None:
    put(tmp_path, "train/happy/1.png")
    put(tmp_path, "train/.cache/x.png")
    put(tmp_path, "train/happy/.hidden.png")
    put(tmp_path, "__MACOSX/train/1.png")
    for ignored in ("Thumbs.db", "desktop.ini", "Desktop.ini", ".DS_Store", "._1.png"):
        for folder in ("train/happy", "train", "."):
            (tmp_path / folder / ignored).write_bytes(b"x")
    read = read_faces(tmp_path)
    assert read.row.tolist() == ["train/happy/1.png"]
    assert read.notes == ReadingNotes()
    for name in ("README.txt", "train/list.CSV", "train/happy/a.txt", "train/happy/b.TXT", "train/happy/film.mp4"):
        (tmp_path / name).write_text("x")
    (tmp_path / "train/happy/nameless").write_text("x")
    put(tmp_path, "train/loose.png")
    read = read_faces(tmp_path)
    assert read.row.tolist() == ["train/happy/1.png"]
    assert read.notes.files_passed_over == {
        ".txt outside the class folders": 1,
        ".csv outside the class folders": 1,
        ".png outside the class folders": 1,
        ".txt": 2,
        ".mp4": 1,
        "without a suffix": 1,
    }


@pytest.mark.parametrize("name", ["face", "face.png_large", "face.jpg:orig"])
def test_content_decides_where_the_suffix_is_unknown(name: str, tmp_path: Path) -> None:
    face = np.random.default_rng(1).integers(0, 256, (48, 48), np.uint8)
    try:
        put(tmp_path, "train/happy/1.png", face).rename(tmp_path / "train/happy" / name)
    except OSError:
        pytest.skip("no such name on this system")
    read = read_faces(tmp_path)
    np.testing.assert_array_equal(read.faces, face[None])
    assert read.notes == ReadingNotes()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_named_pipe_is_not_waited_for(tmp_path: Path) -> None:
    put(tmp_path, "train/happy/1.png")
    os.mkfifo(tmp_path / "train/happy/2.png")
    os.mkfifo(tmp_path / "train/happy/3.parquet")
    read = read_faces(tmp_path, skip_bad=True)
    assert (len(read), [row.row for row in read.bad]) == (1, ["train/happy/2.png"])
    assert read.notes.files_passed_over == {".parquet": 1}


def test_a_folder_out_of_place(tmp_path: Path) -> None:
    put(tmp_path, "train/happy/1.png")
    put(tmp_path, "other/happy/1.png")
    with pytest.raises(DataError, match="other: stands beside folders of splits"):
        read_faces(tmp_path, skip_bad=True)


def test_a_folder_too_deep(tmp_path: Path) -> None:
    put(tmp_path, "train/happy/more/1.png")
    with pytest.raises(DataError, match="more: expected pictures in"):
        read_faces(tmp_path, own_classes=True)


def test_no_pictures(tmp_path: Path) -> None:
    (tmp_path / "train" / "happy").mkdir(parents=True)
    with pytest.raises(DataError, match="no pictures in its class folders"):
        read_faces(tmp_path)
    (tmp_path / "train" / "happy" / "1.txt").write_text("x")
    with pytest.raises(DataError, match=r"no pictures in its class folders.*; 1 passed over: \.txt$"):
        read_faces(tmp_path)
