from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mien.errors import ConfigError, ImageError
from mien.video.pictures import animation, natural_order, picture_folder
from mien.video.source import open_source

RATE = 25


def gray(value: int, size: tuple[int, int] = (48, 32)) -> Image.Image:
    return Image.new("RGB", size, (value, value, value))


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """A folder of 12 pictures whose gray is ten times their number, which their names do not pad."""
    folder = tmp_path / "frames"
    folder.mkdir()
    for number in range(12):
        gray(10 * number).save(folder / f"frame{number}.png")
    return folder


def animated(path: Path, lengths_ms: list[int]) -> Path:
    first, *others = (gray(40 * k) for k in range(len(lengths_ms)))
    first.save(path, save_all=True, append_images=others, duration=lengths_ms)
    return path


def test_a_folder_is_a_film_in_the_order_of_its_numbers(film: Path) -> None:
    with open_source(film, rate=RATE) as video:
        frames = list(video)
    assert [frame.index for frame in frames] == list(range(12))
    assert [frame.time_s for frame in frames] == [number / RATE for number in range(12)]
    assert [int(frame.image[0, 0, 0]) for frame in frames] == [10 * number for number in range(12)]
    assert (video.rate, video.duration_s, video.end_s) == (RATE, 12 / RATE, 12 / RATE)
    assert (video.name, video.problems, video.notes, video.has_audio) == (str(film), [], [], False)


def test_names_are_sorted_as_people_read_them() -> None:
    names = ["b1.png", "A10.png", "a9.png", "a/2.png", "a/10.png", "a9b2.png", "a9b10.png", "²x.png"]
    got = [path.as_posix() for path in natural_order([Path(name) for name in names])]
    assert got == ["a/2.png", "a/10.png", "a9.png", "a9b2.png", "a9b10.png", "A10.png", "b1.png", "²x.png"]


def test_a_part_of_it_and_a_step(film: Path) -> None:
    with picture_folder(film, 10, start=0.25, end=0.8, every=0.2) as video:
        assert [frame.index for frame in video] == [3, 5, 7]
        assert video.end_s == 0.8
    with pytest.raises(ImageError, match=r"frames: ends at 1\.20 s, before the start at 2 s"):
        picture_folder(film, 10, start=2)
    with pytest.raises(ConfigError, match="end must lie after the start"):
        picture_folder(film, 10, start=1, end=0.5)


def test_pictures_that_are_left_out_are_not_read(film: Path) -> None:
    for number in (1, 2, 3):
        (film / f"frame{number}.png").write_bytes(b"no picture")
    with picture_folder(film, 10, every=0.4) as video:
        assert [frame.index for frame in video] == [0, 4, 8]
    assert video.problems == []


def test_what_cannot_be_read_is_left_out_and_told(film: Path) -> None:
    (film / "frame3.png").write_bytes(b"no picture")
    gray(200, (96, 64)).save(film / "frame5.png")
    with picture_folder(film, 10) as video:
        frames = list(video)
    assert [frame.index for frame in frames] == [0, 1, 2, *range(4, 12)]
    assert {frame.image.shape for frame in frames} == {(32, 48, 3)}
    unread, resized = video.problems
    assert "frame3.png" in unread
    assert resized == f"{film}: the picture changes its size, and was scaled to the first one's at 0.50 s"
    for path in film.iterdir():
        path.write_bytes(b"no picture")
    with pytest.raises(ImageError, match=r"frame0\.png"):
        picture_folder(film, 10)


def test_what_is_no_film(tmp_path: Path, film: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="no pictures in this folder"):
        picture_folder(tmp_path / "empty", 10)
    for rate in (0, -1, 1001, float("nan")):
        with pytest.raises(ConfigError, match=r"rate must be within 0\.\.1000"):
            picture_folder(film, rate)


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.png"])
def test_an_animation_is_a_film_at_its_times(tmp_path: Path, name: str) -> None:
    path = animated(tmp_path / name, [100, 300, 50, 200])
    with open_source(path) as video:
        frames = list(video)
    assert [frame.time_s for frame in frames] == pytest.approx([0, 0.1, 0.4, 0.45])
    assert [int(frame.image[5, 5, 1]) for frame in frames] == pytest.approx([0, 40, 80, 120], abs=3)
    assert video.end_s == pytest.approx(0.65)
    assert (video.problems, video.notes) == ([], [])
    with open_source(path, start=0.2, end=0.45) as video:
        assert [frame.index for frame in video] == [2]
        assert video.end_s == 0.45


def test_a_damaged_animation_plays_as_far_as_it_goes(tmp_path: Path) -> None:
    noise = [Image.fromarray(np.random.default_rng(k).integers(0, 256, (64, 64), np.uint8)) for k in range(4)]
    noise[0].save(tmp_path / "a.gif", save_all=True, append_images=noise[1:], duration=100)
    content = (tmp_path / "a.gif").read_bytes()
    (tmp_path / "a.gif").write_bytes(content[: len(content) * 6 // 10])
    with animation(tmp_path / "a.gif") as video:
        assert 1 <= len(list(video)) < 4
    assert len(video.problems) == 1
    assert "damaged or truncated" in video.problems[0]


@pytest.mark.parametrize("name", ["frames", "a.gif", "a.webp"])
def test_it_is_written_as_a_video(tmp_path: Path, film: Path, name: str) -> None:
    pytest.importorskip("av")
    from mien.video.writer import VideoWriter

    path = film if name == "frames" else animated(tmp_path / name, [100, 300, 50, 200])
    with open_source(path, rate=RATE if path == film else None) as video, VideoWriter(tmp_path / "o.mp4", video) as out:
        given = list(video)
        for frame in given:
            out.write(frame.image, frame.time_s)
    with open_source(tmp_path / "o.mp4") as written:
        assert [frame.time_s for frame in written] == pytest.approx([frame.time_s for frame in given], abs=0.001)
        assert written.end_s == pytest.approx(video.end_s, abs=0.001)


def test_it_ends_as_soon_as_it_is_over(film: Path) -> None:
    over = iter([False, False, True])
    with picture_folder(film, 10, is_over=lambda: next(over)) as video:
        assert len(list(video)) == 2
    assert video.end_s is None


def test_closed_early_it_gives_no_more(film: Path) -> None:
    with picture_folder(film, 10) as video:
        frames = iter(video)
        assert next(frames).index == 0
    assert list(frames) == []
    assert video.end_s is None
