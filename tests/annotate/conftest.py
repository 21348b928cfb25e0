"""File systems that fail, a memory that is empty, small Parquet files, and plans of made-up pictures."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mien.annotate import Engine, Options, Watcher, annotate, prefetch
from mien.annotate.listing import Naming
from mien.annotate.plan import Plan
from mien.annotate.run import Progress
from mien.emotions import EMOTIONS


class Trouble:
    """What a file system does wrong: `errors` are raised by the next calls, `always` by each; `calls` counts them."""

    def __init__(self) -> None:
        self.errors: list[Exception] = []
        self.always: Exception | None = None
        self.calls = 0

    def __call__(self) -> None:
        self.calls += 1
        if self.always is not None:
            raise self.always
        if self.errors:
            raise self.errors.pop(0)


@pytest.fixture
def flaky() -> Trouble:
    """The trouble of the file system flaky://, which is empty; it keeps files as memory:// does, and no write is whole
    by nature.
    """
    fsspec = pytest.importorskip("fsspec")
    from fsspec.implementations.memory import MemoryFileSystem

    trouble = Trouble()

    class Flaky(MemoryFileSystem):  # type: ignore[misc]  # fsspec has no types
        protocol = "flaky"
        store: dict[str, Any] = {}  # noqa: RUF012 - as its parent has it
        pseudo_dirs = [""]  # noqa: RUF012 - as above
        cachable = False

        @classmethod
        def _strip_protocol(cls, path: str) -> str:
            stripped: str = super()._strip_protocol(path.removeprefix("flaky://"))
            return stripped

        def ls(self, path: str, detail: bool = True, **options: Any) -> Any:
            trouble()
            return super().ls(path, detail, **options)

        def cat_file(self, path: str, start: int | None = None, end: int | None = None, **options: Any) -> Any:
            trouble()
            return super().cat_file(path, start, end, **options)

        def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **options: Any) -> None:
            if trouble.always or trouble.errors:
                super().pipe_file(path, value[: len(value) // 2], mode, **options)
            trouble()
            super().pipe_file(path, value, mode, **options)

        def _open(self, path: str, mode: str = "rb", **options: Any) -> Any:
            if mode == "rb":
                trouble()
            return super()._open(path, mode, **options)

    fsspec.register_implementation("flaky", Flaky, clobber=True)
    return trouble


@pytest.fixture
def memory() -> Iterator[Any]:
    """The file system memory://, empty."""
    system = pytest.importorskip("fsspec").filesystem("memory")

    def empty() -> None:
        system.store.clear()
        system.pseudo_dirs[:] = [""]

    empty()
    yield system
    empty()


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What would have been slept, in seconds."""
    slept: list[float] = []
    monkeypatch.setattr("time.sleep", slept.append)
    monkeypatch.setattr(prefetch, "sleep", slept.append)
    return slept


@pytest.fixture(scope="session")
def parquet() -> Callable[..., bytes]:
    """A function that makes a Parquet file: columns by name, and the number of rows in each row group."""
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    def make(columns: dict[str, Any], sizes: list[int] | None = None, **options: Any) -> bytes:
        table = pa.table(columns)
        buffer = io.BytesIO()
        with pq.ParquetWriter(buffer, table.schema, **options) as writer:
            start = 0
            for size in sizes or [len(table)]:
                writer.write_table(table.slice(start, size), row_group_size=max(1, size))
                start += size
        return buffer.getvalue()

    return make


@pytest.fixture
def plan(tmp_path: Path) -> Callable[..., Plan]:
    """A function that makes a plan for pictures below tmp_path."""

    def make(options: Options = Options(), **changes: Any) -> Plan:  # noqa: B008 - frozen
        folder = tmp_path.as_posix()
        values: dict[str, Any] = {
            "version": "1.0",
            "input": folder,
            "kind": "pictures",
            "naming": Naming(folder, "in"),
            "columns": None,
            "options": options,
            "model": {"id": "mien 1.0", "sha256": "ab", "classes": list(EMOTIONS)},
            "detector": {"name": "none", "sha256": None},
            "created": "2026-01-01T00:00:00+00:00",
        }
        return Plan(**(values | changes))

    return make


class _Calls(Watcher):
    def __init__(self, on_plan: Callable[[Plan], object], on_progress: Callable[[Progress], object]) -> None:
        self._on_plan, self._on_progress = on_plan, on_progress

    def on_plan(self, plan: Plan) -> None:
        self._on_plan(plan)

    def on_progress(self, progress: Progress) -> None:
        self._on_progress(progress)


@pytest.fixture
def started() -> Callable[..., dict[str, Any]]:
    """A function that runs `annotate` by options, engine and watcher as flat keywords, and returns the manifest."""

    def go(source: Path | str, out: Path | str, options: Options = Options(), **flat: Any) -> dict[str, Any]:  # noqa: B008
        def taken(*names: str) -> dict[str, Any]:
            return {name: flat.pop(name) for name in names if name in flat}

        options = replace(options, **taken("model", "detector", "detector_model"))
        engine = Engine(name=flat.pop("engine", "local"), **taken("workers", "providers", "address", "gpus"))
        calls = _Calls(flat.pop("on_plan", lambda _: None), flat.pop("on_progress", lambda _: None))
        return annotate(str(source), str(out), options=options, engine=engine, watcher=calls, **flat).manifest

    return go
