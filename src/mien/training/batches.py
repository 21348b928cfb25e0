"""What each step is fed: which faces of the batch a rank sees, and how they come to its device."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from lightning_fabric import Fabric
from torch import Tensor

from mien.concurrency import ReadAhead
from mien.data.packed_faces import PackedFaces
from mien.training.splits import Examples


def rows_of_step(order: Tensor, step: int, batch: int, *, rank: int = 0, ranks: int = 1) -> Tensor:
    """The rows that a rank sees in a step (from 0): its fraction of the batch that a single process would see.

    order holds the rows of the epoch. Of the batch, rank r of n sees the r-th row and every n-th after it.
    """
    return order[step * batch : (step + 1) * batch][rank::ranks]


class Feed:
    """Faces and targets to learn from, step by step, on the device of this rank.

    Faces in memory are held on the device, all of them, for the whole run. Those of a pack are read as they are needed,
    by a thread that is a step or two ahead.
    """

    def __init__(self, fabric: Fabric, examples: Examples) -> None:
        self._fabric = fabric
        self._targets = fabric.to_device(torch.from_numpy(examples.targets))
        self._packed = examples.faces if isinstance(examples.faces, PackedFaces) else None
        if not isinstance(examples.faces, PackedFaces):
            self._held = fabric.to_device(torch.from_numpy(examples.faces)[:, None])

    def batches(self, order: Tensor, batch: int, *, start: int) -> Iterator[tuple[Tensor, Tensor]]:
        """This rank's faces (B, 1, 48, 48) float 0..1 and targets (B, C) of each step of an epoch, from `start` on.

        B is batch, which counts the faces of all ranks, divided by the ranks. What is left over of the epoch's order
        when it no longer fills a batch is not met.
        """
        steps = range(start, len(order) // batch)
        rank, ranks = self._fabric.global_rank, self._fabric.world_size
        rows = (rows_of_step(order, step, batch, rank=rank, ranks=ranks) for step in steps)
        if self._packed is None:
            yield from map(self._pick, rows)
        else:
            with ReadAhead(map(self._read, rows), 2) as read:
                yield from read

    def _pick(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        rows = rows.to(self._held.device)
        return self._held[rows].float() / 255, self._targets[rows]

    def _read(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        assert self._packed is not None
        faces = self._fabric.to_device(torch.from_numpy(self._packed[rows.numpy()])[:, None])
        return faces.float() / 255, self._targets[rows.to(self._targets.device)]
