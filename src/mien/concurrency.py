"""Stages of a stream that overlap: a source that runs ahead, one that keeps only its newest item, a sink behind.

Each runs one thread. numpy, OpenCV, onnxruntime and PyAV let other threads run while they compute, so that stages on as
many threads take about the time of the slowest one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from threading import Condition, Thread
from time import monotonic
from types import TracebackType
from typing import Final, Generic, Self, TypeVar

T = TypeVar("T")

_SLICE_S: Final = 0.2
"""The longest that a thread waits at a stretch: on Windows, Ctrl-C does not break a wait, only follows it."""


class _Source(Iterator[T], Generic[T]):
    """An iterable that a thread runs through. What the thread may make, and what it stores, is up to the subclasses'.

    Close it, or use it as a context manager: that stops the thread, which closes the iterator if that can be closed (as
    a generator). An item that is being made is waited for first, and what it raises is dropped. After the end, and once
    it is closed, there are no more items; closing from another thread wakes one that waits here.
    """

    def __init__(self, items: Iterable[T]) -> None:
        self._made: deque[T] = deque()
        self._changed = Condition()
        self._closed = self._ended = False
        self._error: BaseException | None = None
        self._thread = Thread(target=self._run, args=(items,), daemon=True)
        self._thread.start()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> T:
        return self.take()

    def take(self, timeout: float | None = None) -> T:
        """The next item. What the iterable raised is raised here, after the items before it.

        Raises StopIteration at the end, as next() does, and TimeoutError where no item came within `timeout` seconds.
        """
        with self._changed:
            if not _wait_for(self._changed, lambda: bool(self._made) or self._ended or self._closed, timeout):
                raise TimeoutError
            if self._made and not self._closed:
                self._changed.notify_all()
                return self._made.popleft()
            error, self._error = self._error, None
        if error is not None and not self._closed:
            raise error
        raise StopIteration

    def close(self, timeout: float | None = None) -> None:
        """Stop the thread, and wait for its end: at most `timeout` seconds, for a source that may hang."""
        with self._changed:
            self._closed = True
            self._made.clear()
            self._changed.notify_all()
        _join(self._thread, timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self, items: Iterable[T]) -> None:
        try:
            iterator = iter(items)
            try:
                while self._may_make():
                    try:
                        item = next(iterator)
                    except StopIteration:
                        break
                    self._keep(item)
                    del item  # it may be large, and the next one may be long in coming
            finally:
                close = getattr(iterator, "close", None)
                if close is not None:
                    close()
        except BaseException as error:  # whatever it is, it belongs to whom takes the items
            self._error = error
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _may_make(self) -> bool:
        """Wait until the next item may be made; False once closed."""
        raise NotImplementedError

    def _keep(self, item: T) -> None:
        raise NotImplementedError


class ReadAhead(_Source[T]):
    """The items of an iterable, made up to `depth` items ahead of whom takes them. None is dropped.

    At most `depth` items are being made or wait at any time, so that memory is bounded, and with 1 an item is begun
    when the one before it is taken.
    """

    def __init__(self, items: Iterable[T], depth: int) -> None:
        if depth < 1:
            raise ValueError(f"depth must be 1 or more, got {depth}")
        self._depth = depth
        super().__init__(items)

    def _may_make(self) -> bool:
        with self._changed:
            _wait_for(self._changed, lambda: len(self._made) < self._depth or self._closed)
            return not self._closed

    def _keep(self, item: T) -> None:
        with self._changed:
            if not self._closed:
                self._made.append(item)
                self._changed.notify_all()


class Latest(_Source[T]):
    """The items of a live iterable, of which only the newest one waits: one that nobody took in time is dropped.

    `dropped` counts those.
    """

    def __init__(self, items: Iterable[T]) -> None:
        self.dropped = 0
        super().__init__(items)

    def _may_make(self) -> bool:
        return not self._closed

    def _keep(self, item: T) -> None:
        with self._changed:
            if not self._closed:
                self.dropped += len(self._made)
                self._made.clear()
                self._made.append(item)
                self._changed.notify_all()


class Behind(Generic[T]):
    """A sink that runs in a thread: calling it hands over an item, and waits only while `depth` of them are not done.

    The items are processed in order. What the function raises is raised by the next call, or else by `close`; the
    items after it are dropped. As a context manager it processes what was handed over, whatever happened.
    """

    def __init__(self, function: Callable[[T], object], depth: int) -> None:
        if depth < 1:
            raise ValueError(f"depth must be 1 or more, got {depth}")
        self._function, self._depth = function, depth
        self._items: deque[T] = deque()
        self._changed = Condition()
        self._closed = self._was_raised = False
        self._error: BaseException | None = None
        self._thread = Thread(target=self._run, daemon=True)
        self._thread.start()

    def __call__(self, item: T) -> None:
        """Hand over an item. Raises what an item before it raised, and ValueError once closed."""
        with self._changed:
            if self._closed:
                raise ValueError("is closed")
            _wait_for(self._changed, lambda: len(self._items) < self._depth or self._error is not None)
            if self._error is None:
                self._items.append(item)
                self._changed.notify_all()
        self._raise_error()

    def close(self) -> None:
        """Wait until all items are done. Raises what one raised, unless a call has."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        _join(self._thread)
        if not self._was_raised:
            self._raise_error()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._was_raised = self._was_raised or kind is not None  # one error is enough
        self.close()

    def _raise_error(self) -> None:
        if self._error is not None:
            self._was_raised = True
            raise self._error

    def _run(self) -> None:
        while True:
            with self._changed:
                _wait_for(self._changed, lambda: bool(self._items) or self._closed)
                if not self._items:
                    return
                item = self._items[0]  # counts until it is done
            try:
                self._function(item)
            except BaseException as error:  # whatever it is, it belongs to whom hands over the items
                with self._changed:
                    self._error = error
                    self._items.clear()
                    self._changed.notify_all()
                return
            with self._changed:
                self._items.popleft()
                self._changed.notify_all()
            del item


def _wait_for(condition: Condition, is_so: Callable[[], bool], timeout: float | None = None) -> bool:
    """Wait, holding the condition's lock, until it is so; False where it was not within `timeout` seconds."""
    until = None if timeout is None else monotonic() + timeout
    while not is_so():
        left = _SLICE_S if until is None else min(_SLICE_S, until - monotonic())
        if left <= 0:
            return False
        condition.wait(left)
    return True


def _join(thread: Thread, timeout: float | None = None) -> None:
    until = None if timeout is None else monotonic() + timeout
    while thread.is_alive():
        left = _SLICE_S if until is None else min(_SLICE_S, until - monotonic())
        if left <= 0:
            return
        thread.join(left)
