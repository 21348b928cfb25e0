from __future__ import annotations

import errno
import io
import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from mien.annotate.storage import Folder, Origin, locate, may_pass, persistently, read_at_most, walk
from mien.errors import ConfigError, DataError, MissingExtraError, StorageError, one_line, reason

pytest.importorskip("fsspec")

LASTING = [
    FileNotFoundError("x"),
    PermissionError("x"),
    IsADirectoryError("x"),
    NotADirectoryError("x"),
    FileExistsError("x"),
    OSError(errno.ENOSPC, "No space left on device"),
    OSError(errno.EROFS, "Read-only file system"),
    OSError(errno.ENAMETOOLONG, "File name too long"),
    OSError(errno.EDQUOT, "Disk quota exceeded"),
    NotImplementedError(),
]
PASSING = [OSError(errno.EIO, "x"), ConnectionResetError("x"), TimeoutError(), OSError("x"), RuntimeError("throttled")]


def raising(*errors: Exception) -> Any:
    left = list(errors)

    def action() -> str:
        if left:
            raise left.pop(0)
        return "done"

    return action


@pytest.mark.parametrize("error", PASSING, ids=repr)
def test_what_may_pass_is_tried_again_after_longer_and_longer_waits(error: Exception, waits: list[float]) -> None:
    assert may_pass(error)
    assert persistently(raising(error, error), tries=3, wait_s=1.0) == "done"
    assert waits == [1.0, 2.0]


def test_after_the_last_try_the_last_error_is_raised(waits: list[float]) -> None:
    errors = [TimeoutError(str(number)) for number in range(9)]
    with pytest.raises(TimeoutError, match="3"):
        persistently(raising(*errors))
    assert len(waits) == 3
    assert waits == sorted(waits)
    with pytest.raises(TimeoutError, match="0"):
        persistently(raising(*errors), tries=1)
    assert len(waits) == 3
    with pytest.raises(ValueError, match="tries"):
        persistently(raising(), tries=0)


@pytest.mark.parametrize("error", LASTING, ids=repr)
def test_what_cannot_pass_is_raised_at_once(error: Exception, waits: list[float]) -> None:
    assert not may_pass(error)
    with pytest.raises(type(error)):
        persistently(raising(error))
    assert not waits


def test_an_error_of_miens_own_is_raised_at_once(waits: list[float]) -> None:
    with pytest.raises(DataError):
        persistently(raising(DataError("damaged")))
    assert not waits


def test_ctrl_c_is_not_held_up(waits: list[float]) -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        persistently(stop)
    assert not waits


def test_texts_of_errors_are_one_line() -> None:
    assert one_line(ValueError("two\n  lines")) == "two lines"
    assert one_line(TimeoutError()) == "TimeoutError"
    assert reason(OSError(errno.ENOSPC, "No space left on device", "/x/y")) == "No space left on device"
    assert reason(RuntimeError("a\nb")) == "a b"


def test_a_path_is_made_absolute_and_links_in_it_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    monkeypatch.chdir(tmp_path)
    for name in ("link/x", "./link/x", "link//x", "other/../link/x", f"file://{tmp_path}/link/x"):
        assert locate(name)[1] == f"{tmp_path.as_posix()}/link/x"
    assert Folder("link").everywhere == f"{tmp_path.as_posix()}/link"


def test_a_url_stays_what_it_is(memory: Any) -> None:
    system, path = locate("memory://a/b")
    assert (system, path) == (memory, "/a/b")
    assert Folder("memory://a/b").everywhere == "memory://a/b"
    assert Folder("memory://a/b").place() == (memory, "/a/b")
    assert Folder("memory://a/b/").path("c/d") == "/a/b/c/d"


