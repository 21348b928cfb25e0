from __future__ import annotations

import gzip
import hashlib
import io
import os
import sys
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from mien.data import download
from mien.data.download import by_hand, get_fer2013, get_ferplus
from mien.errors import ConfigError, DataError, MissingExtraError
from mien.runtime.weights import RemoteFile

VOTES = b"Usage,Image name,neutral\n" + b"Training,fer0000000.png,10\n" * 20_000
FACES = b"emotion,pixels,Usage\n" + b"0,1 2 3 4,Training\n" * 100_000


class Votes(BaseHTTPRequestHandler):
    """Answers with VOTES as the server's `answer` says: whole, cut, damaged or missing; counts in `asked`."""

    def do_GET(self) -> None:
        answer = self.server.answer  # type: ignore[attr-defined]
        self.server.asked += 1  # type: ignore[attr-defined]
        if answer == "missing":
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(VOTES)))
        self.end_headers()
        self.wfile.write({"whole": VOTES, "cut": VOTES[:1000], "damaged": VOTES[:-1] + b"?"}[answer])

    def log_message(self, *_: object) -> None:
        """Nothing on standard error."""


@pytest.fixture
def github(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A server on this machine that FERPLUS points to."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Votes) as server:
        server.answer, server.asked = "whole", 0  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}/fer2013new.csv"
        remote = RemoteFile("fer2013new.csv", url, hashlib.sha256(VOTES).hexdigest(), len(VOTES))
        monkeypatch.setattr(download, "FERPLUS", remote)
        yield server
        server.shutdown()
        thread.join()


class Kaggle(ModuleType):
    """Stands for kagglehub: hands out `archive`, or raises `error`; notes what it was asked for."""

    def __init__(self, archive: Path) -> None:
        super().__init__("kagglehub")
        self.archive, self.error = archive, None
        self.asked: list[tuple[str, str, bool]] = []

    archive: Path
    error: BaseException | None

    def competition_download(self, handle: str, path: str, *, force_download: bool) -> str:
        self.asked.append((handle, path, force_download))
        if self.error is not None:
            raise self.error
        return str(self.archive)


@pytest.fixture
def kaggle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kaggle:
    archive = tmp_path / "cache" / "fer2013.tar.gz"
    archive.parent.mkdir()
    pack(archive, {"fer2013/README": b"read me", "fer2013/fer2013.csv": FACES, "fer2013/fer2013.bib": b"@book"})
    fake = Kaggle(archive)
    monkeypatch.setitem(sys.modules, "kagglehub", fake)
    monkeypatch.setattr(download, "FACES_MD5", hashlib.md5(FACES).hexdigest())
    return fake


def pack(archive: Path, files: dict[str, bytes], kind: bytes = tarfile.REGTYPE) -> None:
    with tarfile.open(archive, "w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.type, member.size = kind, len(content) if kind == tarfile.REGTYPE else 0
            member.linkname = "" if kind == tarfile.REGTYPE else content.decode()
            tar.addfile(member, io.BytesIO(content))


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "new" / "data"


def test_the_votes_are_fetched_once(github: Any, out: Path) -> None:
    seen: list[tuple[int, int]] = []
    assert get_ferplus(out, lambda *at: seen.append(at))
    assert (out / "fer2013new.csv").read_bytes() == VOTES
    assert seen[-1] == (len(VOTES), len(VOTES))
    github.answer = "missing"
    assert not get_ferplus(out)
    assert not get_ferplus(out, force=True)
    assert github.asked == 1
    assert [path.name for path in out.iterdir()] == ["fer2013new.csv"]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ("cut", "expected 540,025 bytes, got 1,000|bytes read"),
        ("damaged", "expected SHA-256"),
        ("missing", "cannot fetch .*404 Not Found; fetch it by other means, put it at .*fer2013new.csv and run this"),
    ],
)
def test_votes_that_are_not_whole_and_right_are_not_kept(github: Any, out: Path, answer: str, message: str) -> None:
    github.answer = answer
    with pytest.raises(DataError, match=message) as raised:
        get_ferplus(out)
    assert "--detector-model" not in str(raised.value)
    assert list(out.iterdir()) == []


