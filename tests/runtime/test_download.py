from __future__ import annotations

import hashlib
import os
import socket
import stat
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from mien.errors import DataError, DetectorError
from mien.runtime.download import fetch, is_genuine, place
from mien.runtime.weights import RemoteFile

CONTENT = bytes(range(256)) * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Answers(BaseHTTPRequestHandler):
    """/good and /moved give CONTENT, /truncated breaks off, /unsized gives no length, /other something else."""

    def do_GET(self) -> None:
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/good")
            self.end_headers()
            return
        if self.path not in {"/good", "/truncated", "/unsized", "/other"}:
            self.send_error(404)
            return
        body = b"<html>sign in</html>" if self.path == "/other" else CONTENT
        self.send_response(200)
        if self.path != "/unsized":
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if self.path == "/truncated" else body)

    def log_message(self, *_: object) -> None:
        """Nothing on standard error."""


def remote(url: str, sha256: str = SHA256, size: int = 0) -> RemoteFile:
    return RemoteFile("file", url, sha256, size)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


@pytest.mark.parametrize("path", ["/good", "/moved", "/unsized"])
def test_fetch_stores_what_was_asked_for(server: str, tmp_path: Path, path: str) -> None:
    seen: list[tuple[int, int]] = []
    destination = tmp_path / "new" / "file.bin"
    assert fetch(remote(server + path, size=len(CONTENT)), destination, lambda *at: seen.append(at)) == destination
    assert destination.read_bytes() == CONTENT
    assert [p.name for p in destination.parent.iterdir()] == ["file.bin"]
    received = [done for done, _ in seen]
    assert received == sorted(set(received))
    assert seen[-1] == (len(CONTENT), len(CONTENT))


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_a_fetched_file_has_the_usual_mode(server: str, tmp_path: Path) -> None:
    """A wheel is built of it: a file that only its owner may read would stay so in site-packages."""
    (tmp_path / "usual").touch()
    fetch(remote(server + "/good"), tmp_path / "file")
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == stat.S_IMODE((tmp_path / "usual").stat().st_mode)


@pytest.mark.parametrize(
    ("path", "sha256", "size", "message"),
    [
        ("/truncated", SHA256, len(CONTENT), "expected 256,000 bytes, got 128,000|bytes read"),
        ("/good", "0" * 64, 0, f"expected SHA-256 {'0' * 64}, got {SHA256}"),
        ("/other", SHA256, 0, "expected SHA-256"),
        ("/other", SHA256, len(CONTENT), "expected 256,000 bytes, got 20"),
        ("/good", SHA256, 100_000, "expected 100,000 bytes, got more"),
        ("/nowhere", SHA256, 0, "the server answered 404 Not Found.*`detector_model=FILE`"),
    ],
)
def test_fetch_keeps_nothing_that_is_wrong(
    server: str, tmp_path: Path, path: str, sha256: str, size: int, message: str
) -> None:
    old = tmp_path / "file.bin"
    old.write_bytes(b"the old one")
    with pytest.raises(DetectorError, match=message) as raised:
        fetch(remote(server + path, sha256, size), old)
    assert server + path in str(raised.value)
    assert "\n" not in str(raised.value)
    assert old.read_bytes() == b"the old one"
    assert list(tmp_path.iterdir()) == [old]


def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    with pytest.raises(
        DetectorError, match=rf"cannot fetch http://127.0.0.1:{port}/x: .*refused.*`detector_model=FILE`"
    ):
        fetch(remote(f"http://127.0.0.1:{port}/x"), tmp_path / "file.bin")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, RuntimeError])
def test_an_interruption_leaves_nothing(server: str, tmp_path: Path, interruption: type[BaseException]) -> None:
    def interrupt(done: int, total: int) -> None:
        raise interruption

    with pytest.raises(interruption):
        fetch(remote(server + "/good"), tmp_path / "file.bin", interrupt)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made(server: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DetectorError, match="cannot be made a folder"):
        fetch(remote(server + "/good"), tmp_path / "file" / "below" / "x")


@pytest.mark.parametrize("path", ["/nowhere", "/other", "/truncated"])
def test_a_file_that_is_no_detector_fails_in_its_own_words(server: str, tmp_path: Path, path: str) -> None:
    with pytest.raises(DataError) as raised:
        fetch(remote(server + path), tmp_path / "x", error=DataError, by_hand="ask the library")
    assert "detector_model" not in str(raised.value)
    assert str(raised.value).endswith("; ask the library") == (path == "/nowhere")
    with pytest.raises(DataError, match="cannot read"):
        place(tmp_path / "nothing", SHA256, tmp_path / "x", error=DataError)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such limit")
def test_a_full_disk_is_not_taken_for_the_network(server: str, tmp_path: Path) -> None:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(DetectorError, match=r"file.bin: cannot be written: File too large"):
            fetch(remote(server + "/good"), tmp_path / "file.bin")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


def test_place_copies_the_right_file_only(tmp_path: Path) -> None:
    source, destination = tmp_path / "source", tmp_path / "cache" / "file"
    source.write_bytes(CONTENT)
    assert place(source, SHA256, destination).read_bytes() == CONTENT
    source.write_bytes(CONTENT[:-1])
    destination.unlink()
    with pytest.raises(DetectorError, match="source: expected SHA-256"):
        place(source, SHA256, destination)
    assert list(destination.parent.iterdir()) == []
    with pytest.raises(DetectorError, match="nothing: cannot read"):
        place(tmp_path / "nothing", SHA256, destination)


def test_is_genuine(tmp_path: Path) -> None:
    path = tmp_path / "file"
    assert not is_genuine(path, SHA256)
    path.write_bytes(CONTENT)
    assert is_genuine(path, SHA256)
    path.write_bytes(CONTENT[1:])
    assert not is_genuine(path, SHA256)
