"""Pictures out: drawn copies, and where they go."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mien.errors import ConfigError
from mien.files import make_folder, written_aside
from mien.images.content import IMAGE_SUFFIXES
from mien.images.find import FoundImage

if TYPE_CHECKING:
    from PIL.Image import Image

_SUFFIXES: Final = frozenset({".jpg", ".jpeg", ".png"})


def save_picture(image: Image, path: Path) -> None:
    """Write a picture as JPEG or PNG by the suffix of the path; folders are made as needed.

    Raises ConfigError on another suffix, and where the file cannot be written.
    """
    check_suffix(path)
    make_folder(path.parent)
    with written_aside(path) as part:
        if path.suffix.lower() == ".png":
            image.save(part, "PNG", compress_level=4)
        else:
            image.save(part, "JPEG", quality=92, subsampling=0)


def is_picture_name(path: Path) -> bool:
    """Whether a path is named like a picture, of whichever form, and is no folder."""
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.is_dir()


def check_suffix(path: Path) -> None:
    """Raise ConfigError where `save_picture` would by the path's suffix."""
    if path.suffix.lower() not in _SUFFIXES:
        raise ConfigError(f"{path}: expected a name that ends in {', '.join(sorted(_SUFFIXES))}")


def drawn_paths(found: Sequence[FoundImage], out: Path) -> list[Path]:
    """Where the drawn copy of each picture goes: that of one picture to `out`, where that is named like a picture; else
    below the folder `out` as the picture lies below the folders that were named.

    So equal names in several folders keep apart. JPEG and PNG keep their names, others get `.png` added. Raises
    ConfigError where a copy would take the place of one of the pictures, on one name for several, and on the name of a
    picture of another form.
    """
    if is_picture_name(out):
        check_suffix(out)
        if len(found) > 1:
            raise ConfigError(f"{out}: is the name of one picture, and there are {len(found)}: name a folder")
        drawn = [out]
    else:
        drawn = [
            out / (below if below.suffix.lower() in _SUFFIXES else below.with_name(below.name + ".png"))
            for below in paths_below(found)
        ]
    originals = {_identity(image.path) for image in found} - {None}
    for path in drawn:
        if _identity(path) in originals:
            raise ConfigError(f"{path} is one of the pictures and would be overwritten: name another one")
    return drawn


def paths_below(found: Sequence[FoundImage]) -> list[Path]:
    """The path of each file from the folder on that all the folders that were named have in common."""
    roots = [Path(os.path.abspath(image.root)) for image in found]  # noqa: PTH100 - resolve() would follow links
    try:
        common = Path(os.path.commonpath(roots)) if roots else Path()
    except ValueError:  # several drives of Windows: each becomes a folder
        common = None
    below = []
    for image, root in zip(found, roots, strict=True):
        path = root / image.path.relative_to(image.root)
        by_drive = Path(path.drive.replace(":", "").strip("\\/"), *path.parts[1:])
        below.append(path.relative_to(common) if common else by_drive)
    return below


def _identity(path: Path) -> tuple[int, int] | None:
    """What shows whether two paths are one file, or None where there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
