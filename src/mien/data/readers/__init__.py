"""Readers: every form that face datasets come in, to one FaceDataset. A file a form; this one tells them apart."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from mien.data.dataset import SPLITS, BadRow, FaceDataset, Split
from mien.data.pack import is_pack, open_pack
from mien.data.readers import fer2013_parquet, ferplus, folders, kaggle, manifest
from mien.data.readers.csv_file import CsvFile
from mien.data.readers.parquet import read_columns
from mien.data.readers.rows import Options, Progress, Row, collect
from mien.errors import ConfigError, DataError

__all__ = ["Progress", "read_faces", "rows_of"]

_PARQUET: Final = b"PAR1"
_FORMS: Final = (
    "Kaggle's FER2013 csv (emotion, pixels, Usage), a manifest csv (path, label, optionally split), "
    "FER2013's Parquet (usage, emotion, image), a manifest Parquet (path or image, label, optionally split), "
    "FER+'s folders (FER2013Train/label.csv), class folders (train/happy/*.png, or happy/*.png), or a pack that "
    "`mien data pack` wrote"
)


def read_faces(
    path: str | os.PathLike[str],
    *,
    skip_bad: bool = False,
    own_classes: bool = False,
    labels: bool = True,
    default_split: Split = "training",
    progress: Progress | None = None,
) -> FaceDataset:
    """Read a dataset in any form that Mien knows; the form is told by columns and folder names.

    path           a file (.csv, .csv.gz, .zip, .parquet; the suffix does not matter) or a folder. A pack is opened
                   with its own classes and splits, and its faces stay on disk
    skip_bad       go on after a malformed row, and keep it in the result's `bad`
    own_classes    take the names of folders or labels as they are; the classes are these names, sorted. Otherwise
                   the classes are Mien's seven, and any usual name of one of them is understood
    labels         False: the faces alone matter. Labels and votes are left out, and rows of a manifest need none
    default_split  the split of rows whose source names none
    progress       called now and then with (done, total)

    Pictures become grey faces of 48x48 as `mien.runtime.crops` says, the whole picture being the face; grey pictures
    of 48x48 keep their pixels. Raises DataError where the form is not known, a file is damaged, no row is good, or,
    unless skip_bad, on a malformed row, naming file, row and reason; ConfigError on options that do not go together;
    MissingExtraError on Parquet without pyarrow.
    """
    path = Path(path)
    if default_split not in SPLITS:
        raise ConfigError(f"unknown split {default_split!r}; known are {', '.join(SPLITS)}")
    if is_pack(path):
        return open_pack(path)
    options = Options(own_classes, default_split, progress, labels)
    return collect(path, rows_of(path, options), options, skip_bad=skip_bad)


def rows_of(path: Path, options: Options) -> Iterator[Row | BadRow]:
    """Yield the rows of a dataset in any form but a pack, bad ones among them. Raises as `read_faces` does."""
    try:
        yield from _rows(path, options)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error}") from None


def _rows(path: Path, options: Options) -> Iterator[Row | BadRow]:
    if path.is_dir():
        return _rows_of_folder(path, options)
    if not path.is_file():
        raise DataError(f"{path}: no such file or folder")
    with path.open("rb") as file:
        magic = file.read(len(_PARQUET))
    if not magic:
        raise DataError(f"{path}: the file is empty")
    return _rows_of_parquet(path, options) if magic == _PARQUET else _rows_of_csv(path, options)


def _rows_of_folder(path: Path, options: Options) -> Iterator[Row | BadRow]:
    found = folders.subfolders(path)
    if any(folder.name in ferplus.FOLDERS for folder in found):
        return ferplus.read(path, options)
    if not found:
        raise DataError(f"{path}: holds no folders; expected {_FORMS}. To read a file in it, name that file")
    return folders.read(path, options)


def _rows_of_parquet(path: Path, options: Options) -> Iterator[Row | BadRow]:
    columns = read_columns(path)
    if "emotion" in columns or "usage" in columns:
        return fer2013_parquet.read(path, columns, options)
    if any(name in columns for name in manifest.COLUMNS):
        return manifest.read_parquet(path, columns, options)
    raise DataError(_unknown(path, columns))


def _rows_of_csv(path: Path, options: Options) -> Iterator[Row | BadRow]:
    file = CsvFile.find(path, ignore=kaggle.VOTES_FILE)
    columns = file.header()
    if sum(name in columns for name in kaggle.COLUMNS) >= 2:
        return kaggle.read(file, options)
    if "nf" in columns and "usage" in columns:
        raise DataError(f"{path}: holds FER+'s votes without faces; name the fer2013.csv that stands beside it")
    if "path" in columns or "label" in columns:
        return manifest.read_csv(file, options)
    raise DataError(_unknown(path, columns))


def _unknown(path: Path, columns: tuple[str, ...]) -> str:
    shown = ", ".join(columns)
    shown = shown if len(shown) <= 100 else f"{shown[:100]}..."
    return f"{path}: unknown form, its columns are {shown or 'none'}; expected {_FORMS}"
