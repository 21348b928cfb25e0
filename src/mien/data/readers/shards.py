"""A folder of Parquet files, read as one dataset in the order of their paths; and the splits that files' names mean.

`data/train-00000-of-00002.parquet` and its like are how Hugging Face stores datasets. A split is meant by the file's
name, or else by the innermost folder whose name is one.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Final

from mien.data.dataset import Split
from mien.data.readers.leftovers import is_left_behind
from mien.data.readers.rows import Item, Options, PassedFile, Row, find_split
from mien.images.content import HEIF_SUFFIXES, IMAGE_SUFFIXES
from mien.images.find import kind_of

_SUFFIX: Final = ".parquet"
_SHARD: Final = re.compile(r"-\d+-of-\d+(-[0-9a-f]+)?$")


@dataclass(frozen=True, slots=True)
class Listed:
    """The Parquet files of a folder by path, and the other files there."""

    files: list[Path]
    passed: list[PassedFile]


def find(root: Path) -> Listed | None:
    """The Parquet files in a folder and its subfolders, less what is left behind; None where it holds others.

    It holds others where there are none of them, or where there are pictures and no file has the name of a shard.
    """
    parquet: list[Path] = []
    others: list[Path] = []
    for parent, folders, files in os.walk(root):
        folders[:] = [name for name in folders if not is_left_behind(name)]
        for path in (Path(parent, name) for name in files if not is_left_behind(name)):
            (parquet if path.suffix.lower() == _SUFFIX and path.is_file() else others).append(path)
    has_pictures = any(path.suffix.lower() in IMAGE_SUFFIXES | HEIF_SUFFIXES for path in others)
    if not parquet or (has_pictures and not any(_SHARD.search(path.stem) for path in parquet)):
        return None
    return Listed(sorted(parquet), [PassedFile(kind_of(path)) for path in others])


def split_of(file: PurePath) -> Split | None:
    """The split that a path means: its name in whole or by one of its words, else one of its folders."""
    for name in (file.stem, *reversed(file.parent.parts)):
        if split := find_split(name):
            return split
        splits = {split for word in re.split(r"[^a-z]+", name.lower()) if (split := find_split(word))}
        if len(splits) == 1:
            return splits.pop()
    return None


def in_split(items: Iterable[Item], split: Split | None) -> Iterator[Item]:
    """The items; rows without a split are of this one."""
    for item in items:
        yield replace(item, split=split) if isinstance(item, Row) and item.split is None else item


def read(
    root: Path, sizes: dict[Path, int], read_one: Callable[[Path, Options], Iterator[Item]], options: Options
) -> Iterator[Item]:
    """Yield the rows of all files, whose numbers of rows are given. The id of a row begins with its file's path."""
    total, before = sum(sizes.values()), 0

    def report(done: int, _: int) -> None:
        options.report(before + done, total)

    for file, rows in sizes.items():
        name = file.relative_to(root)
        of_file = replace(options, progress=report)
        for item in in_split(read_one(file, of_file), split_of(name)):
            if isinstance(item, Row):
                yield replace(item, row=f"{name.as_posix()}/{item.row}")
            else:
                yield item
        before += rows
