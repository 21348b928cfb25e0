"""A line for each request, of which nobody can make two, and which holds nothing that is nobody's business."""

from __future__ import annotations

import json
import re
import socket
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from mien.errors import ConfigError
from mien.service.access_log import Lines
from mien.service.app import create_app

KEY = "a-key-of-length"
ASKED = {"Authorization": f"Bearer {KEY}"}
FIELDS = ["time", "peer", "method", "route", "status", "bytes", "ms", "request_id"]


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("ascii").splitlines()]


def test_each_request_gets_its_line(serving: Any, frame: Callable[..., bytes], tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    with serving(access_log=str(log)) as url, httpx.Client(base_url=url, trust_env=False) as client:
        headers = {"Content-Type": "image/png", "X-Request-Id": "the-first"}
        predicted = client.post("/v1/predict?theme=emoji", content=frame(0), headers=headers)
        client.head("/")
        client.get("/nowhere")
        with connect(url.replace("http", "ws", 1) + "/v1/stream", proxy=None) as stream:
            stream.send(frame(0))
            record = stream.recv(timeout=10)
        with pytest.raises(InvalidStatus), connect(url.replace("http", "ws", 1) + "/elsewhere", proxy=None):
            pass
    first, *_ = lines = lines_of(log)
    assert list(first) == FIELDS
    assert abs(datetime.fromisoformat(first["time"]) - datetime.now(UTC)) < timedelta(minutes=2)
    assert first["ms"] > 0
    assert first["request_id"] == "the-first"
    # The stream's line comes when the service has noticed that it ended.
    assert sorted((line["method"], line["route"], line["status"], line["peer"]) for line in lines) == [
        ("GET", "/v1/stream", 101, "127.0.0.1"),
        ("GET", "other", 404, "127.0.0.1"),
        ("GET", "other", 404, "127.0.0.1"),
        ("HEAD", "/", 200, "127.0.0.1"),
        ("POST", "/v1/predict", 200, "127.0.0.1"),
    ]
    by_route = {line["route"]: line["bytes"] for line in lines}
    assert (by_route["/v1/predict"], by_route["/"]) == (len(predicted.content), 0)
    assert by_route["/v1/stream"] == len(record)


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("GET", f"/v1/model?api_key={KEY}", {}),
        ("GET", f"/v1/{KEY}", {}),
        ("GET", "/assets/%0a%22%7d%7b.js", {}),
        ("GET", "/v1/model", ASKED),
        ("GET", "/v1/model", {"X-API-Key": KEY, "User-Agent": KEY, "Referer": KEY, "Origin": f"http://{KEY}"}),
        ("GET", "/v1/model", {"X-Request-Id": '"}{"forged": 1'}),
        ('G{"x":1}', "/", {}),
        ("M" * 30_000, "/nowhere", {}),
    ],
)
def test_no_line_holds_a_key_a_path_or_a_query(
    serving: Any, tmp_path: Path, method: str, path: str, headers: dict[str, str]
) -> None:
    log = tmp_path / "access.log"
    with serving(access_log=str(log), api_keys=(KEY,)) as url:
        address = urlsplit(url)
        with socket.create_connection((address.hostname or "", address.port or 0), timeout=10) as client:
            fields = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
            client.sendall(f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n{fields}Connection: close\r\n\r\n".encode())
            while client.recv(65_536):
                pass
    lines = lines_of(log)
    assert len(lines) <= 1  # malformed HTTP gets none
    assert log.stat().st_size < 300
    for line in lines:
        assert list(line) == FIELDS
        assert line["route"] in ("/v1/model", "/assets/{name}", "other")
    assert KEY not in log.read_text("ascii")
    assert "forged" not in log.read_text("ascii")


def test_by_default_there_is_none(base_url: str, capfd: pytest.CaptureFixture[str]) -> None:
    httpx.get(f"{base_url}/healthz", trust_env=False)
    assert capfd.readouterr() == ("", "")


def test_a_file_is_added_to_and_may_be_moved_away(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    for text in ("one", "two"):
        lines = Lines(str(log))
        lines.write(text)
        lines.close()
    assert log.read_text() == "one\ntwo\n"
    if sys.platform != "win32":  # where a file that is open cannot be moved
        lines = Lines(str(log))
        log.rename(tmp_path / "access.log.1")
        lines.write("three")
        lines.close()
        assert log.read_text() == "three\n"


def test_standard_output_takes_it_too(capsys: pytest.CaptureFixture[str]) -> None:
    Lines("-").write("one")
    assert capsys.readouterr().out == "one\n"


def test_a_file_that_cannot_be_written_is_refused_at_once(analyzer: Any, settings: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot write the access log"):
        create_app(analyzer, replace(settings, access_log=str(tmp_path / "no" / "such" / "folder.log")))


def test_one_that_can_no_longer_be_written_is_reported_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    lines = Lines(str(tmp_path / "access.log"))

    def full(record: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(lines._handler, "format", full)
    lines.write("one")
    lines.write("two")
    lines.close()
    assert capfd.readouterr().err == "mien: the access log cannot be written: No space left on device\n"


def test_the_document_shows_such_a_line() -> None:
    path = Path(__file__).parents[2] / "docs" / "serving.md"
    if not path.is_file():
        pytest.skip("docs/serving.md is not here: this is no checkout")
    shown = re.search(r'^    (\{"time".*?\})$', path.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert shown
    assert list(json.loads(shown[1])) == FIELDS
