"""What Prometheus reads: no series for nothing, the process, and requests by their route, refused ones too."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

import mien
from mien.analyzer import Analyzer

KEY = "a-key-of-length"
ASKED = {"Authorization": f"Bearer {KEY}"}


def samples(url: str, **headers: str) -> dict[tuple[str, ...], float]:
    text = httpx.get(f"{url}/metrics", headers=headers, trust_env=False).text
    families = text_string_to_metric_families(text)
    return {(sample.name, *sample.labels.values()): sample.value for family in families for sample in family.samples}


def open_stream(url: str, path: str = "/v1/stream", **headers: str) -> None:
    with suppress(InvalidStatus), connect(url.replace("http", "ws", 1) + path, additional_headers=headers, proxy=None):
        pass


def test_there_is_no_series_of_when_something_was_created(base_url: str) -> None:
    httpx.get(f"{base_url}/healthz", trust_env=False)
    assert not [name for name, *_ in samples(base_url) if name.endswith("_created")]


def test_the_process_python_and_the_service_are_described(base_url: str, analyzer: Analyzer) -> None:
    text = httpx.get(f"{base_url}/metrics", trust_env=False).text
    [about] = [line for line in text.splitlines() if line.startswith("mien_info")]
    for label in (f'version="{mien.__version__}"', f'model="{analyzer.card.id}"', 'detector="none"'):
        assert label in about
    assert about.endswith("} 1.0")
    assert "\npython_info{" in text
    if sys.platform == "linux":  # prometheus_client reads /proc
        assert {"process_resident_memory_bytes", "process_open_fds"} <= {name for name, *_ in samples(base_url)}


REFUSED = [
    ("POST", "/v1/predict", {}, "/v1/predict", 401),  # refused by the guard
    ("POST", "/v1/predict", {**ASKED, "Origin": "https://evil.example"}, "/v1/predict", 403),
    ("GET", "/v1/predict", ASKED, "/v1/predict", 405),
    ("GET", "/engine/model.onnx", {}, "/engine/{name}", 401),
    ("GET", "/assets/none.js", {}, "/assets/{name}", 404),
    ("GET", "/openapi.json", {}, "/openapi.json", 200),
    ("GET", "/a/secret/path", ASKED, "other", 404),
    ("GET", "/a/secret/path", {}, "other", 401),
]


def test_a_request_counts_for_its_route_whoever_refuses_it(serving: Any) -> None:
    with serving(api_keys=(KEY,)) as url:
        for method, path, headers, _, status in REFUSED:
            assert httpx.request(method, url + path, headers=headers, trust_env=False).status_code == status
        read = samples(url, **ASKED)
    for (route, status), count in Counter((route, status) for *_, route, status in REFUSED).items():
        assert read["mien_requests_total", route, str(status)] == count
    for route, count in Counter(route for *_, route, _ in REFUSED).items():
        assert read["mien_request_seconds_count", route] == count


def test_past_the_requests_in_flight_they_count_for_their_route(
    serving: Any, gate: Any, gated: Analyzer, frame: Callable[..., bytes]
) -> None:
    with serving(gated, max_requests=1) as url, httpx.Client(trust_env=False) as client:
        request = client.build_request(
            "POST", f"{url}/v1/predict", content=frame(0), headers={"Content-Type": "image/png"}
        )
        with ThreadPoolExecutor(1) as threads:
            first = threads.submit(client.send, request)
            assert gate.entered.wait(10)
            assert httpx.get(f"{url}/v1/model", trust_env=False).status_code == 503
            gate.open.set()
            assert first.result(10).status_code == 200
        assert samples(url)["mien_requests_total", "/v1/model", "503"] == 1


def test_streams_count_when_they_are_accepted_or_refused(serving: Any, await_figure: Any) -> None:
    with serving(max_streams=1) as url:
        with connect(url.replace("http", "ws", 1) + "/v1/stream", proxy=None):
            open_stream(url)
            read = samples(url)
            assert read["mien_requests_total", "/v1/stream", "101"] == 1
            assert read["mien_requests_total", "/v1/stream", "503"] == 1
            assert read["mien_rejected_total", "streams"] == 1
        await_figure(url, "mien_streams", 0)
        open_stream(url, Origin="https://evil.example")
        open_stream(url, "/v1/stream?smooth=2")
        open_stream(url, "/elsewhere")
        read = samples(url)
    assert read["mien_requests_total", "/v1/stream", "403"] == 1
    assert read["mien_requests_total", "/v1/stream", "400"] == 1
    assert read["mien_requests_total", "other", "404"] == 1
    assert read["mien_requests_total", "/v1/stream", "101"] == 1
