"""How the commands read labelled faces: with a progress bar, and a line for each row that was skipped."""

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


def read_dataset(path: Path, *, skip_bad: bool = False, own_classes: bool = False, labels: bool = True) -> FaceDataset:
    """`read_faces`, with a progress bar and its skipped rows on standard error."""
    from mien.data.readers import read_faces

    with reading() as progress:
        dataset = read_faces(path, skip_bad=skip_bad, own_classes=own_classes, labels=labels, progress=progress)
    print_skipped(dataset.bad)
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
