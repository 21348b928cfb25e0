from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mien.annotate import columns as column_reading
from mien.annotate import prefetch, storage
from mien.annotate.columns import Columns
from mien.annotate.listing import Naming
from mien.annotate.plan import Options, Plan, Shard, is_sampled, row_name
from mien.annotate.prefetch import STORAGE, Failure, Fetched, fetch
from mien.annotate.storage import locate
from mien.errors import ConfigError, DataError, StorageError

pytest.importorskip("fsspec")


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    """No test leaves a thread behind."""
    before = threading.active_count()
    yield
    until = time.monotonic() + 60
    while threading.active_count() > before and time.monotonic() < until:
        time.sleep(0.01)
    assert threading.active_count() <= before


def shard_of(folder: Path, count: int) -> Shard:
    for number in range(count):
        (folder / f"{number}.jpg").write_bytes(b"picture %d" % number)
    return Shard(0, tuple(f"{folder.as_posix()}/{number}.jpg" for number in range(count)))


def test_pictures_come_in_order_whatever_their_reading_takes(
    plan: Callable[..., Plan], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shard, read, chance = shard_of(tmp_path, 60), storage.read_at_most, random.Random(0)

    def slowly(*arguments: Any) -> bytes:
        time.sleep(chance.random() * 0.01)
        return read(*arguments)

    monkeypatch.setattr(prefetch, "read_at_most", slowly)
    monkeypatch.setattr(prefetch, "_LOCAL_THREADS", 7)
    fetched = list(fetch(plan(), shard))
    assert [item.number for item in fetched] == list(range(60))
    assert [item.content for item in fetched] == [b"picture %d" % number for number in range(60)]
    assert [item.source for item in fetched] == [f"in/{number}.jpg" for number in range(60)]
    assert all(item.seconds >= 0 for item in fetched)


@given(st.integers(0, 40), st.integers(1, 8), st.randoms(use_true_random=False), st.integers(0, 60))
@settings(max_examples=40)
def test_any_number_of_items_and_threads(count: int, threads: int, chance: random.Random, buffered: int) -> None:
    delays = [chance.random() * 0.002 for _ in range(count)]

    def make(number: int) -> Fetched:
        time.sleep(delays[number])
        return Fetched(number, str(number), b"x" * 10)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prefetch, "_BUFFERED", buffered)
        assert [item.number for item in prefetch._in_order(make, range(count), threads)] == list(range(count))


def test_no_more_than_twice_the_threads_are_under_way() -> None:
    begun = []

    def make(number: int) -> Fetched:
        begun.append(number)
        return Fetched(number, "", b"")

    with closing(prefetch._in_order(make, range(100), 3)) as items:
        next(items)
        time.sleep(0.05)
        assert len(begun) <= 7


def test_large_pictures_are_not_piled_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prefetch, "_BUFFERED", 100)

    class Prompt(ThreadPoolExecutor):
        """One whose results are there at once, so that their sizes are known."""

        def submit(self, *arguments: Any, **options: Any) -> Any:
            future = super().submit(*arguments, **options)
            wait([future])
            return future

    monkeypatch.setattr(prefetch, "ThreadPoolExecutor", Prompt)
    begun: list[int] = []

    def make(number: int) -> Fetched:
        begun.append(number)
        return Fetched(number, "", bytes(size))

    for size, most in ((200, 1), (40, 3), (0, 16)):  # noqa: B007 - `make` looks at it
        begun.clear()
        with closing(prefetch._in_order(make, range(100), 8)) as items:
            for taken in range(1, 21):
                next(items)
                assert len(begun) == taken - 1 + most


def test_closing_early_ends_the_threads_and_begins_no_more(plan: Callable[..., Plan], tmp_path: Path) -> None:
    shard = shard_of(tmp_path, 50)
    with closing(fetch(plan(), shard)) as fetched:
        assert next(fetched).number == 0
    assert list(fetched) == []


