"""Whatever is asked, the answer is one that the OpenAPI document tells of."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib.util import find_spec
from io import BytesIO
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from PIL import Image

from mien.analyzer import Analyzer
from mien.service import saturation
from mien.service.app import create_app
from mien.service.server import running
from mien.service.settings import FORMATS, Settings

schemathesis = pytest.importorskip("schemathesis")
checks = pytest.importorskip("schemathesis.specs.openapi.checks")
# No schema tells which bytes are a picture, so what fits it may be refused all the same.
UNTOLD = [checks.positive_data_acceptance]
KEY = "let-me-in-please"
OPEN = [("GET", "/healthz"), ("GET", "/readyz")]
ASKED = [("GET", "/v1/model"), ("GET", "/metrics")]
PICTURES = ["/v1/predict", "/v1/classify", "/v1/explain"]
STREAM = ("GET", "/v1/stream")
VIDEO = "/v1/videos/{video}"
VIDEOS = {("POST", "/v1/videos"), ("GET", VIDEO), ("DELETE", VIDEO), ("GET", f"{VIDEO}/report")}
SENT = [*FORMATS.values(), "application/octet-stream", "multipart/form-data", "application/json"]
QUICK = ("image/png", "multipart/form-data", "application/json")  # one picture is read as another


@st.composite
def pictures(draw: st.DrawFn) -> bytes:
    """Files: whole, with more pixels than are taken, cut short, with bytes changed, and of no picture."""
    how = draw(st.sampled_from(("whole", "large", "cut", "changed", "garbage")))
    if how == "garbage":
        return draw(st.binary(max_size=64))
    sides = st.just(100) if how == "large" else st.integers(1, 70)
    kind, mode = draw(st.sampled_from(tuple(FORMATS))), draw(st.sampled_from(("L", "RGB")))
    content = file_of(draw(sides), draw(sides), mode, kind)
    if how == "cut":
        return content[: draw(st.integers(0, len(content) - 1))]
    if how == "changed":
        for at in draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=8)):
            content = content[:at] + draw(st.binary(min_size=1, max_size=1)) + content[at + 1 :]
    return content


def file_of(width: int, height: int, mode: str, kind: str) -> bytes:
    values = np.arange(width * height, dtype=np.uint32).astype(np.uint8).reshape(height, width)
    buffer = BytesIO()
    Image.fromarray(values).convert(mode).save(buffer, kind)
    return buffer.getvalue()


for media_type in (*FORMATS.values(), "application/octet-stream"):
    schemathesis.openapi.media_type(media_type, pictures())
schemathesis.openapi.media_type("video/*", st.binary(max_size=100))
schemathesis.openapi.format("binary", pictures())
schemathesis.openapi.format("byte", pictures().map(lambda content: base64.b64encode(content).decode()))


@pytest.fixture(scope="module")
def limited(settings: Settings) -> Settings:
    return replace(settings, max_pixels=70 * 70, max_images=3, max_video=10_000)


@pytest.fixture(scope="module")
def schema(analyzer: Analyzer, limited: Settings) -> Iterator[Any]:
    with running(create_app(analyzer, limited), limited) as url:
        yield schemathesis.openapi.from_url(f"{url}/openapi.json")


@pytest.fixture(scope="module")
def locked_schema(analyzer: Analyzer, limited: Settings) -> Iterator[Any]:
    locked = replace(limited, api_keys=(KEY,))
    with running(create_app(analyzer, locked), locked) as url:
        yield schemathesis.openapi.from_url(f"{url}/openapi.json")


def answered(cases: st.SearchStrategy[Any], count: int, **call: Any) -> set[int]:
    """The statuses of the answers to so many cases, each of which is as documented."""
    statuses = set()

    @examples(max_examples=count, suppress_health_check=[HealthCheck.too_slow])
    @given(case=cases)
    def ask(case: Any) -> None:
        response = case.call(**call)
        statuses.add(response.status_code)
        case.validate_response(response, excluded_checks=UNTOLD)

    ask()
    return statuses


def test_these_are_all_operations(schema: Any) -> None:
    found = {(one.ok().method.upper(), one.ok().path) for one in schema.get_all_operations()}
    assert found == {*(("POST", path) for path in PICTURES), *OPEN, *ASKED, *VIDEOS, STREAM}
    for path in PICTURES:
        assert set(schema[path]["POST"].definition.raw["requestBody"]["content"]) == set(SENT)


@pytest.mark.parametrize(
    "media_type", [one if one in QUICK else pytest.param(one, marks=pytest.mark.slow) for one in SENT]
)
@pytest.mark.parametrize("mode", ["positive", "negative"])
@pytest.mark.parametrize("path", PICTURES)
def test_pictures_are_answered_as_documented(schema: Any, path: str, media_type: str, mode: str) -> None:
    cases = schema[path]["POST"].as_strategy(schemathesis.GenerationMode(mode), media_type=media_type)
    statuses = answered(cases, 50)
    assert statuses <= {200, 400, 413, 415, 422}
    assert 200 in statuses if mode == "positive" else 400 in statuses


def test_the_document_is_valid_and_what_it_refers_to_is_there(schema: Any, locked_schema: Any) -> None:
    for one in (schema, locked_schema):
        one.validate()
        document = one.raw_schema
        operations = [operation for methods in document["paths"].values() for operation in methods.values()]
        names = [operation["operationId"] for operation in operations]
        assert len(set(names)) == len(names)
        for ref in re.findall(r'"\$ref": "#/(.*?)"', json.dumps(document)):
            found = document
            for step in ref.split("/"):
                found = found[step]


def test_the_keys_are_named_whether_there_are_any_or_not(schema: Any, locked_schema: Any) -> None:
    for one, optional in ((schema, [{}]), (locked_schema, [])):
        assert set(one.raw_schema["components"]["securitySchemes"]) == {"key", "key_header"}
        assert one.raw_schema["security"] == [*optional, {"key": []}, {"key_header": []}]
        for method, path in OPEN:
            assert one.raw_schema["paths"][path][method.lower()]["security"] == []


def test_all_heads_name_their_fields(schema: Any) -> None:
    for methods in schema.raw_schema["paths"].values():
        for operation in methods.values():
            for status, response in operation["responses"].items():
                wanted = {"X-Request-Id"} | ({"Retry-After"} if status == "503" else set())
                assert wanted <= set(response["headers"])
    assert "Location" in schema.raw_schema["paths"]["/v1/videos"]["post"]["responses"]["202"]["headers"]


def test_the_fields_of_heads_really_come(
    serving: Any, gated: Analyzer, gate: Any, frame: Any, schema: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also those of responses that no case of this module gets: a key that is missing, a service that is full."""
    monkeypatch.setattr(saturation, "FULL_S", 0.0)

    def check(response: httpx.Response, path: str, status: int) -> None:
        assert response.status_code == status
        documented = schema.raw_schema["paths"][path][response.request.method.lower()]["responses"][str(status)]
        assert set(map(str.lower, documented["headers"])) <= set(response.headers)
        if status == 503:
            assert int(response.headers["retry-after"]) >= 1

    with serving(api_keys=(KEY,)) as url, httpx.Client(base_url=url, trust_env=False) as client:
        for path in ("/v1/model", "/metrics", "/v1/stream"):
            check(client.get(path), path, 401)
    with (
        serving(gated, workers=1, queue=0, max_requests=2, max_video=9, max_videos=1) as url,
        httpx.Client(base_url=url, trust_env=False, timeout=20) as client,
        ThreadPoolExecutor(2) as threads,
    ):
        picture = {"content": frame(9), "headers": {"Content-Type": "image/png"}}
        first = threads.submit(client.post, "/v1/predict", **picture)
        assert gate.entered.wait(10)
        for path in PICTURES:
            check(client.post(path, **picture), path, 503)  # the queue
        check(client.get("/readyz"), "/readyz", 503)
        gate.open.set()
        assert first.result(10).status_code == 200
        check(client.get("/v1/stream"), "/v1/stream", 426)
        if find_spec("av"):
            video = {"content": b"x", "headers": {"Content-Type": "video/mp4"}}
            check(client.post("/v1/videos", **video), "/v1/videos", 202)


