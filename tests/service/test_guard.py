from __future__ import annotations

import base64
from collections.abc import Iterator

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from mien.analyzer import Analyzer
from mien.service.app import create_app
from mien.service.server import running
from mien.service.settings import Settings

KEY, OTHER = "right-key-1", "right-key-2"
GUARDED = ("/v1/model", "/engine/model.onnx", "/metrics")
OPEN = ("/", "/page.json", "/docs", "/openapi.json", "/healthz", "/readyz")


@pytest.fixture(scope="module")
def plain(analyzer: Analyzer) -> Iterator[str]:
    settings = Settings(hosts=("my-computer.local",), origins=("https://friend.example",))
    with running(create_app(analyzer, settings), settings) as url:
        yield url


@pytest.fixture(scope="module")
def locked(analyzer: Analyzer) -> Iterator[str]:
    settings = Settings(api_keys=(KEY, OTHER), root_path="/mien")
    with running(create_app(analyzer, settings), settings) as url:
        yield url


def encoded(key: str) -> str:
    return base64.urlsafe_b64encode(key.encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("127.0.0.1:1", 200),
        ("[::1]:8000", 200),
        ("my-computer.local:8000", 200),
        ("friend.example", 200),
        ("evil.example", 421),
        ("localhost.evil.example", 421),
        ("[", 400),
        ("", 421),
    ],
)
def test_without_a_key_only_known_names_are_answered(plain: str, host: str, status: int) -> None:
    assert httpx.get(f"{plain}/v1/model", headers={"host": host}).status_code == status


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        (None, 400),
        ("own", 400),
        ("https://friend.example", 400),
        ("http://friend.example", 403),
        ("http://evil.example", 403),
        ("null", 403),
        ("http://[", 403),
    ],
)
def test_pages_of_other_hosts_may_send_nothing(plain: str, origin: str | None, status: int) -> None:
    headers = {} if origin is None else {"origin": plain if origin == "own" else origin}
    assert httpx.post(f"{plain}/v1/predict", headers=headers).status_code == status
    address = plain.replace("http", "ws") + "/v1/stream"
    if status == 403:
        with pytest.raises(InvalidStatus) as refused, connect(address, additional_headers=headers):
            pass
        assert refused.value.response.status_code == 403
        assert refused.value.response.headers["content-type"] == "application/problem+json"
    else:
        with connect(address, additional_headers=headers) as socket:
            assert socket.subprotocol is None


@pytest.mark.parametrize("path", GUARDED)
def test_what_is_guarded_wants_a_key(locked: str, path: str) -> None:
    answer = httpx.get(locked + path)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json()["detail"].endswith("(Authorization: Bearer KEY), got none")
    wrong = httpx.get(locked + path, headers={"x-api-key": "wrong-key"})
    assert wrong.json()["detail"].endswith("(Authorization: Bearer KEY), got another one")
    for headers in ({"authorization": f"Bearer {KEY}"}, {"authorization": f"bearer {OTHER}"}, {"x-api-key": KEY}):
        assert httpx.get(locked + path, headers=headers).status_code == 200
    for headers in (
        {"authorization": "Bearer wrong-key"},
        {"authorization": f"Basic {KEY}"},
        {"authorization": "Bearer"},
        {"x-api-key": KEY[:-1]},
        {"x-api-key": ""},
    ):
        assert httpx.get(locked + path, headers=headers).status_code == 401


def test_the_prefix_of_a_proxy_is_no_way_around_the_key(locked: str) -> None:
    for path in ("/mien/v1/model", "//v1/model", "/v1/../v1/model", "/V1/model", "/mien/mien/v1/model", "/%761/model"):
        assert httpx.get(locked + path).status_code in (401, 404), path
    assert httpx.get(f"{locked}/openapi.json").json()["servers"] == [{"url": "/mien"}]


@pytest.mark.parametrize("path", OPEN)
def test_the_page_and_its_like_are_open(locked: str, path: str) -> None:
    assert httpx.get(locked + path).status_code == 200


def test_with_a_key_any_name_is_answered(locked: str) -> None:
    assert httpx.get(f"{locked}/v1/model", headers={"host": "any.example", "x-api-key": KEY}).status_code == 200


def test_a_browsers_websocket_tells_the_key_as_a_subprotocol(locked: str) -> None:
    address = locked.replace("http", "ws") + "/v1/stream"
    with connect(address, subprotocols=["mien.v1", f"mien.key.{encoded(KEY)}"]) as socket:
        assert socket.subprotocol == "mien.v1"
    with connect(address, additional_headers={"authorization": f"Bearer {OTHER}"}) as socket:
        assert socket.subprotocol is None
    for protocols in (["mien.v1"], ["mien.v1", "mien.key." + encoded("wrong")], ["mien.key.A"], ["mien.key.____"]):
        with pytest.raises(InvalidStatus) as refused, connect(address, subprotocols=protocols):
            pass
        assert refused.value.response.status_code == 401


def test_two_origins_are_trusted_only_if_each_is(plain: str) -> None:
    for first, second, status in ((0, 0, 400), (0, 1, 403), (1, 0, 403)):
        origins = ("https://friend.example", "https://evil.example")
        headers = [("origin", origins[first]), ("origin", origins[second])]
        answer = httpx.post(f"{plain}/v1/predict", headers=headers)
        assert answer.status_code == status
        assert "access-control-allow-origin" not in answer.headers


def test_other_websockets_are_not_there(plain: str) -> None:
    with pytest.raises(InvalidStatus) as refused, connect(plain.replace("http", "ws") + "/v1/other"):
        pass
    assert refused.value.response.status_code == 404
    assert refused.value.response.headers["content-type"] == "application/problem+json"


def test_every_answer_carries_the_headers_that_keep_browsers_strict(plain: str, locked: str) -> None:
    answers = [httpx.get(plain + path) for path in (*OPEN, *GUARDED, "/nothing")]
    answers += [httpx.get(f"{locked}/v1/model"), httpx.post(f"{plain}/v1/predict"), httpx.delete(f"{plain}/")]
    for answer in answers:
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self';")
        assert "unsafe-inline" not in policy
        assert "'unsafe-eval'" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert "cache-control" in answer.headers
        assert "server" not in answer.headers
        assert "access-control-allow-origin" not in answer.headers