@pytest.mark.parametrize("at", ["first", "later"])
def test_each_failure_has_its_kind(
    at: str, plan: Callable[..., Plan], tmp_path: Path, waits: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "good.jpg").write_bytes(b"good")
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "limit.jpg").write_bytes(bytes(10))
    (tmp_path / "large.jpg").write_bytes(bytes(11))
    (tmp_path / "loop.jpg").symlink_to("loop.jpg")
    monkeypatch.setattr(prefetch, "MAX_BYTES", 10)
    read = storage.read_at_most

    def refused(system: Any, path: str, limit: int) -> bytes:
        if path.endswith("secret.jpg"):
            raise PermissionError(13, "Permission denied", path)
        return read(system, path, limit)

    monkeypatch.setattr(prefetch, "read_at_most", refused)
    expected = {
        "good.jpg": b"good",
        "gone.jpg": Failure("missing", "no such file"),
        "folder.jpg": Failure("missing", "is a folder, expected a picture"),
        "secret.jpg": Failure("denied", "cannot be read: Permission denied"),
        "large.jpg": Failure("large", "has more than 10 bytes"),
        "limit.jpg": bytes(10),
        "empty.jpg": b"",
        "good.jpg/x.jpg": Failure("missing", "cannot be read: Not a directory"),
        "loop.jpg": Failure("missing", "cannot be read: Too many levels of symbolic links"),
        "nul\0.jpg": None,
        f"{'x' * 300}.jpg": Failure("missing", "cannot be read: File name too long"),
        "nonsense://x.jpg": None,
    }
    names = list(expected) if at == "first" else list(expected)[::-1]
    paths = [name if "://" in name else f"{tmp_path.as_posix()}/{name}" for name in names]
    fetched = list(fetch(plan(), Shard(0, tuple(paths))))
    assert [item.number for item in fetched] == list(range(len(names)))
    for name, item in zip(names, fetched, strict=True):
        if expected[name] is not None:
            assert item.content == expected[name]
        elif name.startswith("nonsense"):
            assert isinstance(item.content, Failure)
            assert item.content.kind == "missing"
            assert "Protocol not known: nonsense" in item.content.reason
        else:
            assert isinstance(item.content, Failure)


def flaky_plan(plan: Callable[..., Plan]) -> Plan:
    return plan(input="flaky://in", naming=Naming("/in", "flaky://in"))


def test_storage_that_recovers_is_no_failure(flaky: Any, waits: list[float], plan: Callable[..., Plan]) -> None:
    system, _ = locate("flaky://in")
    system.pipe_file("/in/a.jpg", b"a")
    flaky.errors = [TimeoutError(), ConnectionResetError()]
    (item,) = fetch(flaky_plan(plan), Shard(0, ("/in/a.jpg",)))
    assert (item.content, item.source) == (b"a", "flaky://in/a.jpg")
    assert len(waits) == 2


@pytest.mark.parametrize(
    ("error", "kind", "tries"),
    [
        (TimeoutError("too slow"), STORAGE, 4),
        (RuntimeError("slow\ndown"), STORAGE, 4),
        (PermissionError("Access Denied"), "denied", 1),
        (FileNotFoundError("x"), "missing", 1),
    ],
)
def test_storage_that_does_not_recover_is_one(
    error: Exception, kind: str, tries: int, flaky: Any, waits: list[float], plan: Callable[..., Plan]
) -> None:
    flaky.always = error
    (item,) = fetch(flaky_plan(plan), Shard(0, ("/in/a.jpg",)))
    assert isinstance(item.content, Failure)
    assert item.content.kind == kind
    assert "\n" not in item.content.reason
    assert flaky.calls == tries


def because(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("cause", "kind", "tries"),
    [
        (ConnectionRefusedError(111, "Connection refused"), STORAGE, 4),
        (OSError("Cannot connect to host"), STORAGE, 4),
        (FileNotFoundError("x"), "missing", 1),
        (RuntimeError("404, message='Not Found'"), "missing", 1),
    ],
    ids=repr,
)
def test_a_server_that_is_down_is_not_one_that_has_no_such_file(
    cause: Exception, kind: str, tries: int, flaky: Any, waits: list[float], plan: Callable[..., Plan]
) -> None:
    """fsspec's http says of both that there is no such file."""
    flaky.always = because(FileNotFoundError("http://host/a.jpg"), cause)
    (item,) = fetch(flaky_plan(plan), Shard(0, ("/in/a.jpg",)))
    assert isinstance(item.content, Failure)
    assert item.content.kind == kind
    assert (item.content.reason == "no such file") == (kind == "missing")
    assert flaky.calls == tries


def test_a_server_that_comes_back_is_no_failure(flaky: Any, waits: list[float], plan: Callable[..., Plan]) -> None:
    locate("flaky://in")[0].pipe_file("/in/a.jpg", b"a")
    down = because(FileNotFoundError("x"), ConnectionRefusedError(111, "Connection refused"))
    flaky.errors = [down, down]
    (item,) = fetch(flaky_plan(plan), Shard(0, ("/in/a.jpg",)))
    assert item.content == b"a"


