from __future__ import annotations

import gzip
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mien.data.dataset import FaceDataset, Split
from mien.data.notes import ReadingNotes
from mien.data.readers import read_faces
from mien.data.readers.kaggle import parse_pixels
from mien.emotions import EMOTIONS
from mien.errors import ConfigError, DataError

if TYPE_CHECKING:
    from tests.data.conftest import Forms, Same

seeds = st.integers(0, 2**32 - 1)


@settings(max_examples=15, deadline=None)
@given(seed=seeds, n=st.integers(1, 6), votes=st.booleans())
def test_round_trip(
    seed: int,
    n: int,
    votes: bool,
    forms: Forms,
    same: Same,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    made = forms.random(seed, n, votes=votes)
    same(read_faces(forms.kaggle(tmp_path_factory.mktemp("kaggle"), made)), made)


@settings(max_examples=30, deadline=None)
@given(seed=seeds, space=st.sampled_from([" ", "  ", "\t", " \n "]))
def test_pixels_round_trip(seed: int, space: str) -> None:
    face = np.random.default_rng(seed).integers(0, 256, (48, 48), np.uint8)
    np.testing.assert_array_equal(parse_pixels(space.join(map(str, face.ravel()))), face)


@pytest.mark.parametrize("header", ["emotion, Usage, pixels", "pixels,Usage,emotion", " Emotion ,PIXELS,usage"])
def test_headers_in_any_order_and_spelling(
    header: str, forms: Forms, same: Same, made: FaceDataset, tmp_path: Path
) -> None:
    same(read_faces(forms.kaggle(tmp_path, made, header=header)), made)


def test_crlf_bom_and_blank_lines(forms: Forms, same: Same, made: FaceDataset, tmp_path: Path) -> None:
    path = forms.kaggle(tmp_path, replace(made, votes=None))
    text = path.read_text(encoding="utf-8").replace("\n", "\r\n\r\n")
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    same(read_faces(path), replace(made, votes=None))


@pytest.mark.parametrize("name", ["fer2013.csv.gz", "whatever.bin"])
def test_gzip_is_told_by_content(name: str, forms: Forms, same: Same, made: FaceDataset, tmp_path: Path) -> None:
    path = forms.kaggle(tmp_path, made)
    packed = tmp_path / name
    packed.write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    same(read_faces(packed), made)


@pytest.mark.parametrize("votes_inside", [True, False])
def test_zip(
    votes_inside: bool,
    forms: Forms,
    same: Same,
    made: FaceDataset,
    tmp_path: Path,
) -> None:
    path = tmp_path / "archive.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("fer2013/README", "no table")
        archive.writestr("fer2013/fer2013.csv", forms.kaggle_text(made))
        if votes_inside:
            archive.writestr("fer2013/fer2013new.csv", forms.votes_text(made))
    if not votes_inside:
        (tmp_path / "fer2013new.csv").write_text(forms.votes_text(made), encoding="utf-8")
    same(read_faces(path), made)


def test_zip_without_or_with_several_tables(forms: Forms, made: FaceDataset, tmp_path: Path) -> None:
    path = tmp_path / "archive.zip"
    for names in ([], ["a.csv", "b.csv"]):
        with zipfile.ZipFile(path, "w") as archive:
            for name in names:
                archive.writestr(name, forms.kaggle_text(made))
        with pytest.raises(DataError, match=r"expected one \.csv in the zip, found " + (", ".join(names) or "none")):
            read_faces(path)


@pytest.mark.parametrize("cut", [0.2, 0.5, 0.95])
def test_truncated_archives(cut: float, forms: Forms, tmp_path: Path) -> None:
    text = forms.kaggle_text(forms.random(3, 20, votes=False)).encode()
    packed = tmp_path / "fer2013.csv.gz"
    whole = gzip.compress(text)
    packed.write_bytes(whole[: int(len(whole) * cut)])
    with pytest.raises(DataError, match=r"fer2013\.csv\.gz: cannot be read on after line"):
        read_faces(packed, skip_bad=True)
    zipped = tmp_path / "fer2013.zip"
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("fer2013.csv", text)
    zipped.write_bytes(zipped.read_bytes()[: int(zipped.stat().st_size * cut)])
    with pytest.raises(DataError, match=r"fer2013\.zip: not a whole zip"):
        read_faces(zipped, skip_bad=True)


def test_damaged_zip_member(forms: Forms, tmp_path: Path) -> None:
    path = tmp_path / "fer2013.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("fer2013.csv", forms.kaggle_text(forms.random(3, 5, votes=False)))
    content = bytearray(path.read_bytes())
    content[100:101] = b"1" if content[100:101] != b"1" else b"2"  # the checksum no longer agrees
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"fer2013\.zip/fer2013\.csv: cannot be read on .*CRC"):
        read_faces(path)


