"""Readers: every form that face datasets come in, to one FaceDataset. A file a form; this one tells them apart."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path, PurePath
from typing import Final

from mien.data.dataset import SPLITS, FaceDataset, Split
from mien.data.pack import is_pack, open_pack
from mien.data.readers import fer2013_parquet, ferplus, folders, kaggle, manifest, shards
from mien.data.readers.csv_file import CsvFile
from mien.data.readers.gather import collect
from mien.data.readers.labels import parse_labels
from mien.data.readers.parquet import Schema, read_schema
from mien.data.readers.rows import Item, Options, Progress
from mien.errors import ConfigError, DataError
from mien.images.content import file_content

__all__ = ["Progress", "read_faces", "rows_of"]

_PARQUET: Final = b"PAR1"
_FORMS: Final = (
    "Kaggle's FER2013 csv (emotion, pixels, Usage), a manifest csv (path, label, optionally split), "
    "FER2013's Parquet (usage, emotion, image), a manifest Parquet (path or image, label, optionally split) or a "
    "folder of such, FER+'s folders (FER2013Train/label.csv), class folders (train/happy/*.png, or happy/*.png), or a "
    "pack that `mien data pack` wrote"
)


def read_faces(
    path: str | os.PathLike[str],
    *,
    skip_bad: bool = False,
    own_classes: bool = False,
    labels: str | Mapping[str, str | None] | None = None,
    labelled: bool = True,
    default_split: Split = "training",
    progress: Progress | None = None,
) -> FaceDataset:
    """Read a dataset in any form that Mien knows; the form is known by columns and folder names.

    path           a file (.csv, .csv.gz, .zip, .tar, .tar.gz, .parquet; the suffix does not matter) or a folder.
                   A pack is opened with its own classes and splits, and its faces stay on disk
    skip_bad       go on after a malformed row, and keep it in the result's `bad`
    own_classes    take the names of folders or labels as they are; the classes are these names, sorted. Otherwise
                   the classes are Mien's seven, and any usual name of one of them is understood
    labels         what labels or folder names mean, as text ("1=surprise,2=fear,8=drop") or a mapping; case does not
                   matter. drop, an empty class or None leave out such rows. What is not named has its usual meaning
    labelled       False: the faces alone matter. Labels and votes are left out, and rows of a manifest need none
    default_split  the split of rows whose source names none
    progress       called now and then with (done, total)

    Pictures become grey faces of 48x48 as `mien.runtime.crops` says, the whole picture being the face; grey pictures
    of 48x48 keep their pixels. Contempt is left out, but with own_classes it is a class. What is left out or passed
    over is counted in the result's `notes`.

    Raises DataError where the form is not known, a file is damaged, no row is good, or, unless skip_bad, on a malformed
    row, naming file, row and reason; ConfigError on options that do not go together; MissingExtraError on Parquet
    without pyarrow.
    """
    path = Path(path)
    if default_split not in SPLITS:
        raise ConfigError(f"unknown split {default_split!r}; known are {', '.join(SPLITS)}")
    meanings = parse_labels(labels, own_classes=own_classes)
    options = Options(own_classes, default_split, progress, labelled, meanings)
    if is_pack(path):
        options.refuse_labels(f"{path} is a pack, whose labels were read when it was written")
        return open_pack(path)
    return collect(path, rows_of(path, options), options, skip_bad=skip_bad)


def rows_of(path: Path, options: Options) -> Iterator[Item]:
    """Yield the rows of a dataset in any form but a pack, bad ones among them. Raises as `read_faces` does."""
    try:
        yield from _rows(path, options)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error}") from None


def _rows(path: Path, options: Options) -> Iterator[Item]:
    if path.is_dir():
        return _rows_of_folder(path, options)
    if not path.is_file():
        raise DataError(f"{path}: no such file or folder")
    with path.open("rb") as file:
        magic = file.read(len(_PARQUET))
    if not magic:
        raise DataError(f"{path}: the file is empty")
    if file_content(path) in {"picture", "heif"}:
        raise DataError(f"{path}: a single picture holds no labelled faces; expected {_FORMS}")
    return _rows_of_parquet(path, options) if magic == _PARQUET else _rows_of_csv(path, options)


def _rows_of_folder(path: Path, options: Options) -> Iterator[Item]:
    found = folders.subfolders(path)
    if any(folder.name in ferplus.FOLDERS for folder in found):
        return ferplus.read(path, options)
    if listed := shards.find(path):
        schemas = {file: read_schema(file) for file in listed.files}
        for file, schema in schemas.items():
            _check_form(file, schema)
        sizes = {file: schema.rows for file, schema in schemas.items()}
        rows = shards.read(path, sizes, lambda file, how: _read_parquet(file, schemas[file], how), options)
        return chain(listed.passed, rows)
    if not found:
        raise DataError(f"{path}: holds no folders; expected {_FORMS}. To read a file in it, name that file")
    return folders.read(path, options)


def _rows_of_parquet(path: Path, options: Options) -> Iterator[Item]:
    schema = read_schema(path)
    _check_form(path, schema)
    return shards.in_split(_read_parquet(path, schema, options), shards.split_of(PurePath(path.name)))


def _is_fer2013(schema: Schema) -> bool:
    return "usage" in schema.columns or ("emotion" in schema.columns and "emotion" not in schema.class_names)


def _check_form(path: Path, schema: Schema) -> None:
    """Raise DataError where the columns are those of no form."""
    is_manifest = schema.class_names or any(name in schema.columns for name in manifest.COLUMNS)
    if not is_manifest and not _is_fer2013(schema):
        raise DataError(_unknown(path, schema.columns))


def _read_parquet(path: Path, schema: Schema, options: Options) -> Iterator[Item]:
    if _is_fer2013(schema):
        return fer2013_parquet.read(path, schema.columns, options)
    return manifest.read_parquet(path, schema, options)


def _rows_of_csv(path: Path, options: Options) -> Iterator[Item]:
    file = CsvFile.find(path, ignore=kaggle.VOTES_FILE)
    columns = file.header()
    if "pixels" in columns or sum(name in columns for name in kaggle.COLUMNS) >= 2:
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
