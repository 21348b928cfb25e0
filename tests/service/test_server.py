from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from http.client import HTTPResponse
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from mien.analyzer import Analyzer
from mien.emotions import EMOTIONS
from mien.errors import ConfigError
from mien.service.server import running, serve
from mien.service.settings import Settings

unless_windows = pytest.mark.skipif(sys.platform == "win32", reason="Windows sends processes no such signals")


def predict(url: str, content: bytes) -> httpx.Response:
    headers = {"Content-Type": "image/png"}
    return httpx.post(f"{url}/v1/predict", content=content, headers=headers, timeout=30, trust_env=False)


@contextmanager
def sending(url: str) -> Iterator[socket.socket]:
    """A client whose body does not come, though the service waits for it."""
    address = urlsplit(url)
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=10) as client:
        client.sendall(b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n")
        client.sendall(b"Content-Length: 9\r\nExpect: 100-continue\r\n\r\n")
        assert client.recv(1000).startswith(b"HTTP/1.1 100")
        yield client


def test_it_has_an_address_and_no_server_header(base_url: str) -> None:
    response = httpx.get(f"{base_url}/healthz", trust_env=False)
    assert base_url.startswith("http://127.0.0.1:")
    assert response.json() == {"status": "ok"}
    assert "server" not in response.headers
    assert "date" in response.headers


def test_after_its_end_the_port_is_free_and_no_thread_is_left(app: Any, settings: Settings, wait_until: Any) -> None:
    threads = set(threading.enumerate())
    with running(app, settings) as url:
        httpx.get(f"{url}/healthz", trust_env=False)
    wait_until(lambda: set(threading.enumerate()) <= threads)
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/healthz", trust_env=False)


def test_a_request_in_flight_is_finished_and_streams_get_a_code(
    serving: Any, gate: Any, gated: Analyzer, frame: Callable[..., bytes]
) -> None:
    with ThreadPoolExecutor(1) as threads, ExitStack() as service:
        url = service.enter_context(serving(gated))
        with connect(url.replace("http", "ws", 1) + "/v1/stream", proxy=None) as client:
            response = threads.submit(predict, url, frame(0))
            assert gate.entered.wait(10)
            threading.Timer(0.3, gate.open.set).start()
            service.close()
            assert response.result(10).json()["faces"][0]["emotion"] == EMOTIONS[0]
            with pytest.raises(ConnectionClosed) as closed:
                client.recv(timeout=5)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1012


def test_what_is_in_flight_for_too_long_is_given_up_with_a_response(
    serving: Any,
    gate: Any,
    gated: Analyzer,
    frame: Callable[..., bytes],
    capfd: pytest.CaptureFixture[str],
    await_figure: Any,
) -> None:
    with ThreadPoolExecutor(2) as threads:
        with serving(gated, workers=1, drain_seconds=1) as url:
            responses = [threads.submit(predict, url, frame(0)) for _ in range(2)]
            await_figure(url, "mien_queue", 1)
        assert not gate.open.is_set()  # a thread is still at it
        for response in responses:
            assert response.result(10).status_code == 503
            assert response.result().headers["Retry-After"] == "5"
            assert response.result().json()["detail"] == "the service ends: try again in 5 s"
    assert len(capfd.readouterr().err.splitlines()) == 1


def test_who_still_sends_at_the_end_gets_a_response(serving: Any, capfd: pytest.CaptureFixture[str]) -> None:
    with ExitStack() as clients:
        with serving(drain_seconds=1) as url:
            client = clients.enter_context(sending(url))
        response = HTTPResponse(client)
        response.begin()
        assert response.status == 503
        assert json.loads(response.read())["detail"] == "the service ends: try again in 5 s"
    assert len(capfd.readouterr().err.splitlines()) == 1


def test_a_port_that_is_taken_is_reported_in_a_line(app: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ConfigError, match=f"cannot listen on 127.0.0.1, port {port}: something else"):
            serve(app, Settings(port=port))


@pytest.mark.parametrize(
    ("host", "reason"), [("no.such.host.invalid", "no such host"), ("192.0.2.1", "no such address"), ("a" * 70, "host")]
)
def test_an_address_that_cannot_be_is_reported_in_a_line(app: Any, host: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        serve(app, Settings(host=host, insecure=True))


def test_tls_files_that_are_none_are_reported_in_a_line(app: Any, tmp_path: Path) -> None:
    file = tmp_path / "no.pem"
    file.write_text("no certificate")
    with pytest.raises(ConfigError, match=r"expected a certificate and its key as PEM files, got .*no.pem") as error:
        serve(app, Settings(tls_cert=file, tls_key=file))
    assert "\n" not in str(error.value)


SERVICE = """
import sys, time
from pathlib import Path
from mien.analyzer import Analyzer
from mien.runtime.classifier import Classifier
from mien.runtime.detectors import load_detector
from mien.service.app import create_app
from mien.service.server import serve
from mien.service.settings import Settings
from mien.types import Detector

class Slow(Detector):
    name = "none"

    def detect(self, image):
        while not end_of_work.exists():
            time.sleep(0.01)
        return load_detector("none").detect(image)

def show(line):
    print(line, flush=True)

end_of_work = Path(sys.argv[2])
cert, key = sys.argv[4:6] or (None, None)
tls = {"tls_cert": Path(cert), "tls_key": Path(key)} if cert else {}
settings = Settings(port=0, workers=1, drain_seconds=int(sys.argv[3]), **tls)
app = create_app(Analyzer(Classifier(sys.argv[1], threads=1), Slow()), settings)
try:
    serve(app, settings, ready=show, report=show)
    print("ended")
except KeyboardInterrupt:
    print("interrupted")
"""


@pytest.fixture
def end_of_work(tmp_path: Path) -> Path:
    """A file that lets the work on pictures end, once it is there."""
    return tmp_path / "end of work"


@contextmanager
def apart(
    model: Path,
    end_of_work: Path,
    *,
    drain: int = 10,
    tls: tuple[Path, Path] | tuple[()] = (),
    prefix: tuple[str, ...] = (),
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A service in a separate process, whose work on a picture ends once that file is there, and its address."""
    command = [
        *prefix,
        sys.executable,
        "-W",
        "error",
        "-c",
        SERVICE,
        str(model),
        str(end_of_work),
        str(drain),
        *map(str, tls),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


@unless_windows
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_lets_it_finish(
    brightness_model: Path, end_of_work: Path, frame: Callable[..., bytes], name: str, await_figure: Any
) -> None:
    with apart(brightness_model, end_of_work) as (process, url), ThreadPoolExecutor(2) as threads:
        responses = [threads.submit(predict, url, frame(grey)) for grey in (0, 0)]
        await_figure(url, "mien_queue", 1)
        process.send_signal(getattr(signal, name))
        assert process.stdout is not None
        assert process.stdout.readline() == "Waiting for 2 requests, at most 10 s\n"
        end_of_work.touch()
        output, errors = process.communicate(timeout=20)
        assert [response.result(10).status_code for response in responses] == [200, 200]
    assert (output, errors, process.returncode) == ("ended\n", "", 0)


@unless_windows
@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
def test_a_second_ctrl_c_ends_it_at_once(
    brightness_model: Path, end_of_work: Path, frame: Callable[..., bytes], first: int, await_figure: Any
) -> None:
    with apart(brightness_model, end_of_work) as (process, url), ThreadPoolExecutor(4) as threads:
        responses = [threads.submit(predict, url, frame(0)) for _ in range(4)]
        await_figure(url, "mien_queue", 3)
        process.send_signal(first)
        assert process.stdout is not None
        assert process.stdout.readline() == "Waiting for 4 requests, at most 10 s\n"
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=20)
        assert [response.result(10).status_code for response in responses] == [503] * 4
    assert (output, errors, process.returncode) == ("", "", 130)


@unless_windows
def test_a_second_ctrl_c_is_raised_where_no_work_is_left(brightness_model: Path, end_of_work: Path) -> None:
    with apart(brightness_model, end_of_work) as (process, url), sending(url):
        process.send_signal(signal.SIGINT)
        assert process.stdout is not None
        assert process.stdout.readline() == "Waiting for 1 request, at most 10 s\n"
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=20)
    assert (output, errors, process.returncode) == ("interrupted\n", "", 0)


@pytest.mark.slow
@unless_windows
def test_the_end_does_not_wait_for_a_long_picture(
    brightness_model: Path, end_of_work: Path, frame: Callable[..., bytes], await_figure: Any
) -> None:
    with apart(brightness_model, end_of_work, drain=1) as (process, url), ThreadPoolExecutor(2) as threads:
        responses = [threads.submit(predict, url, frame(0)) for _ in range(2)]
        await_figure(url, "mien_queue", 1)
        process.send_signal(signal.SIGTERM)
        output, errors = process.communicate(timeout=20)
        assert [response.result(10).status_code for response in responses] == [503, 503]
    assert output == "Waiting for 2 requests, at most 1 s\n"
    assert len(errors.splitlines()) == 1
    assert process.returncode == 0


@unless_windows
def test_sighup_is_ignored_where_it_was(brightness_model: Path, end_of_work: Path) -> None:
    """As nohup has it, which a shell's trap does too."""
    ignoring = ("sh", "-c", "trap '' HUP; exec \"$@\"", "sh")
    with apart(brightness_model, end_of_work, prefix=ignoring) as (process, url):
        process.send_signal(signal.SIGHUP)
        assert httpx.get(f"{url}/healthz", trust_env=False).status_code == 200
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=20) == ("ended\n", "")


def shows(url: str) -> bytes:
    """The certificate that the service shows to new clients."""
    address = urlsplit(url)
    return ssl.PEM_cert_to_DER_cert(ssl.get_server_certificate((str(address.hostname), int(address.port or 0))))


@unless_windows
def test_sighup_loads_the_certificate_again(
    brightness_model: Path, end_of_work: Path, certificate: Any, frame: Callable[..., bytes], tmp_path: Path
) -> None:
    """A request in flight goes on; files that cannot be used leave the old certificate, and a line each."""
    old, new = ([file.read_bytes() for file in certificate(name)] for name in ("old", "new"))
    used = tmp_path / "used.pem", tmp_path / "used.key.pem"

    def put(cert: bytes, key: bytes) -> None:
        for file, content in zip(used, (cert, key), strict=True):
            file.write_bytes(content)

    put(*old)
    trust = ssl.create_default_context(cadata=old[0].decode())
    with (
        apart(brightness_model, end_of_work, tls=used) as (process, url),
        ThreadPoolExecutor(1) as threads,
    ):
        assert process.stderr is not None
        first = threads.submit(
            httpx.post, f"{url}/v1/predict", content=frame(0), verify=trust, trust_env=False, timeout=20
        )
        for wrong in ((b"", b""), (b"no PEM", new[1]), (new[0], old[1]), (new[0], b"no key")):
            put(*wrong)
            process.send_signal(signal.SIGHUP)
            line = process.stderr.readline()
            assert line.startswith(
                "mien: the certificate is still the old one: expected a certificate and its key as PEM"
            )
            assert shows(url) == ssl.PEM_cert_to_DER_cert(old[0].decode())
        used[1].unlink()
        process.send_signal(signal.SIGHUP)
        assert "No such file" in process.stderr.readline()
        put(*new)
        process.send_signal(signal.SIGHUP)
        assert process.stderr.readline() == "mien: the certificate was loaded again\n"
        assert shows(url) == ssl.PEM_cert_to_DER_cert(new[0].decode())
        end_of_work.touch()
        assert first.result(10).status_code == 200
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=20) == ("ended\n", "")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such terminals")
def test_a_terminal_that_closes_ends_it_in_order(brightness_model: Path, tmp_path: Path) -> None:
    """Its lines reach nobody any more, and it ends all the same."""
    done = tmp_path / "done"
    program = SERVICE.replace('print("ended")', f"open({str(done)!r}, 'w').close()")
    ours, its = os.openpty()
    command = [sys.executable, "-c", program, str(brightness_model), str(done), "10"]
    with subprocess.Popen(command, stdin=its, stdout=its, stderr=its, start_new_session=True) as process:
        os.close(its)
        with os.fdopen(ours, "rb", buffering=0) as terminal:
            url = terminal.read(1000).decode().strip()
            client = sending(url)
            client.__enter__()
        process.send_signal(signal.SIGHUP)  # as the system does where it is the session's terminal
        client.__exit__(None, None, None)
        assert process.wait(20) == 0
    assert done.exists()
