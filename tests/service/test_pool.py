from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable

import pytest

from mien.service.pool import BusyError, Pool, is_work_left


def held(pool: Pool, submit: Callable[[Pool], Callable[..., Awaitable[object]]], count: int) -> list[object]:
    """What comes of so many pieces of work at once, of which none ends before all were asked for."""
    let_go = threading.Event()

    async def together() -> list[object]:
        work = [asyncio.ensure_future(submit(pool)(lambda: let_go.wait(10))) for _ in range(count)]
        await asyncio.sleep(0)  # each has asked
        waiting = pool.waiting
        let_go.set()
        return [waiting, *await asyncio.gather(*work, return_exceptions=True)]

    try:
        return asyncio.run(together())
    finally:
        pool.close()


def test_past_the_queue_work_is_refused_at_once() -> None:
    waiting, *results = held(Pool(workers=2, queue=3), lambda pool: pool.submit, 8)
    assert waiting == 3
    assert [type(result) for result in results] == [bool] * 5 + [BusyError] * 3
    assert isinstance(results[-1], BusyError)
    assert results[-1].retry_after_s >= 1


def test_what_may_wait_is_never_refused() -> None:
    waiting, *results = held(Pool(workers=1, queue=0), lambda pool: pool.wait, 5)
    assert waiting == 4
    assert results == [True] * 5


def test_a_place_is_free_again_after_work_that_failed_or_was_given_up() -> None:
    async def all_of_it() -> None:
        pool = Pool(workers=1, queue=0)
        with pytest.raises(ZeroDivisionError):
            await pool.submit(lambda: 1 // 0)
        let_go, begun = threading.Event(), threading.Event()
        given_up = asyncio.ensure_future(pool.submit(lambda: (begun.set(), let_go.wait(10))))
        await asyncio.to_thread(begun.wait, 10)
        given_up.cancel()
        await asyncio.wait([given_up])
        assert pool.is_full  # its thread is still at it
        let_go.set()
        while pool.is_full:
            await asyncio.sleep(0.01)
        assert await pool.submit(lambda: "done") == "done"
        pool.close()

    asyncio.run(asyncio.wait_for(all_of_it(), 10))


def test_at_its_end_who_waits_is_told_and_what_has_begun_is_not_waited_for() -> None:
    let_go, begun, done = threading.Event(), threading.Event(), []

    def work() -> None:
        begun.set()
        let_go.wait(10)
        done.append(True)

    async def end() -> list[object]:
        pool = Pool(workers=1, queue=5)
        given_up = [asyncio.ensure_future(pool.submit(work)) for _ in range(3)]
        await asyncio.to_thread(begun.wait, 10)
        assert not pool.is_closing
        assert not is_work_left()
        pool.close()
        pool.close()  # once more does nothing
        assert pool.is_closing
        assert pool.is_full
        results = await asyncio.gather(*given_up, pool.submit(work), pool.wait(work), return_exceptions=True)
        assert not let_go.is_set()
        assert is_work_left()
        let_go.set()
        while is_work_left():
            await asyncio.sleep(0.01)
        return results

    results = asyncio.run(asyncio.wait_for(end(), 10))
    assert [str(result) for result in results] == ["the service ends: try again in 5 s"] * 5
    assert {type(result) for result in results} == {BusyError}
    assert done == [True]
