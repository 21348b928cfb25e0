"""How the commands read labelled faces: with a progress bar, and a line for each row that was skipped."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mien.cli import console

if TYPE_CHECKING:
    from mien.data.dataset import FaceDataset


def read_dataset(path: Path, *, skip_bad: bool = False, own_classes: bool = False) -> FaceDataset:
    """`read_faces`, told to the user on standard error."""
    from mien.data.readers import read_faces

    with console.progress() as bar:
        task = bar.add_task("reading", total=100)
        dataset = read_faces(
            path,
            skip_bad=skip_bad,
            own_classes=own_classes,
            progress=lambda done, total: bar.update(task, completed=100 * done // max(total, 1)),
        )
    for row in dataset.bad:
        console.err().print(f"[yellow]skipped:[/] {console.escape(str(row))}", soft_wrap=True, highlight=False)
    return dataset
