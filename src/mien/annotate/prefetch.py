"""The pictures of a shard, fetched ahead of whom takes them: their bytes, or why they cannot be had."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from time import perf_counter, sleep
from typing import Final, TypeVar

from mien.annotate.columns import rows
from mien.annotate.plan import Plan, Shard, row_name
from mien.annotate.storage import Origin, is_local, may_pass, persistently, read_at_most
from mien.concurrency import ReadAhead
from mien.errors import ConfigError, DataError, MienError, StorageError, one_line, reason

S = TypeVar("S")

MAX_BYTES: Final = 200_000_000
"""Files with more are not read: such a picture would be refused by its pixels anyway, or be no picture."""

STORAGE: Final = "storage"
FAILED: Final = "failed"
REDONE: Final = frozenset({STORAGE, FAILED})
"""The kinds of failure that may lie with the machine and not with the picture, so that a later run tries again."""

_LOCAL_THREADS, _REMOTE_THREADS = 2, 16
_BUFFERED: Final = 64_000_000
_ROWS_AHEAD: Final = 8
_WAITS_S: Final = (0.25, 0.5, 1.0)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a picture was not read: the reason, and its kind: missing, denied, storage, format, large, damaged,
    failed or killed.
    """

    kind: str
    reason: str


@dataclass(frozen=True, slots=True)
class Fetched:
    """A picture's bytes, or why they cannot be had; its number in the shard, its name, and what fetching took."""

    number: int
    source: str
    content: bytes | Failure
    seconds: float = 0.0


def fetch(
    plan: Plan, shard: Shard, *, in_advance: bool = True, without: Collection[int] = frozenset()
) -> Generator[Fetched]:
    """The pictures of a shard in their order, each exactly once, by threads that run ahead where in_advance is set.

    Those in `without`, by number, are not read where each has its own file. Close it to stop early.
    Raises ConfigError where a driver is not installed.
    """
    if shard.file is not None:
        if not in_advance:
            yield from _rows(plan, shard)
            return
        with ReadAhead(_rows(plan, shard), _ROWS_AHEAD) as fetched:
            yield from fetched
        return
    origin = Origin(plan.input if plan.input != "-" else ".")

    def one(item: tuple[int, str]) -> Fetched:
        began = perf_counter()
        content = b"" if item[0] in without else _content(origin, item[1])
        return Fetched(item[0], plan.naming.source(item[1]), content, perf_counter() - began)

    if not in_advance:
        yield from map(one, enumerate(shard.paths))
        return
    threads = _LOCAL_THREADS if is_local(origin.system) else _REMOTE_THREADS
    yield from _in_order(one, enumerate(shard.paths), threads)


def _in_order(function: Callable[[S], Fetched], items: Iterable[S], threads: int) -> Generator[Fetched]:
    """What the function makes of each item, in their order, made by threads ahead of whom takes it.

    At most twice as many items as threads are under way, and fewer where they are large.
    """
    waiting: deque[Future[Fetched]] = deque()
    with ThreadPoolExecutor(threads, "fetch") as pool:
        try:
            for item in items:
                while len(waiting) >= 2 * threads or (waiting and _buffered(waiting) > _BUFFERED):
                    yield waiting.popleft().result()
                waiting.append(pool.submit(function, item))
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _buffered(waiting: Iterable[Future[Fetched]]) -> int:
    done = (future.result().content for future in waiting if future.done())
    return sum(len(content) for content in done if isinstance(content, bytes))


def _content(origin: Origin, path: str) -> bytes | Failure:
    try:
        system, place = persistently(lambda: origin.place(path))
        content = read_at_most(system, place, MAX_BYTES + 1)
    except ImportError as error:
        raise ConfigError(f"{path}: cannot be reached: {one_line(error)}") from error
    except Exception as error:  # drivers raise nearly anything
        return _failure(error)
    if len(content) > MAX_BYTES:
        return Failure("large", f"has more than {MAX_BYTES:,} bytes")
    return content


def _rows(plan: Plan, shard: Shard) -> Generator[Fetched]:
    """The pictures in a shard of a Parquet file. Where the file fails, so do all its rows from there on."""
    assert shard.file is not None and plan.columns is not None  # noqa: PT018 - for the type checker
    file = shard.file
    wanted = [row for row in range(shard.start, shard.stop) if plan.takes(file, row)]
    done, failure = 0, Failure("damaged", f"{file}: ends before this row")
    for wait_s in (*_WAITS_S, None):
        try:
            began = perf_counter()
            for row, content, name in rows(file, plan.input, plan.columns, wanted[done], shard.stop):
                if row != wanted[done]:
                    continue
                source = row_name(plan.naming.source(file), row) if name is None else name
                given = Failure("missing", "holds no bytes of a picture") if not isinstance(content, bytes) else content
                yield Fetched(done, source, given, perf_counter() - began)
                done += 1
                if done == len(wanted):
                    return
                began = perf_counter()
            break
        except (DataError, StorageError) as error:
            failure = _failure(error)
        if failure.kind != STORAGE or wait_s is None:
            break
        sleep(wait_s)
    for number, row in enumerate(wanted[done:], done):
        yield Fetched(number, row_name(plan.naming.source(file), row), failure)


def _failure(error: Exception) -> Failure:
    """An error of a file system, or of a file, by its kind."""
    cause = error.__cause__ if isinstance(error, StorageError) and isinstance(error.__cause__, Exception) else error
    if isinstance(cause, DataError):
        return Failure("damaged", str(cause))
    if isinstance(cause, FileNotFoundError):
        passes = may_pass(cause)
        return Failure(STORAGE, f"cannot be read: {reason(cause)}") if passes else Failure("missing", "no such file")
    if isinstance(cause, IsADirectoryError):
        return Failure("missing", "is a folder, expected a picture")
    kind = "denied" if isinstance(cause, PermissionError) else "missing"
    if not isinstance(cause, MienError) and may_pass(cause):
        kind = STORAGE
    return Failure(kind, f"cannot be read: {reason(cause)}")
