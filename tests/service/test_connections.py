from __future__ import annotations

import asyncio
import errno
import json
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from http.client import HTTPResponse
from typing import Any
from urllib.parse import urlsplit

import cv2
import httpx
import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from mien.analyzer import Analyzer
from mien.emotions import EMOTIONS
from mien.service import server
from mien.service.server import listening
from mien.service.settings import Settings

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


def received_by(client: socket.socket) -> bytes:
    """All that the service sends before it closes, or resets, the connection."""
    parts = []
    with suppress(ConnectionError):
        while part := client.recv(65_536):
            parts.append(part)
    return b"".join(parts)


def response_to(client: socket.socket, request: bytes = GET) -> tuple[int, bytes]:
    """The status and body of the response to a request, after which the connection stays open."""
    client.sendall(request)
    response = HTTPResponse(client)
    response.begin()
    return response.status, response.read()


def flood(client: socket.socket, data: bytes, most: int) -> None:
    """Send the same data again and again, `most` times or until the connection ends."""
    for _ in range(most):
        client.sendall(data)


def test_an_idle_connection_is_closed(serving: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_KEEP_ALIVE_S", 1)
    with serving() as url, connected(url) as client:
        assert response_to(client)[0] == 200
        assert received_by(client) == b""


@pytest.mark.parametrize("field", [b"X-Long: ", b""])
def test_a_head_without_end_is_closed(base_url: str, field: bytes) -> None:
    with connected(base_url) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n" + field)
        with pytest.raises(ConnectionError):
            flood(client, b"a" * 65_536 if field else b"X-One: more\r\n" * 5_000, 1000)


def test_fields_after_a_body_have_a_bound_too(base_url: str) -> None:
    with connected(base_url) as client:
        client.sendall(b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n")
        client.sendall(b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n")
        with pytest.raises(ConnectionError):
            flood(client, b"X-One: more\r\n" * 1000, 10_000)


def test_a_body_between_two_heads_is_no_head(base_url: str, frame: Callable[..., bytes]) -> None:
    body = frame(0)
    request = post(body + bytes(120_000 - len(body)))
    with connected(base_url) as client:
        client.sendall(request[:30])
        time.sleep(0.1)
        assert response_to(client, request[30:] + GET[:10])[0] == 200
        assert response_to(client, GET[10:])[0] == 200


@pytest.mark.parametrize("pause", [0, 0.1])
def test_an_offer_of_another_protocol_is_ignored(base_url: str, frame: Callable[..., bytes], pause: float) -> None:
    request = post(frame(255), OFFER)
    head = request.index(b"\r\n\r\n") + 4
    with connected(base_url) as client:
        for _ in range(2):
            client.sendall(request[:head] if pause else b"")
            time.sleep(pause)
            status, body = response_to(client, request[head:] if pause else request)
            assert status == 200
            assert json.loads(body)["faces"][0]["emotion"] == EMOTIONS[-1]
        assert response_to(client)[0] == 200


def test_a_body_after_such_an_offer_is_no_request(base_url: str) -> None:
    request = post(GET, OFFER)
    head = request.index(b"\r\n\r\n") + 4
    with connected(base_url) as client:
        client.sendall(request[:head])
        time.sleep(0.1)
        assert response_to(client, request[head:])[0] == 415
        client.settimeout(0.5)
        with pytest.raises(TimeoutError):
            client.recv(1)


def test_several_offers_may_come_at_once(base_url: str) -> None:
    with connected(base_url) as client:
        client.sendall(GET.replace(b"\r\n\r\n", b"\r\n" + OFFER + b"\r\n") * 3)
        received = b""
        while received.count(b'{"status":"ok"}') < 3:
            received += client.recv(65_536)


def test_it_is_no_proxy(base_url: str) -> None:
    with connected(base_url) as client:
        request = b"CONNECT localhost:22 HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(GET)
        assert response_to(client, request + GET)[0] in (400, 404, 405)
        client.setblocking(False)
        with pytest.raises(BlockingIOError):  # the body is no request
            client.recv(1)


@pytest.mark.parametrize(
    "garbage", [b"\x16\x03\x01\x02\x00" * 100, b"hello\r\n\r\n", b"GET / HTTP/9\r\n\r\n", b"{}\r\n\r\n"]
)
def test_what_is_no_http_is_refused(base_url: str, garbage: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    with connected(base_url) as client:
        client.sendall(garbage)
        assert received_by(client).startswith(b"HTTP/1.1 400 ")
    assert capfd.readouterr().err == ""


def test_requests_of_one_connection_are_processed_one_after_the_other(
    serving: Any, gate: Any, gated: Analyzer, frame: Callable[..., bytes], figure: Any
) -> None:
    with serving(gated, workers=1) as url, connected(url) as client:
        client.sendall(post(frame(0)) * 5)
        assert gate.entered.wait(10)
        assert figure(url, "mien_queue") == 0
        gate.open.set()
        received = b""
        while received.count(b"HTTP/1.1 200 OK") < 5:
            part = client.recv(65_536)
            assert part
            received += part


def heads(lines: bytes) -> list[bytes]:
    """The same head for a request, one with a body and a stream."""
    rest = b"Connection: close\r\nContent-Length: 0\r\n\r\n"
    return [
        b"GET /healthz HTTP/1.1\r\n" + lines + rest,
        b"POST /v1/predict HTTP/1.1\r\n" + lines + rest,
        UPGRADE.replace(b"Host: localhost\r\n", lines),
    ]


@pytest.mark.parametrize("options", [{}, {"api_keys": ("right-key-1",)}])
def test_a_request_has_one_host(serving: Any, options: dict[str, Any]) -> None:
    """RFC 9112, 3.2: none, several, and what is none get 400, whether names are checked or not."""
    wrong = [
        b"",
        b"Host: localhost\r\nHost: localhost\r\n",
        b"Host: localhost\r\nX: y\r\nhost: other\r\n",
        *(
            b"Host: %s\r\n" % name
            for name in (b"a b", b"localhost/x", b"user@localhost", b"localhost:x", b"localhost#")
        ),
        *(
            b"Host: %s\r\n" % name
            for name in (b"localhost, other", b"[", b"[::1", b"[x]", b"\xff", b"localhost:123456")
        ),
    ]
    with serving(**options) as url:
        for lines in wrong:
            for head in heads(lines):
                with connected(url) as client:
                    client.sendall(head)
                    assert received_by(client).startswith(b"HTTP/1.1 400 "), head
        for name in (b"localhost", b"LOCALHOST:80", b"127.0.0.1:", b"[::1]:8000"):
            with connected(url) as client:
                client.sendall(heads(b"Host: %s\r\n" % name)[0])
                assert received_by(client).startswith(b"HTTP/1.1 200 "), name


@pytest.mark.parametrize("piece", [700, 1_000_000])
def test_requests_in_a_row_are_all_answered_in_their_order(
    base_url: str, frame: Callable[..., bytes], piece: int
) -> None:
    """Far more than the buffers between hold, of every kind, while the client reads."""
    sizes = range(1, 19)
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8)
    kinds: list[Callable[[int], tuple[bytes, tuple[int, int | None]]]] = [
        lambda size: (post(frame(0, width=size)), (200, size)),
        lambda size: (post(frame(0, width=size) + bytes(100_000)), (200, size)),
        lambda size: (post(b"no picture" + noise.tobytes()), (415, None)),
        lambda size: (post(noise.tobytes(), b"Content-Encoding: gzip\r\n"), (415, None)),
        lambda size: (GET, (200, None)),
    ]
    asked = [kind(size) for size in sizes for kind in kinds]
    content = b"".join(request for request, _ in asked)
    with connected(base_url) as client, ThreadPoolExecutor(1) as threads:
        sending = threads.submit(
            lambda: [client.sendall(content[at : at + piece]) for at in range(0, len(content), piece)]
        )
        reader = client.makefile("rb")
        told = [response_in(reader) for _ in asked]
        sending.result(10)
    assert told == [wanted for _, wanted in asked]


def response_in(reader: Any) -> tuple[int, int | None]:
    """The status of the next response, and the width in its record if it is one."""
    status, length = int(reader.readline().split()[1]), 0
    while line := reader.readline().strip():
        name, _, value = line.lower().partition(b":")
        length = int(value) if name == b"content-length" else length
    return status, json.loads(reader.read(length)).get("width")


def test_a_response_that_is_not_read_is_given_up(serving: Any, wait_until: Any) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (1500, 2000, 3), np.uint8)
    content = cv2.imencode(".jpg", noise)[1].tobytes()
    head = f"POST /v1/predict?draw=1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(content)}\r\n"
    with serving(body_seconds=1, min_rate=10**9, max_requests=1) as url, socket.socket() as client:

        def is_taken() -> bool:
            return httpx.get(f"{url}/v1/model", trust_env=False).status_code == 503

        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect((urlsplit(url).hostname, urlsplit(url).port))
        client.sendall(head.encode() + b"Content-Type: image/jpeg\r\n\r\n" + content)
        wait_until(is_taken)
        wait_until(lambda: not is_taken())


def test_responses_are_sent_at_once() -> None:
    """With Nagle's algorithm each response would wait 40 ms for the client to acknowledge its head."""

    class Accepted(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            client = transport.get_extra_info("socket")
            options.put_nowait(client.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            transport.close()

    options: asyncio.Queue[int] = asyncio.Queue()

    async def option() -> int:
        with listening(Settings(port=0)) as listener, socket.socket() as client:
            async with await asyncio.get_running_loop().create_server(Accepted, sock=listener):
                client.connect(listener.getsockname())
                return await options.get()

    assert asyncio.run(option()) != 0


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="only Linux ends connections that are not read")
def test_a_connection_that_is_not_read_ends() -> None:
    with listening(Settings(port=0, body_seconds=0.1)) as listener, socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(listener.getsockname())
        accepted, _ = listener.accept()
        accepted.settimeout(30)
        with accepted, pytest.raises(OSError, match="timed out") as ended:
            flood(accepted, bytes(1_000_000), 1000)
    assert ended.value.errno == errno.ETIMEDOUT


@pytest.mark.parametrize(
    ("right", "wrong", "status"),
    [
        (b"GET", b"POST", 405),
        (b"Sec-WebSocket-Version: 13\r\n", b"", 400),
        (b"Version: 13", b"Version: 12", 400),
        (b"Sec-WebSocket-Key", b"X-Key", 400),
        (b"/v1/stream", b"/v1/\xff", 400),
    ],
)
def test_a_wrong_request_for_a_stream_is_refused(
    base_url: str, right: bytes, wrong: bytes, status: int, capfd: pytest.CaptureFixture[str]
) -> None:
    with connected(base_url) as client:
        client.sendall(UPGRADE.replace(right, wrong))
        assert received_by(client).startswith(b"HTTP/1.1 %d " % status)
    assert capfd.readouterr().err == ""


def test_a_client_that_sleeps_at_the_end_is_no_error(
    serving: Any, certificate: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    """TLS waits until it agrees to the end, and the service no longer than it has to."""
    cert, key = certificate("mien")
    context = ssl.create_default_context(cafile=cert)
    with ExitStack() as clients, serving(tls_cert=cert, tls_key=key, drain_seconds=1) as url:
        client = context.wrap_socket(clients.enter_context(connected(url)), server_hostname="127.0.0.1")
        clients.enter_context(client)
        assert response_to(client)[0] == 200
    assert capfd.readouterr().err == ""


def test_over_tls(serving: Any, certificate: Any, frame: Callable[..., bytes]) -> None:
    cert, key = certificate("mien")
    context = ssl.create_default_context(cafile=cert)
    with serving(tls_cert=cert, tls_key=key, max_frame=100_000) as url:
        assert url.startswith("https://127.0.0.1:")
        assert httpx.get(f"{url}/healthz", verify=context, trust_env=False).json() == {"status": "ok"}
        with connect(url.replace("http", "ws", 1) + "/v1/stream", ssl=context, proxy=None) as stream:
            stream.send(frame(255))
            assert json.loads(stream.recv(timeout=10))["faces"][0]["emotion"] == EMOTIONS[-1]
            with suppress(ConnectionClosed):
                stream.send(b"0" * 10_000_000)
            with pytest.raises(ConnectionClosed):
                stream.recv(timeout=10)
        with connected(url) as plain:
            plain.sendall(GET)
            assert b"200" not in received_by(plain)
