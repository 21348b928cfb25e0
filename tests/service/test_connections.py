from __future__ import annotations

import asyncio
import json
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from http.client import HTTPResponse
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import cv2
import httpx
import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from mien.emotions import EMOTIONS
from mien.service.connections import MAX_HEAD, MAX_PIPELINED, HttpProtocol

GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
UPGRADE = (
    b"GET /v1/stream HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nX: y\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


OFFER = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n"


def post(body: bytes, headers: bytes = b"") -> bytes:
    """A request with this body, taken for a picture."""
    head = b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n" + headers
    return head + b"Content-Length: %d\r\n\r\n" % len(body) + body


@contextmanager
def connected(url: str) -> Iterator[socket.socket]:
    address = urlsplit(url)
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=10) as client:
        yield client


def heard(client: socket.socket) -> bytes:
    """All that the service says before it closes."""
    parts = []
    while part := client.recv(65_536):
        parts.append(part)
    return b"".join(parts)


def answer_to(client: socket.socket, request: bytes = GET) -> tuple[int, bytes]:
    """The status and body of the answer to a request, after which the connection is kept."""
    client.sendall(request)
    answer = HTTPResponse(client)
    answer.begin()
    return answer.status, answer.read()


def problem(answer: bytes) -> tuple[int, str]:
    head, _, body = answer.partition(b"\r\n\r\n")
    for line in (b"content-type: application/problem+json", b"x-content-type-options: nosniff", b"connection: close"):
        assert head.lower().count(b"\r\n" + line) == 1
    told: dict[str, Any] = json.loads(body)
    assert int(head.split()[1]) == told["status"]
    return told["status"], told["detail"]


def test_who_says_nothing_is_closed(serving: Any) -> None:
    with serving(body_seconds=0.3) as url, connected(url) as mute, connected(url) as once:
        assert answer_to(once)[0] == 200
        assert heard(mute) == b""
        assert heard(once) == b""


@pytest.mark.parametrize("before", [b"", GET])
def test_who_is_slow_to_say_what_it_wants_is_told_and_closed(serving: Any, before: bytes) -> None:
    with serving(body_seconds=1) as url, connected(url) as client:
        if before:
            assert answer_to(client, before)[0] == 200
        began = time.monotonic()
        client.sendall(b"GET / HTTP/1.1\r\nX-Slow: ")
        for _ in range(3):
            time.sleep(0.2)
            client.sendall(b"a")
        assert problem(heard(client)) == (408, "the request's head took longer than 1 s")
        assert 0.7 < time.monotonic() - began < 5


def test_requests_one_after_the_other_have_a_time_each(serving: Any) -> None:
    with serving(body_seconds=1) as url, connected(url) as client:
        for _ in range(4):
            time.sleep(0.3)
            assert answer_to(client)[0] == 200


def test_a_head_without_end_is_told_and_closed(base_url: str) -> None:
    for name in (b"X-Long: ", b""):
        with connected(base_url) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n" + name)
            for _ in range(40):
                client.sendall((b"a" * 65_536) if name else b"X-One: more\r\n" * 5_000)
            assert problem(heard(client)) == (431, f"the request's head has more than {MAX_HEAD:,} bytes")


def test_a_head_that_is_too_long_is_told_though_it_comes_at_once(base_url: str) -> None:
    told = 431, f"the request's head has more than {MAX_HEAD:,} bytes"
    for request in (
        GET.replace(b"\r\n\r\n", b"\r\nX-Long: " + b"a" * 70_000 + b"\r\n\r\n"),
        GET.replace(b"\r\n\r\n", b"\r\n" + b"X: y\r\n" * 12_000 + b"\r\n"),
        GET.replace(b"/healthz", b"/" + b"a" * 70_000),
    ):
        with connected(base_url) as client:
            client.sendall(request)
            assert problem(heard(client)) == told


