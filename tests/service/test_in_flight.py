"""The middleware by itself, and in the service."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mien.service.app import create_app
from mien.service.in_flight import InFlight, Limits, SlowReaderError, SlowReaders
from mien.service.memory import PIECE
from mien.service.metrics import Metrics
from mien.service.settings import Settings


async def respond(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"done"})


async def never(*_: Any) -> None:
    await asyncio.Event().wait()


def limits(app: ASGIApp, in_flight: InFlight | None = None, **settings: Any) -> Limits:
    return Limits(app, Settings(**settings), Metrics(lambda: 0), in_flight or InFlight())


def scope(path: str = "/v1/predict", **headers: str) -> Scope:
    fields = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return {"type": "http", "method": "POST", "path": path, "headers": fields}


async def received() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}


def sent_by(middleware: Limits, scope: Scope) -> list[Message]:
    messages: list[Message] = []

    async def send(message: Message) -> None:
        messages.append(message)

    asyncio.run(middleware(scope, received, send))
    return messages


def test_what_is_within_the_limits_passes() -> None:
    in_flight = InFlight()
    assert sent_by(limits(respond, in_flight), scope())[1]["body"] == b"done"
    assert in_flight.requests == 0


def test_a_request_too_many_is_refused() -> None:
    first, second = sent_by(limits(respond, InFlight(2), max_requests=2), scope())
    assert first["status"] == 503
    assert {(b"retry-after", b"1"), (b"connection", b"close")} <= set(first["headers"])
    assert json.loads(second["body"])["detail"] == "2 requests are in flight: try again"


@pytest.mark.parametrize("path", ["/healthz", "/metrics"])
def test_how_the_service_is_can_be_asked_under_load(path: str) -> None:
    assert sent_by(limits(respond, InFlight(2), max_requests=2), scope(path))[0]["status"] == 200
    prefixed = limits(respond, InFlight(2), max_requests=2, root_path="/mien")
    assert sent_by(prefixed, scope(f"/mien{path}"))[0]["status"] == 200


def test_two_lengths_of_a_body_are_refused() -> None:
    first, _ = sent_by(limits(respond), scope(content_length="5", transfer_encoding="chunked"))
    assert first["status"] == 400
    assert (b"connection", b"close") in first["headers"]


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("GET", "/healthz", {}),
        ("GET", "/v1/model", {"x_api_key": "right-key-1"}),
        ("GET", "/v1/model", {}),  # 401
        ("GET", "/v1/model", {"x_api_key": "wrong-key-1"}),
        ("GET", "/v1/model", {"host": "[", "x_api_key": "right-key-1"}),  # 400
        ("POST", "/v1/predict", {"origin": "https://evil.example"}),  # 403
        ("GET", "/no/such/path", {"x_api_key": "right-key-1"}),
        ("OPTIONS", "/v1/predict", {"origin": "https://my.app", "access_control_request_method": "POST"}),
        ("WEBSOCKET", "/v1/nothing", {"x_api_key": "right-key-1"}),
        ("WEBSOCKET", "/v1/stream", {}),
    ],
)
def test_a_client_that_reads_nothing_is_given_up(
    analyzer: Any, method: str, path: str, headers: dict[str, str]
) -> None:
    """Whatever it is that it does not read."""
    options: dict[str, Any] = {"api_keys": ("right-key-1",), "origins": ("https://my.app",)}
    app = create_app(analyzer, Settings(body_seconds=0.01, min_rate=10**9, **options))
    asked = {**scope(path, **headers), "method": method, "query_string": b"", "root_path": "", "subprotocols": []}
    if method == "WEBSOCKET":
        asked |= {"type": "websocket", "extensions": {"websocket.http.response": {}}}
    with pytest.raises(SlowReaderError):
        asyncio.run(asyncio.wait_for(app(asked, received, never), 10))
    assert app.state.in_flight.requests == 0


@pytest.mark.parametrize("size", [0, 1, PIECE, PIECE + 1, 5 * PIECE, 5 * PIECE + 7])
def test_a_large_response_is_sent_in_pieces_that_each_have_their_time(size: int, clock: Any) -> None:
    """A client that reads 100 kB/s is none that does not read, however much there is."""
    content = bytes(range(256)) * (size // 256) + bytes(size % 256)
    sent: list[Message] = []

    async def slowly(message: Message) -> None:
        clock.now += len(message.get("body", b"")) / 100_000
        await asyncio.sleep(0)
        sent.append(message)

    app = SlowReaders(Response(content), Settings(body_seconds=1, min_rate=100_000))
    clock.run_until_complete(app(scope(), received, slowly))
    assert b"".join(message.get("body", b"") for message in sent) == content
    assert max(len(message.get("body", b"")) for message in sent) <= PIECE
    assert [message.get("more_body", False) for message in sent[1:]] == [True] * (len(sent) - 2) + [False]


def cancelled(app: ASGIApp) -> list[Message]:
    """What is sent where the server cancels a request."""
    messages: list[Message] = []

    async def send(message: Message) -> None:
        messages.append(message)

    async def cancel() -> None:
        task = asyncio.create_task(limits(app)(scope(), received, send))
        await asyncio.sleep(0)
        task.cancel()
        await task

    asyncio.run(cancel())
    return messages


def test_a_request_that_the_server_cancels_gets_a_response() -> None:
    first, second = cancelled(never)
    assert first["status"] == 503
    assert (b"retry-after", b"5") in first["headers"]
    assert json.loads(second["body"])["detail"] == "the service ends: try again in 5 s"


def test_a_response_that_has_begun_gets_no_other() -> None:
    async def begin(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await asyncio.Event().wait()

    with pytest.raises(asyncio.CancelledError):
        cancelled(begin)


def test_requests_too_many_are_refused_until_one_has_ended(
    serving: Any, gate: Any, gated: Any, frame: Callable[..., bytes], figure: Any, wait_until: Any
) -> None:
    with serving(gated, max_requests=1) as url, httpx.Client(base_url=url, trust_env=False, timeout=30) as client:
        with ThreadPoolExecutor(1) as thread:
            headers = {"Content-Type": "image/png"}
            first = thread.submit(httpx.post, f"{url}/v1/predict", content=frame(0), headers=headers, timeout=30)
            assert gate.entered.wait(10)
            refused = client.get("/v1/model")
            assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
            assert refused.headers["Content-Type"] == "application/problem+json"
            assert refused.headers["X-Content-Type-Options"] == "nosniff"
            assert client.get("/healthz").status_code == 200
            assert figure(url, 'mien_rejected_total{reason="requests"}') == 1
            gate.open.set()
            assert first.result(30).status_code == 200
        wait_until(lambda: client.get("/v1/model").status_code == 200)
