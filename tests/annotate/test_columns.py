from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mien.annotate.columns import Columns, find_columns, row_groups, rows
from mien.errors import ConfigError, DataError, StorageError

pytest.importorskip("fsspec")
pa = pytest.importorskip("pyarrow")

Row = tuple[int, bytes | None, str | None]


@pytest.fixture
def keep(tmp_path: Path, parquet: Callable[..., bytes]) -> Callable[..., str]:
    """A function that writes a Parquet file and returns its path; its arguments are those of `parquet`."""

    def make(*arguments: Any, **options: Any) -> str:
        path = tmp_path / "in.parquet"
        path.write_bytes(parquet(*arguments, **options))
        return path.as_posix()

    return make


def found(path: str, image: str | None = None, name: str | None = None) -> Columns:
    return find_columns(path, path, image, name)


STRUCT = pa.array([{"bytes": b"x", "path": "a"}], pa.struct([("bytes", pa.binary()), ("path", pa.string())]))


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"label": [1], "image": [b"x"]}, Columns("image")),
        ({"label": [1], "anything": [b"x"]}, Columns("anything")),
        ({"image": ["a.jpg"], "raw": [b"x"]}, Columns("raw")),
        ({"thumb": [b"x"], "jpg": [b"x"]}, Columns("jpg")),
        ({"image": STRUCT, "label": [1]}, Columns("image")),
        ({"image": pa.array([b"x"], pa.large_binary())}, Columns("image")),
        ({"image": pa.array([b"x"], pa.binary(1))}, Columns("image")),
        ({"hash": [b"x"], "image": STRUCT}, Columns("image")),
        ({"image": pa.array([b"x"]).dictionary_encode()}, Columns("image")),
        ({"image": pa.array([b"x"], pa.binary_view())}, Columns("image")),
    ],
)
def test_the_column_of_pictures_is_found(columns: dict[str, Any], expected: Columns, keep: Callable[..., str]) -> None:
    assert found(keep(columns)) == expected


def test_named_columns_are_taken(keep: Callable[..., str]) -> None:
    path = keep({"image": [b"x"], "thumb": [b"x"], "id": [1]})
    assert found(path, "thumb") == Columns("thumb")
    assert found(path, None, "id") == Columns("image", "id")


@pytest.mark.parametrize(
    ("columns", "image", "name", "words"),
    [
        ({"a": [b"x"], "b": [b"x"]}, None, None, "2 columns of bytes: a, b; `image_column=NAME` names"),
        ({"a": [1], "b": ["x"]}, None, None, "no column of bytes; `image_column=NAME` names"),
        ({"image": [b"x"]}, "img", None, "has no column 'img'; its columns are image"),
        ({"image": [b"x"]}, None, "id", "has no column 'id'; its columns are image"),
        ({"image": [b"x"], "n": [1]}, "n", None, "column 'n' holds int64, expected bytes of pictures"),
        ({"image": pa.array([{"path": "a"}])}, None, None, "no column of bytes"),
        ({"image": pa.array([{"bytes": "text"}])}, None, None, "no column of bytes"),
        ({"image": pa.array([[b"x"]])}, None, None, "no column of bytes"),
        ({"image": pa.array(["x"]).dictionary_encode()}, None, None, "no column of bytes"),
    ],
)
def test_columns_that_do_not_fit_are_refused(
    columns: dict[str, Any], image: str | None, name: str | None, words: str, keep: Callable[..., str]
) -> None:
    path = keep(columns)
    with pytest.raises(ConfigError) as caught:
        found(path, image, name)
    assert words in str(caught.value)
    assert str(caught.value).startswith(f"{path}: ")


@pytest.mark.parametrize(
    "values",
    [pa.array([b"x", None, b"y", b"x"]).dictionary_encode(), pa.array([b"x", None, b"y", b"x"], pa.binary_view())],
    ids=["dictionary", "view"],
)
def test_bytes_in_other_layouts_are_read(values: Any, keep: Callable[..., str]) -> None:
    path = keep({"image": values})
    assert [content for _, content, _ in rows(path, path, found(path), 0, 4)] == [b"x", None, b"y", b"x"]
    assert [content for _, content, _ in rows(path, path, found(path), 1, 3)] == [None, b"y"]


@pytest.mark.parametrize("image", [None, "image"])
def test_columns_of_one_name_are_refused(image: str | None, tmp_path: Path) -> None:
    path = str(tmp_path / "in.parquet")
    table = pa.Table.from_arrays([pa.array([b"x"]), pa.array([1]), pa.array([2])], ["image", "n", "n"])
    pytest.importorskip("pyarrow.parquet").write_table(table, path)
    with pytest.raises(ConfigError, match="several columns have the same name; its columns are image, n, n"):
        found(path, image)


@pytest.fixture
def many(keep: Callable[..., str]) -> tuple[str, list[Row]]:
    """A file of 90 rows in row groups of several sizes, and what `rows` is to say of them."""
    images = [None if row % 7 == 3 else b"%d" % row for row in range(90)]
    ids = [None if row % 5 == 2 else f"id {row}" for row in range(90)]
    path = keep({"image": images, "id": ids}, [1, 40, 0, 17, 32])
    return path, list(zip(range(90), images, ids, strict=True))


def test_row_groups_are_counted(many: tuple[str, list[Row]]) -> None:
    assert sum(row_groups(many[0], many[0])) == 90
    assert [size for size in row_groups(many[0], many[0]) if size] == [1, 40, 17, 32]


