"""What is decoded at all, and which files are refused by their parts before a decoder sees them. Cheap to import.

A JPEG may be sent in scans of a few bytes, each of which goes over the whole picture, and a file may consist of
millions of empty parts: small files, no more pixels than are allowed, and work that nothing can interrupt.
"""

from __future__ import annotations

import os
import re
from typing import Final

from mien.errors import ImageError

MAX_PIXELS: Final = 100_000_000
"""The largest picture that is decoded, by its width times its height. Reading it takes about 1 GB of memory."""

MAX_SIDE: Final = 65_535
"""The longest side that is decoded: a JPEG has no longer one. Cutting a face of two million rows took 1.6 GB."""

FORMATS: Final = ("Jpeg", "Png", "WebP", "Bmp", "Gif", "Tiff", "Ppm", "Avif")
"""What is decoded, as Pillow's plugins spell it; of an animation, its first frame. Avif where this Pillow has it."""

MAX_SCANS: Final = 100
"""Scans of a JPEG. Encoders write about ten."""

MAX_PARTS: Final = 20_000
"""Segments of a JPEG, chunks of a PNG."""

_JPEG, _PNG = b"\xff\xd8", b"\x89PNG\r\n\x1a\n"
_SCAN, _END, _ALONE = 0xDA, 0xD9, {0x01, *range(0xD0, 0xD9)}
_MARKER: Final = re.compile(rb"\xff+[^\x00\xff\xd0-\xd7]")  # what ends a scan: in its data 0 or a restart follows 255


NOT_FETCHED: Final = "addresses are not fetched: download it first"
_ADDRESS: Final = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)  # a drive of Windows is one letter


def is_address(path: str | os.PathLike[str]) -> bool:
    """Whether a path is an address, as of a page, a stream or a store."""
    return _ADDRESS.match(os.fspath(path)) is not None


def check_parts(content: bytes, name: str) -> None:
    """Raise ImageError on a JPEG or PNG of more parts than a picture needs. Other files pass, damaged ones too."""
    if content.startswith(_JPEG):
        _check_jpeg(content, name)
    elif content.startswith(_PNG):
        _check_png(content, name)


def _check_jpeg(content: bytes, name: str) -> None:
    """Walk the segments (ITU-T T.81, annex B)."""
    at, parts, scans = 2, 0, 0
    while (found := _MARKER.search(content, at)) is not None:
        kind, at = content[found.end() - 1], found.end()
        parts, scans = parts + 1, scans + (kind == _SCAN)
        if scans > MAX_SCANS:
            raise ImageError(f"{name}: a JPEG of more than {MAX_SCANS} scans, which would take too long")
        if parts > MAX_PARTS:
            raise ImageError(f"{name}: a JPEG of more than {MAX_PARTS:,} segments, which would take too long")
        if kind == _END:
            return
        if kind not in _ALONE:
            at += int.from_bytes(content[at : at + 2])


def _check_png(content: bytes, name: str) -> None:
    """Walk the chunks (ISO/IEC 15948, 5.3)."""
    at = len(_PNG)
    for _ in range(MAX_PARTS):
        if at >= len(content) or content[at + 4 : at + 8] == b"IEND":
            return
        at += 12 + int.from_bytes(content[at : at + 4])
    raise ImageError(f"{name}: a PNG of more than {MAX_PARTS:,} chunks, which would take too long")
