"""What is in a dataset, and what is wrong with it: counts, exact duplicates, leaks between splits, a fingerprint.

FER2013 repeats itself: of its 35,887 faces 1,853 are copies, some of them across splits, and some copies carry another
label. A model that is evaluated on faces it was trained on looks better than it is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mien.data.dataset import SPLITS, BadRow, FaceDataset, evaluated_rows
from mien.data.notes import ReadingNotes
from mien.data.pack import description, verify
from mien.data.packed_faces import PackedFaces, chunks, keys_of
from mien.errors import DataError

UNLABELLED = "unlabelled"
"""Counts the rows without an own label."""

DROPPED = "dropped"
"""Counts the rows that protocol `ferplus` does not evaluate: tied, or won by contempt, unknown or not-a-face."""

_CHUNK: Final = 4096

Counts = Mapping[str, Mapping[str, int]]
"""Rows by split, then by class."""


@dataclass(frozen=True)
class Audit:
    """What `audit` found.

    source, rows   where the dataset came from, and how many good rows it has
    labels         rows by split and class, by the dataset's own label; and UNLABELLED
    majority       the same by the majority of FER+ votes, and DROPPED; None without votes
    copies         by split: rows whose pixels stand in an earlier row of the same split
    shared         by (split, other split): rows of the first whose pixels stand in the other as well
    conflicts      the ids of the rows of each group that shows the same pixels under different labels (the dataset's
                   own, or the FER+ majority where it has none)
    leaks          training rows whose pixels stand in validation or test as well
    bad            rows that were skipped
    notes          what was left out or decided while reading
    """

    source: str
    rows: int
    labels: Counts
    majority: Counts | None
    copies: Mapping[str, int]
    shared: Mapping[tuple[str, str], int]
    conflicts: tuple[tuple[str, ...], ...]
    leaks: int
    bad: tuple[BadRow, ...]
    notes: ReadingNotes
    fingerprint: str

    def to_dict(self) -> dict[str, Any]:
        """The audit for JSON; `shared` becomes a list of split, with, rows."""
        return {
            "source": self.source,
            "rows": self.rows,
            "fingerprint": self.fingerprint,
            "labels": self.labels,
            "majority": self.majority,
            "copies": self.copies,
            "shared": [{"split": a, "with": b, "rows": rows} for (a, b), rows in self.shared.items()],
            "leaks": self.leaks,
            "conflicts": [list(group) for group in self.conflicts],
            "bad": [{"file": row.file, "row": row.row, "reason": row.reason} for row in self.bad],
            "notes": self.notes.to_dict(),
        }


def audit(dataset: FaceDataset, progress: Callable[[int, int], None] | None = None) -> Audit:
    """Count, and look for exact duplicates (by pixels) and conflicting labels.

    A pack is held to its SHA-256 and fingerprint first: progress is called with the bytes read and those in all.
    Raises DataError where it is damaged.
    """
    print_of = fingerprint(dataset)
    if isinstance(dataset.faces, PackedFaces):
        verify(dataset.faces.folder, progress)
        if dataset.faces.whole and print_of != description(dataset.faces.folder)["fingerprint"]:
            raise DataError(f"{dataset.source}: the pack is damaged: its fingerprint differs; pack its source anew")
    group = keys_of(dataset.faces)
    splits = [split for split in SPLITS if (dataset.split == split).any()]
    members = {split: group[dataset.split == split] for split in splits}
    own, majority = dataset.labels, None
    if dataset.votes is not None:
        truth, _ = evaluated_rows(dataset, "ferplus")
        majority = _counts(dataset, truth, DROPPED)
        own = np.where(own >= 0, own, truth)
    return Audit(
        source=dataset.source,
        rows=len(dataset),
        labels=_counts(dataset, dataset.labels, UNLABELLED),
        majority=majority,
        copies={split: len(there) - len(np.unique(there)) for split, there in members.items()},
        shared={
            pair: int(np.isin(members[pair[0]], members[pair[1]]).sum())
            for a, b in combinations(splits, 2)
            for pair in ((a, b), (b, a))
        },
        conflicts=_conflicts(group, own, dataset.row),
        leaks=int(leaks(dataset).sum()),
        bad=dataset.bad,
        notes=dataset.notes,
        fingerprint=print_of,
    )


def leaks(dataset: FaceDataset) -> NDArray[np.bool_]:
    """A mask (N,) of the training rows whose pixels also stand in validation or test."""
    group = keys_of(dataset.faces)
    training: NDArray[np.bool_] = dataset.split == "training"
    mask: NDArray[np.bool_] = training & np.isin(group, group[~training])
    return mask


def drop_leaks(dataset: FaceDataset) -> FaceDataset:
    """The dataset without the training rows that `leaks` names."""
    return dataset.take(~leaks(dataset))


def fingerprint(dataset: FaceDataset) -> str:
    """SHA-256, in hex, over classes, faces, labels, votes and splits in their order; the same on every machine.

    Where the dataset was read from, the ids of its rows and the rows that were skipped do not count.
    """
    parts: tuple[Iterable[bytes], ...] = (
        ["\n".join(dataset.classes).encode()],
        (faces.tobytes() for faces in chunks(dataset.faces)),
        [dataset.labels.astype("<i8").tobytes()],
        [b"none" if dataset.votes is None else dataset.votes.astype("<f4").tobytes()],
        _lines(dataset.split),
    )
    digests = map(_sha256, parts)  # of fixed length, so that no two parts can run together
    return hashlib.sha256(b"".join(digests)).hexdigest()


def _lines(names: NDArray[np.str_]) -> Iterator[bytes]:
    """The names with line feeds between them, some thousands at a time: as Python's own strings they are large."""
    for start in range(0, len(names), _CHUNK):
        yield ("\n" if start else "").encode() + "\n".join(names[start : start + _CHUNK].tolist()).encode()


def _sha256(pieces: Iterable[bytes]) -> bytes:
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.digest()


def _counts(dataset: FaceDataset, labels: NDArray[np.int64], rest: str) -> Counts:
    counts: dict[str, dict[str, int]] = {}
    for split in SPLITS:
        there = labels[dataset.split == split]
        if there.size:
            by_class = np.bincount(there[there >= 0], minlength=len(dataset.classes)).tolist()
            counts[split] = {**dict(zip(dataset.classes, by_class, strict=True)), rest: int((there < 0).sum())}
    return counts


def _conflicts(
    group: NDArray[np.uint64], labels: NDArray[np.int64], row: NDArray[np.str_]
) -> tuple[tuple[str, ...], ...]:
    labelled = np.flatnonzero(labels >= 0)
    pairs = np.unique(np.stack([group[labelled], labels[labelled]], 1), axis=0)
    numbers, labels_seen = np.unique(pairs[:, 0], return_counts=True)
    conflicting = numbers[labels_seen > 1]
    of_group: dict[int, list[str]] = {}
    for i in np.flatnonzero(np.isin(group, conflicting)):
        of_group.setdefault(int(group[i]), []).append(str(row[i]))
    return tuple(tuple(rows) for rows in of_group.values())
