"""Pictures that move: GIF, WebP, PNG and AVIF files with more than one frame, read by Pillow."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mien.errors import ImageError, reason
from mien.images.content import HEAD, is_video
from mien.images.decode import check_size, identify, open_file, read_image
from mien.images.limits import FORMATS, MAX_PIXELS

_SHORTEST_S: Final = 0.011
_DEFAULT_S: Final = 0.1
"""Frames that ask for less than _SHORTEST_S are shown for _DEFAULT_S, as browsers do."""


def moves(path: str | os.PathLike[str]) -> bool:
    """Whether a file is a video, or an animation; one that is not there by its suffix."""
    return is_video(path) or is_animation(path)


def is_animation(path: str | os.PathLike[str]) -> bool:
    """Whether a file is a picture with several frames that are shown one after the other; pages of a TIFF are not."""
    path = Path(path)
    with suppress(Exception), path.open("rb") as file:  # of damaged files decoders raise nearly anything
        if _may_move(file.read(HEAD)):
            file.seek(0)
            with identify(file, str(path), FORMATS) as image:
                return bool(getattr(image, "is_animated", False))
    return False


def _may_move(head: bytes) -> bool:
    """Whether a file that begins so may hold more than one frame; a WebP says so by a bit, a PNG by a chunk."""
    if head[8:16] == b"WEBPVP8X":
        return bool(head[20] & 2)
    if head.startswith(b"\x89PNG"):
        return b"acTL" in head
    return head.startswith(b"GIF8") or head[4:12] == b"ftypavis"


def animation_frames(
    path: str | os.PathLike[str], max_pixels: int = MAX_PIXELS
) -> Generator[tuple[NDArray[np.uint8], float], None, None]:
    """The frames of an animation, each as (H, W, 3) uint8 BGR over white, and how many seconds it is shown.

    Each frame is whole: what it leaves as it was is there. Raises ImageError where the file cannot be read, also in the
    middle.
    """
    name = os.fspath(path)
    with open_file(Path(path), name) as file, closing(identify(file, name, FORMATS)) as image:
        check_size(*image.size, name, max_pixels)
        number = 0
        while True:
            try:
                image.seek(number)
                shown = image.convert("RGBA")
            except EOFError:
                return
            except Exception as error:  # as above
                raise ImageError(f"{name}: damaged or truncated at frame {number}: {reason(error)}") from error
            if not (number == 0 and _has_still(image)):
                yield read_image(np.asarray(shown), color="rgb", max_pixels=max_pixels), _seconds(image)
            number += 1


def _has_still(image: Any) -> bool:
    """Whether the first picture of a PNG is for programs that show no animations, and no part of it."""
    return bool(getattr(image, "default_image", False))


def _seconds(image: Any) -> float:
    """How long the frame that was read is shown."""
    seconds = float(image.info.get("duration") or 0) / 1000
    return _DEFAULT_S if seconds < _SHORTEST_S else seconds