@pytest.mark.parametrize("name", ["fer2013new.csv", "fer2013.csv"])
def test_a_different_file_is_replaced_with_force_only(github: Any, kaggle: Kaggle, out: Path, name: str) -> None:
    get = get_ferplus if name == "fer2013new.csv" else get_fer2013
    out.mkdir(parents=True)
    (out / name).write_bytes(b"mine")
    with pytest.raises(ConfigError, match=rf"{name}: expected (SHA256|MD5) \w+, got \w+: .*`force=True`"):
        get(out)
    assert (out / name).read_bytes() == b"mine"
    assert (github.asked, kaggle.asked) == (0, [])
    assert get(out, force=True)
    assert (out / name).read_bytes() in {VOTES, FACES}


def test_a_failed_replacement_leaves_the_old_file(github: Any, kaggle: Kaggle, out: Path) -> None:
    out.mkdir(parents=True)
    for name in ("fer2013new.csv", "fer2013.csv"):
        (out / name).write_bytes(b"mine")
    github.answer = "damaged"
    with pytest.raises(DataError):
        get_ferplus(out, force=True)
    pack(kaggle.archive, {"fer2013/fer2013.csv": FACES[::-1]})
    with pytest.raises(DataError):
        get_fer2013(out, force=True)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == {
        "fer2013new.csv": b"mine",
        "fer2013.csv": b"mine",
    }


@pytest.mark.parametrize("get", [get_ferplus, get_fer2013])
def test_a_folder_in_place_of_the_file(github: Any, kaggle: Kaggle, out: Path, get: Any) -> None:
    for name in ("fer2013new.csv", "fer2013.csv"):
        (out / name).mkdir(parents=True)
    with pytest.raises(ConfigError, match="cannot be read"):
        get(out, force=True)


@pytest.mark.parametrize("get", [get_ferplus, get_fer2013])
def test_a_folder_that_cannot_be_made(github: Any, kaggle: Kaggle, tmp_path: Path, get: Any) -> None:
    (tmp_path / "file").touch()
    with pytest.raises((ConfigError, DataError), match="cannot") as raised:
        get(tmp_path / "file" / "below")
    assert "cannot fetch" not in str(raised.value)
    assert kaggle.asked == []


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such limit")
@pytest.mark.parametrize("get", [get_ferplus, get_fer2013])
def test_a_full_disk_is_told_as_such(github: Any, kaggle: Kaggle, out: Path, get: Any) -> None:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises((ConfigError, DataError), match=r"data.fer2013(new)?\.csv: cannot (be written|write): File"):
            get(out)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(out.iterdir()) == []


@pytest.mark.parametrize("get", [get_ferplus, get_fer2013])
def test_an_interruption_leaves_nothing(github: Any, kaggle: Kaggle, out: Path, get: Any) -> None:
    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        get(out, interrupt)
    assert list(out.iterdir()) == []


def test_the_faces_are_unpacked_once(kaggle: Kaggle, out: Path) -> None:
    seen: list[tuple[int, int]] = []
    assert get_fer2013(out, lambda *at: seen.append(at))
    assert (out / "fer2013.csv").read_bytes() == FACES
    assert seen[-1] == (len(FACES), len(FACES))
    assert len(seen) > 1
    assert not get_fer2013(out)
    assert kaggle.asked == [(download.COMPETITION, "fer2013.tar.gz", False)]
    assert [path.name for path in out.iterdir()] == ["fer2013.csv"]


def test_force_has_kagglehub_fetch_the_archive_anew(kaggle: Kaggle, out: Path) -> None:
    assert get_fer2013(out, force=True)
    assert kaggle.asked == [(download.COMPETITION, "fer2013.tar.gz", True)]