@pytest.mark.parametrize(("failures", "is_read"), [(2, True), (99, False)])
def test_a_driver_that_cannot_begin_is_tried_again(
    failures: int, is_read: bool, memory: Any, waits: list[float], plan: Callable[..., Plan]
) -> None:
    fsspec = pytest.importorskip("fsspec")
    left = [failures]

    class Slow(type(memory)):  # type: ignore[misc]
        protocol = "slow"
        cachable = False

        def __init__(self, **options: Any) -> None:
            if left[0]:
                left[0] -= 1
                raise TimeoutError("no token yet")
            super().__init__(**options)

        @classmethod
        def _strip_protocol(cls, path: str) -> str:
            stripped: str = super()._strip_protocol(path.removeprefix("slow://"))
            return stripped

    fsspec.register_implementation("slow", Slow, clobber=True)
    memory.pipe("/in/a.jpg", b"a")
    (item,) = fetch(plan(), Shard(0, ("slow://in/a.jpg",)))
    assert item.content == (b"a" if is_read else Failure(STORAGE, "cannot be read: no token yet"))


@pytest.mark.parametrize("in_advance", [True, False])
def test_a_driver_that_is_not_installed_stops_it(
    in_advance: bool, plan: Callable[..., Plan], waits: list[float]
) -> None:
    fsspec = pytest.importorskip("fsspec")
    fsspec.register_implementation("absent", "no_such_module.Driver", clobber=True, errtxt="install\nabsent")
    with pytest.raises(ConfigError, match=r"^absent://in/a\.jpg: cannot be reached: install absent$"):
        list(fetch(plan(), Shard(0, ("absent://in/a.jpg",) * 5), in_advance=in_advance))
    assert not waits