@pytest.mark.parametrize("missing", ["emotion", "pixels"])
def test_missing_column(missing: str, forms: Forms, made: FaceDataset, tmp_path: Path) -> None:
    header = ",".join(name for name in ("emotion", "pixels", "Usage") if name != missing)
    path = forms.kaggle(tmp_path, made, header=header)
    with pytest.raises(DataError, match=rf"fer2013\.csv: missing column {missing.lower()}; it has"):
        read_faces(path, skip_bad=True)


@pytest.mark.parametrize("default", ["training", "test"])
def test_without_usage_all_is_of_the_default_split(default: Split, forms: Forms, same: Same, tmp_path: Path) -> None:
    made = forms.random(2, 6, votes=False)
    path = forms.kaggle(tmp_path, made, header="emotion,pixels").rename(tmp_path / "train.csv")
    read = read_faces(path, default_split=default)
    same(read, replace(made, split=np.full(6, default)))
    assert read.notes == ReadingNotes(without_split={default: 6})


def test_without_usage_the_votes_have_the_splits(forms: Forms, same: Same, made: FaceDataset, tmp_path: Path) -> None:
    read = read_faces(forms.kaggle(tmp_path, made, header="pixels,emotion"))
    same(read, made)
    assert read.notes == ReadingNotes()


def test_pixels_alone_are_faces_without_labels(forms: Forms, tmp_path: Path) -> None:
    made = forms.random(2, 6, votes=False)
    path = forms.kaggle(tmp_path, made, header="pixels").rename(tmp_path / "test.csv")
    np.testing.assert_array_equal(read_faces(path, labelled=False).faces, made.faces)
    with pytest.raises(DataError, match="missing column emotion; it has pixels"):
        read_faces(path)


GOOD = " ".join(["7"] * 2304)
BAD_ROWS = {
    "short": (f"0,{GOOD[:-2]},Training", "expected 2304 pixels, got 2303"),
    "long": (f"0,{GOOD} 7,Training", "expected 2304 pixels, got 2305"),
    "none": ("0,,Training", "expected 2304 pixels, got 0"),
    "words": (f"0,{GOOD[:-1]}x,Training", "pixels must be whole numbers"),
    "trailing words": (f"0,{GOOD} x,Training", "pixels must be whole numbers"),
    "fraction": (f"0,{GOOD[:-1]}7.5,Training", "pixels must be whole numbers"),
    "too bright": (f"0,{GOOD[:-1]}256,Training", "pixels must be 0 to 255, got 7 to 256"),
    "wraps": (f"0,{GOOD[:-1]}4294967297,Training", "pixels must be 0 to 255"),
    "huge": (f"0,{GOOD[:-1]}{'9' * 30},Training", "pixels must be 0 to 255"),
    "negative": (f"0,{GOOD[:-1]}-1,Training", "pixels must be 0 to 255, got -1 to 7"),
    "code 7": (f"7,{GOOD},Training", "unknown emotion code '7', expected 0 to 6"),
    "code word": (f"happy,{GOOD},Training", "unknown emotion code 'happy'"),
    "usage": (f"0,{GOOD},Holdout", "unknown split 'Holdout'; known are Training"),
    "cells": (f"0,{GOOD}", "expected at least 3 cells, got 2"),
}


@pytest.mark.parametrize("kind", BAD_ROWS)
def test_bad_row_names_file_row_and_reason(kind: str, forms: Forms, same: Same, tmp_path: Path) -> None:
    line, reason = BAD_ROWS[kind]
    made = forms.random(5, 4, votes=False)
    path = forms.kaggle(tmp_path, made)
    lines = path.read_text(encoding="utf-8").splitlines()
    lines.insert(3, line)  # the header is line 0, so this is data row 2
    path.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(DataError) as caught:
        read_faces(path)
    assert str(caught.value).startswith(f"{path}: row 2: {reason}")
    assert "`skip_bad=True`" in str(caught.value)
    read = read_faces(path, skip_bad=True)
    same(read, replace(made, row=np.array(["0", "1", "3", "4"])))
    assert len(read.bad) == 1
    assert (read.bad[0].file, read.bad[0].row) == (str(path), "2")
    assert str(read.bad[0]).startswith(f"{path}: row 2: {reason}")