def test_fields_after_a_body_have_a_bound_too(base_url: str) -> None:
    with connected(base_url) as client:
        client.sendall(b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n")
        client.sendall(b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n")
        until = time.monotonic() + 10
        with suppress(ConnectionError):
            while True:
                client.sendall(b"X-One: more\r\n" * 1000)
                assert time.monotonic() < until


def test_a_body_between_two_heads_is_no_head(base_url: str, frame: Callable[..., bytes]) -> None:
    body = frame(0)
    request = post(body + bytes(120_000 - len(body)))
    with connected(base_url) as client:
        client.sendall(request[:30])
        time.sleep(0.1)
        assert answer_to(client, request[30:] + GET[:10])[0] == 200
        assert answer_to(client, GET[10:])[0] == 200


@pytest.mark.parametrize("pause", [0, 0.1])
def test_an_offer_of_another_protocol_is_ignored(base_url: str, frame: Callable[..., bytes], pause: float) -> None:
    request = post(frame(255), OFFER)
    head = request.index(b"\r\n\r\n") + 4
    with connected(base_url) as client:
        for _ in range(2):
            client.sendall(request[:head] if pause else b"")
            time.sleep(pause)
            status, body = answer_to(client, request[head:] if pause else request)
            assert status == 200
            assert json.loads(body)["faces"][0]["emotion"] == EMOTIONS[-1]
        assert answer_to(client)[0] == 200


def test_a_body_after_such_an_offer_is_no_request(base_url: str) -> None:
    request = post(GET, OFFER)
    head = request.index(b"\r\n\r\n") + 4
    with connected(base_url) as client:
        client.sendall(request[:head])
        time.sleep(0.1)
        assert answer_to(client, request[head:])[0] == 415
        client.settimeout(0.5)
        with pytest.raises(TimeoutError):
            client.recv(1)


def test_several_offers_may_come_at_once(base_url: str) -> None:
    with connected(base_url) as client:
        client.sendall(GET.replace(b"\r\n\r\n", b"\r\n" + OFFER + b"\r\n") * 3)
        answers = b""
        while answers.count(b'{"status":"ok"}') < 3:
            answers += client.recv(65_536)


def test_it_is_no_proxy(base_url: str) -> None:
    with connected(base_url) as client:
        client.sendall(b"CONNECT localhost:22 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 43\r\n\r\n" + GET)
        assert problem(heard(client)) == (400, "CONNECT is for proxies, and this is none")


@pytest.mark.parametrize(
    "garbage", [b"\x16\x03\x01\x02\x00" * 100, b"hello\r\n\r\n", b"GET / HTTP/9\r\n\r\n", b"{}\r\n"]
)
def test_what_is_no_http_is_told_so(base_url: str, garbage: bytes) -> None:
    with connected(base_url) as client:
        client.sendall(garbage)
        assert problem(heard(client)) == (400, "malformed HTTP request")


def test_requests_may_follow_each_other_but_not_without_bound(base_url: str) -> None:
    with connected(base_url) as client:
        client.sendall(GET * MAX_PIPELINED)
        answers = b""
        while answers.count(b'{"status":"ok"}') < MAX_PIPELINED:
            answers += client.recv(65_536)
    with connected(base_url) as client:
        client.sendall(GET * 1000)
        answers = b""
        with suppress(ConnectionResetError):
            answers = heard(client)
        assert answers.count(b"200 OK") <= MAX_PIPELINED


def test_a_connection_too_many_is_told_so(serving: Any, caplog: pytest.LogCaptureFixture) -> None:
    with serving(max_connections=2) as url, connected(url) as one, connected(url) as other:
        for client in (one, other):
            assert answer_to(client)[0] == 200
        with connected(url) as third:
            third.sendall(GET.replace(b"\r\n\r\n", b"\r\nX-Long: " + bytes(1_000_000)))
            answer = heard(third)
            assert problem(answer) == (503, "all 2 connections are taken: try again")
            assert b"retry-after: 1\r\n" in answer
        with connected(url) as mute:
            began = time.monotonic()
            assert heard(mute) == b""
            assert time.monotonic() - began < 5
        other.close()
        time.sleep(0.2)
        assert caplog.records == []
        figures = answer_to(one, GET.replace(b"/healthz", b"/metrics"))[1]
        assert b'mien_rejected_total{reason="connections"} 2.0' in figures
        with connected(url) as third:
            assert answer_to(third)[0] == 200


def test_connections_far_too_many_are_closed_at_once(serving: Any) -> None:
    with serving(max_connections=2) as url, ExitStack() as stack:
        clients = [stack.enter_context(connected(url)) for _ in range(8)]
        for client in clients[4:]:
            with suppress(ConnectionError):
                client.sendall(GET)
                assert heard(client) == b""
        clients[2].sendall(GET)
        assert problem(heard(clients[2]))[0] == 503
        figures = answer_to(clients[0], GET.replace(b"/healthz", b"/metrics"))[1]
        assert b'mien_rejected_total{reason="connections"} 6.0' in figures


def test_who_does_not_fetch_an_answer_is_closed(serving: Any) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (1500, 2000, 3), np.uint8)
    content = cv2.imencode(".jpg", noise)[1].tobytes()
    head = f"POST /v1/predict?draw=1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(content)}\r\n"
    with serving(body_seconds=1, max_connections=1) as url, socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect((urlsplit(url).hostname, urlsplit(url).port))
        client.sendall(head.encode() + b"Content-Type: image/jpeg\r\n\r\n" + content)
        assert httpx.get(f"{url}/healthz", trust_env=False).status_code == 503
        until = time.monotonic() + 20
        while httpx.get(f"{url}/healthz", trust_env=False).status_code == 503:
            assert time.monotonic() < until
            time.sleep(0.1)


def test_who_fetches_nothing_of_a_stream_is_closed(serving: Any) -> None:
    pings = (b"\x89\xfd" + bytes(4) + b"p" * 125) * 500
    with serving(body_seconds=0.5) as url, connected(url) as client:
        client.sendall(UPGRADE)
        assert client.recv(65_536).startswith(b"HTTP/1.1 101")
        until = time.monotonic() + 20
        with suppress(ConnectionError):
            while True:  # what answers the pings is never read
                client.sendall(pings)
                assert time.monotonic() < until


@pytest.mark.parametrize(
    ("right", "wrong", "status", "detail"),
    [
        (b"GET", b"POST", 405, "POST"),
        (b"Sec-WebSocket-Version: 13\r\n", b"", 400, "missing Sec-WebSocket-Version"),
        (b"Version: 13", b"Version: 12", 400, "invalid Sec-WebSocket-Version"),
        (b"Sec-WebSocket-Key", b"X-Key", 400, "missing Sec-WebSocket-Key"),
        (b"X: y", b"X: " + b"y" * 20_000, 431, "no more than 8192 bytes"),
        (b"X: y", b"\r\n".join(b"X-%d: y" % number for number in range(200)), 431, "128 headers"),
        (b"/v1/stream", b"/v1/stream?" + b"y" * 20_000, 414, "no more than 8192 bytes"),
        (b"/v1/stream", b"/v1/\xff", 400, "malformed HTTP request"),
    ],
)
def test_what_asks_wrongly_for_a_stream_is_told_and_closed(
    base_url: str, right: bytes, wrong: bytes, status: int, detail: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with connected(base_url) as client:
        client.sendall(UPGRADE.replace(right, wrong))
        answer = heard(client)
    told = problem(answer)
    assert told[0] == status
    assert detail in told[1]
    assert answer.lower().count(b"content-length") == 1
    assert capfd.readouterr().err == ""


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1, signed by itself, and its key."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl, which makes the certificate, is not here")
    files = tmp_path / "cert.pem", tmp_path / "key.pem"
    subject = ["-subj", "/CN=mien", "-addext", "subjectAltName=IP:127.0.0.1"]
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", str(files[1])]
    command = [openssl, "req", "-x509", "-days", "2", *key, "-out", str(files[0]), *subject]
    subprocess.run(command, check=True, capture_output=True)
    return files


def test_over_tls(serving: Any, certificate: tuple[Path, Path], frame: Callable[..., bytes]) -> None:
    context = ssl.create_default_context(cafile=certificate[0])
    with serving(tls_cert=certificate[0], tls_key=certificate[1], max_frame=100_000, max_connections=2) as url:
        assert url.startswith("https://127.0.0.1:")
        assert httpx.get(f"{url}/healthz", verify=context, trust_env=False).json() == {"status": "ok"}
        address = url.replace("http", "ws", 1) + "/v1/stream"
        with connect(address, ssl=context, proxy=None) as one, connect(address, ssl=context, proxy=None) as other:
            one.send(frame(255))
            assert json.loads(one.recv(timeout=10))["faces"][0]["emotion"] == EMOTIONS[-1]
            with connected(url) as plain, context.wrap_socket(plain, server_hostname="127.0.0.1") as third:
                third.sendall(GET)
                assert problem(heard(third))[0] == 503
            with suppress(ConnectionClosed):
                other.send(b"0" * 10_000_000)
            with pytest.raises(ConnectionClosed) as closed:
                other.recv(timeout=10)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1009
        with connected(url) as plain:
            plain.sendall(GET)
            assert b"200" not in heard(plain)


def test_handshakes_over_tls_have_a_bound_and_a_time(serving: Any, certificate: tuple[Path, Path]) -> None:
    tls = {"tls_cert": certificate[0], "tls_key": certificate[1]}
    with serving(max_connections=2, **tls) as url, ExitStack() as stack:
        clients = [stack.enter_context(connected(url)) for _ in range(8)]
        for client in clients[4:]:
            assert heard(client) == b""
        clients[0].settimeout(0.1)
        with pytest.raises(TimeoutError):
            clients[0].recv(1)
    with serving(body_seconds=0.3, **tls) as url, connected(url) as client:
        assert heard(client) == b""


def test_answers_are_sent_at_once(base_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With Nagle's algorithm each answer would wait 40 ms for the client to acknowledge its head."""
    delays: list[int] = []
    made = HttpProtocol.connection_made

    def connection_made(self: HttpProtocol, transport: asyncio.Transport) -> None:
        client = transport.get_extra_info("socket")
        delays.append(client.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        made(self, transport)

    monkeypatch.setattr(HttpProtocol, "connection_made", connection_made)
    assert httpx.get(f"{base_url}/healthz").status_code == 200
    assert len(delays) == 1
    assert delays[0] != 0
