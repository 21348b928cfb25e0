from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mien.errors import ImageError
from mien.images.decode import read_image
from mien.images.limits import MAX_PARTS, MAX_SCANS, check_parts


def encoded(kind: str, side: int = 64, **options: object) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def with_scans(count: int) -> bytes:
    """A progressive JPEG whose last scan is there again and again."""
    content = encoded("JPEG", progressive=True)
    last = content.rindex(b"\xff\xda")
    return content[:-2] + content[last:-2] * count + content[-2:]


def chunk(kind: bytes, content: bytes = b"") -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


@pytest.mark.parametrize(
    "content",
    [
        encoded("JPEG", 1000),
        encoded("JPEG", progressive=True),
        encoded("JPEG", restart_marker_blocks=1),
        encoded("JPEG", exif=b"Exif\0\0" + b"\xff\xda" * 20_000),
        encoded("JPEG") + b"\xff\xda\x00\x04" * 5000,  # a film after the photo, as telephones append it
        encoded("PNG", 500),
        encoded("WEBP"),
        b"",
        b"\xff\xd8",
        b"\x89PNG\r\n\x1a\n",
        encoded("JPEG")[:300],
        encoded("PNG")[:30],
    ],
    ids=range(12),
)
def test_pictures_pass_and_damaged_ones_are_left_to_the_decoder(content: bytes) -> None:
    check_parts(content, "it")


def test_a_jpeg_of_too_many_scans_is_refused() -> None:
    assert read_image(with_scans(20)).shape == (64, 64, 3)
    with pytest.raises(ImageError, match=f"the bytes: a JPEG of more than {MAX_SCANS} scans"):
        read_image(with_scans(MAX_SCANS))


def test_a_jpeg_of_too_many_segments_is_refused() -> None:
    content = encoded("JPEG")
    for filler in (b"\xff\xfe\x00\x02", b"\xff\x01"):
        check_parts(content[:2] + filler * 1000 + content[2:], "it")
        with pytest.raises(ImageError, match="segments"):
            check_parts(content[:2] + filler * MAX_PARTS + content[2:], "it")


def test_a_png_of_too_many_chunks_is_refused() -> None:
    content = encoded("PNG")
    assert read_image(content[:33] + chunk(b"prIv") * 1000 + content[33:]).shape == (64, 64, 3)
    with pytest.raises(ImageError, match=r"a PNG of more than 20,000 chunks"):
        read_image(content[:33] + chunk(b"prIv") * MAX_PARTS + content[33:])


@given(st.sampled_from([b"\xff\xd8", b"\x89PNG\r\n\x1a\n"]), st.binary(max_size=300))
def test_whatever_follows_it_ends(start: bytes, rest: bytes) -> None:
    check_parts(start + rest, "it")
