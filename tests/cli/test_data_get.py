from __future__ import annotations

import hashlib
import io
import signal
import socket
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType

import pytest
from typer.testing import CliRunner

from mien.cli.app import app
from mien.data import download
from mien.errors import ConfigError, DataError
from mien.runtime.weights import RemoteFile
from mien.signals import ENDING

VOTES = b"Usage,Image name,neutral\n"
FACES = b"emotion,pixels,Usage\n"


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Nothing on standard error."""


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """FER+'s file as a server on this machine gives it; yields the served file."""
    folder = tmp_path / "served"
    folder.mkdir()
    file = folder / "fer2013new.csv"
    file.write_bytes(VOTES)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}/fer2013new.csv"
        remote = RemoteFile("fer2013new.csv", url, hashlib.sha256(VOTES).hexdigest(), len(VOTES))
        monkeypatch.setattr(download, "FERPLUS", remote)
        yield file
        server.shutdown()
        thread.join()


@pytest.fixture
def kagglehub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A stand-in that, like kagglehub, talks on standard output, and gives an archive with FACES."""
    archive = tmp_path / "fer2013.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        member = tarfile.TarInfo("fer2013/fer2013.csv")
        member.size = len(FACES)
        tar.addfile(member, io.BytesIO(FACES))

    def competition_download(handle: str, path: str, *, force_download: bool) -> str:
        print("Downloading", handle, path)
        return str(archive)

    fake = ModuleType("kagglehub")
    fake.competition_download = competition_download  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "kagglehub", fake)
    monkeypatch.setattr(download, "FACES_MD5", hashlib.md5(FACES).hexdigest())
    return fake


def test_both_and_the_command_that_comes_next(served: Path, kagglehub: ModuleType, tmp_path: Path) -> None:
    out = tmp_path / "my data"
    votes = CliRunner().invoke(app, ["data", "get", "ferplus", "-o", str(out)])
    assert (votes.exit_code, votes.stdout.strip()) == (0, str(out / "fer2013new.csv"))
    assert f"fetched, verified by SHA-256 {hashlib.sha256(VOTES).hexdigest()}" in votes.stderr
    assert f"next, the faces: mien data get fer2013 -o '{out}'" in votes.stderr

    faces = CliRunner().invoke(app, ["data", "get", "fer2013", "--out", str(out)])
    assert (faces.exit_code, faces.stdout.strip()) == (0, str(out / "fer2013.csv"))
    assert f"fetched, verified by MD5 {hashlib.md5(FACES).hexdigest()}" in faces.stderr
    assert "Downloading" in faces.stderr
    assert f"next: mien train --data '{out / 'fer2013.csv'}'" in faces.stderr

    served.unlink()
    again = CliRunner().invoke(app, ["data", "get", "ferplus", "-o", str(out)])
    assert again.exit_code == 0
    assert "there already, verified by SHA-256" in again.stderr


def test_the_faces_alone_point_to_the_votes(kagglehub: ModuleType, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["data", "get", "fer2013", "-o", str(tmp_path / "o")])
    assert result.exit_code == 0
    assert f"next, FER+'s votes: mien data get ferplus -o {tmp_path / 'o'}" in result.stderr


def test_here_is_the_default(served: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["data", "get", "ferplus"])
    assert (result.exit_code, result.stdout.strip()) == (0, "fer2013new.csv")
    assert (tmp_path / "fer2013new.csv").read_bytes() == VOTES


@pytest.mark.parametrize("absent", [True, False])
def test_three_lines_where_kaggle_does_not_give_it(
    kagglehub: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, absent: bool
) -> None:
    def refuse(*_: object, **__: object) -> str:
        raise RuntimeError("403 Client Error.\n\nPlease accept the rules")

    if absent:
        monkeypatch.setitem(sys.modules, "kagglehub", None)
    else:
        kagglehub.competition_download = refuse  # type: ignore[attr-defined]
    result = CliRunner().invoke(app, ["data", "get", "fer2013", "-o", str(tmp_path)])
    assert (result.exit_code, result.stdout) == (2, "")
    error, *steps = result.stderr.splitlines()
    assert ("pip install 'mien[kaggle]'" if absent else "403 Client Error. Please accept the rules") in error
    assert [step[:10] for step in steps] == ["by hand, 1", "by hand, 2", "by hand, 3"]
    assert steps[2].endswith(f"mien data check {tmp_path / 'fer2013.csv'}")
    assert not (tmp_path / "fer2013.csv").exists()


def test_what_is_not_the_votes_is_not_stored(served: Path, tmp_path: Path) -> None:
    served.write_bytes(VOTES[::-1])
    result = CliRunner().invoke(app, ["data", "get", "ferplus", "-o", str(tmp_path / "o")])
    assert isinstance(result.exception, DataError)
    assert list((tmp_path / "o").iterdir()) == []


def test_another_file_is_replaced_with_force_only(served: Path, tmp_path: Path) -> None:
    mine = tmp_path / "fer2013new.csv"
    mine.write_bytes(b"mine")
    refused = CliRunner().invoke(app, ["data", "get", "ferplus", "-o", str(tmp_path)])
    assert isinstance(refused.exception, ConfigError)
    assert mine.read_bytes() == b"mine"
    assert CliRunner().invoke(app, ["data", "get", "ferplus", "-o", str(tmp_path), "--force"]).exit_code == 0
    assert mine.read_bytes() == VOTES


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals to send")
@pytest.mark.parametrize("ending", ENDING)
def test_a_signal_while_it_comes(tmp_path: Path, ending: signal.Signals) -> None:
    """A server that gives half of the file and no more, and a signal then: nothing is left."""
    program = (
        "import sys; from mien.data import download; from mien.runtime.weights import RemoteFile\n"
        "download.FERPLUS = RemoteFile('fer2013new.csv', sys.argv.pop(1), '0' * 64, 200_000)\n"
        "from mien.cli import main; main()"
    )
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/x"
        command = [sys.executable, "-c", program, url, "data", "get", "ferplus", "-o", str(tmp_path)]
        with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            server.settimeout(60)
            connection, _ = server.accept()
            with connection:
                connection.recv(10_000)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n" + bytes(100_000))
                deadline = time.monotonic() + 30
                while not any(path.stat().st_size for path in tmp_path.iterdir()) and time.monotonic() < deadline:
                    time.sleep(0.01)
                assert any(tmp_path.iterdir())
                process.send_signal(ending)
                stdout, stderr = process.communicate(timeout=30)
    assert (process.returncode, stdout) == (128 + ending, "")
    assert "Traceback" not in stderr
    assert list(tmp_path.iterdir()) == []