def test_without_kagglehub(kaggle: Kaggle, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kagglehub", None)
    with pytest.raises(MissingExtraError, match=r"mien\[kaggle\]"):
        get_fer2013(out)
    assert not out.exists()
    out.mkdir(parents=True)
    (out / "fer2013.csv").write_bytes(FACES)
    assert not get_fer2013(out)


@pytest.mark.parametrize(
    "error", [RuntimeError("403 Client Error.\n\nPlease accept\nthe rules"), OSError(28, "No space"), ValueError()]
)
def test_what_kaggle_says_is_one_line(kaggle: Kaggle, out: Path, error: Exception) -> None:
    kaggle.error = error
    with pytest.raises(
        DataError, match=r"Kaggle did not give fer2013.tar.gz: (403 .* the rules|.*No space|ValueError)$"
    ):
        get_fer2013(out)
    assert list(out.iterdir()) == []


def test_interrupting_kagglehub_leaves_nothing(kaggle: Kaggle, out: Path) -> None:
    kaggle.error = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        get_fer2013(out)
    assert list(out.iterdir()) == []


@pytest.mark.parametrize("cut", [0, 1, 20, 200])
def test_a_damaged_archive(kaggle: Kaggle, out: Path, cut: int) -> None:
    kaggle.archive.write_bytes(kaggle.archive.read_bytes()[:cut])
    with pytest.raises(DataError, match=r"fer2013.tar.gz: (cannot be unpacked|expected)") as raised:
        get_fer2013(out)
    assert "\n" not in str(raised.value)
    assert list(out.iterdir()) == []


def test_an_archive_that_is_something_else(kaggle: Kaggle, out: Path) -> None:
    for content in (b"<html>sign in</html>", gzip.compress(b"<html>sign in</html>" * 100)):
        kaggle.archive.write_bytes(content)
        with pytest.raises(DataError, match="cannot be unpacked"):
            get_fer2013(out)
    kaggle.archive.unlink()
    with pytest.raises(DataError, match="cannot be unpacked"):
        get_fer2013(out)
    assert list(out.iterdir()) == []


@pytest.mark.parametrize(
    "name", ["../fer2013.csv", "/tmp/fer2013/fer2013.csv", "fer2013/../../fer2013.csv", "fer2013/fer2013.csv/x"]
)
def test_names_that_lead_elsewhere_are_not_followed(kaggle: Kaggle, out: Path, name: str) -> None:
    pack(kaggle.archive, {name: FACES})
    before = sorted(out.parent.parent.rglob("*"))
    with pytest.raises(DataError, match=r"expected a file fer2013/fer2013.csv in it, found none"):
        get_fer2013(out)
    assert sorted(set(out.parent.parent.rglob("*")) - set(before)) == [out.parent, out]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE])
def test_a_member_that_is_no_plain_file_is_not_taken(kaggle: Kaggle, out: Path, kind: bytes) -> None:
    pack(kaggle.archive, {"fer2013/fer2013.csv": b"/etc/passwd"}, kind)
    with pytest.raises(DataError, match="found none"):
        get_fer2013(out)
    assert list(out.iterdir()) == []


@pytest.mark.parametrize("names", [["fer2013/fer2013.csv"], ["padding", "fer2013/fer2013.csv"]])
def test_an_archive_that_unpacks_to_too_much(
    kaggle: Kaggle, out: Path, monkeypatch: pytest.MonkeyPatch, names: list[str]
) -> None:
    monkeypatch.setattr(download, "_UNPACKED_LIMIT", 5_000_000)
    pack(kaggle.archive, {name: bytes(8_000_000) for name in names})
    with pytest.raises(DataError, match=r"fer2013.tar.gz: unpacks to more than 5,000,000 bytes"):
        get_fer2013(out)
    assert list(out.iterdir()) == []


def test_faces_that_are_not_kaggles(kaggle: Kaggle, out: Path) -> None:
    pack(kaggle.archive, {"./fer2013/fer2013.csv": FACES[:-1]})
    with pytest.raises(DataError, match=r"expected fer2013/fer2013.csv of MD5 \w+, got \w+; nothing was saved"):
        get_fer2013(out)
    assert list(out.iterdir()) == []


def test_by_hand_says_where_what_and_then() -> None:
    page, file, then = by_hand(Path("my data"))
    assert "https://www.kaggle.com/competitions/" in page
    assert "fer2013.tar.gz" in file
    assert str(Path("my data", "fer2013.csv")) in file
    assert then.endswith(f"mien data check '{Path('my data', 'fer2013.csv')}'")
