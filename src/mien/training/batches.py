"""What each step is fed: which faces of the batch a rank sees, and how they come to its device."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from lightning_fabric import Fabric
from torch import Tensor

from mien.concurrency import ReadAhead
from mien.data.packed_faces import PackedFaces
from mien.training.splits import Examples
from mien.training.views import Views


class Batch(NamedTuple):
    """Faces (B, 1, 48, 48) float 0..1 with targets (B, C).

    Where views are fixed: the moves (B, 3, 3) of the view to show of each face, and what the teachers say of it (B, C).
    """

    faces: Tensor
    targets: Tensor
    moves: Tensor | None = None
    predictions: Tensor | None = None


def rows_of_step(order: Tensor, step: int, batch: int, *, rank: int = 0, ranks: int = 1) -> Tensor:
    """The rows that a rank sees in a step (from 0): its fraction of the batch that a single process would see.

    order holds the rows of the epoch. Of the batch, rank r of n sees the r-th row and every n-th after it.
    """
    return order[step * batch : (step + 1) * batch][rank::ranks]


class Feed:
    """What to learn from, step by step, on the device of this rank.

    Faces in memory are held on the device, all of them, for the whole run. Those of a pack are read as they are needed,
    by a thread that is a step or two ahead. Views are of these faces; None: each step shows new ones.
    """

    def __init__(self, fabric: Fabric, examples: Examples, views: Views | None = None) -> None:
        self._fabric = fabric
        self._views = views
        self._targets = fabric.to_device(torch.from_numpy(examples.targets))
        self._packed = examples.faces if isinstance(examples.faces, PackedFaces) else None
        if not isinstance(examples.faces, PackedFaces):
            self._held = fabric.to_device(torch.from_numpy(examples.faces)[:, None])

    def batches(self, order: Tensor, batch: int, *, start: int, epoch: int = 0) -> Iterator[Batch]:
        """This rank's part of the batch of each step of an epoch, from `start` on.

        B is batch, which counts the faces of all ranks, divided by the ranks. What is left over of the epoch's order
        when it no longer fills a batch is not met.
        """
        steps = range(start, len(order) // batch)
        rank, ranks = self._fabric.global_rank, self._fabric.world_size
        rows = (rows_of_step(order, step, batch, rank=rank, ranks=ranks) for step in steps)
        if self._packed is None:
            yield from (self._batch(self._held[part.to(self._held.device)], part, epoch) for part in rows)
        else:
            with ReadAhead((self._batch(self._read(part), part, epoch) for part in rows), 2) as read:
                yield from read

    def _batch(self, faces: Tensor, rows: Tensor, epoch: int) -> Batch:
        targets = self._targets[rows.to(self._targets.device)]
        views = (None, None) if self._views is None else map(self._fabric.to_device, self._views.of(rows, epoch))
        return Batch(faces.float() / 255, targets, *views)

    def _read(self, rows: Tensor) -> Tensor:
        assert self._packed is not None
        return self._fabric.to_device(torch.from_numpy(self._packed[rows.numpy()])[:, None])
