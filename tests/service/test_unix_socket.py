"""The service at a Unix socket, and what becomes of the socket's file."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner
from websockets.sync.client import unix_connect

from mien.cli.app import app
from mien.errors import ConfigError
from mien.service.server import network_address
from mien.service.settings import Settings
from mien.service.unix_socket import UnixListener

unless_windows = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="this system has no Unix sockets")


@pytest.fixture
def path() -> Iterator[Path]:
    """A socket's path, shorter than pytest's own."""
    folder = Path(tempfile.mkdtemp(prefix="mien"))
    yield folder / "mien.sock"
    shutil.rmtree(folder)


def get(path: Path, address: str, **headers: str) -> httpx.Response:
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(path))) as client:
        return client.get(f"http://localhost{address}", headers=headers)


@unless_windows
def test_it_serves_there_and_removes_the_file_at_its_end(serving: Any, path: Path, frame: Any) -> None:
    log = path.with_name("access.log")
    with serving(uds=path, access_log=str(log)) as address:
        assert address == f"unix:{path}"
        assert get(path, "/healthz").json() == {"status": "ok"}
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        with unix_connect(str(path), "ws://localhost/v1/stream") as stream:
            stream.send(frame(0))
            assert json.loads(stream.recv(timeout=10))["error"] is None
    assert not path.exists()
    assert {json.loads(line)["peer"] for line in log.read_text().splitlines()} == {None}


@unless_windows
def test_names_count_there_too(serving: Any, path: Path) -> None:
    with serving(uds=path):
        for host, status in (("localhost", 200), ("127.0.0.1", 200), ("evil.example", 421)):
            assert get(path, "/v1/model", Host=host).status_code == status
    with serving(uds=path, hosts=("evil.example",)):
        assert get(path, "/v1/model", Host="evil.example").status_code == 200


@unless_windows
def test_wrong_keys_count_there_too(serving: Any, path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A client has no address there."""
    with serving(uds=path, api_keys=("right-key-1",)):
        for key in ("wrong-key-1", "wrong-key-2"):
            assert get(path, "/v1/model", Authorization=f"Bearer {key}").status_code == 401
        assert get(path, "/v1/model", Authorization="Bearer right-key-1").status_code == 200
    [line] = capfd.readouterr().err.splitlines()
    assert line.startswith("mien: a wrong API key came from an unknown address [request ")


@unless_windows
def test_a_file_that_is_left_is_replaced(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(path))
        killed.listen()
    assert path.exists()
    with UnixListener(path), socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
    assert not path.exists()


@unless_windows
@pytest.mark.parametrize("backlog", [0, 5])
def test_one_at_which_somebody_listens_is_not(path: Path, backlog: int) -> None:
    with socket.socket(socket.AF_UNIX) as other, socket.socket(socket.AF_UNIX) as client:
        other.bind(str(path))
        other.listen(backlog)
        client.connect(str(path))  # nobody accepts it: with no backlog there is no room for another one
        with pytest.raises(ConfigError, match="something else is listening there"):
            UnixListener(path)
        assert path.exists()


@unless_windows
@pytest.mark.parametrize("kind", ["file", "folder", "link"])
def test_what_is_no_socket_is_never_removed(path: Path, kind: str) -> None:
    if kind == "link":
        path.symlink_to("nowhere")
    else:
        path.mkdir() if kind == "folder" else path.write_text("precious")
    with pytest.raises(ConfigError, match="it is no socket"):
        UnixListener(path)
    assert path.is_symlink() or path.is_dir() or path.read_text() == "precious"


@unless_windows
def test_at_its_end_it_leaves_the_file_of_the_next_one(path: Path) -> None:
    first = UnixListener(path)
    path.unlink()
    with UnixListener(path):
        first.close()
        assert path.exists()


@unless_windows
@pytest.mark.parametrize("name", ["x" * 200, "no/such/folder", "zero\0byte"])
def test_a_path_that_cannot_be_is_one_line(path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="cannot listen on"):
        UnixListener(path.with_name("a") / name)


@unless_windows
def test_only_this_computer_reaches_it(path: Path) -> None:
    settings = Settings(uds=path, host="0.0.0.0")
    assert settings.is_local
    assert network_address(settings, f"unix:{path}") is None


def test_where_there_are_no_such_sockets_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(socket, "AF_UNIX", raising=False)
    result = CliRunner().invoke(app, ["serve", "--uds", "mien.sock"])
    assert isinstance(result.exception, ConfigError)
    assert "this system has no Unix sockets" in str(result.exception)


@unless_windows
def test_the_command_says_where_and_a_killed_one_does_no_harm(brightness_model: Path, path: Path) -> None:
    command = [sys.executable, "-m", "mien", "serve", "--uds", str(path), "--detector", "none"]
    command += ["--model", str(brightness_model)]
    for _ in range(2):
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ) as process:
            assert process.stderr is not None
            assert re.match(rf"Mien serves at unix:{re.escape(str(path))} \(", process.stderr.readline())
            assert get(path, "/healthz").status_code == 200
            process.kill()
    assert path.exists()  # who is killed removes nothing
    refused = CliRunner().invoke(app, ["serve", "--uds", str(path), "--open"])
    assert "a browser cannot open a Unix socket" in str(refused.exception)
