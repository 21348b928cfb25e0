"""What a file is by its first bytes: a picture, a video, or neither. Names' suffixes are often missing, or wrong."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal, TypeAlias

Content: TypeAlias = Literal["picture", "heif", "video"]

HEAD: Final = 512
"""How many first bytes of a file show what it is."""

IMAGE_SUFFIXES: Final = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".webp", ".bmp", ".dib", ".gif", ".tif", ".tiff"}
    | {".ppm", ".pgm", ".pbm", ".pnm", ".avif"}
)
"""Suffixes of pictures that are always read, in lower case."""

HEIF_SUFFIXES: Final = frozenset({".heic", ".heif", ".hif"})
"""Suffixes of pictures as iPhones write them, which the extra `[heic]` reads."""

VIDEO_SUFFIXES: Final = frozenset(
    {".mp4", ".mov", ".m4v", ".mkv", ".webm", ".avi", ".ts", ".mts", ".m2ts", ".mpg", ".mpeg"}
    | {".3gp", ".wmv", ".flv", ".ogv", ".y4m", ".mjpeg", ".mjpg"}
)
"""Suffixes of videos, in lower case."""

_PICTURES: Final = re.compile(
    rb"\xff\xd8\xff|\x89PNG\r\n\x1a\n|GIF8[79]a|RIFF....WEBP|BM....\0\0\0\0|II\*\0|MM\0\*|P[1-6]\s+[#\d]"
    rb"|....ftypavi[fs]",
    re.DOTALL,
)
_HEIF: Final = re.compile(rb"....ftyp(hei[cxms]|hev[cxms]|mif1|msf1)", re.DOTALL)
_VIDEOS: Final = re.compile(
    rb"....(ftyp|moov|mdat|wide|free|skip)|\x1a\x45\xdf\xa3|RIFF....AVI |FLV\x01|\0\0\x01[\xb3\xba]|OggS"
    rb"|\x30\x26\xb2\x75\x8e\x66\xcf\x11|YUV4MPEG2|\x47.{187}\x47.{187}\x47?|....\x47.{191}\x47",
    re.DOTALL,
)
_JPEG: Final = b"\xff\xd8\xff"
_NEXT_JPEG: Final = b"\xff\xd9\xff\xd8\xff"
_SEARCHED: Final = 4_194_304


def content_of(head: bytes) -> Content | None:
    """What begins with these bytes, HEAD of them; "heif" is a picture that only the extra `[heic]` reads."""
    if _PICTURES.match(head):
        return "picture"
    if _HEIF.match(head):
        return "heif"
    return "video" if _VIDEOS.match(head) else None


def is_video(path: str | os.PathLike[str]) -> bool:
    """Whether a file is a video: by its content, and where that does not show it or is not there, by its suffix.

    An animated GIF or WebP is a picture here: `animation.moves` counts it in.
    """
    path = Path(path)
    content = file_content(path)
    return path.suffix.lower() in VIDEO_SUFFIXES if content is None else content == "video"


def file_content(path: Path) -> Content | None:
    """What a file is; None also where it cannot be read. JPEGs in a row (Motion JPEG) are a video, unless the suffix is
    a picture's.
    """
    with suppress(OSError, ValueError):
        if path.is_file():
            with path.open("rb") as file:
                head = file.read(HEAD)
                if head.startswith(_JPEG) and path.suffix.lower() not in IMAGE_SUFFIXES:
                    return "video" if _has_next_jpeg(head + file.read(_SEARCHED)) else "picture"
                return content_of(head)
    return None


def _has_next_jpeg(start: bytes) -> bool:
    """Whether another picture follows that is not a part of the first one, as a photo's depth is (MPF)."""
    return _NEXT_JPEG in start and b"MPF\0" not in start[:65_536]