@pytest.mark.parametrize("in_advance", [True, False])
def test_pictures_that_are_to_be_left_out_are_not_read(
    in_advance: bool, plan: Callable[..., Plan], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shard, read = shard_of(tmp_path, 5), storage.read_at_most
    met: list[str] = []
    monkeypatch.setattr(
        prefetch, "read_at_most", lambda system, path, limit: met.append(path) or read(system, path, limit)
    )
    fetched = list(fetch(plan(), shard, in_advance=in_advance, without={1, 4}))
    assert [item.number for item in fetched] == list(range(5))
    assert [item.content for item in fetched] == [b"picture 0", b"", b"picture 2", b"picture 3", b""]
    assert sorted(met) == [shard.paths[number] for number in (0, 2, 3)]


# -- Parquet


Rows = Iterator[tuple[int, bytes | None, str | None]]


def shown(file: str, row: int) -> str:
    return f"in{file[3:]}#{row}"


def parquet_plan(plan: Callable[..., Plan], **options: Any) -> Plan:
    columns = Columns("image", options.pop("name", None))
    return plan(Options(**options), kind="parquet", input="/in", naming=Naming("/in", "in"), columns=columns)


def test_rows_of_a_file(plan: Callable[..., Plan], tmp_path: Path, parquet: Callable[..., bytes]) -> None:
    images = [None if row == 4 else b"" if row == 5 else b"%d" % row for row in range(30)]
    names = [None if row == 7 else f"n{row}" for row in range(30)]
    file = tmp_path / "x.parquet"
    file.write_bytes(parquet({"image": images, "name": names}, [10, 10, 10]))
    made = plan(kind="parquet", columns=Columns("image", "name"))
    fetched = list(fetch(made, Shard(0, file=file.as_posix(), start=3, stop=25)))
    assert [item.number for item in fetched] == list(range(22))
    assert fetched[1].content == Failure("missing", "holds no bytes of a picture")
    assert [item.content for item in fetched if item.number != 1] == [images[row] for row in range(3, 25) if row != 4]
    assert [item.source for item in fetched] == [names[row] or "in/x.parquet#7" for row in range(3, 25)]


@pytest.mark.parametrize("error", [DataError("damaged\u2026"), StorageError("gone"), None])
def test_a_file_cut_off_midway_accounts_for_every_row_once(
    error: Exception | None, plan: Callable[..., Plan], waits: list[float]
) -> None:
    expected_kind = "damaged" if error is None or isinstance(error, DataError) else "missing"

    @settings(max_examples=30)
    @given(st.integers(0, 30), st.integers(0, 29), st.sampled_from([1.0, 0.4]))
    def check(good: int, start: int, share: float) -> None:
        def some(path: str, origin: str, columns: Columns, first: int, stop: int) -> Rows:
            for row in range(first, stop):
                if row >= good:
                    if error is not None:
                        raise error
                    return
                yield row, b"%d" % row, None

        wanted = [row for row in range(start, 30) if is_sampled(row_name("x.parquet", row), share)]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(prefetch, "rows", some)
            shard = Shard(0, file="/in/x.parquet", start=start, stop=30)
            fetched = list(fetch(parquet_plan(plan, sample=share), shard)) if wanted else []
        assert [item.number for item in fetched] == list(range(len(wanted)))
        assert [item.source for item in fetched] == [shown("/in/x.parquet", row) for row in wanted]
        for item, row in zip(fetched, wanted, strict=True):
            if row < good:
                assert item.content == b"%d" % row
            else:
                assert isinstance(item.content, Failure)
                assert item.content.kind == expected_kind

    check()


@pytest.mark.parametrize("failures", range(6))
def test_storage_that_fails_midway_goes_on_where_it_was(
    failures: int, plan: Callable[..., Plan], waits: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    left = [failures]
    begun = []

    def some(path: str, origin: str, columns: Columns, first: int, stop: int) -> Rows:
        begun.append(first)
        for row in range(first - first % 4, stop):  # whole row groups
            if row == first + 3 and left[0]:
                left[0] -= 1
                raise StorageError("x: cannot be read") from TimeoutError("too slow")
            yield row, b"%d" % row, None

    monkeypatch.setattr(prefetch, "rows", some)
    fetched = list(fetch(parquet_plan(plan), Shard(0, file="/in/x.parquet", start=1, stop=30)))
    assert [item.number for item in fetched] == list(range(29))
    good = 29 if failures < 4 else 12
    assert [item.content for item in fetched[:good]] == [b"%d" % row for row in range(1, good + 1)]
    assert {item.content for item in fetched[good:]} <= {Failure(STORAGE, "cannot be read: too slow")}
    assert begun == [1 + 3 * number for number in range(min(failures, 3) + 1)]
    assert len(waits) == min(failures, 3)


def test_a_file_that_is_damaged_on_disk_accounts_for_every_row(
    plan: Callable[..., Plan], tmp_path: Path, parquet: Callable[..., bytes]
) -> None:
    images = [bytes([row]) * 3000 for row in range(40)]
    whole = parquet({"image": images}, [10, 10, 10, 10], compression="zstd", use_dictionary=False)
    file = tmp_path / "x.parquet"
    made = plan(kind="parquet", columns=Columns("image"))
    for at in range(0, len(whole), 97):
        content = bytearray(whole)
        content[at : at + 30] = bytes(30)
        file.write_bytes(content)
        fetched = list(fetch(made, Shard(0, file=file.as_posix(), start=5, stop=40)))
        assert [item.number for item in fetched] == list(range(35))
        assert all(isinstance(item.content, bytes) or item.content.kind in ("damaged", "missing") for item in fetched)
    for size in (0, 3, len(whole) // 2, len(whole) - 1):
        file.write_bytes(whole[:size])
        fetched = list(fetch(made, Shard(0, file=file.as_posix(), start=5, stop=40)))
        assert [item.source for item in fetched] == [f"in/x.parquet#{row}" for row in range(5, 40)]
        assert {item.content.kind for item in fetched if isinstance(item.content, Failure)} == {"damaged"}
    file.unlink()
    fetched = list(fetch(made, Shard(0, file=file.as_posix(), start=5, stop=40)))
    assert [item.content for item in fetched] == [Failure("missing", "no such file")] * 35


def test_closing_early_ends_the_reading_of_a_file(plan: Callable[..., Plan], monkeypatch: pytest.MonkeyPatch) -> None:
    closed = threading.Event()

    def some(path: str, origin: str, columns: Columns, first: int, stop: int) -> Rows:
        try:
            for row in range(first, stop):
                yield row, b"x", None
        finally:
            closed.set()

    monkeypatch.setattr(prefetch, "rows", some)
    with closing(fetch(parquet_plan(plan), Shard(0, file="/in/x.parquet", start=0, stop=10_000))) as fetched:
        assert next(fetched).number == 0
    assert closed.wait(5)
    assert column_reading.rows is not some
