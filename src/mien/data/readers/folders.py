"""Class folders: `train|test/<class>/*.png|jpg|...`, or `<class>/*` alone, with any of the usual names."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mien.data.dataset import BadRow, Split
from mien.data.readers.pictures import read_face
from mien.data.readers.rows import Options, Row, find_split
from mien.errors import DataError, MienError
from mien.images.content import IMAGE_SUFFIXES


def read(root: Path, options: Options) -> Iterator[Row | BadRow]:
    """Yield a row a picture, in the order of their paths; its id is the path below root.

    Raises DataError where a folder stands where none belongs, or there are no pictures.
    """
    pictures = [(split, picture) for split, folder in _splits(root, options) for picture in _pictures(folder)]
    if not pictures:
        raise DataError(f"{root}: no pictures in its class folders; expected {', '.join(sorted(IMAGE_SUFFIXES))}")
    for done, (split, picture) in enumerate(pictures, 1):
        name = picture.relative_to(root).as_posix()
        try:
            row = Row(read_face(picture), options.class_name(picture.parent.name), split, name)
        except MienError as error:
            yield BadRow(str(root), name, str(error))
        else:
            yield row
        options.report(done, len(pictures))


def subfolders(folder: Path) -> list[Path]:
    """The folders in a folder, in the order of their names, less hidden ones and what archivers leave behind."""
    return sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".") and p.name != "__MACOSX")


def _splits(root: Path, options: Options) -> Iterator[tuple[Split, Path]]:
    folders = subfolders(root)
    splits = {folder: find_split(folder.name) for folder in folders}
    if not any(splits.values()):
        yield options.default_split, root
        return
    for folder, split in splits.items():
        if split is None:
            raise DataError(f"{folder}: stands beside folders of splits, but its name is not one of a split")
        yield split, folder


def _pictures(folder: Path) -> Iterator[Path]:
    for class_folder in subfolders(folder):
        if nested := subfolders(class_folder):
            raise DataError(
                f"{nested[0]}: expected pictures in {class_folder}, not a folder: <split>/<class>/<picture>"
            )
        yield from sorted(p for p in class_folder.iterdir() if _is_picture(p))


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")
