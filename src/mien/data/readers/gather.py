"""From what a reader yields to arrays, and the count of what is no good row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mien.data.dataset import BadRow, FaceDataset
from mien.data.notes import ReadingNotes
from mien.data.readers.rows import DroppedRow, Item, Options, PassedFile, Row
from mien.emotions import EMOTIONS, FERPLUS_COLUMNS
from mien.errors import DataError


class Tally:
    """What is met beside good rows: bad ones in a list, the rest counted."""

    def __init__(self, options: Options, *, skip_bad: bool) -> None:
        self.bad: list[BadRow] = []
        self._options, self._skip_bad = options, skip_bad
        self._dropped, self._passed, self._without_split = Counter[str](), Counter[str](), 0

    def good_rows(self, items: Iterable[Item]) -> Iterator[Row]:
        """The good rows, each with a split; the first bad one raises DataError unless such are skipped."""
        for item in items:
            match item:
                case BadRow():
                    if not self._skip_bad:
                        raise DataError(f"{item} (`skip_bad=True` goes on without such rows)")
                    self.bad.append(item)
                case DroppedRow(label):
                    self._dropped[label] += 1
                case PassedFile(kind):
                    self._passed[kind] += 1
                case Row(split=None):
                    self._without_split += 1
                    yield replace(item, split=self._options.default_split)
                case Row():
                    yield item

    def none_good(self, source: Path) -> DataError:
        """What is wrong with a source that has no good row."""
        why = [f"row {self.bad[0].row}: {self.bad[0].reason}"] if self.bad else []
        return DataError("; ".join([f"{source}: no rows could be read", *why, *self.notes().lines()]))

    def notes(self) -> ReadingNotes:
        """The counts, once all is read."""
        options = self._options
        return ReadingNotes(
            labels_left_out=dict(self._dropped),
            files_passed_over=dict(self._passed),
            without_split={options.default_split: self._without_split} if self._without_split else {},
            labels_not_found=tuple(key for key in options.labels if key not in options.met),
        )


def collect(source: Path, items: Iterable[Item], options: Options, *, skip_bad: bool) -> FaceDataset:
    """Gather rows into arrays. Raises DataError on the first bad row unless such are skipped, and if none is good."""
    pixels = bytearray()  # grows in place: no second copy of all faces at the end
    labels: list[str | None] = []
    votes: list[NDArray[np.float32] | None] = []
    splits: list[str | None] = []
    ids: list[str] = []
    tally = Tally(options, skip_bad=skip_bad)
    for row in tally.good_rows(items):
        pixels += row.face.tobytes()
        labels.append(row.label if options.labelled else None)
        votes.append(row.votes if options.labelled else None)
        splits.append(row.split)
        ids.append(row.row)
    if not ids:
        raise tally.none_good(source)
    classes = tuple(sorted({name for name in labels if name is not None})) if options.own_classes else EMOTIONS
    index = {name: i for i, name in enumerate(classes)}
    no_votes = np.zeros(len(FERPLUS_COLUMNS), np.float32)
    return FaceDataset(
        source=str(source),
        classes=classes,
        faces=np.frombuffer(pixels, np.uint8).reshape(-1, 48, 48),
        labels=np.array([-1 if name is None else index[name] for name in labels], np.int64),
        votes=np.stack([no_votes if v is None else v for v in votes]) if any(v is not None for v in votes) else None,
        split=np.array(splits),
        row=np.array(ids),
        bad=tuple(tally.bad),
        notes=tally.notes(),
    )
