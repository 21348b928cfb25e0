"""How the commands read labelled faces: with a progress bar, and lines for what was skipped or left out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from mien.cli import console
from mien.errors import DataError, ModelError

if TYPE_CHECKING:
    from mien.data.dataset import BadRow, FaceDataset


def check_exist(data: Path | None, checkpoints: Sequence[Path] = ()) -> None:
    """Raise DataError or ModelError where a file is missing: at once, since importing PyTorch takes seconds."""
    for path in checkpoints:
        if not path.exists():
            raise ModelError(f"no checkpoint at {path}")
    if data is not None and not data.exists():
        raise DataError(f"{data}: no such file or folder")


def read_dataset(
    path: Path,
    *,
    skip_bad: bool = False,
    own_classes: bool = False,
    labels: str | None = None,
    labelled: bool = True,
    notes: bool = True,
) -> FaceDataset:
    """`read_faces`, with a progress bar and, on standard error, its skipped rows and unless not wanted its notes."""
    from mien.data.readers import read_faces

    with reading() as progress:
        dataset = read_faces(
            path, skip_bad=skip_bad, own_classes=own_classes, labels=labels, labelled=labelled, progress=progress
        )
    print_skipped(dataset.bad)
    if notes:
        print_notes(dataset)
    return dataset


@contextmanager
def reading(what: str = "reading") -> Iterator[Callable[[int, int], None]]:
    """A progress bar, moved by a call with how much is done and how much there is."""
    with console.progress() as bar:
        task = bar.add_task(what, total=100)
        yield lambda done, total: bar.update(task, completed=100 * done // max(total, 1))


def print_skipped(bad: Sequence[BadRow]) -> None:
    """Print a line on standard error for each row that was skipped."""
    for row in bad:
        console.err().print(f"[yellow]skipped:[/] {console.escape(str(row))}", soft_wrap=True, highlight=False)


def print_notes(dataset: FaceDataset) -> None:
    """Print on standard error what was left out or decided while reading."""
    for line in dataset.notes.lines():
        console.note(line)
