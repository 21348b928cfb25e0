from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mien.concurrency import Behind, Latest, ReadAhead

LONG_S = 30.0
"""Only a test that fails waits so long."""


class Marked:
    """A generator's items 0, 1, ... that tell how far it came, and whether and where it was closed."""

    def __init__(self, count: int | None = None) -> None:
        self.count, self.made = count, 0
        self.closed = threading.Event()
        self.thread: threading.Thread | None = None

    def __iter__(self) -> Iterator[int]:
        self.thread = threading.current_thread()
        try:
            while self.count is None or self.made < self.count:
                self.made += 1
                yield self.made - 1
        finally:
            self.closed.set()


@settings(max_examples=30)
@given(st.lists(st.integers(), max_size=40), st.integers(1, 5))
def test_ahead_gives_all_in_order(items: list[int], depth: int) -> None:
    with ReadAhead(items, depth) as source:
        assert list(source) == items
        assert list(source) == []


@settings(max_examples=30)
@given(st.lists(st.integers(), max_size=10), st.integers(1, 4))
def test_what_the_iterable_raises_comes_after_the_items_before_it_and_once(items: list[int], depth: int) -> None:
    def failing() -> Iterator[int]:
        yield from items
        raise RuntimeError("broken")

    with ReadAhead(failing(), depth) as source:
        assert [next(source) for _ in items] == items
        with pytest.raises(RuntimeError, match="broken"):
            next(source)
        assert list(source) == []


def test_ahead_runs_in_another_thread_and_makes_no_more_than_its_depth() -> None:
    items = Marked()
    reached = threading.Semaphore(0)

    def counted() -> Iterator[int]:
        for item in items:
            reached.release()
            yield item

    with ReadAhead(counted(), 3) as source:
        for _ in range(3):
            assert reached.acquire(timeout=LONG_S)
        assert not reached.acquire(timeout=0.05)
        assert items.made == 3
        assert next(source) == 0
        assert reached.acquire(timeout=LONG_S)
        assert not reached.acquire(timeout=0.05)
        assert items.made == 4
    assert items.thread is not threading.current_thread()


@pytest.mark.parametrize("wrap", [lambda items: ReadAhead(items, 2), Latest])
def test_closing_stops_the_thread_and_closes_the_iterable(wrap: Any) -> None:
    items = Marked()
    source = wrap(items)
    next(source)
    source.close()
    assert items.closed.is_set()
    assert items.thread is not None
    assert not items.thread.is_alive()
    assert list(source) == []
    source.close()


@pytest.mark.parametrize("wrap", [lambda items: ReadAhead(items, 2), Latest])
def test_closing_wakes_whoever_waits_for_an_item(wrap: Any) -> None:
    gate = threading.Event()

    def blocked() -> Iterator[int]:
        gate.wait(LONG_S)
        yield 0

    source, taken = wrap(blocked()), []
    waiter = threading.Thread(target=lambda: taken.append(list(source)))
    waiter.start()
    source.close(timeout=0.01)  # the source hangs, and is not waited for
    waiter.join(LONG_S)
    assert taken == [[]]
    gate.set()


def test_an_interrupt_in_the_loop_stops_the_thread() -> None:
    items = Marked()
    with suppress(KeyboardInterrupt), ReadAhead(items, 2) as source:
        for _ in source:
            raise KeyboardInterrupt
    assert items.closed.is_set()


def test_an_item_that_does_not_come_in_time() -> None:
    gate = threading.Event()

    def late() -> Iterator[int]:
        gate.wait(LONG_S)
        yield 7

    with ReadAhead(late(), 1) as source:
        with pytest.raises(TimeoutError):
            source.take(0.01)
        gate.set()
        assert source.take(LONG_S) == 7


def test_freshest_keeps_only_the_newest_and_counts_the_others() -> None:
    step, made = threading.Semaphore(0), threading.Semaphore(0)

    def stepped() -> Iterator[int]:
        for item in range(6):
            step.acquire(timeout=LONG_S)
            yield item
            made.release()  # only now it is kept

    def let_come(count: int) -> None:
        for _ in range(count):
            step.release()
            assert made.acquire(timeout=LONG_S)

    with Latest(stepped()) as source:
        let_come(1)
        assert (next(source), source.dropped) == (0, 0)
        let_come(4)
        assert (next(source), source.dropped) == (4, 3)
        let_come(1)
        assert (list(source), source.dropped) == ([5], 3)


def test_freshest_gives_the_last_item_before_the_error() -> None:
    def failing() -> Iterator[int]:
        yield from range(3)
        raise OSError("gone")

    with Latest(failing()) as source:
        source._thread.join(LONG_S)
        assert next(source) == 2
        with pytest.raises(OSError, match="gone"):
            next(source)


@settings(max_examples=30)
@given(st.lists(st.integers(), max_size=40), st.integers(1, 4))
def test_behind_works_off_everything_in_order(items: list[int], depth: int) -> None:
    done: list[int] = []
    with Behind(done.append, depth) as sink:
        for item in items:
            sink(item)
    assert done == items


def test_behind_holds_no_more_than_its_depth() -> None:
    gate, handed = threading.Event(), threading.Semaphore(0)
    sink: Behind[int] = Behind(lambda item: gate.wait(LONG_S), 2)

    def hand_over() -> None:
        for item in range(3):
            sink(item)
            handed.release()

    thread = threading.Thread(target=hand_over)
    thread.start()
    assert handed.acquire(timeout=LONG_S)
    assert handed.acquire(timeout=LONG_S)
    assert not handed.acquire(timeout=0.05)
    gate.set()
    assert handed.acquire(timeout=LONG_S)
    thread.join(LONG_S)
    sink.close()


def test_an_error_behind_is_raised_by_the_next_call_or_the_end_but_once() -> None:
    done: list[int] = []

    def work(item: int) -> None:
        if item == 1:
            raise OSError("disk full")
        done.append(item)

    sink = Behind(work, 1)
    with pytest.raises(OSError, match="disk full"):
        deque(map(sink, range(100)))
    sink.close()
    assert done == [0]
    sink = Behind(work, 1)
    sink(1)
    with pytest.raises(OSError, match="disk full"):
        sink.close()


def test_an_error_behind_does_not_hide_the_one_in_the_block() -> None:
    def work(item: int) -> None:
        raise OSError("disk full")

    sink = Behind(work, 4)
    sink(1)
    sink.__exit__(KeyError, KeyError(), None)  # raises nothing of its own


def test_behind_finishes_what_was_handed_over_when_interrupted() -> None:
    gate, done = threading.Event(), []

    def work(item: int) -> None:
        gate.wait(LONG_S)
        done.append(item)

    with suppress(KeyboardInterrupt), Behind(work, 3) as sink:
        for item in range(3):
            sink(item)
        gate.set()
        raise KeyboardInterrupt
    assert done == [0, 1, 2]
    with pytest.raises(ValueError, match="closed"):
        sink(3)


@pytest.mark.parametrize("make", [lambda: ReadAhead([], 0), lambda: Behind(print, 0)])
def test_a_depth_below_one_is_refused(make: Any) -> None:
    with pytest.raises(ValueError, match="1 or more, got 0"):
        make()
