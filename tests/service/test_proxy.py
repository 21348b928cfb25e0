"""deploy/nginx.conf holds the bounds that the service leaves to a proxy."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.sync.client import unix_connect

from mien.emotions import EMOTIONS

NGINX = shutil.which("nginx")
FILE = Path(__file__).resolve().parents[2] / "deploy" / "nginx.conf"
PARTS = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
HEAD = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n"

pytestmark = [
    pytest.mark.skipif(NGINX is None, reason="nginx is not installed"),
    pytest.mark.skipif(not FILE.is_file(), reason="deploy/nginx.conf is not here: this is no checkout"),
    pytest.mark.skipif(sys.platform == "win32", reason="nginx for Windows needs other paths"),
]


def replaced(pattern: str, by: str, text: str) -> str:
    text, count = re.subn(pattern, by, text)
    assert count, pattern
    return text


def configuration(folder: Path, service: str) -> str:
    """The example without TLS, before this service, with shorter times and fewer connections."""
    site = FILE.read_text(encoding="utf-8")
    site = replaced(r"listen 443 ssl;", f"listen unix:{folder}/socket;", site)
    site = replaced(r"(listen \[::\]:443|ssl_certificate).*", "", site)
    site = replaced(r"http://127.0.0.1:8000", service, site)
    site = replaced(r"(client_header_timeout|keepalive_timeout) 20s", r"\1 1s", site)
    site = replaced(r"mien_client 32", "mien_client 4", site)
    paths = "".join(f"{part}_temp_path {folder}/{part};" for part in PARTS)
    main = f"daemon off; master_process off; pid {folder}/pid; error_log {folder}/log; events {{}}"
    return f"{main} http {{ access_log off; {paths} {site} }}"


@contextmanager
def connected(proxy: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(20)
        client.connect(str(proxy))
        yield client


@pytest.fixture
def proxy(base_url: str, tmp_path: Path, wait_until: Any) -> Iterator[Path]:
    """The socket of nginx before a service; unlike a free port, nobody else can take it meanwhile."""
    file, log, path = tmp_path / "nginx.conf", tmp_path / "log", tmp_path / "socket"
    file.write_text(configuration(tmp_path, base_url), encoding="utf-8")

    def is_there() -> bool:
        with suppress(OSError), connected(path):
            return True
        assert nginx.poll() is None, log.read_text(encoding="utf-8")
        return False

    command = [str(NGINX), "-p", str(tmp_path), "-e", str(log), "-c", str(file)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as nginx:
        try:
            wait_until(is_there)
            yield path
        finally:
            nginx.kill()


def received(client: socket.socket) -> bytes:
    parts = []
    with suppress(ConnectionError):
        while part := client.recv(65_536):
            parts.append(part)
    return b"".join(parts)


def test_requests_and_streams_pass(proxy: Path, frame: Callable[..., bytes]) -> None:
    headers = {"Content-Type": "image/png"}
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(proxy)), headers=headers, timeout=30) as client:
        response = client.post("http://127.0.0.1/v1/predict", content=frame(255))
    assert response.json()["faces"][0]["emotion"] == EMOTIONS[-1]
    with unix_connect(str(proxy), "ws://127.0.0.1/v1/stream") as stream:
        stream.send(frame(0))
        assert json.loads(stream.recv(timeout=10))["faces"][0]["emotion"] == EMOTIONS[0]


@pytest.mark.parametrize("sent", [b"", HEAD], ids=["nothing", "half a head"])
def test_a_client_that_sends_no_request_is_closed(proxy: Path, sent: bytes) -> None:
    with connected(proxy) as client:
        client.sendall(sent)
        assert received(client) == b""


def test_an_idle_connection_is_closed(proxy: Path) -> None:
    with connected(proxy) as client:
        client.sendall(HEAD + b"\r\n")
        assert received(client).startswith(b"HTTP/1.1 200 OK")


def test_connections_too_many_are_refused(proxy: Path) -> None:
    with ExitStack() as stack:
        for _ in range(4):
            stack.enter_context(unix_connect(str(proxy), "ws://127.0.0.1/v1/stream"))
        with connected(proxy) as client:
            client.sendall(HEAD + b"\r\n")
            assert received(client).startswith(b"HTTP/1.1 503 ")


def test_two_lengths_of_a_body_are_refused(proxy: Path) -> None:
    with connected(proxy) as client:
        client.sendall(HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
        assert received(client).startswith(b"HTTP/1.1 400 ")
