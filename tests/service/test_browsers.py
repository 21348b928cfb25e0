"""What pages of other hosts get: CORS where they are listed, nothing of it where they are not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from mien.analyzer import Analyzer
from mien.service.app import create_app
from mien.service.browsers import MAX_AGE_S
from mien.service.server import running
from mien.service.settings import Settings, is_origin

KEY = "right-key-1"
LISTED = ("https://my.app", "http://10.0.0.1:3000", "tauri://localhost")
UNLISTED = ("https://evil.example", "http://my.app", "https://my.app:444", "https://my.app.evil.example", "null", "[")
NEEDED = "authorization,content-type,x-api-key"


def asking(origin: str, method: str = "POST", headers: str = NEEDED) -> dict[str, str]:
    """A preflight's headers."""
    return {"origin": origin, "access-control-request-method": method, "access-control-request-headers": headers}


def words(response: httpx.Response, name: str) -> set[str]:
    return {word.strip().lower() for word in response.headers.get(name, "").split(",")}


def cors(response: httpx.Response) -> list[str]:
    return [name for name in response.headers if name.startswith("access-control-")]


@pytest.fixture(scope="module")
def service(analyzer: Analyzer) -> Iterator[httpx.Client]:
    """It has a key, and a route that fails."""
    settings = Settings(api_keys=(KEY,), origins=LISTED, max_body=10_000, max_buffered=10_000)
    app: FastAPI = create_app(analyzer, settings)
    app.add_api_route("/fails", lambda: 1 // 0)
    with running(app, settings) as url, httpx.Client(base_url=url, trust_env=False) as client:
        yield client


@pytest.mark.parametrize("path", ["/v1/predict", "/v1/model", "/metrics", "/no/such/path"])
@pytest.mark.parametrize("origin", LISTED)
def test_a_preflight_of_a_listed_origin_needs_no_key(service: httpx.Client, origin: str, path: str) -> None:
    response = service.options(path, headers=asking(origin))
    assert response.status_code == 200
    assert response.headers["access-control-allow-origin"] == origin
    assert words(response, "access-control-allow-methods") == {"delete", "get", "head", "post"}
    assert set(NEEDED.split(",")) <= words(response, "access-control-allow-headers")
    assert response.headers["access-control-max-age"] == str(MAX_AGE_S)
    assert "origin" in words(response, "vary")
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["cross-origin-resource-policy"] == "cross-origin"


@pytest.mark.parametrize(("method", "headers"), [("PUT", ""), ("POST", "x-other"), ("POST", "x" * 5000)])
def test_a_preflight_for_what_may_not_be_sent_is_a_problem(service: httpx.Client, method: str, headers: str) -> None:
    response = service.options("/v1/predict", headers=asking(LISTED[0], method, headers))
    assert (response.status_code, response.headers["content-type"]) == (400, "application/problem+json")
    assert response.headers["access-control-allow-origin"] == LISTED[0]


def test_a_preflight_does_nothing(service: httpx.Client) -> None:
    """What it asks for does not run, with a body or without one: it would be refused, or fail."""
    asked = asking(LISTED[0]) | {"x-api-key": KEY}
    before = service.get("/metrics", headers={"x-api-key": KEY}).text
    for path in ("/v1/predict", "/fails"):
        assert service.request("OPTIONS", path, content=bytes(100), headers=asked).text == "OK"
    after = service.get("/metrics", headers={"x-api-key": KEY}).text
    for name in ("mien_pictures_total", 'status="4', 'status="5'):
        assert [line for line in after.splitlines() if name in line] == [
            line for line in before.splitlines() if name in line
        ]


@pytest.mark.parametrize("origin", UNLISTED)
def test_a_preflight_of_another_origin_is_refused(service: httpx.Client, origin: str) -> None:
    response = service.options("/v1/predict", headers=asking(origin))
    assert (response.status_code, cors(response)) == (403, [])
    assert "origin" in words(response, "vary")


def refusals(service: httpx.Client, origin: str) -> Iterator[tuple[int, httpx.Response]]:
    """Responses of every kind, and the status of each."""
    page = {"origin": origin}
    known = page | {"x-api-key": KEY}
    picture = {"content-type": "image/png"}
    yield 200, service.get("/healthz", headers=page)
    yield 200, service.get("/v1/model", headers=known)
    yield 401, service.get("/v1/model", headers=page)
    yield 401, service.get("/v1/model", headers=page | {"x-api-key": "wrong-key"})
    yield 404, service.get("/nothing", headers=known)
    yield 405, service.get("/v1/predict", headers=known)
    yield 413, service.post("/v1/predict", headers=known | picture, content=bytes(20_000))
    yield 415, service.post("/v1/predict", headers=known | picture, content=b"x")
    yield 400, service.post("/v1/predict", headers=known | picture)
    yield 500, service.get("/fails", headers=known)


def test_a_listed_page_can_read_every_response(service: httpx.Client) -> None:
    for origin in LISTED:
        for status, response in refusals(service, origin):
            assert response.status_code == status
            assert response.headers["access-control-allow-origin"] == origin
            assert {"location", "retry-after", "www-authenticate", "x-request-id"} <= words(
                response, "access-control-expose-headers"
            )
            assert "origin" in words(response, "vary")
            assert response.headers["cross-origin-resource-policy"] == "cross-origin"


def test_it_can_read_that_there_is_too_much(
    serving: Any, gate: Any, gated: Analyzer, frame: Callable[..., bytes]
) -> None:
    page = {"origin": LISTED[0], "content-type": "image/png"}
    with serving(gated, max_requests=1, origins=LISTED) as url, ThreadPoolExecutor(1) as threads:
        first = threads.submit(httpx.post, f"{url}/v1/predict", content=frame(0), headers=page, trust_env=False)
        assert gate.entered.wait(10)
        response = httpx.get(f"{url}/v1/model", headers=page, trust_env=False)
        gate.open.set()
        assert first.result(10).headers["access-control-allow-origin"] == LISTED[0]
    assert (response.status_code, response.headers["retry-after"]) == (503, "1")
    assert response.headers["access-control-allow-origin"] == LISTED[0]


def test_other_origins_get_none_of_it(service: httpx.Client) -> None:
    for headers in ({}, *({"origin": origin} for origin in UNLISTED)):
        for path, key in (("/healthz", ""), ("/v1/model", KEY), ("/v1/model", ""), ("/nothing", KEY)):
            response = service.get(path, headers={**headers, "x-api-key": key})
            assert cors(response) == []
            assert "origin" in words(response, "vary")
            assert response.headers["cross-origin-resource-policy"] == "same-origin"
        refused = service.post("/v1/predict", headers={**headers, "x-api-key": KEY})
        assert (refused.status_code, cors(refused)) == (403 if headers else 400, [])


@pytest.mark.parametrize(("origin", "has_hint"), [("https://evil.example", True), ("null", False), ("file://", False)])
def test_the_hint_names_an_option_that_works(service: httpx.Client, origin: str, has_hint: bool) -> None:
    detail = service.post("/v1/predict", headers={"origin": origin}).json()["detail"]
    assert detail.endswith(f"start it with `mien serve --origin {origin}`") == has_hint == is_origin(origin)
    if has_hint:
        Settings(origins=(origin,))
