from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from mien.images.find import find_images, passed_over


@pytest.fixture
def album(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("b.JPG", "a.png", "sub/c.webp", "sub/deeper/d.jpeg", "notes.txt", ".hidden.png", ".git/e.png"):
        path = tmp_path / "album" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path / "album"


def names(paths: list[str], **options: Any) -> list[str]:
    search = find_images(paths, **options)
    assert search.unfound == []
    return [image.path.as_posix() for image in search.images]


def test_a_folder_is_searched_sorted_without_what_is_hidden(album: Path) -> None:
    everything = ["album/a.png", "album/b.JPG", "album/sub/c.webp", "album/sub/deeper/d.jpeg"]
    assert names(["album"]) == everything
    assert names(["album", "album/a.png", str(album)]) == everything
    found = find_images(["album", "album/notes.txt"]).images
    assert found[-1].path.name == "notes.txt"  # a file counts as given
    assert {image.root.as_posix() for image in found} == {"album"}


def test_patterns_are_expanded(album: Path) -> None:
    assert names(["album/*"]) == ["album/a.png", "album/b.JPG"]
    assert names(["album/**/*.[wj]*"]) == ["album/sub/c.webp", "album/sub/deeper/d.jpeg"]
    assert names([str(album / "?.png")]) == [(album / "a.png").as_posix()]
    found = find_images(["album/sub/*/*.jpeg"]).images
    assert found[0].root == Path("album/sub")


def test_a_file_whose_name_looks_like_a_pattern_is_a_file(album: Path) -> None:
    (album / "x[1].png").touch()
    assert names(["album/x[1].png"]) == ["album/x[1].png"]


def test_what_names_no_picture_is_told_and_the_rest_goes_on(album: Path) -> None:
    search = find_images(["empty", "gone.jpg", "album/*.gif", "album/*.txt", "album/a.png", "nul\0"])
    assert [image.path.name for image in search.images] == ["a.png"]
    assert [str(problem) for problem in search.unfound] == [
        "empty: no pictures in this folder",
        "gone.jpg: no such file or folder",
        f"{Path('album/*.gif')}: no picture matches this pattern",
        f"{Path('album/*.txt')}: no picture matches this pattern; 1 passed over: .txt",
        "nul\0: no such file or folder",
    ]


def test_the_folder_for_results_is_passed_over_unless_it_is_asked_for(album: Path) -> None:
    assert names(["album"], skip=[Path("album/sub")]) == ["album/a.png", "album/b.JPG"]
    assert names(["album/sub"], skip=[Path("gone"), album / "sub"]) == ["album/sub/c.webp", "album/sub/deeper/d.jpeg"]


@pytest.mark.skipif(not hasattr(os, "symlink") or os.name == "nt", reason="needs links")
def test_a_circle_of_links_ends(album: Path) -> None:
    (album / "sub" / "up").symlink_to(album, target_is_directory=True)
    assert len(names(["album"])) == 4


@pytest.mark.parametrize("url", ["https://example.org/a.jpg", "HTTP://example.org/a.jpg"])
def test_addresses_are_not_fetched(url: str) -> None:
    search = find_images([url])
    (problem,) = search.unfound
    assert search.images == []
    assert str(problem) == f"{url}: addresses are not fetched: download it first"


def test_pictures_are_known_by_their_content_and_others_are_counted(album: Path) -> None:
    file = io.BytesIO()
    Image.new("L", (8, 8)).save(file, "PNG")
    for name in ("unnamed", "odd.dat", ".cache"):
        (album / name).write_bytes(file.getvalue())
    photo = io.BytesIO()
    Image.new("L", (8, 8)).save(photo, "JPEG")
    (album / "motion").write_bytes(photo.getvalue() * 3)
    for name in ("film.mp4", "film.MOV", "sub/readme", "empty.dat"):
        (album / name).touch()
    search = find_images(["album"])
    assert [path.path.name for path in search.images] == ["a.png", "b.JPG", "odd.dat", "unnamed", "c.webp", "d.jpeg"]
    assert search.passed == {".txt": 1, ".mp4": 1, ".mov": 1, ".dat": 1, "without a suffix": 2}
    assert passed_over(search.passed) == "6 passed over: 2 without a suffix, 1 .dat, 1 .mov, 1 .mp4, 1 .txt"
    assert passed_over({".mov": 2}) == "2 passed over: .mov"


def test_a_folder_of_films_alone_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").touch()
    (problem,) = find_images([tmp_path]).unfound
    assert problem.reason == "no pictures in this folder; 1 passed over: .mp4"


def test_videos_and_animations_are_found_where_they_are_asked_for(album: Path) -> None:
    page = Image.new("L", (4, 4))
    page.save(album / "moves.gif", save_all=True, append_images=[Image.new("L", (4, 4), 255)], duration=100)
    page.save(album / "still.gif")
    (album / "sub" / "film.MKV").touch()
    search = find_images(["album", "album/moves.gif", "gone"], videos=True)
    assert [video.path.as_posix() for video in search.videos] == ["album/moves.gif", "album/sub/film.MKV"]
    assert "album/still.gif" in [image.path.as_posix() for image in search.images]
    assert (search.passed, len(search.unfound)) == ({".txt": 1}, 1)
    without = find_images(["album"])
    assert without.videos == []
    assert "album/moves.gif" in [image.path.as_posix() for image in without.images]
    assert without.passed == {".txt": 1, ".mkv": 1}
    (unfound,) = find_images(["empty"], videos=True).unfound
    assert unfound.reason == "no pictures or videos in this folder"
