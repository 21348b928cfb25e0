"""A picture, by its file or its bytes, to one face: the whole picture is the face."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mien.errors import ImageError
from mien.images.decode import read_image
from mien.runtime.crops import FACE_SIZE, WHOLE_PICTURE, crop_face, to_grey
from mien.types import Box


def read_face(picture: Path | bytes) -> NDArray[np.uint8]:
    """The picture as a face, (48, 48) uint8; one that is grey and of this size keeps its pixels as they are.

    Raises ImageError where it cannot be read.
    """
    if isinstance(picture, Path) and picture.exists() and not picture.is_file():
        raise ImageError(f"{picture}: expected a file")  # a named pipe would be waited for
    grey = to_grey(read_image(picture))
    if grey.shape == (FACE_SIZE, FACE_SIZE):  # what the rule would give, 40 times faster
        return grey
    height, width = grey.shape
    return crop_face(grey, Box(0, 0, width, height), WHOLE_PICTURE)
