"""When a queue is overloaded, by a clock that the tests move."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Sequence

import pytest

from mien.service.pool import Pool
from mien.service.saturation import FULL_S, Saturation

MOST, MARK = 10, 6


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def states(course: Sequence[tuple[int, float]]) -> list[bool]:
    """Whether it is overloaded after each of these counts, and the seconds that each lasted."""
    clock, told = Clock(), []
    saturation = Saturation(MOST, MARK, clock)
    for count, seconds in course:
        saturation.update(count)
        clock.now += seconds
        told.append(saturation.is_overloaded)
    return told


@pytest.mark.parametrize(
    ("course", "wanted"),
    [
        ([(10, 4.9)], [False]),
        ([(10, 5)], [True]),
        ([(10, 4.9), (9, 9), (10, 4.9)], [False] * 3),  # bursts
        ([(10, 0.9), (9, 0.1)] * 10, None),  # full for most of the time, with a place free now and then
        ([(10, 0.5), (9, 0.5)] * 100, [False] * 200),
        ([(9, 1_000)], [False]),  # near it is not full
        ([(10, 4.9), (6, 0), (10, 4.9)], [False] * 3),
        ([(10, 5), (9, 100), (7, 100), (6, 0), (10, 4.9)], [True, True, True, False, False]),
        ([(10, 9), (7, 60), (10, 1)], [True] * 3),  # no way back before the mark
        ([(12, 5), (0, 0)], [True, False]),  # streams may wait past it
    ],
)
def test_it_is_overloaded_after_a_while_and_until_the_mark(
    course: list[tuple[int, float]], wanted: list[bool] | None
) -> None:
    told = states(course)
    if wanted is None:
        assert told == sorted(told)
        assert told.index(True) in (10, 11, 12)
    else:
        assert told == wanted


@pytest.mark.parametrize("seed", range(20))
def test_it_never_flaps(seed: int) -> None:
    """Whatever comes, it needs a time full to become overloaded, and the mark to become well."""
    chance = random.Random(seed)
    course = [(chance.randint(4, 12), chance.random() * 2) for _ in range(500)]
    full_s = 0.0
    for (count, seconds), (was, is_so) in zip(
        course[1:], zip(states(course), states(course)[1:], strict=False), strict=True
    ):
        full_s = full_s + seconds if count >= MOST else full_s
        if is_so and not was:
            assert full_s >= FULL_S - 2
            full_s = 0.0
        if was and not is_so:
            assert count <= MARK


@pytest.mark.parametrize(("workers", "queue"), [(1, 0), (2, 3), (4, 64)])
def test_a_pool_is_overloaded_while_its_work_does_not_end(workers: int, queue: int) -> None:
    clock, let_go = Clock(), threading.Event()

    async def run() -> None:
        pool = Pool(workers, queue, clock)
        try:
            work = [asyncio.ensure_future(pool.submit(lambda: let_go.wait(10))) for _ in range(workers + queue)]
            await asyncio.sleep(0)
            assert pool.is_full
            assert not pool.is_overloaded
            clock.now += FULL_S
            assert pool.is_overloaded
            let_go.set()
            await asyncio.gather(*work)
            assert not pool.is_overloaded
        finally:
            let_go.set()
            pool.close()

    asyncio.run(run())