@pytest.mark.parametrize("url", ["nonsense://x", "zip://a::nonsense://x", "zip://a::/no/such.zip"])
def test_what_cannot_be_reached_is_told_in_one_line(url: str) -> None:
    with pytest.raises(ConfigError, match="cannot be reached") as caught:
        locate(url)
    assert str(caught.value).startswith(f"{url}: ")
    assert "\n" not in str(caught.value)


def test_without_fsspec_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "fsspec.core", None)
    with pytest.raises(MissingExtraError, match=r"mien\[annotate\]"):
        locate("x")


def test_an_inputs_paths_are_its_own_or_urls(memory: Any, tmp_path: Path) -> None:
    origin = Origin(str(tmp_path))
    assert origin.place("/a/b.jpg") == (origin.system, "/a/b.jpg")
    assert origin.place("memory://a/b.jpg") == (memory, "/a/b.jpg")


@pytest.mark.parametrize("place", ["local", "memory", "flaky"])
def test_a_folder_keeps_files(place: str, tmp_path: Path, memory: Any, flaky: Any) -> None:
    folder = Folder(str(tmp_path / "new" / "out") if place == "local" else f"{place}://new/out")
    assert folder.names() == []
    assert folder.names("plan") == []
    assert folder.read("plan/a") is None
    folder.remove("plan/a")
    folder.write("plan/a", b"one")
    folder.write("plan/b", b"")
    folder.write("plan/deep/c", b"three")
    folder.write("d", b"four")
    folder.write("plan/a", b"two")
    assert folder.read("plan/a") == b"two"
    assert folder.read("plan/b") == b""
    assert folder.names() == ["d", "plan"]
    assert folder.names("plan") == ["a", "b", "deep"]
    folder.remove("plan/a")
    folder.remove("plan/a")
    assert folder.read("plan/a") is None
    assert folder.names("plan") == ["b", "deep"]


def test_a_folder_whose_listing_holds_itself_is_not_in_itself(memory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    Folder("memory://out").write("a", b"")
    monkeypatch.setattr(type(memory), "ls", lambda *_, **__: ["/out/", "/out/a", "/out/b/"])
    assert Folder("memory://out").names() == ["a", "b"]


@pytest.mark.parametrize("old", [None, b"old"])
def test_a_local_write_that_fails_midway_leaves_nothing(
    old: bytes | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, waits: list[float]
) -> None:
    folder = Folder(str(tmp_path))
    if old is not None:
        folder.write("f", old)
    seen: list[Path] = []

    def full(_: int) -> None:
        seen.extend(tmp_path.glob(".f.*.part"))
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match=r": f cannot be written: No space left on device$"):
        folder.write("f", b"new")
    assert len(seen) == 1
    assert not waits
    assert folder.read("f") == old
    assert os.listdir(tmp_path) == ([] if old is None else ["f"])  # noqa: PTH208 - hidden ones too

    def stop(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", stop)
    with pytest.raises(KeyboardInterrupt):
        folder.write("f", b"new")
    assert folder.read("f") == old
    assert os.listdir(tmp_path) == ([] if old is None else ["f"])  # noqa: PTH208 - as above


def test_a_write_that_fails_twice_is_whole_in_the_end(flaky: Any, waits: list[float]) -> None:
    folder = Folder("flaky://out")
    flaky.errors = [ConnectionResetError("reset"), TimeoutError()]
    folder.write("plan/f", b"content")
    assert len(waits) == 2
    assert folder.read("plan/f") == b"content"
    assert folder.names("plan") == ["f"]


@pytest.mark.parametrize(
    ("error", "tries", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), 1, "No space left on device"),
        (PermissionError("Access\nDenied"), 1, "Access Denied"),
        (RuntimeError("slow down"), 4, "slow down"),
    ],
)
def test_a_write_that_always_fails_leaves_what_was_there(
    error: Exception, tries: int, words: str, flaky: Any, waits: list[float]
) -> None:
    folder = Folder("flaky://out")
    folder.write("f", b"old")
    flaky.always, flaky.calls = error, 0
    for action, done in (
        (lambda: folder.write("f", b"new"), "written"),
        (lambda: folder.read("f"), "read"),
        (lambda: folder.names("f"), "listed"),
    ):
        flaky.calls = 0
        with pytest.raises(StorageError) as caught:
            action()
        assert str(caught.value) == f"flaky://out: f cannot be {done}: {words}"
        assert caught.value.__cause__ is error
        assert flaky.calls == tries
    flaky.always = None
    assert folder.read("f") == b"old"
    assert folder.names() == ["f"]


