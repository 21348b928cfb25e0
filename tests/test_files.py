from __future__ import annotations

import errno
import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from PIL import Image

from mien.errors import ConfigError
from mien.files import folder_written_aside, written_aside
from mien.images.save import save_picture

Aside = Callable[[Path], AbstractContextManager[Path]]


def test_a_file_is_whole_or_absent(tmp_path: Path) -> None:
    path = tmp_path / "result.txt"
    with written_aside(path) as part:
        part.write_text("one", encoding="utf-8")
        assert not path.exists()
    assert path.read_text(encoding="utf-8") == "one"

    def fail(stop: type[BaseException]) -> None:
        with written_aside(path) as part:
            part.write_text("two", encoding="utf-8")
            raise stop

    for stop in (ValueError, KeyboardInterrupt):
        with pytest.raises(stop):
            fail(stop)
    assert path.read_text(encoding="utf-8") == "one"
    assert [entry.name for entry in tmp_path.iterdir()] == ["result.txt"]


def test_where_nothing_can_be_written_one_line_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    for path, words in (
        (tmp_path, "is a folder"),
        (tmp_path / "gone" / "x", "cannot be written"),
        (tmp_path / "file" / "x", "cannot be written"),
    ):
        with pytest.raises(ConfigError, match=words), written_aside(path) as part:
            part.write_text("", encoding="utf-8")
    with pytest.raises(ConfigError, match="cannot be made a folder"):
        save_picture(Image.new("RGB", (2, 2)), tmp_path / "file" / "x.png")


@pytest.mark.parametrize("aside", [written_aside, folder_written_aside])
def test_an_error_of_another_file_is_not_taken_for_its_own(tmp_path: Path, aside: Aside) -> None:
    missing = tmp_path / "missing.txt"
    with pytest.raises(FileNotFoundError), aside(tmp_path / "out"):
        missing.read_text(encoding="utf-8")
    with pytest.raises(BrokenPipeError), aside(tmp_path / "out"):
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")
    with pytest.raises(ConfigError, match="out: cannot be written: No space left"), aside(tmp_path / "out"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such devices")
def test_devices_stay_devices_and_links_stay_links(tmp_path: Path) -> None:
    with written_aside(Path("/dev/null")) as part:
        assert part == Path("/dev/null")
    assert not Path("/dev/null").is_file()
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("old", encoding="utf-8")
    link.symlink_to(target)
    with written_aside(link) as part:
        part.write_text("new", encoding="utf-8")
    assert link.is_symlink()
    assert target.read_text(encoding="utf-8") == "new"


@pytest.mark.parametrize("stop", [KeyboardInterrupt, OSError])
@pytest.mark.parametrize("at", ["within", 1, 2])
def test_a_folder_that_is_replaced_is_the_old_or_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: type[BaseException], at: str | int
) -> None:
    """Whatever stops it, and also between the two renames that replace a folder."""
    out = tmp_path / "out"
    with folder_written_aside(out) as part:
        (part / "file").write_text("old", encoding="utf-8")
    rename, calls = Path.rename, []

    def stopped(self: Path, target: Path) -> Path:
        calls.append(target)
        if len(calls) == at:
            raise stop
        return rename(self, target)

    def replace() -> None:
        with folder_written_aside(out) as part:
            (part / "file").write_text("new", encoding="utf-8")
            if at == "within":
                raise stop

    monkeypatch.setattr(Path, "rename", stopped)
    with pytest.raises((stop, ConfigError)):
        replace()
    assert (out / "file").read_text(encoding="utf-8") == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["out"]
    calls[:] = [out] * 9
    with folder_written_aside(out) as part:
        (part / "file").write_text("new", encoding="utf-8")
    assert (out / "file").read_text(encoding="utf-8") == "new"
    assert [entry.name for entry in tmp_path.iterdir()] == ["out"]
