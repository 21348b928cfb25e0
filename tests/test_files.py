from __future__ import annotations

import os
from pathlib import Path

import pytest
from PIL import Image

from mien.errors import ConfigError
from mien.files import written_aside
from mien.images.save import save_picture


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
