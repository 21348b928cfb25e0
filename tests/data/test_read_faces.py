from __future__ import annotations

import contextlib
import gzip
import io
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mien.data.dataset import FaceDataset
from mien.data.readers import read_faces
from mien.emotions import FER2013_CODES, FERPLUS_COLUMNS
from mien.errors import ConfigError, DataError, MienError

if TYPE_CHECKING:
    from tests.data.conftest import Forms, Same


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere\.csv: no such file or folder"):
        read_faces(tmp_path / "nowhere.csv")


def test_a_single_picture_is_no_dataset(tmp_path: Path) -> None:
    Image.new("L", (48, 48)).save(path := tmp_path / "face.png")
    with pytest.raises(DataError, match=r"face\.png: a single picture holds no labelled faces; expected"):
        read_faces(path)


def test_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "fer2013.csv"
    path.touch()
    with pytest.raises(DataError, match=r"fer2013\.csv: the file is empty"):
        read_faces(path)


def test_empty_folder_and_folder_of_files(forms: Forms, made: FaceDataset, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no folders; expected Kaggle's FER2013 csv"):
        read_faces(tmp_path)
    forms.kaggle(tmp_path, made)
    with pytest.raises(DataError, match="To read a file in it, name that file"):
        read_faces(tmp_path)


def test_unknown_csv_says_what_it_has_and_what_was_expected(tmp_path: Path) -> None:
    path = tmp_path / "fer2013.csv"
    path.write_text("file,mood\na.png,happy\n")
    with pytest.raises(DataError, match=r"its columns are file, mood; expected Kaggle's FER2013 csv"):
        read_faces(path)


def test_unknown_parquet(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"a": [1]}), path)
    with pytest.raises(DataError, match=r"its columns are a; expected"):
        read_faces(path)


@pytest.mark.parametrize("content", [b"\xff\xd8 no text", bytes(range(256)), b"fer2013/\0\0\0ustar"])
def test_no_text(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "fer2013.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"expected CSV text"):
        read_faces(path)


def test_a_cell_without_end(tmp_path: Path) -> None:
    path = tmp_path / "fer2013.csv"
    path.write_text('emotion,pixels,Usage\n0,"' + "1 " * 200_000)
    with pytest.raises(DataError, match="field larger than field limit"):
        read_faces(path)


def test_votes_alone(forms: Forms, made: FaceDataset, tmp_path: Path) -> None:
    forms.kaggle(tmp_path, made)
    with pytest.raises(DataError, match="holds FER\\+'s votes without faces"):
        read_faces(tmp_path / "fer2013new.csv")


def test_the_name_of_a_file_does_not_matter(forms: Forms, same: Same, made: FaceDataset, tmp_path: Path) -> None:
    path = forms.kaggle(tmp_path, made).rename(tmp_path / "table.dat")
    same(read_faces(path), made)


def test_unknown_default_split(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="unknown split 'holdout'"):
        read_faces(tmp_path, default_split="holdout")  # type: ignore[arg-type]


def test_code_books_as_published() -> None:
    """Goodfellow et al. (ICONIP 2013) and the header of FER+'s fer2013new.csv."""
    assert FER2013_CODES == ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
    expected = "neutral happiness surprise sadness anger disgust fear contempt unknown nf"
    assert " ".join(FERPLUS_COLUMNS) == expected


def _zipped(text: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("fer2013.csv", text)
    return buffer.getvalue()


@settings(max_examples=150, deadline=None)
@given(
    pack=st.sampled_from([bytes, gzip.compress, _zipped]),
    changes=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=5),
    length=st.floats(0, 1),
)
def test_any_damage_is_named_and_never_another_error(
    pack: Callable[[bytes], bytes],
    changes: list[tuple[float, int]],
    length: float,
    forms: Forms,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    content = bytearray(pack(forms.kaggle_text(forms.random(0, 2, votes=False)).encode()))
    for where, value in changes:
        content[int(where * len(content))] = value
    path = tmp_path_factory.mktemp("damaged") / "fer2013.csv"
    path.write_bytes(content[: int(length * len(content))])
    with contextlib.suppress(MienError):
        assert 1 <= len(read_faces(path, skip_bad=True)) <= 2


def test_a_page_that_claims_to_be_huge_takes_no_memory(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"path": ["a.png"], "label": [3]}), path, compression="none")
    content = path.read_bytes()
    assert content[4::2][:3] == b"\x15\x15\x15"  # a page's header: its kind, its size, and its size when compressed
    path.write_bytes(content[:9] + b"\xfe\xff\xff\xff\x0f" + content[10:])  # 2,147,483,647 bytes
    code = (
        "import sys, pyarrow\nfrom pathlib import Path\nfrom mien.data.readers import read_faces\n"
        "try: read_faces(Path(sys.argv[1]))\n"
        "except Exception as error: print(error)\n"
        "print(pyarrow.default_memory_pool().max_memory())"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    message, most = done.stdout.splitlines()
    assert "x.parquet: damaged after row 0" in message
    assert int(most) < 10_000_000