def test_codes_are_those_of_fer2013(tmp_path: Path) -> None:
    path = tmp_path / "fer2013.csv"
    path.write_text("emotion,pixels,Usage\n" + "".join(f"{code},{GOOD},Training\n" for code in range(7)))
    names = [EMOTIONS[label] for label in read_faces(path).labels]
    assert names == ["anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral"]


def test_nothing_good_and_nothing_at_all(tmp_path: Path) -> None:
    path = tmp_path / "fer2013.csv"
    path.write_text("emotion,pixels,Usage\n0,1 2,Training\n")
    with pytest.raises(DataError, match="no rows could be read; row 0: expected 2304 pixels, got 2"):
        read_faces(path, skip_bad=True)
    path.write_text("emotion,pixels,Usage\n")
    with pytest.raises(DataError, match="no rows could be read"):
        read_faces(path)


def test_votes_of_other_rows_are_refused(forms: Forms, made: FaceDataset, tmp_path: Path) -> None:
    path = forms.kaggle(tmp_path, made)
    votes = tmp_path / "fer2013new.csv"
    lines = votes.read_text(encoding="utf-8").splitlines()
    for changed, counts in ((lines[:-1], "has 4 rows, but .* has 5"), ([*lines, lines[1]], "has 6 rows, but .* has 5")):
        votes.write_text("\n".join(changed), encoding="utf-8")
        with pytest.raises(DataError, match=counts):
            read_faces(path, skip_bad=True)
    usage = lines[3].split(",")[0]
    other = "PublicTest" if usage != "PublicTest" else "Training"
    votes.write_text("\n".join([*lines[:3], lines[3].replace(usage, other), *lines[4:]]), encoding="utf-8")
    with pytest.raises(DataError, match=r"fer2013new\.csv: row 2 is of .* rows must be the same"):
        read_faces(path, skip_bad=True)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda cells: cells[:-1], "expected 12 cells, got 11"),
        (lambda cells: [*cells, "0"], "expected 12 cells, got 13"),
        (lambda cells: [*cells[:-1], "x"], "votes must be numbers"),
        (lambda cells: [*cells[:-1], "-1"], "votes must be finite and not negative"),
        (lambda cells: [*cells[:-1], "nan"], "votes must be finite and not negative"),
        (lambda cells: ["Someday", *cells[1:]], "unknown split 'Someday'"),
    ],
)
def test_bad_votes(
    change: Callable[[list[str]], list[str]],
    reason: str,
    forms: Forms,
    same: Same,
    made: FaceDataset,
    tmp_path: Path,
) -> None:
    path = forms.kaggle(tmp_path, made)
    votes = tmp_path / "fer2013new.csv"
    lines = votes.read_text(encoding="utf-8").splitlines()
    lines[2] = ",".join(change(lines[2].split(",")))
    votes.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(DataError) as caught:
        read_faces(path)
    assert str(caught.value).startswith(f"{votes}: row 1: {reason}")
    read = read_faces(path, skip_bad=True)
    same(read, made.take(np.array([0, 2, 3, 4])))
    assert [row.file for row in read.bad] == [str(votes)]


def test_missing_vote_column(forms: Forms, made: FaceDataset, tmp_path: Path) -> None:
    path = forms.kaggle(tmp_path, made)
    votes = tmp_path / "fer2013new.csv"
    votes.write_text(votes.read_text(encoding="utf-8").replace("contempt", "scorn"), encoding="utf-8")
    with pytest.raises(DataError, match=r"fer2013new\.csv: missing column contempt"):
        read_faces(path)


def test_own_classes_need_names(forms: Forms, made: FaceDataset, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="own classes need class folders or a manifest"):
        read_faces(forms.kaggle(tmp_path, made), own_classes=True)


def test_progress_ends_at_the_whole(forms: Forms, made: FaceDataset, tmp_path: Path) -> None:
    seen = []
    path = forms.kaggle(tmp_path, made)
    read_faces(path, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (path.stat().st_size, path.stat().st_size)
