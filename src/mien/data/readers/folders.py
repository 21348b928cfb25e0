"""Class folders: `train|test/<class>/*.png|jpg|...`, or `<class>/*` alone, with any of the usual names.

Files that are no pictures, and pictures outside the class folders, are passed over and counted. Hidden files and those
that file managers leave behind are ignored.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from mien.data.dataset import Split
from mien.data.readers.leftovers import is_left_behind
from mien.data.readers.pictures import read_face
from mien.data.readers.rows import DroppedRow, Item, Options, PassedFile, Row, find_split, row_or_bad
from mien.errors import DataError
from mien.images.content import IMAGE_SUFFIXES
from mien.images.find import is_picture, kind_of, passed_over


def read(root: Path, options: Options) -> Iterator[Item]:
    """Yield a row a picture, in the order of their paths; its id is the path below root.

    Raises DataError where a folder stands where none belongs, or there are no pictures.
    """
    splits = list(_splits(root))
    loose = [_outside(file) for folder in dict.fromkeys([root, *(f for _, f in splits)]) for file in _files(folder)]
    found: list[tuple[Split | None, Path]] = []
    for split, folder in splits:
        for file in _files_of_classes(folder):
            if is_picture(file):
                found.append((split, file))
            else:
                loose.append(PassedFile(kind_of(file)))
    if not found:
        passed = f"; {passed_over(Counter(file.kind for file in loose))}" if loose else ""
        raise DataError(
            f"{root}: no pictures in its class folders; expected {', '.join(sorted(IMAGE_SUFFIXES))}{passed}"
        )
    yield from loose
    for done, (split, picture) in enumerate(found, 1):
        name = picture.relative_to(root).as_posix()
        yield row_or_bad(root, name, partial(_row, picture, split, name, options))
        options.report(done, len(found))


def _row(picture: Path, split: Split | None, name: str, options: Options) -> Row | DroppedRow:
    label = options.class_name(picture.parent.name)
    return label if isinstance(label, DroppedRow) else Row(read_face(picture), label, split, name)


def subfolders(folder: Path) -> list[Path]:
    """The folders in a folder, in the order of their names, less what is left behind."""
    return sorted(p for p in folder.iterdir() if p.is_dir() and not is_left_behind(p.name))


def _splits(root: Path) -> Iterator[tuple[Split | None, Path]]:
    folders = subfolders(root)
    splits = {folder: find_split(folder.name) for folder in folders}
    if not any(splits.values()):
        yield None, root
        return
    for folder, split in splits.items():
        if split is None:
            raise DataError(f"{folder}: stands beside folders of splits, but its name is not one of a split")
        yield split, folder


def _files_of_classes(folder: Path) -> Iterator[Path]:
    for class_folder in subfolders(folder):
        if nested := subfolders(class_folder):
            raise DataError(
                f"{nested[0]}: expected pictures in {class_folder}, not a folder: <split>/<class>/<picture>"
            )
        yield from _files(class_folder)


def _files(folder: Path) -> list[Path]:
    """What is in a folder and is no folder, in the order of the names, less what is left behind."""
    return sorted(p for p in folder.iterdir() if not is_left_behind(p.name) and not p.is_dir())


def _outside(file: Path) -> PassedFile:
    return PassedFile(f"{kind_of(file)} outside the class folders")