@pytest.mark.parametrize(("start", "stop"), [(0, 90), (0, 1), (1, 41), (40, 42), (89, 90), (0, 0), (90, 95), (50, 200)])
def test_rows_of_a_range(start: int, stop: int, many: tuple[str, list[Row]]) -> None:
    path, expected = many
    assert list(rows(path, path, Columns("image", "id"), start, stop)) == expected[start:stop]
    nameless = [(row, image, None) for row, image, _ in expected[start:stop]]
    assert list(rows(path, path, Columns("image"), start, stop)) == nameless


def test_rows_of_any_range_are_the_slice(many: tuple[str, list[Row]]) -> None:
    path, expected = many

    @given(st.integers(0, 95), st.integers(0, 95))
    def check(start: int, stop: int) -> None:
        assert list(rows(path, path, Columns("image", "id"), start, stop)) == expected[start:stop]

    check()


def test_structs_give_their_bytes(keep: Callable[..., str]) -> None:
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    values = [{"bytes": b"x", "path": "a"}, None, {"bytes": None, "path": "b"}, {"bytes": b"", "path": None}]
    path = keep({"image": pa.array(values, kind)})
    assert [content for _, content, _ in rows(path, path, found(path), 0, 4)] == [b"x", None, None, b""]


def test_files_of_one_input_may_differ_in_how_they_hold_the_bytes(keep: Callable[..., str]) -> None:
    path = keep({"image": [b"x"]})
    assert [content for _, content, _ in rows(path, path, Columns("image"), 0, 1)] == [b"x"]
    path = keep({"image": STRUCT})
    assert [content for _, content, _ in rows(path, path, Columns("image"), 0, 1)] == [b"x"]


@pytest.mark.parametrize("columns", [Columns("picture"), Columns("image", "id")])
def test_a_file_without_the_column_is_malformed(columns: Columns, keep: Callable[..., str]) -> None:
    path = keep({"image": [b"x"]})
    with pytest.raises(DataError, match="has no column"):
        list(rows(path, path, columns, 0, 1))


def test_names_of_any_type_become_text(keep: Callable[..., str]) -> None:
    for values, texts in (
        ([1, None], ["1", None]),
        ([b"a\xff", None], ["a\\xff", None]),
        (["ä", ""], ["ä", ""]),
        (pa.Array.from_buffers(pa.string(), 2, pa.array([b"ok", b"\xe9"]).buffers()), ["ok", "\\xe9"]),
    ):
        path = keep({"image": [b"x", b"y"], "id": values})
        assert [name for _, _, name in rows(path, path, Columns("image", "id"), 0, 2)] == texts


def test_a_missing_file_is_an_error_of_storage(tmp_path: Path) -> None:
    path = f"{tmp_path}/gone.parquet"
    for read in (
        lambda: row_groups(path, path),
        lambda: found(path),
        lambda: list(rows(path, path, Columns("i"), 0, 1)),
    ):
        with pytest.raises(StorageError, match=r"gone\.parquet: cannot be read: No such file"):
            read()


@pytest.mark.parametrize(
    "content", [b"", b"PAR1", b"PAR1PAR1", b"no Parquet file at all", b"PAR1" + bytes(100) + b"PAR1"]
)
def test_what_is_no_parquet_file_is_malformed(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    path.write_bytes(content)
    with pytest.raises(DataError, match="not a whole Parquet file") as caught:
        row_groups(str(path), str(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("compression", ["none", "zstd", "snappy"])
def test_a_file_damaged_anywhere_is_malformed_or_read(compression: str, keep: Callable[..., str]) -> None:
    size = 40
    path = keep(
        {"image": [bytes([row]) * 50 for row in range(size)], "id": [f"id {row}" for row in range(size)]},
        [15, 25],
        compression=compression,
    )
    whole = Path(path).read_bytes()

    @settings(max_examples=150)
    @given(st.data())
    def check(data: st.DataObject) -> None:
        content = bytearray(whole)
        for at in data.draw(st.lists(st.integers(0, len(whole) - 1), min_size=1, max_size=4)):
            content[at] ^= data.draw(st.integers(1, 255))
        cut = data.draw(st.none() | st.integers(0, len(whole)))
        Path(path).write_bytes(content[:cut])
        try:
            found(path, "image", "id")
        except (ConfigError, DataError, StorageError) as error:
            assert "\n" not in str(error)  # noqa: PT017 - or none is raised
        try:
            row_groups(path, path)
            read = [row for row, _, _ in rows(path, path, Columns("image", "id"), 0, size)]
        except (DataError, StorageError) as error:
            assert "\n" not in str(error)  # noqa: PT017 - as above
        else:
            assert read == list(range(len(read)))

    check()


class TornError(Exception):
    """An error of a driver's own."""


@pytest.mark.parametrize(
    "error",
    [TimeoutError(), ConnectionResetError("reset"), OSError(errno.EIO, "input"), PermissionError("no"), TornError("x")],
    ids=repr,
)
def test_what_fails_on_the_way_is_no_damage(
    error: Exception, memory: Any, parquet: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    images = [bytes([row]) * 100_000 for row in range(40)]
    memory.pipe("/in.parquet", parquet({"image": images}, [20, 20], compression="none"))
    kind, left = type(memory.open("/in.parquet", "rb")), [10_000]
    read = kind.read

    def failing(self: Any, size: int = -1) -> bytes:
        left[0] -= 1
        if left[0] < 0:
            raise error
        return bytes(read(self, size))

    def read_all() -> list[bytes | None]:
        return [content for _, content, _ in rows("/in.parquet", "memory://", Columns("image"), 0, 40)]

    monkeypatch.setattr(kind, "read", failing, raising=False)
    assert read_all() == images
    number = 10_000 - left[0]
    assert number >= 3  # the end of the file, and two row groups
    for good in range(number):
        left[0] = good
        with pytest.raises(StorageError, match=r"in\.parquet: cannot be read: ") as caught:
            read_all()
        assert caught.value.__cause__ is error
