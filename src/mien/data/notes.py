"""What reading a dataset left out or decided, without a fault in it: counted, so that it can be shown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from mien.errors import DataError, one_line
from mien.images.find import passed_over


@dataclass(frozen=True)
class ReadingNotes:
    """Counts of what was read past, each empty where there is nothing to say.

    labels_left_out    rows by their label: contempt, and what the label map drops
    files_passed_over  files of class folders that were not read, by their kind
    without_split      faces whose source names no split, by the split that they count as
    labels_not_found   labels of the label map that no row has
    """

    labels_left_out: Mapping[str, int] = field(default_factory=dict)
    files_passed_over: Mapping[str, int] = field(default_factory=dict)
    without_split: Mapping[str, int] = field(default_factory=dict)
    labels_not_found: tuple[str, ...] = ()

    def lines(self) -> Iterator[str]:
        """What there is to say, a line each."""
        if self.labels_left_out:
            by_label = ", ".join(f"{one_line(label)}: {rows:,}" for label, rows in self.labels_left_out.items())
            yield f"rows left out for their label: {sum(self.labels_left_out.values()):,} ({by_label})"
        if self.files_passed_over:
            yield f"files: {passed_over(self.files_passed_over)}"
        for split, faces in self.without_split.items():
            yield f"faces whose source names no split: {faces:,}, counted as {split}"
        if self.labels_not_found:
            yield f"labels that were named and that no row has: {', '.join(map(one_line, self.labels_not_found))}"

    def to_dict(self) -> dict[str, Any]:
        """The notes for JSON."""
        return {**asdict(self), "labels_not_found": list(self.labels_not_found)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ReadingNotes:
        """What `to_dict` gave. Raises DataError on something else."""
        try:
            counts = {
                name: {str(key): int(count) for key, count in values[name].items()}
                for name in ("labels_left_out", "files_passed_over", "without_split")
            }
            return cls(**counts, labels_not_found=tuple(map(str, values["labels_not_found"])))
        except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
            raise DataError(f"no notes of a reading: {one_line(error)}") from None
