from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mien.errors import ImageError
from mien.images.decode import read_image
from mien.images.depth import DEPTHS, eight_bits

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (12, 15), np.uint8)
GREY[0, :2] = 0, 255
RGB = RNG.integers(0, 256, (12, 15, 3), np.uint8)
RGB[0, :2] = [[0, 0, 0], [255, 255, 255]]


def deep(picture: np.ndarray, bits: int) -> np.ndarray:
    """The same picture in more bits, stored in 16."""
    return np.rint(picture.astype(np.float64) / 255 * ((1 << bits) - 1)).astype(np.uint16)


def png(picture: np.ndarray, exif: bytes = b"") -> bytes:
    """A 16-bit PNG: grey, grey with alpha, RGB or RGBA by the number of channels."""
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[1 if picture.ndim == 2 else picture.shape[2]]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in picture)

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", picture.shape[1], picture.shape[0], 16, kind, 0, 0, 0)
    parts = [chunk(b"IHDR", head), chunk(b"eXIf", exif) if exif else b"", chunk(b"IDAT", zlib.compress(rows))]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts) + chunk(b"IEND", b"")


def tiff(picture: np.ndarray) -> bytes:
    colors = picture if picture.ndim == 2 else picture[:, :, [2, 1, 0, *range(3, picture.shape[2])]]
    return bytes(cv2.imencode(".tiff", colors)[1])


@pytest.mark.parametrize("bits", DEPTHS)
@pytest.mark.parametrize("write", [png, tiff, lambda picture: picture], ids=["png", "tiff", "array"])
def test_values_are_scaled_by_the_depth_that_they_imply(write: Callable[[np.ndarray], Any], bits: int) -> None:
    np.testing.assert_array_equal(read_image(write(deep(GREY, bits)))[:, :, 0], GREY)
    np.testing.assert_array_equal(read_image(write(deep(RGB, bits)), color="rgb")[:, :, ::-1], RGB)
    opaque = np.dstack([deep(RGB, bits), np.full(RGB.shape[:2], 0xFFFF, np.uint16)])
    np.testing.assert_array_equal(read_image(write(opaque), color="rgb")[:, :, ::-1], RGB)


def test_a_deep_picture_with_transparency_lies_over_white() -> None:
    clear = np.dstack([deep(RGB, 12), np.full(RGB.shape[:2], 0, np.uint16)])
    for source in (png(clear), tiff(clear), clear, png(np.dstack([deep(GREY, 12), clear[:, :, 3]]))):
        assert read_image(source).min() == 255


def test_a_deep_picture_is_turned_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned by a quarter
    source = png(deep(RGB, 12), exif.tobytes().removeprefix(b"Exif\0\0"))
    np.testing.assert_array_equal(read_image(source)[:, :, ::-1], np.rot90(RGB, -1))


@pytest.mark.parametrize("bits", DEPTHS)
@pytest.mark.parametrize("kind", [np.int16, np.uint16, np.int32, np.uint32, np.int64, ">u2", ">i4"])
def test_integers_of_any_type_are_taken(kind: Any, bits: int) -> None:
    values = deep(GREY, bits)
    if values.max() > np.iinfo(kind).max:
        values = np.minimum(values, np.iinfo(kind).max)
    np.testing.assert_allclose(eight_bits(values.astype(kind)), values * (255 / ((1 << bits) - 1)), atol=0.51)


def test_pillows_deep_modes_are_taken() -> None:
    picture = Image.fromarray(GREY)
    for image in (picture.convert("I"), Image.fromarray(deep(GREY, 10)), Image.fromarray(deep(GREY, 16))):
        np.testing.assert_array_equal(read_image(image)[:, :, 0], GREY)
        file = io.BytesIO()
        image.save(file, "TIFF")
        np.testing.assert_array_equal(read_image(file.getvalue())[:, :, 0], GREY)


@given(st.sampled_from(DEPTHS), st.data())
def test_the_brightest_value_is_never_far_from_white_by_its_depth(bits: int, data: st.DataObject) -> None:
    below = [depth for depth in DEPTHS if depth < bits]
    least = 1 << below[-1] if below else 1
    high = data.draw(st.integers(least, (1 << bits) - 1))
    assert abs(int(eight_bits(np.array([[0, high]]))[0, 1]) - high / ((1 << bits) - 1) * 255) <= 0.5


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.array([[-1, 5]]), r"integers within 0\.\.65535 .*, got int64 within -1\.\.5"),
        (np.array([[0, 65536]]), r"got int64 within 0\.\.65536"),
        (GREY / 255 / 255, r"at most 0\.0039: they were perhaps divided by 255 twice"),
        (RGB.astype(np.float32) / 255 / 255, "divided by 255 twice"),
        (GREY.astype(np.float64), r"floats within 0\.\.1, got 0\.\.255"),
    ],
)
def test_values_that_cannot_be_meant_are_refused(array: np.ndarray, words: str) -> None:
    with pytest.raises(ImageError, match=words):
        read_image(array)


def test_a_dark_picture_is_no_mistake() -> None:
    assert read_image(np.zeros((4, 4))).max() == 0
    assert read_image(np.eye(4) / 255).max() == 1