def test_reading_and_listing_are_tried_again(flaky: Any, waits: list[float]) -> None:
    folder = Folder("flaky://out")
    folder.write("f", b"content")
    flaky.errors = [TimeoutError(), TimeoutError()]
    assert folder.read("f") == b"content"
    flaky.errors = [TimeoutError()]
    assert folder.names() == ["f"]
    assert len(waits) == 3


def test_a_file_where_a_folder_should_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "out").write_bytes(b"")
    folder = Folder(str(tmp_path / "out"))
    with pytest.raises(StorageError, match="plan/a cannot be written"):
        folder.write("plan/a", b"")
    with pytest.raises(StorageError, match="plan/a cannot be read"):
        folder.read("plan/a")


def test_cleaning_removes_what_killed_writers_left_and_nothing_else(tmp_path: Path) -> None:
    folder = Folder(str(tmp_path))
    folder.write("faces/part-000000.parquet", b"x")
    young = ".part-000001.parquet.0123abcd.part"  # somebody may be at it
    for name in (".part-000000.parquet.0123abcd.part", young, ".hidden", "a.part"):
        (tmp_path / "faces" / name).write_bytes(b"half")
        age = 3500 if name == young else 3700
        os.utime(tmp_path / "faces" / name, (time.time() - age,) * 2)
    folder.clean("faces")
    folder.clean("errors")
    assert folder.names("faces") == [".hidden", young, "a.part", "part-000000.parquet"]


