"""Fuzz targets: pictures, animations, videos."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mien.images.animation import animation_frames, is_animation
from mien.images.content import HEAD, content_of
from mien.images.decode import read_picture

from .target import Run, Target

_MAX_PIXELS = 1_000_000


def _picture(_: Path) -> Run:
    def run(data: bytes) -> None:
        for reduce_to in (None, 8):
            picture = read_picture(data, max_pixels=_MAX_PIXELS, reduce_to=reduce_to)
            assert picture.image.dtype == np.uint8
            assert picture.image.ndim == 3
            assert picture.image.shape[2] == 3
            assert picture.image.size

    return run


def _animation(folder: Path) -> Run:
    path = folder / "moving"

    def run(data: bytes) -> None:
        content_of(data[:HEAD])
        path.write_bytes(data)
        is_animation(path)
        for image, seconds in islice(animation_frames(path, _MAX_PIXELS), 8):
            assert image.shape[2] == 3
            assert seconds > 0

    return run


def _video(folder: Path) -> Run:
    import av

    from mien.video.reader import VideoFile

    av.logging.set_level(None)
    path = folder / "video.mp4"

    def run(data: bytes) -> None:
        path.write_bytes(data)
        for start, every in ((None, None), (0.1, 0.1)):
            with VideoFile(path, max_pixels=_MAX_PIXELS, start=start, every=every) as video:
                times = [frame.time_s for frame in islice(video, 10)]
                assert times == sorted(times)
                assert all(isinstance(problem, str) for problem in video.problems)

    return run


def _picture_seeds() -> list[bytes]:
    grey = np.arange(96, dtype=np.uint8).reshape(8, 12)
    color = np.dstack([grey, grey[::-1], grey[:, ::-1]])
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    seeds = []
    for pixels in (grey, color, np.dstack([color, grey])):
        image = Image.fromarray(pixels)
        for form in ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF"):
            if pixels.shape[2:] == (4,) and form in ("JPEG", "PPM", "GIF"):
                continue
            buffer = BytesIO()
            image.save(buffer, form, **({"exif": exif} if form in ("JPEG", "PNG", "WEBP", "TIFF") else {}))
            seeds.append(buffer.getvalue())
    for image in (Image.fromarray(grey.astype(np.uint16) * 40), Image.fromarray(color).convert("CMYK")):
        buffer = BytesIO()
        image.save(buffer, "TIFF")
        seeds.append(buffer.getvalue())
    return [*seeds, *_deep()]


def _deep() -> Iterator[bytes]:
    import cv2

    color = np.arange(288, dtype=np.uint16).reshape(8, 12, 3) * 14
    for pixels in (color, color[:, :, 0]):
        for suffix in (".png", ".tiff"):
            yield cv2.imencode(suffix, pixels)[1].tobytes()


def _animation_seeds() -> list[bytes]:
    frames = [Image.fromarray(np.full((8, 12, 3), value, np.uint8)) for value in (0, 90, 255)]
    seeds = []
    for form in ("GIF", "WEBP", "PNG", "TIFF", "AVIF"):
        buffer = BytesIO()
        frames[0].save(buffer, form, save_all=True, append_images=frames[1:], duration=40)
        seeds.append(buffer.getvalue())
    return seeds


def _video_seeds() -> list[bytes]:
    import av

    seeds = []
    kinds: tuple[tuple[str, Any], ...] = (
        ("mp4", "libx264"),
        ("matroska", "libx264"),
        ("avi", "mjpeg"),
        ("mpegts", "mpeg4"),
        ("webm", "libvpx"),
    )
    for form, codec in kinds:
        buffer = BytesIO()
        with av.open(buffer, "w", format=form) as container:
            stream: Any = container.add_stream(codec, rate=10)
            stream.width, stream.height, stream.pix_fmt = 32, 24, "yuvj420p" if codec == "mjpeg" else "yuv420p"
            stream.codec_context.time_base = Fraction(1, 10)
            for index in range(4):
                frame = av.VideoFrame.from_ndarray(np.full((24, 32, 3), 60 * index, np.uint8), "rgb24")
                frame.pts, frame.time_base = index, Fraction(1, 10)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        seeds.append(buffer.getvalue())
    return seeds


TARGETS = {
    "picture": Target(_picture, _picture_seeds),
    "animation": Target(_animation, _animation_seeds),
    "video": Target(_video, _video_seeds, needs=("av",)),
}
