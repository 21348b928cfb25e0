from __future__ import annotations

import json
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
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
from websockets.sync.client import ClientConnection, connect

from mien.analyzer import Analyzer
from mien.emotions import EMOTIONS
from mien.errors import ConfigError
from mien.service.connections import MAX_HEAD, MAX_PIPELINED
from mien.service.server import running, serve
from mien.service.settings import Settings

GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
UPGRADE = (
    b"GET /v1/stream HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nX: y\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


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
    assert b"content-type: application/problem+json" in head
    assert b"connection: close" in head
    told: dict[str, Any] = json.loads(body)
    assert int(head.split()[1]) == told["status"]
    return told["status"], told["detail"]


def predict(url: str, content: bytes) -> httpx.Response:
    headers = {"Content-Type": "image/png"}
    return httpx.post(f"{url}/v1/predict", content=content, headers=headers, timeout=30, trust_env=False)


def test_it_says_where_it_is_and_nothing_of_what_it_is(base_url: str) -> None:
    answer = httpx.get(f"{base_url}/healthz", trust_env=False)
    assert base_url.startswith("http://127.0.0.1:")
    assert answer.json() == {"status": "ok"}
    assert "server" not in answer.headers
    assert "date" in answer.headers


def test_after_its_end_the_port_is_free_and_no_thread_is_left(app: Any, settings: Settings) -> None:
    threads = set(threading.enumerate())
    with running(app, settings) as url:
        httpx.get(f"{url}/healthz", trust_env=False)
    assert set(threading.enumerate()) <= threads
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/healthz", trust_env=False)


def test_a_request_in_flight_is_finished_and_streams_are_told(
    serving: Any, gate: Any, gated: Analyzer, frame: Callable[..., bytes]
) -> None:
    with ThreadPoolExecutor(1) as threads, ExitStack() as service:
        url = service.enter_context(serving(gated))
        with connect(url.replace("http", "ws", 1) + "/v1/stream", proxy=None) as client:
            answer = threads.submit(predict, url, frame(0))
            assert gate.entered.wait(10)
            threading.Timer(0.3, gate.open.set).start()
            service.close()
            assert answer.result(10).json()["faces"][0]["emotion"] == EMOTIONS[0]
            with pytest.raises(ConnectionClosed) as closed:
                client.recv(timeout=5)
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1012, "the service restarts")


def test_a_stream_is_told_even_while_it_sends(
    serving: Any, gate: Any, gated: Analyzer, frame: Callable[..., bytes]
) -> None:
    def send_on(client: ClientConnection, content: bytes) -> None:
        with suppress(ConnectionClosed):
            while True:
                client.send(content)

    with ThreadPoolExecutor(1) as threads, ExitStack() as service:
        url = service.enter_context(serving(gated, workers=1))
        with connect(url.replace("http", "ws", 1) + "/v1/stream", proxy=None) as client:
            sent = threads.submit(send_on, client, frame(0) + bytes(1_000_000))
            assert gate.entered.wait(10)
            threading.Timer(0.3, gate.open.set).start()
            service.close()
            sent.result(10)
            with pytest.raises(ConnectionClosed) as closed:
                client.recv(timeout=5)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1012


def test_what_is_in_flight_for_too_long_is_given_up(
    serving: Any, gate: Any, gated: Analyzer, frame: Callable[..., bytes], capfd: pytest.CaptureFixture[str]
) -> None:
    with ThreadPoolExecutor(1) as threads:
        with serving(gated, drain_seconds=0.5) as url:
            answer = threads.submit(predict, url, frame(0))
            assert gate.entered.wait(10)
            threading.Timer(2, gate.open.set).start()
        with pytest.raises(httpx.HTTPError):
            answer.result(10).raise_for_status()
    assert capfd.readouterr().err == "mien: Cancel 1 running task(s), timeout graceful shutdown exceeded\n"


def test_who_says_nothing_is_closed(serving: Any) -> None:
    with serving(body_seconds=0.3) as url, connected(url) as mute, connected(url) as once:
        assert answer_to(once)[0] == 200
        assert heard(mute) == b""
        assert heard(once) == b""


@pytest.mark.parametrize("before", [b"", GET])
def test_who_is_slow_to_say_what_it_wants_is_told_and_closed(serving: Any, before: bytes) -> None:
    with serving(body_seconds=0.4) as url, connected(url) as client:
        if before:
            assert answer_to(client, before)[0] == 200
        began = time.monotonic()
        client.sendall(b"GET / HTTP/1.1\r\nX-Slow: ")
        for _ in range(3):
            time.sleep(0.1)
            client.sendall(b"a")
        assert problem(heard(client)) == (408, "the request's head took longer than 0.4 s")
        assert 0.3 < time.monotonic() - began < 5


