from __future__ import annotations

import errno
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mien.data import packing
from mien.data.dataset import FaceDataset
from mien.data.pack import description, verify
from mien.data.packing import write_pack
from mien.data.readers import read_faces
from mien.errors import ConfigError, DataError

if TYPE_CHECKING:
    from tests.data.conftest import Forms, Same


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@settings(max_examples=20)
@given(
    n=st.integers(1, 12),
    seed=st.integers(0, 2**16),
    votes=st.booleans(),
    form=st.sampled_from(["kaggle", "parquet"]),
    chunk=st.integers(1, 13),
)
def test_a_pack_holds_what_its_source_does(
    n: int,
    seed: int,
    votes: bool,
    form: str,
    chunk: int,
    forms: Forms,
    same: Same,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("any")
    made = forms.random(seed, n, votes=votes)
    source = forms.kaggle(folder, made) if form == "kaggle" else forms.parquet(folder / "faces.parquet", made)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packing, "_CHUNK", chunk)
        packed = write_pack(source, folder / "pack")
    same(replace(packed, faces=packed.faces[:]), read_faces(source))
    verify(folder / "pack")
    assert (folder / "pack" / "votes.npy").exists() == votes


@pytest.mark.parametrize("own", [False, True])
def test_classes_of_one_s_own_are_sorted_as_the_readers_do(
    own: bool,
    forms: Forms,
    same: Same,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(packing, "_CHUNK", 2)
    made = forms.random(3, 20, votes=False)
    source = forms.folders(tmp_path / "faces", made, {"training": "train", "validation": "val", "test": "test"})
    packed = write_pack(source, tmp_path / "pack", own_classes=own)
    same(replace(packed, faces=packed.faces[:]), read_faces(source, own_classes=own))
    assert ("sad" in packed.classes) == own
    assert read_faces(tmp_path / "pack").classes == packed.classes


def test_faces_of_ferplus_have_no_labels(forms: Forms, same: Same, made: FaceDataset, tmp_path: Path) -> None:
    packed = write_pack(forms.ferplus(tmp_path / "faces", made), tmp_path / "pack")
    assert packed.labels.tolist() == [-1] * 5
    same(replace(packed, faces=packed.faces[:]), read_faces(tmp_path / "faces"))


def test_bad_rows_end_it_or_are_skipped_and_counted(forms: Forms, made: FaceDataset, tmp_path: Path) -> None:
    source = forms.kaggle(tmp_path / "faces", replace(made, votes=None))
    with source.open("a", encoding="utf-8") as file:
        file.write("0,1 2 3,Training\n")
    with pytest.raises(DataError, match="row 5: expected 2304 pixels, got 3"):
        write_pack(source, tmp_path / "pack")
    assert names(tmp_path) == ["faces"]
    packed = write_pack(source, tmp_path / "pack", skip_bad=True)
    assert len(packed) == 5
    assert [row.row for row in packed.bad] == ["5"]
    assert description(tmp_path / "pack")["skipped"] == 1


def test_nothing_good_is_no_pack(tmp_path: Path) -> None:
    source = tmp_path / "fer2013.csv"
    source.write_text("emotion,pixels,Usage\n0,1 2 3,Training\n", encoding="utf-8")
    with pytest.raises(DataError, match="no rows could be read; row 0: expected 2304 pixels"):
        write_pack(source, tmp_path / "pack", skip_bad=True)
    assert names(tmp_path) == ["fer2013.csv"]


def test_what_is_there_is_kept_unless_it_is_a_pack_that_may_be_replaced(forms: Forms, tmp_path: Path) -> None:
    sources = [forms.kaggle(tmp_path / str(seed), forms.random(seed, 3)) for seed in (0, 1)]
    pack = tmp_path / "pack"
    write_pack(sources[0], pack)
    with pytest.raises(ConfigError, match="holds a pack already: `force=True` replaces it"):
        write_pack(sources[1], pack)
    replaced = write_pack(sources[1], pack, force=True)
    np.testing.assert_array_equal(replaced.faces[:], forms.random(1, 3).faces)
    other = tmp_path / "other"
    other.mkdir()
    for taken in (other, sources[0]):
        with pytest.raises(ConfigError, match="is there, and is no pack"):
            write_pack(sources[1], taken, force=True)
    assert names(tmp_path) == ["0", "1", "other", "pack"]


def test_a_pack_that_cannot_be_replaced_stays(forms: Forms, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = [forms.kaggle(tmp_path / str(seed), forms.random(seed, 3)) for seed in (0, 1)]
    pack = tmp_path / "pack"
    write_pack(sources[0], pack)
    rename = Path.rename
    failed: list[Path] = []

    def failing(path: Path, target: Path) -> Path:
        if path.suffix == ".part" and not failed:
            failed.append(path)
            raise OSError(errno.EACCES, "Permission denied")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(ConfigError, match="pack: cannot be written: Permission denied"):
        write_pack(sources[1], pack, force=True)
    assert failed
    verify(pack)
    np.testing.assert_array_equal(read_faces(pack).faces[:], forms.random(0, 3).faces)
    assert names(tmp_path) == ["0", "1", "pack"]
    replaced = write_pack(sources[1], pack, force=True)
    np.testing.assert_array_equal(replaced.faces[:], forms.random(1, 3).faces)
    assert names(tmp_path) == ["0", "1", "pack"]


def test_a_pack_is_not_packed_and_none_lies_within_its_source(forms: Forms, made: FaceDataset, tmp_path: Path) -> None:
    pack = tmp_path / "pack"
    source = forms.ferplus(tmp_path / "faces", made)
    with pytest.raises(ConfigError, match="lies within the dataset"):
        write_pack(source, source / "pack")
    write_pack(source, pack)
    with pytest.raises(ConfigError, match="is a pack already"):
        write_pack(pack, tmp_path / "again")


def test_a_folder_that_cannot_be_made_is_named(forms: Forms, made: FaceDataset, tmp_path: Path) -> None:
    source = forms.kaggle(tmp_path, made)
    with pytest.raises(ConfigError, match="cannot be made a folder"):
        write_pack(source, source / "below" / "pack")


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="kill -9 is for POSIX")
def test_a_kill_leaves_nothing_under_the_name(forms: Forms, tmp_path: Path) -> None:
    source = forms.kaggle(tmp_path / "faces", forms.random(0, 50, votes=False))
    code = (
        "import sys, time; from pathlib import Path; from mien.data import packing\n"
        "packing._CHUNK = 10\n"
        "packing.write_pack(Path(sys.argv[1]), Path(sys.argv[2]), progress=lambda *_: time.sleep(60))"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(source), str(tmp_path / "pack")])
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob(".*.part/faces.npy")):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert not (tmp_path / "pack").exists()
    write_pack(source, tmp_path / "pack")
