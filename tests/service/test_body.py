"""How slowly a body may arrive, by a clock that the tests move."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from contextlib import nullcontext
from io import BytesIO
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.requests import Request
from starlette.types import Message

from mien.errors import ConfigError
from mien.service.body import Body
from mien.service.errors import Problem
from mien.service.memory import Memory
from mien.service.metrics import Metrics
from mien.service.settings import Settings
from mien.service.videos import _receive

SETTINGS = Settings()
Chunks = Sequence[tuple[float, int]]  # seconds of waiting, and bytes that come then


def arrives(clock: Any, chunks: Chunks, settings: Settings = SETTINGS) -> tuple[int, float] | str:
    """The size of the body and when it is whole, or why it was given up."""
    memory = Memory(settings.max_buffered, Metrics(lambda: 0))
    coming = iter(chunks)

    async def receive() -> Message:
        wait, size = next(coming, (0.0, 0))
        for _ in range(10):  # in steps: a timer's time comes before what arrives after it
            clock.now += wait / 10
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        return {"type": "http.request", "body": bytes(size), "more_body": size > 0}

    async def read() -> int:
        body = Body(Request({"type": "http", "headers": []}, receive), settings, memory)
        try:
            return len(await body.content())
        finally:
            body.free()

    try:
        return clock.run_until_complete(read()), clock.now
    except Problem as problem:
        return f"{problem.status}: {problem.detail}"
    finally:
        memory.take(settings.max_buffered)  # nothing is held any more


SLOW = "408: the body came too slowly: less than 2,000 bytes/s for 20 s"
LONG = "408: the body took longer than 300 s to arrive"


@pytest.mark.parametrize(
    ("chunks", "wanted"),
    [
        ([(0.1, 3_000)] * 237, 711_000),  # 30 kB/s
        ([(1, 2_000)] * 250, 500_000),
        ([(19, 40_000)] * 15, 600_000),  # a net with holes
        ([(0, 9_000_000), (19, 1)], 9_000_001),
        ([(0, 9_000_000), (21, 1)], SLOW),  # what came fast is no credit for later
        ([(0, 9_000_000), *[(10, 1)] * 9], SLOW),
        ([(21, 1)], SLOW),
        ([(1, 1)] * 100, SLOW),
        ([(1, 1_500)] * 300, SLOW),
        ([(1, 2_000)] * 301, LONG),
        ([(0.1, 6_000)] * 3_010, LONG),
        ([(0, 1)] * 5_000, 5_000),
    ],
    ids=repr,
)
def test_progress_counts(clock: Any, chunks: Chunks, wanted: int | str) -> None:
    told = arrives(clock, chunks)
    assert (told if isinstance(wanted, str) else told[0]) == wanted


@pytest.mark.parametrize("seed", range(20))
def test_a_body_of_the_least_rate_arrives_and_no_slower_one_lasts(clock: Any, seed: int) -> None:
    """Whatever its pieces: at `min_rate` it is whole, and below it, the time past what was paid for is 20 s."""
    chance = random.Random(seed)
    waits = [chance.choice([0.01, 0.5, 5, 15]) * chance.random() for _ in range(40)]
    steady = [(wait, int(wait * 2_000) + 1) for wait in waits]
    size = sum(size for _, size in steady)
    if sum(waits) < 300:
        told = arrives(clock, steady)
        assert not isinstance(told, str)
        assert told[0] == size
    clock.now = 0.0
    slow = [(wait, max(1, int(wait * 200))) for wait in waits * 10]
    assert arrives(clock, slow) == SLOW
    assert clock.now < 20 * 1.2 + 15 + 1


@pytest.mark.parametrize(("rate", "is_taken"), [(50_000, True), (40_000, False)])
def test_a_video_must_come_faster(clock: Any, rate: int, is_taken: bool) -> None:
    coming = iter([rate] * 110)
    content: Any = SimpleNamespace(file=BytesIO())

    async def receive() -> Message:
        clock.now += 1
        for _ in range(3):
            await asyncio.sleep(0)
        body = bytes(next(coming, 0))
        return {"type": "http.request", "body": body, "more_body": bool(body)}

    request = Request({"type": "http", "headers": []}, receive)
    with nullcontext() if is_taken else pytest.raises(Problem, match="less than 50,000 bytes/s for 20 s"):
        clock.run_until_complete(_receive(request, content, Settings(max_video=6_000_000)))
    assert (content.file.tell() == 110 * rate) == is_taken


@pytest.mark.parametrize("changes", [{"min_rate": 0}, {"max_body_seconds": 0}, {"max_body_seconds": float("inf")}])
def test_what_is_no_pace_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(changes))):
        Settings(**changes)
