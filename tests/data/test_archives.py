"""Tables in a tar: read as those in a zip are, whatever else the tar holds."""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mien.data.dataset import FaceDataset
from mien.data.readers import read_faces
from mien.errors import DataError, MienError

if TYPE_CHECKING:
    from tests.data.conftest import Forms, Same

FORMATS = {"ustar": tarfile.USTAR_FORMAT, "gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}


def member(name: str, kind: bytes = tarfile.REGTYPE, size: int = 0, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.size, info.linkname = kind, size, target
    return info


def tar(files: Sequence[tuple[str, bytes]], form: int = tarfile.GNU_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        for name, content in files:
            archive.addfile(member(name, size=len(content)), io.BytesIO(content))
    return buffer.getvalue()


def header(info: tarfile.TarInfo) -> bytes:
    return info.tobuf(tarfile.GNU_FORMAT)


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("votes_inside", [True, False])
def test_tar(
    pack: Callable[[bytes], bytes],
    form: str,
    votes_inside: bool,
    forms: Forms,
    same: Same,
    made: FaceDataset,
    tmp_path: Path,
) -> None:
    text, votes = forms.kaggle_text(made).encode(), forms.votes_text(made).encode()
    files = [("fer2013/README", b"no table"), ("fer2013/._fer2013.csv", b"\0"), ("fer2013/fer2013.csv", text)]
    if votes_inside:
        files.append(("fer2013/fer2013new.csv", votes))
    else:
        (tmp_path / "fer2013new.csv").write_bytes(votes)
    path = tmp_path / "fer2013.tar.gz"
    path.write_bytes(pack(tar(files, FORMATS[form])))
    done: list[tuple[int, int]] = []
    same(read_faces(path, progress=lambda *how: done.append(how)), made)
    assert done[-1] == (path.stat().st_size,) * 2
    assert [file.name for file in tmp_path.iterdir() if file.suffix == ".csv"] == ["fer2013new.csv"][votes_inside:]


@pytest.mark.parametrize("names", [[], ["a.csv", "b.csv"], ["a.csv", "a.csv"]])
def test_tar_without_or_with_several_tables(names: list[str], forms: Forms, made: FaceDataset, tmp_path: Path) -> None:
    path = tmp_path / "archive.tgz"
    path.write_bytes(tar([("README", b"x"), *((name, forms.kaggle_text(made).encode()) for name in names)]))
    with pytest.raises(DataError, match=r"expected one \.csv in the tar, found " + (", ".join(names) or "none")):
        read_faces(path)


def test_of_many_tables_a_few_are_named(tmp_path: Path) -> None:
    path = tmp_path / "many.tar"
    path.write_bytes(tar([(f"{i}.csv", b"") for i in range(500)]))
    with pytest.raises(DataError, match=r"found 0\.csv, .*9\.csv, \.\.\.$"):
        read_faces(path)


LINKS = {"hard": tarfile.LNKTYPE, "soft": tarfile.SYMTYPE, "device": tarfile.CHRTYPE, "fifo": tarfile.FIFOTYPE}


def test_a_sparse_file_is_passed_over(forms: Forms, same: Same, tmp_path: Path) -> None:
    made = forms.random(1, 3, votes=False)
    sparse = header(member("sparse.csv", tarfile.GNUTYPE_SPARSE, size=512)) + b"x" * 512
    path = tmp_path / "fer2013.tar"
    path.write_bytes(sparse + tar([("fer2013.csv", forms.kaggle_text(made).encode())]))
    same(read_faces(path), made)


@pytest.mark.parametrize("kind", LINKS)
def test_members_that_are_no_files_are_passed_over(kind: str, forms: Forms, same: Same, tmp_path: Path) -> None:
    made = forms.random(1, 3, votes=False)
    secret = forms.kaggle(tmp_path / "secret", forms.random(2, 3, votes=False))
    hostile = header(member("fer2013.csv", LINKS[kind], size=10**9, target=str(secret)))
    path = tmp_path / "fer2013.tar"
    path.write_bytes(hostile + tar([("../../escaped/fer2013.csv", forms.kaggle_text(made).encode())]))
    same(read_faces(path), made)
    assert not (tmp_path.parent.parent / "escaped").exists()
    path.write_bytes(hostile + bytes(1024))
    with pytest.raises(DataError, match="found none"):
        read_faces(path)


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.REGTYPE])
def test_a_large_member_needs_no_memory(kind: bytes, forms: Forms, same: Same, tmp_path: Path) -> None:
    made = forms.random(1, 3, votes=False)
    size = 40 << 20
    before = header(member("bomb", kind, size=size)) + bytes(size)
    path = tmp_path / "fer2013.tar.gz"
    path.write_bytes(gzip.compress(before + tar([("fer2013.csv", forms.kaggle_text(made).encode())]), 1))
    del before
    tracemalloc.start()
    try:
        same(read_faces(path), made)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize("cut", [0.001, 0.3, 0.6, 0.9])
def test_truncated(cut: float, pack: Callable[[bytes], bytes], forms: Forms, tmp_path: Path) -> None:
    noise = os.urandom(50_000)
    content = pack(tar([("first", noise), ("fer2013.csv", forms.kaggle_text(forms.random(3, 9)).encode())]))
    path = tmp_path / "fer2013.tar"
    path.write_bytes(content[: int(cut * len(content))])
    with pytest.raises(DataError, match=r"fer2013\.tar: (not a whole tar: |cannot be read on|expected CSV text)"):
        read_faces(path, skip_bad=True)


@settings(max_examples=100, deadline=None)
@given(
    pack=st.sampled_from([bytes, gzip.compress]),
    changes=st.lists(st.tuples(st.integers(0, 1535), st.integers(0, 255)), min_size=1, max_size=4),
    is_checked=st.booleans(),
)
def test_any_damage_is_named_and_never_another_error(
    pack: Callable[[bytes], bytes],
    changes: list[tuple[int, int]],
    is_checked: bool,
    forms: Forms,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Also where the checksum of the header is made right again, so that what it claims is followed."""
    content = bytearray(tar([("fer2013.csv", forms.kaggle_text(forms.random(0, 2, votes=False)).encode())]))
    for where, value in changes:
        content[where] = value
    if is_checked:
        content[148:156] = b" " * 8
        content[148:156] = b"%06o\0 " % sum(content[:512])
    path = tmp_path_factory.mktemp("damaged") / "fer2013.tar"
    path.write_bytes(pack(bytes(content)))
    with contextlib.suppress(MienError):
        assert 1 <= len(read_faces(path, skip_bad=True)) <= 2


def test_a_name_in_a_zip_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "faces.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("é.csv", "path,label\n")
    path.write_bytes(path.read_bytes().replace("é".encode(), b"\x9d\x9a"))
    with pytest.raises(DataError, match=r"faces\.zip: not a whole zip"):
        read_faces(path)
