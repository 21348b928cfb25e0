from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from mien.errors import ConfigError
from mien.images.find import find_images
from mien.images.save import drawn_paths, save_picture


def test_pictures_are_written_by_their_suffix(tmp_path: Path) -> None:
    picture = Image.new("RGB", (5, 4), "red")
    for name, kind in (("x/y/a.png", "PNG"), ("b.JPG", "JPEG")):
        save_picture(picture, tmp_path / name)
        with Image.open(tmp_path / name) as written:
            assert (written.format, written.size) == (kind, (5, 4))


def test_drawn_copies_keep_folders_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("one/x.jpg", "one/sub/x.jpg", "one/y.webp", "one/y.png", "two/x.jpg"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert drawn(["one"]) == ["out/x.jpg", "out/y.png", "out/y.webp.png", "out/sub/x.jpg"]
    assert drawn(["one/sub"]) == ["out/x.jpg"]
    assert drawn(["one/x.jpg", "two/x.jpg"]) == ["out/one/x.jpg", "out/two/x.jpg"]
    assert drawn([str(tmp_path / "one" / ".." / "two"), "one/sub"]) == ["out/two/x.jpg", "out/one/sub/x.jpg"]
    assert drawn_paths([], Path("out")) == []


def test_an_original_is_never_overwritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "x.png").touch()
    found = find_images(["in"]).images
    with pytest.raises(ConfigError, match=r"x\.png is one of the pictures"):
        drawn_paths(found, tmp_path / "in")


def drawn(paths: list[str]) -> list[str]:
    search = find_images(paths)
    assert search.unfound == []
    return [path.as_posix() for path in drawn_paths(search.images, Path("out"))]
