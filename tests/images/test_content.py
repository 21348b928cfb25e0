from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mien.images.content import HEAD, VIDEO_SUFFIXES, content_of, is_video

MakeVideo = Callable[..., Path]
PICTURE = Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8))


def encoded(form: str, **options: object) -> bytes:
    file = io.BytesIO()
    PICTURE.save(file, form, **options)
    return file.getvalue()


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM", "AVIF"])
def test_pictures_are_known(form: str) -> None:
    if form == "AVIF" and "AVIF" not in Image.SAVE:
        pytest.skip("this Pillow writes no AVIF")
    assert content_of(encoded(form)[:HEAD]) == "picture"


@pytest.mark.parametrize("brand", [b"heic", b"heix", b"hevc", b"mif1", b"msf1"])
def test_heif_is_known_by_its_brand(brand: bytes) -> None:
    assert content_of(b"\0\0\0\x1cftyp" + brand + b"\0\0\0\0mif1heic") == "heif"


@pytest.mark.parametrize(
    ("name", "codec", "pixels"),
    [
        ("a.mp4", "libx264", "yuv420p"),
        ("a.mov", "libx264", "yuv420p"),
        ("a.mkv", "libx264", "yuv420p"),
        ("a.ts", "libx264", "yuv420p"),
        ("a.m2ts", "libx264", "yuv420p"),
        ("a.avi", "mpeg4", "yuv420p"),
        ("a.mpg", "mpeg1video", "yuv420p"),
        ("a.flv", "flv", "yuv420p"),
        ("a.wmv", "wmv2", "yuv420p"),
        ("a.webm", "libvpx", "yuv420p"),
        ("a.y4m", "rawvideo", "yuv420p"),
        ("a.mjpeg", "mjpeg", "yuvj420p"),
    ],
)
def test_videos_are_known_whatever_they_are_called(
    make_video: MakeVideo, tmp_path: Path, name: str, codec: str, pixels: str
) -> None:
    video = make_video(name, 12, codec=codec, pixels=pixels)
    assert video.suffix in VIDEO_SUFFIXES
    assert is_video(video)
    for other in ("film", "film.bin"):
        assert is_video(video.rename(tmp_path / other))
        video = tmp_path / other


def test_what_is_not_there_goes_by_its_suffix(tmp_path: Path) -> None:
    assert is_video("a/b.MP4")
    assert is_video(Path("x.y4m"))
    assert not is_video("x.gif")
    assert not is_video("mp4")
    (tmp_path / "notes.mp4").write_text("no film")
    assert is_video(tmp_path / "notes.mp4")  # and is then reported as a damaged one
    (tmp_path / "photo.mp4").write_bytes(encoded("JPEG"))
    assert not is_video(tmp_path / "photo.mp4")
    (tmp_path / "two.jpg").write_bytes(encoded("JPEG") * 2)
    assert not is_video(tmp_path / "two.jpg")


@pytest.mark.parametrize(
    "head",
    [
        *(b"", b"\xff", b"<html>", b'{"a": 1}', b"%PDF-1.7", b"PK\x03\x04", b"SQLite format 3\0", b"Post", b"P6"),
        *(b"BMW 7" * 9, b"GIF", b"RIFF\0\0\0\0WAVE", b"II, III", b"ID3\4\0", b"\0" * HEAD),
    ],
)
def test_other_files_are_neither(head: bytes) -> None:
    assert content_of(head) is None
