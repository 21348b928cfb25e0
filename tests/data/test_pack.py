from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from mien.data.audit import audit, drop_leaks, fingerprint, leaks
from mien.data.pack import DESCRIPTION, description, open_pack, verify
from mien.data.packed_faces import PackedFaces
from mien.data.packing import write_pack
from mien.data.readers import read_faces
from mien.errors import ConfigError, DataError

if TYPE_CHECKING:
    from tests.data.conftest import Forms, Same


@pytest.fixture(scope="module")
def source(forms: Forms, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty faces with votes, every third of them a copy of another one, some across splits."""
    made = forms.random(4, 60)
    copied = made.take(np.where(np.arange(60) % 3 == 0, np.arange(60) // 2, np.arange(60)))
    return forms.kaggle(tmp_path_factory.mktemp("source"), replace(copied, labels=made.labels, split=made.split))


@pytest.fixture(scope="module")
def kept(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("packs") / "pack"
    write_pack(source, out)
    return out


@pytest.fixture
def pack(kept: Path, tmp_path: Path) -> Path:
    return shutil.copytree(kept, tmp_path / "pack")


def change(pack: Path, **values: object) -> None:
    path = pack / DESCRIPTION
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), **values}), encoding="utf-8")


def test_a_pack_is_its_source_with_the_faces_on_disk(source: Path, kept: Path, same: Same) -> None:
    read, packed = read_faces(source), read_faces(kept)
    assert isinstance(packed.faces, PackedFaces)
    same(replace(packed, faces=packed.faces[:]), read)
    for split in ("training", "validation", "test"):
        part = packed.of_split(split)
        assert isinstance(part.faces, PackedFaces)
        same(replace(part, faces=part.faces[:]), read.of_split(split))


def test_a_pack_is_not_mixed_with_other_faces(source: Path, kept: Path) -> None:
    inside, packed = read_faces(source), read_faces(kept)
    for one, other in ((inside, packed), (packed, inside)):
        with pytest.raises(ConfigError, match="faces of a pack are not mixed"):
            one.with_unlabeled(other)


def test_the_audit_finds_the_same(source: Path, kept: Path) -> None:
    read, packed = read_faces(source), open_pack(kept)
    assert leaks(read).any()
    assert leaks(packed).tolist() == leaks(read).tolist()
    assert replace(audit(packed), source="") == replace(audit(read), source="")
    assert fingerprint(packed) == fingerprint(read) == description(kept)["fingerprint"]
    assert fingerprint(drop_leaks(packed)) == fingerprint(drop_leaks(read))
    assert audit(drop_leaks(packed)).leaks == 0


def test_verifying_tells_how_far_it_is(kept: Path) -> None:
    told = []
    verify(kept, lambda done, total: told.append((done, total)))
    assert told == sorted(told)
    assert told[-1][0] == told[-1][1] == sum(path.stat().st_size for path in kept.glob("*.npy"))


@pytest.mark.parametrize("name", ["faces", "keys", "labels", "votes", "split", "row"])
def test_any_changed_byte_is_found_and_the_file_named(pack: Path, name: str) -> None:
    path = pack / f"{name}.npy"
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match=rf"pack is damaged: ({name}\.npy is not as it was|splits must be|labels must)"):
        audit(read_faces(pack))


def test_a_changed_description_is_found(pack: Path) -> None:
    classes = description(pack)["classes"]
    change(pack, classes=[*classes[1:], classes[0]])
    with pytest.raises(DataError, match="its fingerprint differs"):
        audit(read_faces(pack))


def damage_header(path: Path) -> None:
    """Repeat a part of an array's header, so that its brackets do not close: numpy's own error is of `tokenize`."""
    content = path.read_bytes()
    path.write_bytes(content.replace(b"'shape': (60,)", b"'shape': (60,(", 1))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda pack: (pack / "faces.npy").write_bytes(b"short"), r"faces\.npy has 5 bytes, expected 138,368"),
        (lambda pack: (pack / "keys.npy").unlink(), r"keys\.npy is missing"),
        (lambda pack: (pack / DESCRIPTION).write_text("{", encoding="utf-8"), r"pack\.json cannot be read"),
        (lambda pack: (pack / DESCRIPTION).write_text("[]", encoding="utf-8"), r"pack\.json cannot be read"),
        (lambda pack: (pack / DESCRIPTION).write_text("[" * 100_000, encoding="utf-8"), r"pack\.json cannot be read"),
        (lambda pack: damage_header(pack / "split.npy"), r"split\.npy cannot be read"),
        (lambda pack: change(pack, schema=2), "a pack of schema 2, this Mien reads 1"),
        (lambda pack: change(pack, notes=[]), r"pack\.json: no notes of a reading"),
        (lambda pack: change(pack, notes={"labels_left_out": {"a": float("inf")}}), "no notes of a reading"),
        (lambda pack: change(pack, faces="many"), "does not describe a pack"),
        (lambda pack: change(pack, faces=61), "expected 61 rows of faces, keys, labels"),
        (lambda pack: change(pack, files={}), "expected 60 rows of faces, keys, labels"),
        (lambda pack: change(pack, classes=["one", "two"]), "labels must be within -1 and 1"),
        (lambda pack: change(pack, files={"../x.npy": {"bytes": 1, "sha256": ""}}), "does not describe a pack"),
    ],
)
def test_a_pack_that_is_not_whole_is_refused(pack: Path, damage: Callable[[Path], object], message: str) -> None:
    damage(pack)
    with pytest.raises(DataError, match=message):
        read_faces(pack)


@pytest.mark.parametrize("name", ["faces", "keys", "labels", "votes", "split", "row"])
def test_an_array_of_another_kind_is_refused(pack: Path, name: str) -> None:
    array = np.full(60, 0.5) if name != "faces" else np.zeros((60, 48, 48), np.int8)
    np.save(pack / f"{name}.npy", array)
    files = description(pack)["files"]
    files[f"{name}.npy"]["bytes"] = (pack / f"{name}.npy").stat().st_size
    change(pack, files=files)
    with pytest.raises(DataError, match=rf"{name}\.npy holds"):
        read_faces(pack)


def test_an_array_of_another_shape_is_refused(pack: Path) -> None:
    np.save(pack / "faces.npy", np.zeros((60, 48, 47), np.uint8))
    files = description(pack)["files"]
    files["faces.npy"]["bytes"] = (pack / "faces.npy").stat().st_size
    change(pack, files=files)
    with pytest.raises(DataError, match=r"faces must be \(N, 48, 48\) uint8"):
        read_faces(pack)
