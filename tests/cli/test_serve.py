from __future__ import annotations

import io
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from mien.cli.app import app
from mien.cli.console import as_options
from mien.errors import ConfigError, MissingExtraError


@contextmanager
def service(*options: str | Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`mien serve` in a process of its own, and the first line that it says."""
    command = [sys.executable, "-m", "mien", "serve", "--port", "0", *map(str, options)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, encoding="utf-8") as process:
        try:
            assert process.stderr is not None
            yield process, process.stderr.readline()
        finally:
            process.kill()


def refused(*options: str) -> str:
    result = CliRunner().invoke(app, ["serve", *options])
    assert isinstance(result.exception, ConfigError)
    return str(result.exception)


def test_it_serves_as_installed_until_it_is_interrupted(brightness_model: Path) -> None:
    buffer = io.BytesIO()
    Image.fromarray(np.full((50, 50, 3), 255, np.uint8)).save(buffer, "PNG")
    with service("--model", brightness_model, "--detector", "none") as (process, line):
        told = re.fullmatch(
            r"Mien serves at (http://127\.0\.0\.1:\d+) \(brightness-1\.0-float32, none\)\. Ctrl-C ends it\.\n", line
        )
        assert told, line
        with httpx.Client(base_url=told[1]) as client:
            faces = client.post("/v1/predict", content=buffer.getvalue(), headers={"content-type": "image/png"}).json()
            assert [face["emotion"] for face in faces["faces"]] == ["surprise"]
            assert "<title>Mien" in client.get("/").text
            assert client.get("/page.json").json()["model"] == "brightness-1.0-float32"
        process.send_signal(signal.SIGTERM if sys.platform == "win32" else signal.SIGINT)
        assert process.wait(20) == (1 if sys.platform == "win32" else 0)
        assert process.stderr.read() == ""


def test_the_key_comes_from_the_environment_too(brightness_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIEN_API_KEY", "a-key-of-length")
    with service("--host", "0.0.0.0", "--model", brightness_model, "--detector", "none") as (_, line):
        url = line.split()[3]
        assert httpx.get(f"{url}/v1/model").status_code == 401
        assert httpx.get(f"{url}/v1/model", headers={"x-api-key": "a-key-of-length"}).status_code == 200


def test_without_a_key_it_says_who_may_use_it(brightness_model: Path) -> None:
    with service("--host", "0.0.0.0", "--insecure", "--model", brightness_model, "--detector", "none") as (process, _):
        assert re.match(r"On other devices of this network: http://[\d.]+:\d+\n", process.stderr.readline())
        assert process.stderr.readline() == "note: whoever reaches this computer may use it\n"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--host", "0.0.0.0"], "give --api-key"),
        (["--api-key", "short"], "expected API keys of 8 or more"),
        (["--tls-cert", "nowhere.pem"], "both a certificate and its key"),
        (["--root-path", "mien"], "root_path must be like /mien"),
        (["--detector", "haar", "--detector-model", "x.onnx"], "goes with yunet"),
        (["--host", "no.such.host.invalid", "--insecure"], "no such host"),
    ],
)
def test_what_makes_no_sense_is_refused(options: list[str], words: str) -> None:
    assert words in as_options(refused(*options))


def test_a_key_that_was_not_filled_in_is_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIEN_API_KEY", " ")
    assert "MIEN_API_KEY is set, but empty" in refused()


def test_a_port_that_is_taken_is_told_in_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert "something else is listening there" in refused("--port", str(taken.getsockname()[1]))


def test_without_the_extra_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fastapi", None)
    for name in [name for name in sys.modules if name.startswith("mien.service")]:
        monkeypatch.delitem(sys.modules, name)
    result = CliRunner().invoke(app, ["serve"])
    assert isinstance(result.exception, MissingExtraError)
    assert "pip install 'mien[serve]'" in str(result.exception)