def test_cleaning_goes_by_the_times_that_a_driver_knows(memory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some give them in UTC without saying so, some not at all."""
    folder, name = Folder("memory://out"), ".f.0123abcd.part"
    for changed, is_left in (
        (datetime.now(UTC) - timedelta(hours=2), False),
        (datetime.now(UTC).replace(tzinfo=None) - timedelta(hours=2), False),
        (datetime.now(UTC).replace(tzinfo=None) - timedelta(minutes=50), True),
        (None, True),
    ):
        folder.write(name, b"half")
        monkeypatch.setattr(type(memory), "modified", lambda _, __, changed=changed: changed)
        folder.clean()
        assert folder.names() == ([name] if is_left else [])


def tell(told: list[str]) -> Any:
    return lambda folder, error: told.append(f"{folder}: {error}")


def test_walking_is_sorted_and_passes_over_the_hidden(tmp_path: Path) -> None:
    for name in ("b/2.jpg", "b/10.jpg", "a/x/1.jpg", "a.jpg", "z.txt", ".h/1.jpg", "a/.1.jpg", "ä.jpg"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    system, folder = locate(str(tmp_path))
    told: list[str] = []

    def found(depth: int | None = None) -> list[str]:
        return [path.removeprefix(f"{folder}/") for path in walk(system, folder, tell(told), depth)]

    assert found() == ["a.jpg", "z.txt", "ä.jpg", "a/x/1.jpg", "b/10.jpg", "b/2.jpg"]
    assert found(1) == ["a.jpg", "z.txt", "ä.jpg", "b/10.jpg", "b/2.jpg"]
    assert found(0) == ["a.jpg", "z.txt", "ä.jpg"]
    assert told == []


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such links and pipes")
def test_links_to_pictures_are_taken_links_to_folders_not_followed_pipes_skipped(tmp_path: Path) -> None:
    (tmp_path / "in" / "sub").mkdir(parents=True)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "far.jpg").write_bytes(b"x")
    (tmp_path / "in" / "one.jpg").symlink_to("../other/far.jpg")
    (tmp_path / "in" / "gone.jpg").symlink_to("../nowhere.jpg")
    (tmp_path / "in" / "folder").symlink_to("../other")
    (tmp_path / "in" / "sub" / "loop").symlink_to("..")
    os.mkfifo(tmp_path / "in" / "pipe.jpg")
    system, folder = locate(str(tmp_path / "in"))
    told: list[str] = []
    names = [Path(path).name for path in walk(system, folder, tell(told))]
    assert [name for name in names if name.endswith(".jpg")] == ["gone.jpg", "one.jpg"]
    assert "far.jpg" not in names
    assert told == []


def test_a_folder_that_cannot_be_read_is_told_and_the_rest_is_found(
    memory: Any, monkeypatch: pytest.MonkeyPatch, waits: list[float]
) -> None:
    for name in ("/in/a/1.jpg", "/in/b/2.jpg", "/in/c/3.jpg"):
        memory.pipe(name, b"")
    listed = type(memory).ls

    def ls(self: Any, path: str, **options: Any) -> Any:
        if path == "/in/b":
            raise PermissionError("denied")
        return listed(self, path, **options)

    monkeypatch.setattr(type(memory), "ls", ls)
    told: list[str] = []
    assert list(walk(memory, "/in", tell(told))) == ["/in/a/1.jpg", "/in/c/3.jpg"]
    assert told == ["/in/b: denied"]
    assert not waits


def test_a_listing_that_fails_for_a_while_is_complete(flaky: Any, waits: list[float]) -> None:
    system, _ = locate("flaky://in")
    system.pipe_file("/in/a/1.jpg", b"")
    flaky.errors = [TimeoutError(), TimeoutError()]
    told: list[str] = []
    assert list(walk(system, "/in", tell(told))) == ["/in/a/1.jpg"]
    assert told == []
    assert len(waits) == 2


def test_an_object_and_a_prefix_may_have_one_name(memory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    entries = {
        "in": [
            {"name": "in/a", "type": "file"},
            {"name": "in/a/", "type": "directory"},
            {"name": "in", "type": "file"},
        ],
        "in/a": [{"name": "in/a/b", "type": "file"}],
    }
    monkeypatch.setattr(type(memory), "ls", lambda _, path, detail: entries[path])
    assert list(walk(memory, "in", lambda path, error: pytest.fail(path))) == ["in/a", "in/a/b"]


@pytest.mark.parametrize("place", ["local", "memory"])
def test_no_more_than_the_limit_is_read(place: str, tmp_path: Path, memory: Any) -> None:
    folder = Folder(str(tmp_path) if place == "local" else "memory://in")
    folder.write("f", b"0123456789")
    system = folder.place()[0]
    for limit in (0, 1, 9, 10, 11, 1000):
        assert read_at_most(system, folder.path("f"), limit) == b"0123456789"[:limit]
    with pytest.raises(FileNotFoundError):
        read_at_most(system, folder.path("g"), 5)


def test_a_stream_that_gives_little_at_a_time_is_read_whole(memory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    class Trickle(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            return super().read(min(3, size or 0))

    monkeypatch.setattr(type(memory), "open", lambda *_, **__: Trickle(b"0123456789"))
    assert read_at_most(memory, "/x", 1000) == b"0123456789"
    assert read_at_most(memory, "/x", 7) == b"0123456"


def test_a_picture_whose_reading_fails_is_read_again(flaky: Any, waits: list[float]) -> None:
    system, _ = locate("flaky://in")
    system.pipe_file("/in/1.jpg", b"content")
    flaky.errors = [TimeoutError(), ConnectionResetError()]
    assert read_at_most(system, "/in/1.jpg", 100) == b"content"
    assert len(waits) == 2
