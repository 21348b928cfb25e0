from __future__ import annotations

import io
import os
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mien.annotate.listing import Listing, Naming, _lines, list_input
from mien.annotate.storage import Folder, locate
from mien.errors import ConfigError, StorageError

pytest.importorskip("fsspec")


def fill(folder: Path, *names: str | bytes) -> None:
    for name in names:
        path = folder / os.fsdecode(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def sources(listing: Listing) -> list[str]:
    return [listing.naming.source(path) for path in listing.paths]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, empty."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def pictures(here: Path) -> Path:
    fill(
        here, "in/b.jpg", "in/a.PNG", "in/sub/c.webp", "in/sub/deep/d.jpeg", "in/notes.md", "in/.hid/e.jpg", "in/.f.jpg"
    )
    return here


IN = ["a.PNG", "b.jpg", "sub/c.webp", "sub/deep/d.jpeg"]


@pytest.mark.parametrize(
    ("name", "shown"), [("in", "in/"), ("in/", "in/"), ("./in", "in/"), ("in/../in", "in/../in/"), ("in/.", "in/")]
)
def test_a_folder_with_its_subfolders(name: str, shown: str, pictures: Path) -> None:
    listing = list_input(name)
    assert (listing.kind, listing.url) == ("pictures", f"{pictures.as_posix()}/in")
    assert sources(listing) == [shown + below for below in IN]
    assert listing.unreadable == []
    assert list(listing.paths) == []


@pytest.mark.parametrize("storage", ["", "memory://"])
def test_what_is_passed_over_is_counted_and_content_decides(storage: str, pictures: Path, memory: Any) -> None:
    system, root = (memory, "/in") if storage else (locate("in")[0], "in")
    content = io.BytesIO()
    Image.new("L", (8, 8)).save(content, "PNG")
    files = {"a.png": b"", "unnamed": content.getvalue(), "film.mp4": b"", "readme": b"text", "d/x.txt": b"", ".x": b""}
    for name, value in files.items():
        system.pipe_file(f"{root}/new/{name}", value) if storage else _written(pictures / root / "new" / name, value)
    listing = list_input(f"{storage}{'/' if storage else ''}{root.strip('/')}/new")
    assert [source.rsplit("/", 1)[-1] for source in sources(listing)] == ["a.png", "unnamed"]
    assert listing.passed == {".mp4": 1, ".txt": 1, "without a suffix": 1}


def _written(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def test_an_absolute_folder_and_a_file_url(pictures: Path) -> None:
    folder = f"{pictures.as_posix()}/in"
    assert sources(list_input(folder)) == [f"{folder}/{below}" for below in IN]
    assert list(list_input(folder).paths) == [f"{folder}/{below}" for below in IN]
    assert sources(list_input(f"file://{folder}")) == [f"file://{folder}/{below}" for below in IN]


def test_the_working_folder_has_no_name(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(pictures / "in")
    assert sources(list_input(".")) == sources(list_input("./")) == IN
    assert sources(list_input("..")) == [f"../in/{below}" for below in IN]


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("in/*.jpg", ["in/b.jpg"]),
        ("in/*", ["in/a.PNG", "in/b.jpg"]),
        ("in/?.*", ["in/a.PNG", "in/b.jpg"]),
        ("in/[ab].*", ["in/a.PNG", "in/b.jpg"]),
        ("*/*.jpg", ["in/b.jpg"]),
        ("i*/sub/*.webp", ["in/sub/c.webp"]),
        ("in/*/*", ["in/sub/c.webp"]),
        ("in/**", [f"in/{below}" for below in IN]),
        ("**/*.jpeg", ["in/sub/deep/d.jpeg"]),
        ("in/**/*.*p*g", ["in/b.jpg", "in/sub/deep/d.jpeg"]),
        ("./in/*.jpg", ["in/b.jpg"]),
        ("in/.hid/*.jpg", ["in/.hid/e.jpg"]),
    ],
)
def test_a_glob_names_files_below_its_fixed_part(pattern: str, found: list[str], pictures: Path) -> None:
    (pictures / "in" / "folder.jpg").mkdir()
    listing = list_input(pattern)
    assert sources(listing) == found
    assert listing.url == Path(os.path.abspath(pattern)).as_posix()  # noqa: PTH100 - as the code has it


def test_a_glob_of_an_absolute_path(pictures: Path) -> None:
    assert sources(list_input(f"{pictures}/in/*.jpg")) == [f"{pictures}/in/b.jpg"]
    root = Naming("/", "/")
    assert root.source("/x.jpg") == "/x.jpg"
    assert root.source("/a/x.jpg") == "/a/x.jpg"


def test_a_working_folder_with_brackets_is_no_pattern(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(here, "a[1]/in/x.jpg", "a1/in/wrong.jpg")
    monkeypatch.chdir(here / "a[1]")
    assert sources(list_input("in/*.jpg")) == ["in/x.jpg"]
    assert sources(list_input("*/*.jpg")) == ["in/x.jpg"]
    with pytest.raises(ConfigError, match="no such file"):
        list_input("nothing")


def test_a_glob_tells_what_it_cannot_read(memory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("/in/a/1.jpg", "/in/b/2.jpg"):
        memory.pipe(name, b"")
    listed = type(memory).ls

    def ls(self: Any, path: str, **options: Any) -> Any:
        if path == "/in/b":
            raise PermissionError("denied")
        return listed(self, path, **options)

    monkeypatch.setattr(type(memory), "ls", ls)
    for name in ("memory://in", "memory://in/**/*.jpg"):
        listing = list_input(name)
        assert sources(listing) == ["memory://in/a/1.jpg"]
        assert listing.unreadable == ["memory://in/b: cannot be read: denied"]


def test_only_the_unreadable_is_an_error_of_storage(memory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    memory.pipe("/in/a.jpg", b"")

    def ls(*_: Any, **__: Any) -> Any:
        raise PermissionError("denied")

    monkeypatch.setattr(type(memory), "ls", ls)
    with pytest.raises(StorageError, match="memory://in: cannot be read: denied"):
        list_input("memory://in")


def test_an_input_that_cannot_be_detected_at_is_not_called_missing(
    memory: Any, monkeypatch: pytest.MonkeyPatch, waits: list[float]
) -> None:
    def info(*_: Any, **__: Any) -> Any:
        raise ConnectionResetError("reset")

    monkeypatch.setattr(type(memory), "info", info)
    with pytest.raises(StorageError, match="memory://in: cannot be read: reset"):
        list_input("memory://in")
    assert len(waits) == 3


@pytest.mark.parametrize("name", ["in/b.jpg", "./in/b.jpg"])
def test_one_picture(name: str, pictures: Path) -> None:
    listing = list_input(name)
    assert (listing.kind, sources(listing)) == ("pictures", ["in/b.jpg"])


def test_parquet_files(here: Path) -> None:
    fill(here, "in/2.parquet", "in/1.PARQUET", "in/sub/3.parquet", "in/x.txt")
    for name, found in (
        ("in", ["in/1.PARQUET", "in/2.parquet", "in/sub/3.parquet"]),
        ("in/*.parquet", ["in/2.parquet"]),
        ("in/**/*.parquet", ["in/2.parquet", "in/sub/3.parquet"]),
        ("in/1.PARQUET", ["in/1.PARQUET"]),
    ):
        listing = list_input(name)
        assert (listing.kind, sources(listing)) == ("parquet", found)


@pytest.mark.parametrize("first", ["a.jpg", "z.jpg"])
def test_pictures_and_parquet_files_at_once_are_refused(first: str, here: Path) -> None:
    fill(here, f"in/{first}", "in/m.parquet")
    for name in ("in", "in/*"):
        with pytest.raises(ConfigError, match="holds pictures and Parquet files"):
            list(list_input(name).paths)
    assert sources(list_input("in/*.jpg")) == [f"in/{first}"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("gone", "no such file"),
        ("gone/x.jpg", "no such file"),
        ("in/notes.md/x.jpg", "no such file"),
        ("gone/*.jpg", "no such file"),
        ("in/*.gif", "holds no pictures"),
        ("in/empty", "holds no pictures"),
        ("in/notes.md", "expected a folder"),
        ("memory://gone", "no such file"),
        ("nonsense://x", "cannot be reached"),
    ],
)
def test_what_is_not_there_or_is_nothing_is_told_in_one_line(
    name: str, words: str, pictures: Path, memory: Any
) -> None:
    (pictures / "in" / "empty").mkdir()
    with pytest.raises(ConfigError, match=words) as caught:
        list_input(name)
    assert str(caught.value).startswith(f"{name}: ")
    assert "\n" not in str(caught.value)


def test_results_below_the_input_are_skipped(pictures: Path) -> None:
    fill(pictures, "in/out/faces/part-000000.parquet", "in/out/x.jpg", "in/outer/y.jpg")
    skip = Folder("in/out").place()
    assert sources(list_input("in", skip=skip)) == [f"in/{below}" for below in [*IN[:2], "outer/y.jpg", *IN[2:]]]
    assert "in/out/x.jpg" not in sources(list_input("in/**", skip=skip))
    assert sources(list_input("in/out/*.jpg", skip=skip)) == ["in/out/x.jpg"]
    assert "in/out/x.jpg" in sources(list_input("in/**/*.jpg", skip=Folder("memory://in/out").place()))


def test_results_in_the_working_folder_are_skipped(pictures: Path) -> None:
    fill(pictures, "out/x.jpg")
    assert sources(list_input(".", skip=Folder("out").place())) == [f"in/{below}" for below in IN]


def test_a_list_names_paths_from_its_own_folder_and_urls(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(here, "lists/a.txt")
    (here / "lists" / "a.txt").write_bytes(
        b"\xef\xbb\xbfone.jpg\r\n\r\nsub/two [2].jpg\n\n/abs/three.jpg\n../four.jpg\n"
        b"s3://bucket/five.jpg\n six \n\xff\xfe.jpg\n\xc3\xa4.jpg"
    )
    folder = f"{here.as_posix()}/lists"
    for name in ("lists/a.txt", f"{folder}/a.txt"):
        listing = list_input(name)
        paths = list(listing.paths)
        assert listing.kind == "pictures"
        assert paths == [
            f"{folder}/one.jpg",
            f"{folder}/sub/two [2].jpg",
            "/abs/three.jpg",
            f"{folder}/../four.jpg",
            "s3://bucket/five.jpg",
            f"{folder}/ six ",
            f"{folder}/\udcff\udcfe.jpg",
            f"{folder}/ä.jpg",
        ]
        assert [listing.naming.source(path) for path in paths] == [
            "one.jpg",
            "sub/two [2].jpg",
            "/abs/three.jpg",
            "../four.jpg",
            "s3://bucket/five.jpg",
            " six ",
            "\\udcff\\udcfe.jpg",
            "ä.jpg",
        ]


def test_a_list_on_standard_input_counts_from_the_working_folder(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"a.jpg\nsub/b.jpg\n/c.jpg")))
    listing = list_input("-")
    assert (listing.url, listing.kind) == ("-", "pictures")
    paths = list(listing.paths)
    assert paths == [f"{here.as_posix()}/a.jpg", f"{here.as_posix()}/sub/b.jpg", "/c.jpg"]
    assert [listing.naming.source(path) for path in paths] == ["a.jpg", "sub/b.jpg", "/c.jpg"]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-16-le"])
def test_a_list_in_utf_16_is_refused(encoding: str, here: Path) -> None:
    text = "one.jpg\r\ntwo.jpg\r\n"
    (here / "a.txt").write_bytes((text if encoding == "utf-16" else f"\ufeff{text}").encode(encoding))
    with pytest.raises(ConfigError, match="the list is in UTF-16, expected UTF-8"):
        list(list_input("a.txt").paths)


@pytest.mark.parametrize("name", ["", " ", "\t\n"])
def test_an_empty_name_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=r"^INPUT is empty: expected a folder"):
        list_input(name)
    with pytest.raises(ConfigError, match=r"^expected a folder or URL to write to, got an empty text"):
        Folder(name)


def test_without_standard_input_there_is_no_list_on_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(ConfigError, match=r"^there is no standard input to read a list from$"):
        list_input("-")


@pytest.mark.parametrize("error", [OSError("torn"), RuntimeError("torn")])
def test_a_list_that_cannot_be_read_is_an_error_of_storage(
    error: Exception, memory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory.pipe("/in/list.txt", b"a.jpg\n")

    class Torn(io.BytesIO):
        def __next__(self) -> bytes:
            raise error

    monkeypatch.setattr(type(memory), "open", lambda *_, **__: Torn(b""))
    with pytest.raises(StorageError, match=r"list\.txt: cannot be read: torn"):
        list(list_input("memory://in/list.txt").paths)


NAMES = st.text(st.characters(exclude_characters="\r\n\0", exclude_categories=["Cs"]), min_size=1).filter(
    lambda name: "://" not in name and not name.startswith(("/", "\ufeff"))
)


@given(st.lists(NAMES), st.sampled_from(["\n", "\r\n", "\n\n"]), st.booleans(), st.booleans())
def test_a_list_gives_back_its_lines(names: list[str], end: str, mark: bool, last: bool) -> None:
    text = ("\ufeff" if mark else "") + end.join(names) + (end if last else "")
    assert list(_lines(io.BytesIO(text.encode()), "/f")) == [f"/f/{name}" for name in names]


@given(st.binary())
def test_any_bytes_are_a_list(content: bytes) -> None:
    naming = Naming("/f", "")
    for path in _lines(io.BytesIO(content), "/f"):
        assert path
        assert naming.source(path).encode().decode() == naming.source(path)


@pytest.mark.parametrize(
    "name",
    [
        "a b.jpg",
        "[x].jpg",
        "a[1]*.jpg",
        "smile 😀.jpg",
        "line\nbreak.jpg",
        "e\u0301.jpg",
        b"\xff\xe9.jpg",
        "%41.jpg",
        "#.jpg",
    ],
)
def test_any_name_is_found_and_its_source_is_valid_text(name: str | bytes, here: Path) -> None:
    try:
        fill(here, b"in [1]/" + os.fsencode(name))
    except OSError:
        pytest.skip("this file system has no such names")
    listing = list_input("in [1]")
    (path,) = listing.paths
    assert path == f"{here.as_posix()}/in [1]/{os.fsdecode(name)}"
    shown = "\\udcff\\udce9.jpg" if isinstance(name, bytes) else name
    assert listing.naming.source(path) == f"in [1]/{shown}"


@given(st.text(st.characters(codec=None)), st.text(st.characters(codec=None)))
def test_a_source_is_always_valid_text(root: str, below: str) -> None:
    for path in (root, f"{root}/{below}", below):
        Naming(root, "in", "::x.zip", "zip://").source(path).encode()


def test_inputs_in_memory(memory: Any, parquet: Any) -> None:
    for name in ("/in/b.jpg", "/in/sub/a.jpg", "/in/.h/c.jpg", "/top.jpg", "/pq/1.parquet"):
        memory.pipe(name, b"")
    memory.pipe("/lists/l.lst", b"x.jpg\n/in/b.jpg\nmemory://in/c.jpg\n")
    for name, found in (
        ("memory://in", ["memory://in/b.jpg", "memory://in/sub/a.jpg"]),
        ("memory://in/", ["memory://in/b.jpg", "memory://in/sub/a.jpg"]),
        ("memory:///in", ["memory:///in/b.jpg", "memory:///in/sub/a.jpg"]),
        ("memory://in/*.jpg", ["memory://in/b.jpg"]),
        ("memory://in/**/*.jpg", ["memory://in/b.jpg", "memory://in/sub/a.jpg"]),
        ("memory://i*/*.jpg", ["memory://in/b.jpg"]),
        ("memory://*.jpg", ["memory://top.jpg"]),
        ("memory://in/b.jpg", ["memory://in/b.jpg"]),
        ("memory://pq", ["memory://pq/1.parquet"]),
        ("memory://pq/*.parquet", ["memory://pq/1.parquet"]),
        ("memory://pq/1.parquet", ["memory://pq/1.parquet"]),
        ("memory://lists/l.lst", ["x.jpg", "memory:///in/b.jpg", "memory://in/c.jpg"]),
    ):
        listing = list_input(name)
        assert listing.url == name
        assert sources(listing) == found
    assert list(list_input("memory://lists/l.lst").paths) == ["/lists/x.jpg", "/in/b.jpg", "memory://in/c.jpg"]
    memory.rm("/pq", recursive=True)
    assert sources(list_input("memory://")) == ["memory://top.jpg", "memory://in/b.jpg", "memory://in/sub/a.jpg"]


def test_inputs_in_an_archive(here: Path) -> None:
    with zipfile.ZipFile(here / "in.zip", "w") as archive:
        for name in ("top.jpg", "a/b.jpg", "a/deep/c.jpg", "readme.txt"):
            archive.writestr(name, b"x")
        archive.writestr("readme.txt2", b"x")
    for name, found in (
        ("zip://::in.zip", ["top.jpg", "a/b.jpg", "a/deep/c.jpg"]),
        ("zip://a::in.zip", ["a/b.jpg", "a/deep/c.jpg"]),
        ("zip://a/b.jpg::in.zip", ["a/b.jpg"]),
        ("zip://*.jpg::in.zip", ["top.jpg"]),
        ("zip://a/*.jpg::in.zip", ["a/b.jpg"]),
        ("zip://**/*.jpg::in.zip", ["top.jpg", "a/b.jpg", "a/deep/c.jpg"]),
    ):
        listing = list_input(name)
        assert listing.url == name.replace("in.zip", (here / "in.zip").as_posix())
        paths = list(listing.paths)
        assert [listing.naming.source(path) for path in paths] == [f"zip://{below}::in.zip" for below in found]
        system, _ = locate(name)
        assert [system.cat_file(path) for path in paths] == [b"x"] * len(found)
    with pytest.raises(ConfigError, match="no such file"):
        list_input("zip://gone::in.zip")
