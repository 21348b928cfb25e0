from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mien.errors import ImageError, ImageTooLargeError
from mien.images.animation import animation_frames, is_animation, moves

Image.init()  # else only the plugins are known that were used
GRAYS, LENGTHS_MS = (60, 120, 240), (100, 300, 50)
FORMS = [
    pytest.param("gif", {}, id="gif"),
    pytest.param("webp", {"lossless": True}, id="webp"),
    pytest.param("png", {}, id="png"),
    pytest.param(
        "avif", {"quality": 100}, id="avif", marks=pytest.mark.skipif("AVIF" not in Image.SAVE, reason="no AVIF here")
    ),
]


def animated(path: Path, **options: object) -> Path:
    """Three even frames of 48x32 pixels that are shown for different times."""
    first, *others = (Image.new("RGB", (48, 32), (gray, gray, gray)) for gray in GRAYS)
    options = {"duration": list(LENGTHS_MS), "loop": 0} | options
    first.save(path, save_all=True, append_images=others, **options)  # type: ignore[arg-type]
    return path


@pytest.mark.parametrize(("suffix", "options"), FORMS)
def test_each_frame_comes_with_the_time_it_is_shown(tmp_path: Path, suffix: str, options: dict[str, object]) -> None:
    path = animated(tmp_path / f"a.{suffix}", **options)
    assert is_animation(path)
    assert moves(path)
    frames = list(animation_frames(path))
    assert [seconds for _, seconds in frames] == pytest.approx([length / 1000 for length in LENGTHS_MS])
    for (image, _), gray in zip(frames, GRAYS, strict=True):
        assert (image.shape, image.dtype) == ((32, 48, 3), np.uint8)
        assert np.abs(image.astype(int) - gray).max() <= 3


@pytest.mark.parametrize(("suffix", "options"), FORMS)
def test_one_frame_is_no_animation(tmp_path: Path, suffix: str, options: dict[str, object]) -> None:
    path = tmp_path / f"a.{suffix}"
    Image.new("RGB", (48, 32)).save(path, **options)  # type: ignore[arg-type]
    assert not is_animation(path)
    assert not moves(path)


def test_pages_are_no_animation(tmp_path: Path) -> None:
    page = Image.new("RGB", (48, 32))
    page.save(tmp_path / "a.tiff", save_all=True, append_images=[page])
    (tmp_path / "b.gif").write_bytes(b"GIF89a and nothing of it")
    for name in ("a.tiff", "b.gif", "gone.gif"):
        assert not is_animation(tmp_path / name)
    with pytest.raises(ImageError, match=r"gone\.gif: no such file"):
        next(animation_frames(tmp_path / "gone.gif"))


def test_a_frame_keeps_what_it_does_not_draw_over(tmp_path: Path) -> None:
    first = Image.new("RGB", (48, 32), (255, 0, 0))
    second = first.copy()
    second.paste((0, 0, 255), (0, 0, 10, 10))
    first.save(tmp_path / "a.gif", save_all=True, append_images=[second], duration=100)
    _, (image, _) = animation_frames(tmp_path / "a.gif")
    assert image[5, 5].tolist() == [255, 0, 0]
    assert image[20, 30].tolist() == [0, 0, 255]


def test_transparency_lies_over_white(tmp_path: Path) -> None:
    clear = [Image.new("RGBA", (8, 8), (gray, gray, gray, 0)) for gray in (0, 100)]
    clear[0].save(tmp_path / "a.png", save_all=True, append_images=clear[1:], duration=100)
    assert [image.min() for image, _ in animation_frames(tmp_path / "a.png")] == [255, 255]


def test_a_still_for_other_programs_is_left_out(tmp_path: Path) -> None:
    pictures = [Image.new("RGB", (8, 8), (gray, gray, gray)) for gray in (10, 100, 200)]
    pictures[0].save(tmp_path / "a.png", save_all=True, append_images=pictures[1:], default_image=True, duration=100)
    assert [int(image[0, 0, 0]) for image, _ in animation_frames(tmp_path / "a.png")] == [100, 200]


def test_frames_that_ask_for_no_time_get_a_tenth_of_a_second(tmp_path: Path) -> None:
    path = animated(tmp_path / "a.gif", duration=[0, 10, 20])
    assert [seconds for _, seconds in animation_frames(path)] == [0.1, 0.1, 0.02]


def test_large_and_damaged_ones_are_refused(tmp_path: Path) -> None:
    path = animated(tmp_path / "a.gif")
    with pytest.raises(ImageTooLargeError):
        next(animation_frames(path, max_pixels=48 * 32 - 1))
    noise = [Image.fromarray(np.random.default_rng(k).integers(0, 256, (64, 64), np.uint8)) for k in range(4)]
    noise[0].save(path, save_all=True, append_images=noise[1:], duration=100)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 6 // 10])
    frames = animation_frames(path)
    next(frames)
    with pytest.raises(ImageError, match=r"a\.gif: damaged or truncated at frame \d"):
        list(frames)
