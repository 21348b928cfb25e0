"""From any dataset to a pack, in a stream: neither the source nor the pack needs to fit into memory."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

from mien.data.audit import fingerprint
from mien.data.dataset import FaceDataset
from mien.data.pack import describe, is_pack, measure, open_pack
from mien.data.packed_faces import keys_of
from mien.data.readers import rows_of
from mien.data.readers.gather import Tally
from mien.data.readers.labels import parse_labels
from mien.data.readers.rows import Options, Progress, Row
from mien.emotions import EMOTIONS, FERPLUS_COLUMNS
from mien.errors import ConfigError
from mien.files import folder_written_aside

_CHUNK: Final = 4096


def write_pack(
    source: Path,
    out: Path,
    *,
    skip_bad: bool = False,
    own_classes: bool = False,
    labels: str | Mapping[str, str | None] | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> FaceDataset:
    """Write a dataset in any form that `read_faces` knows as a pack; returns it opened, its `bad` the rows skipped.

    out is a folder that is not there yet, or with force another pack, which is replaced. It appears whole or not at
    all. skip_bad, own_classes, labels and progress are as for `read_faces`. Raises ConfigError where out is something
    else, lies within the source or cannot be written, and DataError as `read_faces` does.
    """
    _check(source, out, force=force)
    options = Options(own_classes, progress=progress, labels=parse_labels(labels, own_classes=own_classes))
    tally = Tally(options, skip_bad=skip_bad)
    with folder_written_aside(out) as folder:
        classes = _write_arrays(folder, tally.good_rows(rows_of(source, options)), own_classes=own_classes)
        if classes is None:
            raise tally.none_good(source)
        values = {
            "source": source.name,
            "classes": list(classes),
            "faces": len(np.load(folder / "labels.npy", mmap_mode="r")),
            "skipped": len(tally.bad),
            "notes": tally.notes().to_dict(),
            "files": measure(folder),
        }
        describe(folder, {**values, "fingerprint": ""})
        describe(folder, {**values, "fingerprint": fingerprint(open_pack(folder))})
    return replace(open_pack(out), bad=tuple(tally.bad))


def _check(source: Path, out: Path, *, force: bool) -> None:
    if is_pack(source):
        raise ConfigError(f"{source} is a pack already")
    if source.is_dir() and out.resolve().is_relative_to(source.resolve()):
        raise ConfigError(f"{out} lies within the dataset that is to be packed: name another folder")
    if is_pack(out) and not force:
        raise ConfigError(f"{out} holds a pack already: `force=True` replaces it")
    if out.exists() and not is_pack(out):
        raise ConfigError(f"{out} is there, and is no pack: name a folder that is not there yet")


def _write_arrays(folder: Path, rows: Iterator[Row], *, own_classes: bool) -> tuple[str, ...] | None:
    """Write the arrays of the rows; returns the classes, or None where there are no rows."""
    codes = {} if own_classes else {name: code for code, name in enumerate(EMOTIONS)}
    no_votes = np.zeros(len(FERPLUS_COLUMNS), np.float32)
    voted, width = False, 1
    with ExitStack() as stack:
        faces, keys, labels, votes, split = (
            stack.enter_context(_Column(folder / f"{name}.npy", dtype, shape))
            for name, dtype, shape in (
                ("faces", np.uint8, (48, 48)),
                ("keys", np.uint64, ()),
                ("labels", np.int64, ()),
                ("votes", np.float32, no_votes.shape),
                ("split", "U10", ()),
            )
        )
        ids = stack.enter_context(tempfile.TemporaryFile(dir=folder))  # until the longest is known
        while chunk := list(itertools.islice(rows, _CHUNK)):
            pixels = np.stack([row.face for row in chunk])
            faces.append(pixels)
            keys.append(keys_of(pixels))
            named = [-1 if row.label is None else codes.setdefault(row.label, len(codes)) for row in chunk]
            labels.append(np.array(named))
            votes.append(np.stack([no_votes if row.votes is None else row.votes for row in chunk]))
            voted = voted or any(row.votes is not None for row in chunk)
            split.append(np.array([row.split for row in chunk]))
            names = np.array([row.row for row in chunk])
            width = max(width, names.dtype.itemsize // 4)
            np.save(ids, names)
        if not faces.rows:
            return None
        row = stack.enter_context(_Column(folder / "row.npy", f"U{width}"))
        ids.seek(0)
        while row.rows < faces.rows:
            row.append(np.load(ids))
    if not voted:
        (folder / "votes.npy").unlink()
    classes = tuple(sorted(codes)) if own_classes else EMOTIONS
    if own_classes:  # numbered as they were met; sorted is known only now
        _renumber(folder / "labels.npy", np.array([classes.index(name) for name in codes], np.int64))
    return classes


def _renumber(path: Path, numbers: NDArray[np.int64]) -> None:
    labels = np.load(path, mmap_mode="r+")
    for start in range(0, len(labels), _CHUNK):
        part = labels[start : start + _CHUNK]
        part[part >= 0] = numbers[part[part >= 0]]
    labels.flush()


class _Column:
    """An .npy file that rows are appended to; it is whole once it is closed."""

    def __init__(self, path: Path, dtype: DTypeLike, shape: tuple[int, ...] = ()) -> None:
        self.rows = 0
        self._dtype, self._shape = np.dtype(dtype), shape
        self._file: IO[bytes] = path.open("wb")
        self._write_header()

    def append(self, rows: NDArray[Any]) -> None:
        """Append an array (n, ...) of the column's shape."""
        self._file.write(np.ascontiguousarray(rows, self._dtype).tobytes())
        self.rows += len(rows)

    def _write_header(self) -> None:
        """numpy leaves room in it for any number of rows, so that it can be written over in place."""
        described = {"descr": self._dtype.str, "fortran_order": False, "shape": (self.rows, *self._shape)}
        np.lib.format.write_array_header_1_0(self._file, described)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._file:
            self._file.seek(0)
            self._write_header()
