from __future__ import annotations

import json
from pathlib import Path

import pytest

from .conftest import TINY, assert_one_line_error, mien


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory, folders: Path) -> Path:
    out = tmp_path_factory.mktemp("packs") / "pack"
    result = mien("data", "pack", folders, "-o", out)
    assert result.returncode == 0, result.stderr
    assert result.stdout == f"wrote {out}: 61 faces, 0.1 MB\n"
    assert result.stderr == ""
    return out


def test_what_is_there_is_replaced_by_force_alone(pack: Path, folders: Path) -> None:
    assert_one_line_error(mien("data", "pack", folders, "-o", pack), "holds a pack already: --force replaces it")
    assert mien("data", "pack", folders, "-o", pack, "--force").returncode == 0
    assert_one_line_error(mien("data", "pack", folders, "-o", pack.parent, "--force"), "is no pack")


def test_check_gives_the_same_and_names_damage(pack: Path, folders: Path, tmp_path: Path) -> None:
    found = [json.loads(mien("data", "check", path, "--json").stdout) for path in (pack, folders)]
    assert [one.pop("source") for one in found] == [str(pack), str(folders)]
    assert found[0] == found[1]
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    for path in pack.iterdir():
        content = bytearray(path.read_bytes())
        if path.name == "faces.npy":
            content[1000] ^= 1
        (damaged / path.name).write_bytes(content)
    result = mien("data", "check", damaged)
    assert_one_line_error(result, f"{damaged}: the pack is damaged: faces.npy is not as it was written")


def test_skipped_rows_are_reported_and_exit_1(folders: Path, tmp_path: Path) -> None:
    (tmp_path / "faces" / "happy").mkdir(parents=True)
    picture = next((folders / "train" / "happy").iterdir())
    (tmp_path / "faces" / "happy" / "1.png").write_bytes(picture.read_bytes())
    (tmp_path / "faces" / "happy" / "2.png").write_bytes(b"no picture")
    result = mien("data", "pack", tmp_path / "faces", "-o", tmp_path / "pack")
    assert_one_line_error(result, "2.png", "--skip-bad")
    assert not (tmp_path / "pack").exists()
    result = mien("data", "pack", tmp_path / "faces", "-o", tmp_path / "pack", "--skip-bad")
    assert result.returncode == 1
    assert result.stderr.startswith("skipped: ")
    assert "1 faces" in result.stdout


@pytest.mark.slow
def test_the_commands_take_a_pack(pack: Path, folders: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    for data in (pack, folders):
        trained = mien("train", "--data", data, "--out", tmp_path / data.name, "--drop-leaks", *TINY)
        assert trained.returncode == 0, trained.stderr
        assert "left out 1 training faces" in trained.stderr
    evaluated = []
    for flip in ([], ["--flip"]):
        for data in (pack, folders):
            result = mien("evaluate", tmp_path / data.name, "--data", data, "--json", *flip)
            assert result.returncode == 0, result.stderr
            evaluated.append({**json.loads(result.stdout), "model": ""})
    assert evaluated[0] == evaluated[1]
    assert evaluated[2] == evaluated[3]
    exported = mien("export", tmp_path / pack.name, "--int8", "--data", pack, "-o", tmp_path / "model.onnx")
    assert exported.returncode == 0, exported.stderr