def test_requests_one_after_the_other_have_a_time_each(serving: Any) -> None:
    with serving(body_seconds=0.5) as url, connected(url) as client:
        for _ in range(4):
            time.sleep(0.2)
            assert answer_to(client)[0] == 200


def test_a_head_without_end_is_told_and_closed(base_url: str) -> None:
    for name in (b"X-Long: ", b""):
        with connected(base_url) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n" + name)
            for _ in range(40):
                client.sendall((b"a" * 65_536) if name else b"X-One: more\r\n" * 5_000)
            assert problem(heard(client)) == (431, f"the request's head has more than {MAX_HEAD:,} bytes")


@pytest.mark.parametrize(
    "garbage", [b"\x16\x03\x01\x02\x00" * 100, b"hello\r\n\r\n", b"GET / HTTP/9\r\n\r\n", b"{}\r\n"]
)
def test_what_is_no_http_is_told_so(base_url: str, garbage: bytes) -> None:
    with connected(base_url) as client:
        client.sendall(garbage)
        assert problem(heard(client)) == (400, "expected HTTP/1.1")


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
    "spoilt",
    [
        {b"GET": b"POST"},
        {b"Sec-WebSocket-Version: 13\r\n": b""},
        {b"Sec-WebSocket-Key": b"X-Key"},
        {b"X: y": b"X: " + b"y" * 20_000},
        {b"X: y": b"\r\n".join(b"X-%d: y" % number for number in range(200))},
    ],
)
def test_what_asks_wrongly_for_a_stream_is_answered_and_closed(
    base_url: str, spoilt: dict[bytes, bytes], capfd: pytest.CaptureFixture[str]
) -> None:
    request = UPGRADE
    for right, wrong in spoilt.items():
        request = request.replace(right, wrong)
    with connected(base_url) as client:
        client.sendall(request)
        client.settimeout(5)
        answer = client.recv(65_536)
        assert answer.startswith(b"HTTP/1.1 4")
    assert capfd.readouterr().err == ""


def test_a_port_that_is_taken_is_told_in_a_line(app: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ConfigError, match=f"cannot listen on 127.0.0.1, port {port}: something else"):
            serve(app, Settings(port=port))


@pytest.mark.parametrize(
    ("host", "reason"), [("no.such.host.invalid", "no such host"), ("192.0.2.1", "no such address"), ("a" * 70, "host")]
)
def test_an_address_that_cannot_be_is_told_in_a_line(app: Any, host: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        serve(app, Settings(host=host, insecure=True))


def test_tls_files_that_are_none_are_told_in_a_line(app: Any, tmp_path: Path) -> None:
    file = tmp_path / "no.pem"
    file.write_text("no certificate")
    with pytest.raises(ConfigError, match=r"expected a certificate and its key as PEM files, got .*no.pem") as told:
        serve(app, Settings(tls_cert=file, tls_key=file))
    assert "\n" not in str(told.value)


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


SERVICE = """
import sys, time
from mien.analyzer import Analyzer
from mien.runtime.classifier import Classifier
from mien.runtime.detectors import load_detector
from mien.service.app import create_app
from mien.service.server import serve
from mien.service.settings import Settings

class Slow:
    name = "none"

    def detect(self, image):
        print("works", flush=True)
        time.sleep(1)
        return load_detector("none").detect(image)

settings = Settings(port=0, workers=1)
app = create_app(Analyzer(Classifier(sys.argv[1], threads=1), Slow()), settings)
try:
    serve(app, settings, ready=lambda url: print(url, flush=True))
    print("ended")
except KeyboardInterrupt:
    print("interrupted")
"""


@contextmanager
def apart(model: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A service in a process of its own, and its address."""
    command = [sys.executable, "-W", "error", "-c", SERVICE, str(model)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends processes no such signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_lets_it_finish(brightness_model: Path, frame: Callable[..., bytes], number: int) -> None:
    with apart(brightness_model) as (process, url), ThreadPoolExecutor(2) as threads:
        answers = [threads.submit(predict, url, frame(grey)) for grey in (0, 0)]
        assert process.stdout is not None
        assert process.stdout.readline() == "works\n"
        process.send_signal(number)
        output, errors = process.communicate(timeout=20)
        assert [answer.result(10).status_code for answer in answers] == [200, 200]
    assert (output, errors, process.returncode) == ("works\nended\n", "", 0)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends processes no such signals")
def test_a_second_ctrl_c_ends_it_at_once(brightness_model: Path, frame: Callable[..., bytes]) -> None:
    with apart(brightness_model) as (process, url), ThreadPoolExecutor(4) as threads:
        answers = [threads.submit(predict, url, frame(0)) for _ in range(4)]
        assert process.stdout is not None
        assert process.stdout.readline() == "works\n"
        process.send_signal(signal.SIGINT)
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=20)
        assert {type(answer.exception(10)) for answer in answers} == {httpx.RemoteProtocolError}
    assert (output, errors, process.returncode) == ("interrupted\n", "", 0)
