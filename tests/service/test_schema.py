"""Whatever is asked, the answer is one that the OpenAPI document tells of."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from PIL import Image

from mien.analyzer import Analyzer
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
PICTURES = ["/v1/predict", "/v1/classify"]
VIDEO = "/v1/videos/{video}"
VIDEOS = {("POST", "/v1/videos"), ("GET", VIDEO), ("DELETE", VIDEO), ("GET", f"{VIDEO}/report")}
SENT = [*FORMATS.values(), "multipart/form-data", "application/json"]


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


for media_type in FORMATS.values():
    schemathesis.openapi.media_type(media_type, pictures())
for media_type in ("video/*", "application/octet-stream"):
    schemathesis.openapi.media_type(media_type, st.binary(max_size=100))
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
    assert found == {*(("POST", path) for path in PICTURES), *OPEN, *ASKED, *VIDEOS}
    for path in PICTURES:
        assert set(schema[path]["POST"].definition.raw["requestBody"]["content"]) == set(SENT)


@pytest.mark.parametrize("media_type", SENT)
@pytest.mark.parametrize("mode", ["positive", "negative"])
@pytest.mark.parametrize("path", PICTURES)
def test_pictures_are_answered_as_documented(schema: Any, path: str, media_type: str, mode: str) -> None:
    cases = schema[path]["POST"].as_strategy(schemathesis.GenerationMode(mode), media_type=media_type)
    statuses = answered(cases, 50)
    assert statuses <= {200, 400, 413, 415, 422}
    assert 200 in statuses if mode == "positive" else 400 in statuses


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
