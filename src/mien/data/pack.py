"""A pack: a dataset of faces as a folder of arrays, from which they are read as they are needed.

    faces.npy   (N, 48, 48) uint8
    keys.npy    (N,) uint64: see `keys_of`
    labels.npy  (N,) int64
    votes.npy   (N, 10) float32, where there are any
    split.npy   (N,) str
    row.npy     (N,) str: ids in the source
    pack.json   schema, source, classes, faces, rows skipped, notes of the reading, fingerprint, and the bytes and
                SHA-256 of each file

The arrays are those of `FaceDataset`. They are memory-mapped, so that opening a pack reads but its labels and splits,
and several processes on one machine share what they read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mien.data.dataset import SPLITS, FaceDataset
from mien.data.notes import ReadingNotes
from mien.data.packed_faces import PackedFaces
from mien.errors import DataError, reason

DESCRIPTION: Final = "pack.json"
SCHEMA: Final = 1
_KINDS: Final = {"faces": "u1", "keys": "u8", "labels": "i8", "votes": "f4", "split": "U", "row": "U"}
_BLOCK: Final = 1 << 22


def is_pack(path: Path) -> bool:
    """Whether a path is the folder of a pack."""
    return (path / DESCRIPTION).is_file()


def open_pack(folder: Path) -> FaceDataset:
    """The dataset in a pack, whose faces stay on disk.

    Raises DataError where the pack is not whole: a file is missing or of another size than it had, or holds other
    things than it should. Damage within the faces is found by `verify` alone.
    """
    described = description(folder)
    for name, file in described["files"].items():
        size = _size(folder, name)
        if size != file["bytes"]:
            raise _damaged(folder, f"{name} has {size:,} bytes, expected {file['bytes']:,}")
    arrays = {name: _array(folder, name) for name in _KINDS if f"{name}.npy" in described["files"]}
    missing = [name for name in _KINDS if name != "votes" and name not in arrays]
    if missing or any(len(array) != described["faces"] for array in arrays.values()):
        raise _damaged(folder, f"expected {described['faces']:,} rows of {', '.join(missing or arrays)}")
    labels, split = arrays["labels"], arrays["split"]
    if len(labels) and not (labels.min() >= -1 and labels.max() < len(described["classes"])):
        raise _damaged(folder, f"labels must be within -1 and {len(described['classes']) - 1}")
    if not np.isin(split, SPLITS).all():
        raise _damaged(folder, f"splits must be {', '.join(SPLITS)}")
    return FaceDataset(
        source=str(folder),
        classes=tuple(described["classes"]),
        faces=PackedFaces(folder, arrays["faces"], arrays["keys"]),
        labels=labels,
        votes=arrays.get("votes"),
        split=split,
        row=arrays["row"],
        notes=_notes(folder, described),
    )


def verify(folder: Path, progress: Callable[[int, int], None] | None = None) -> None:
    """Read a whole pack, and hold each file to its SHA-256. Raises DataError naming the first that differs.

    progress is called now and then with the bytes read and the bytes in all.
    """
    described = description(folder)
    total = sum(file["bytes"] for file in described["files"].values())
    done = 0
    for name, file in described["files"].items():
        digest = hashlib.sha256()
        try:
            with (folder / name).open("rb") as opened:
                while block := opened.read(_BLOCK):
                    digest.update(block)
                    done += len(block)
                    if progress is not None:
                        progress(done, total)
        except OSError as error:
            raise _damaged(folder, f"{name} cannot be read: {reason(error)}") from None
        if digest.hexdigest() != file["sha256"]:
            raise _damaged(folder, f"{name} is not as it was written: its SHA-256 differs")


def measure(folder: Path) -> dict[str, dict[str, Any]]:
    """The size and SHA-256 of each array in a folder, by its file's name."""
    files = {}
    for path in sorted(folder.glob("*.npy")):
        with path.open("rb") as opened:
            files[path.name] = {
                "bytes": path.stat().st_size,
                "sha256": hashlib.file_digest(opened, "sha256").hexdigest(),
            }
    return files


def describe(folder: Path, values: Mapping[str, Any]) -> None:
    """Write pack.json."""
    text = json.dumps({"schema": SCHEMA, **values}, indent=1)
    (folder / DESCRIPTION).write_text(text + "\n", encoding="utf-8")


def description(folder: Path) -> dict[str, Any]:
    """What pack.json holds. Raises DataError where it does not describe a pack."""
    try:
        described = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
        schema = described["schema"]
        whole = (
            isinstance(described["faces"], int)
            and isinstance(described["fingerprint"], str)
            and all(isinstance(name, str) for name in described["classes"])
            and all(isinstance(file["bytes"], int) for file in described["files"].values())
            and all(isinstance(file["sha256"], str) for file in described["files"].values())
            and {Path(name).name for name in described["files"]} <= {f"{name}.npy" for name in _KINDS}
        )
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise _damaged(folder, f"{DESCRIPTION} cannot be read: {' '.join(str(error).split())}") from None
    if schema != SCHEMA:
        raise DataError(f"{folder}: a pack of schema {schema}, this Mien reads {SCHEMA}: pack it anew, or update mien")
    if not whole:
        raise _damaged(folder, f"{DESCRIPTION} does not describe a pack")
    return dict(described)


def _notes(folder: Path, described: Mapping[str, Any]) -> ReadingNotes:
    if "notes" not in described:  # packs that older versions wrote
        return ReadingNotes()
    try:
        return ReadingNotes.from_dict(described["notes"])
    except DataError as error:
        raise _damaged(folder, f"{DESCRIPTION}: {error}") from None


def _size(folder: Path, name: str) -> int:
    try:
        return (folder / name).stat().st_size
    except OSError:
        raise _damaged(folder, f"{name} is missing") from None


def _array(folder: Path, name: str) -> NDArray[Any]:
    try:
        array = np.asarray(np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False))
    except Exception as error:  # numpy's reader of headers raises nearly anything
        raise _damaged(folder, f"{name}.npy cannot be read: {' '.join(str(error).split())}") from None
    kind = _KINDS[name]
    if array.ndim == 0 or kind not in (array.dtype.kind, array.dtype.str[1:]):
        raise _damaged(folder, f"{name}.npy holds {array.dtype}, expected {kind}")
    return array


def _damaged(folder: Path, why: str) -> DataError:
    return DataError(f"{folder}: the pack is damaged: {why}; pack its source anew")