def test_a_stream_without_a_websocket_is_answered_as_documented(schema: Any) -> None:
    statuses = answered(schema["/v1/stream"]["GET"].as_strategy(), 10)
    assert statuses <= {400, 426}
    about = schema.raw_schema["paths"]["/v1/stream"]["get"]["x-websocket"]
    assert set(about["closeCodes"]) == {"1003", "1009", "1011", "1012", "4408"}


@pytest.mark.parametrize(("method", "path"), sorted(VIDEOS))
def test_videos_are_answered_as_documented(schema: Any, method: str, path: str) -> None:
    pytest.importorskip("av")
    statuses = answered(schema[path][method].as_strategy(), 15)
    assert statuses <= ({202, 400, 503} if method == "POST" else {404})


@pytest.mark.parametrize(("method", "path"), OPEN + ASKED)
def test_what_needs_no_body_is_answered_as_documented(schema: Any, method: str, path: str) -> None:
    assert answered(schema[path][method].as_strategy(), 3) == {200}


@pytest.mark.parametrize(("method", "path"), OPEN + ASKED)
def test_a_key_is_asked_where_the_document_says_so(locked_schema: Any, method: str, path: str) -> None:
    cases = locked_schema[path][method].as_strategy()
    assert answered(cases, 3, headers={"Authorization": f"Bearer {KEY}"}) == {200}
    without = 200 if (method, path) in OPEN else 401
    assert answered(cases, 3, headers={"Authorization": "Bearer another-key"}) == {without}
