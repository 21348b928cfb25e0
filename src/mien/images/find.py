"""The picture files that paths, folders and patterns name."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mien.errors import reason

IMAGE_SUFFIXES: Final = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".webp", ".bmp", ".dib", ".gif", ".tif", ".tiff"}
    | {".ppm", ".pgm", ".pbm", ".pnm", ".avif"}
)
"""The files that are taken up in folders and globs, by their suffix in lower case."""


@dataclass(frozen=True, slots=True)
class FoundImage:
    """A picture file that was asked for: its path, and the folder that was named (a file's own parent)."""

    path: Path
    root: Path


@dataclass(frozen=True, slots=True)
class Unfound:
    """A path that names no picture, or a folder that cannot be read, and why."""

    source: str
    reason: str

    def __str__(self) -> str:
        return f"{self.source}: {self.reason}"


def find_images(
    paths: Sequence[str | os.PathLike[str]], *, skip: Path | None = None
) -> tuple[list[FoundImage], list[Unfound]]:
    """The picture files that paths name, each once, and what names none.

    A file counts as given, whatever its suffix. A folder is searched with its subfolders, sorted by name, for files
    with one of IMAGE_SUFFIXES; hidden files and folders are passed over, links to folders not followed. What does not
    exist but holds *, ? or [ is a pattern (** crosses folders), for shells that do not expand it.

    skip is a folder that searches pass over unless it is itself searched: the one that results are written to.
    """
    found: dict[Path, FoundImage] = {}
    problems: list[Unfound] = []
    for given in paths:
        if os.fspath(given).lower().startswith(("http://", "https://")):
            problems.append(Unfound(os.fspath(given), "addresses are not fetched: download it first"))
            continue
        path = Path(given)
        name = str(path)
        before = len(problems)
        is_folder, is_there = _looked_up(path)
        if is_folder:
            images = [FoundImage(file, path) for file in _walk(path, problems)]
            complaint = "no pictures in this folder"
        elif not is_there and glob.has_magic(name):
            images = [FoundImage(file, _fixed_part(path)) for file in _match(name)]
            complaint = "no picture matches this pattern"
        else:
            images = [FoundImage(path, path.parent)] if is_there else []
            complaint = "no such file or folder"
        if not images and len(problems) == before:
            problems.append(Unfound(name, complaint))
        for image in images:
            if skip is not None and _lies_in(image.path, skip) and not _lies_in(image.root, skip):
                continue
            found.setdefault(image.path.absolute(), image)
    return list(found.values()), problems


def _looked_up(path: Path) -> tuple[bool, bool]:
    """Whether the path is a folder, and whether it is there at all; a name that cannot be is not there."""
    with suppress(OSError, ValueError):
        return path.is_dir(), path.exists()
    return False, False


def _lies_in(path: Path, folder: Path) -> bool:
    return path.absolute().is_relative_to(folder.absolute())


def _walk(folder: Path, problems: list[Unfound]) -> Iterator[Path]:
    def unreadable(error: OSError) -> None:
        problems.append(Unfound(str(error.filename), f"cannot be read: {reason(error)}"))

    for parent, folders, files in os.walk(folder, onerror=unreadable):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(parent) / name for name in sorted(files) if _is_image_name(name))


def _match(pattern: str) -> list[Path]:
    matches = map(Path, sorted(glob.glob(pattern, recursive=True)))  # noqa: PTH207 - Path.glob refuses absolute patterns
    return [path for path in matches if _is_image_name(path.name) and path.is_file()]


def _fixed_part(pattern: Path) -> Path:
    """The folder before the first part with a wildcard."""
    parts = pattern.parts
    return Path(*parts[: next(i for i, part in enumerate(parts) if glob.has_magic(part))])


def _is_image_name(name: str) -> bool:
    return not name.startswith(".") and Path(name).suffix.lower() in IMAGE_SUFFIXES
