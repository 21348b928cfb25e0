"""Every response has the id that its request came with, or a new one; so have problems and the log."""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from mien.analyzer import Analyzer
from mien.errors import ModelError
from mien.service.app import create_app
from mien.service.request_ids import _id_of
from mien.service.server import running
from mien.service.settings import Settings

OWN = re.compile(r"[0-9a-f]{32}")
SANE = string.ascii_letters + string.digits + "_.:/+=@-"


@pytest.fixture(scope="module")
def shared_url(analyzer: Analyzer, settings: Settings) -> Iterator[str]:
    with running(create_app(analyzer, settings), settings) as url:
        yield url


@given(st.text(SANE, min_size=1, max_size=128))
def test_a_sane_id_is_taken(name: str) -> None:
    assert _id_of([name]) == name


@given(st.text().filter(lambda text: not text or len(text) > 128 or set(text) - set(SANE)))
def test_no_other_one_is(name: str) -> None:
    assert OWN.fullmatch(_id_of([name]))


def test_of_two_ids_none_is_taken_and_each_request_gets_another() -> None:
    assert OWN.fullmatch(_id_of(["a", "b"]))
    assert _id_of([]) != _id_of([])


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/healthz", 200),
        ("GET", "/", 200),
        ("POST", "/v1/predict", 400),
        ("GET", "/nowhere", 404),
        ("DELETE", "/healthz", 405),
        ("GET", "/metrics", 200),
    ],
)
def test_it_comes_back_in_the_response_and_in_problems(shared_url: str, method: str, path: str, status: int) -> None:
    for sent, expected in (("a-Trace:1/2=3", re.compile("a-Trace:1/2=3")), ("<script>", OWN), (None, OWN)):
        headers = {} if sent is None else {"X-Request-Id": sent}
        response = httpx.request(method, shared_url + path, headers=headers, trust_env=False)
        assert response.status_code == status
        assert expected.fullmatch(response.headers["x-request-id"])
        if status >= 400:
            assert response.json()["request_id"] == response.headers["x-request-id"]


@pytest.mark.parametrize("keys", [("a-key-of-length",), ()])
def test_a_request_that_is_refused_early_has_one_too(serving: Any, keys: tuple[str, ...]) -> None:
    with serving(api_keys=keys) as url:
        headers = {"Content-Length": "9", "Transfer-Encoding": "chunked", "X-Request-Id": "mine"}
        refused = httpx.get(f"{url}/v1/model", headers=headers, trust_env=False)
    assert refused.status_code in (400, 401)
    assert refused.json()["request_id"] == refused.headers["x-request-id"] == "mine"


def test_a_stream_has_it_in_its_handshake_accepted_or_refused(base_url: str) -> None:
    url, headers = base_url.replace("http", "ws", 1), {"X-Request-Id": "of-a-stream"}
    with connect(f"{url}/v1/stream", additional_headers=headers, proxy=None) as stream:
        assert stream.response is not None
        assert stream.response.headers["X-Request-Id"] == "of-a-stream"
    for path in ("/v1/stream?smooth=x", "/elsewhere"):
        with pytest.raises(InvalidStatus) as refused, connect(url + path, additional_headers=headers, proxy=None):
            pass
        assert refused.value.response.headers["X-Request-Id"] == "of-a-stream"
        assert b'"request_id":"of-a-stream"' in (refused.value.response.body or b"")


def test_the_log_names_the_request_that_failed(
    analyzer: Analyzer, serving: Any, frame: Callable[..., bytes], capfd: pytest.CaptureFixture[str]
) -> None:
    class Broken:
        card, path = analyzer.card, analyzer.model_path

        def probabilities(self, faces: np.ndarray) -> np.ndarray:
            raise ModelError("the model fails")

    with serving(Analyzer(Broken(), analyzer.detector)) as url:
        headers = {"Content-Type": "image/png", "X-Request-Id": "the-broken-one"}
        response = httpx.post(f"{url}/v1/predict", content=frame(0), headers=headers, trust_env=False)
        assert response.json()["request_id"] == "the-broken-one"
        stream = connect(url.replace("http", "ws", 1) + "/v1/stream", additional_headers=headers, proxy=None)
        with stream:
            stream.send(frame(0))
            with pytest.raises(Exception, match="1011"):
                stream.recv(timeout=10)
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 2
    assert all(line.endswith(" [request the-broken-one]") for line in lines)
