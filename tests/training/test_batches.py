from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from lightning_fabric import Fabric

from mien.data.packed_faces import PackedFaces, keys_of
from mien.training.batches import Feed, rows_of_step
from mien.training.splits import Examples


@given(
    n=st.integers(1, 400), share=st.integers(1, 12), ranks=st.integers(1, 9), seed=st.integers(0, 99), data=st.data()
)
def test_the_ranks_share_each_batch_without_overlap_and_meet_each_face_once(
    n: int, share: int, ranks: int, seed: int, data: st.DataObject
) -> None:
    batch = share * ranks
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    steps = n // batch
    start = data.draw(st.integers(0, steps))  # as after a resume
    met: list[int] = []
    for step in range(start, steps):
        parts = [rows_of_step(order, step, batch, rank=rank, ranks=ranks).tolist() for rank in range(ranks)]
        assert [len(part) for part in parts] == [share] * ranks
        one = rows_of_step(order, step, batch).tolist()
        assert [parts[place % ranks][place // ranks] for place in range(batch)] == one  # the single process's order
        met += one
    assert len(set(met)) == len(met)
    assert met == order[start * batch : steps * batch].tolist()  # only those of the last, incomplete batch are left out


def test_faces_in_memory_and_on_disk_are_fed_alike() -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (50, 48, 48), np.uint8)
    targets = rng.random((50, 7), np.float32)
    fabric = Fabric(accelerator="cpu")
    fabric.launch()
    order = torch.randperm(50)
    held = Feed(fabric, Examples(pixels, targets))
    read = Feed(fabric, Examples(PackedFaces(Path("pack"), pixels, keys_of(pixels)), targets))
    for start in (0, 3):
        fed = [list(feed.batches(order, 8, start=start)) for feed in (held, read)]
        assert len(fed[0]) == 6 - start
        for one, other in zip(*fed, strict=True):
            for left, right in zip(one[:2], other[:2], strict=True):
                assert left.equal(right)
                assert left.stride() == right.stride()
        faces, wanted, *_ = fed[1][0]
        rows = order[8 * start : 8 * start + 8].numpy()
        np.testing.assert_array_equal(faces.numpy(), np.float32(pixels[rows][:, None]) / np.float32(255))
        np.testing.assert_array_equal(wanted.numpy(), targets[rows])
