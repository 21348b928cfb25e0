"""Pictures in JSON: the same as their files, within the same bounds; nothing else is opened or fetched."""

from __future__ import annotations

import base64
import json
import textwrap
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import httpx
import pytest

from mien.analyzer import Analyzer
from mien.emotions import EMOTIONS
from mien.service.app import create_app
from mien.service.errors import Problem
from mien.service.json_body import FACTOR, NAMES, content_of, texts_in
from mien.service.server import running
from mien.service.settings import Settings

LIMITS = Settings(max_body=400_000, max_buffered=600_000, max_images=3)
JSON = {"content-type": "application/json"}


@pytest.fixture(scope="module")
def client(analyzer: Analyzer) -> Iterator[httpx.Client]:
    with running(create_app(analyzer, LIMITS), LIMITS) as url, httpx.Client(base_url=url, trust_env=False) as client:
        yield client


@pytest.fixture(params=[".png", ".jpg", ".webp"])
def picture(request: pytest.FixtureRequest, frame: Callable[..., bytes]) -> bytes:
    return frame(255, kind=request.param)


def plain(content: bytes) -> str:
    return base64.b64encode(content).decode()


WRITTEN: dict[str, Callable[[bytes], str]] = {
    "base64": plain,
    "in lines": lambda content: textwrap.fill(plain(content), 76),
    "data URI": lambda content: f"data:image/png;base64,{plain(content)}",
    "data URI of no type": lambda content: f"data:;base64,{plain(content)}",
    "data URI in capitals": lambda content: f"DATA:IMAGE/PNG;BASE64,{plain(content)}",
    "data URI of a wrong type": lambda content: f"data:text/plain;charset=utf-8;base64,{plain(content)}",
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("written", WRITTEN)
def test_a_text_is_the_same_as_its_file(client: httpx.Client, picture: bytes, name: str, written: str) -> None:
    wanted = client.post("/v1/predict", content=picture).json()
    text = WRITTEN[written](picture)
    assert wanted["faces"][0]["emotion"] == EMOTIONS[-1]
    assert client.post("/v1/predict", json={name: text}).json() == wanted
    assert client.post("/v1/predict", json={name: [text, text]}).json() == [wanted] * 2
    assert client.post("/v1/predict", json={name: [text]}).json() == [wanted]


def test_what_other_clients_send_beside_it_is_taken(client: httpx.Client, picture: bytes) -> None:
    """As deepface's own: fields that mean nothing here, slashes escaped, JSON under another name, a mark before it."""
    document = {
        "img": WRITTEN["data URI"](picture),
        "actions": ["emotion"],
        "detector_backend": "opencv",
        "image": None,
    }
    text = json.dumps(document).replace("/", "\\/").encode()
    for kind in ("application/json", "application/json;charset=UTF-8", "application/x-www-form-urlencoded", ""):
        for before in (b"", b"\r\n ", b"\xef\xbb\xbf"):
            response = client.post("/v1/predict", content=before + text, headers={"content-type": kind})
            assert response.json()["width"] == 64


def test_it_can_be_drawn(client: httpx.Client, picture: bytes) -> None:
    assert client.post("/v1/predict?draw=1", json={"image": plain(picture)}).headers["content-type"] == "image/png"
    response = client.post("/v1/predict?draw=1", json={"images": [plain(picture)] * 2})
    assert (response.status_code, response.json()["detail"]) == (400, "draw=1 takes one picture, got 2")


def test_one_that_cannot_be_read_has_its_error(client: httpx.Client, picture: bytes) -> None:
    records = client.post("/v1/predict", json={"images": [plain(b"no picture"), plain(picture)]}).json()
    assert [record["error"] is None for record in records] == [False, True]


@pytest.mark.parametrize(
    "text", ["http://127.0.0.1:1/a.jpg", "HTTPS://a.example", "file:///etc/passwd", "/etc/passwd.jpg", "C:\\a.jpg", "ä"]
)
def test_addresses_and_paths_are_named_as_such_and_not_repeated(client: httpx.Client, text: str) -> None:
    response = client.post("/v1/predict", json={"image": text})
    assert response.status_code == 400
    assert response.json()["detail"].endswith("addresses are not fetched, and paths are not opened")
    assert text not in response.text


def test_a_path_is_not_opened(client: httpx.Client, frame: Callable[..., bytes], tmp_path: Any) -> None:
    (tmp_path / "a.png").write_bytes(frame(0))
    for text in (str(tmp_path / "a.png"), (tmp_path / "a.png").as_uri(), f"data:{tmp_path / 'a.png'}"):
        assert client.post("/v1/predict", json={"image": text}).status_code == 400


def test_its_size_has_bounds(client: httpx.Client, frame: Callable[..., bytes]) -> None:
    """It takes three times its bytes of what all bodies may hold, and gives them back."""
    most = LIMITS.max_buffered // FACTOR
    padded = {"image": plain(frame(0)), "x": ""}
    padded["x"] = "x" * (most - len(json.dumps(padded)))
    for _ in range(3):
        assert client.post("/v1/predict", content=json.dumps(padded)).status_code == 200
    padded["x"] += "x"
    response = client.post("/v1/predict", content=json.dumps(padded))
    assert (response.status_code, response.json()["detail"]) == (
        413,
        f"the JSON body has {most + 1:,} bytes, at most {most:,} are accepted",
    )
    whole = client.post("/v1/predict", content=frame(0) + bytes(LIMITS.max_body - len(frame(0))))
    assert whole.status_code == 200


@pytest.mark.parametrize("value", ["[]", "{}", '""', "1e9", '{"a":{}}', '{"":0}', "null"])
def test_many_small_values_are_refused_before_they_are_made(value: str) -> None:
    """Each may take thirty times its text: a bound on bytes alone would not do."""
    body = f'{{"images":[{",".join([value] * 100_000)}]}}'.encode()
    tracemalloc.start()
    try:
        with pytest.raises(Problem, match="at most 1,000 values"):
            texts_in(body, 16)
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("text", ["A" * 4, "A ", "AA ", "AAAA\n", "\r\n", "\u00e4", "AAA="])
@pytest.mark.parametrize("head", ["", "data:;base64,"])
def test_no_text_takes_more_memory_than_is_counted(text: str, head: str) -> None:
    """Besides the text itself, twice its size; the rest of it is what a body holds anyhow."""
    text = head + text * 300_000
    tracemalloc.start()
    try:
        with suppress(Problem):
            content_of(text)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < (FACTOR - 1 + 0.8) * len(text) + 10_000


def test_the_document_names_the_fields(client: httpx.Client) -> None:
    content = client.get("/openapi.json").json()["paths"]["/v1/predict"]["post"]["requestBody"]["content"]
    assert set(content["application/json"]["schema"]["properties"]) == set(NAMES)
