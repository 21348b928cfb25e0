"""`/v1/explain`: a picture in, maps out, as a record or drawn."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterator
from typing import Any

import cv2
import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import mien
from mien.analyzer import Analyzer
from mien.service.explain import MAX_FACES
from mien.types import Box, Detection


def spot() -> bytes:
    image = np.full((60, 60, 3), 70, np.uint8)
    image[10:30, 10:30] = 200
    return cv2.imencode(".png", image)[1].tobytes()


@pytest.fixture(scope="module")
def client(analyzer: Analyzer) -> Iterator[httpx.Client]:
    from mien.service.app import create_app
    from mien.service.server import running
    from mien.service.settings import Settings

    settings = Settings(max_body=100_000, max_pixels=10_000)
    with running(create_app(analyzer, settings), settings) as url, httpx.Client(base_url=url) as client:
        yield client


def ask(client: httpx.Client, content: bytes, **query: Any) -> httpx.Response:
    return client.post("/v1/explain", content=content, headers={"content-type": "image/png"}, params=query)


def test_a_record_with_maps(client: httpx.Client, analyzer: Analyzer) -> None:
    response = ask(client, spot())
    assert response.status_code == 200
    record = response.json()
    assert record == analyzer.explain(spot()).to_dict()
    assert record["faces"][0]["explained"] == record["faces"][0]["emotion"]
    assert np.shape(record["faces"][0]["map"]) == (48, 48)


def test_another_class(client: httpx.Client, analyzer: Analyzer) -> None:
    record = ask(client, spot(), emotion="fear").json()
    assert record == analyzer.explain(spot(), emotion="fear").to_dict()


def test_drawn(client: httpx.Client, analyzer: Analyzer) -> None:
    response = ask(client, spot(), draw=1)
    assert response.headers["content-type"] == "image/png"
    drawn = np.asarray(Image.open(io.BytesIO(response.content)))
    assert np.array_equal(drawn, np.asarray(analyzer.explain(spot()).draw()))


def test_forms_and_json_are_taken_and_a_form_names_its_file(client: httpx.Client) -> None:
    form = client.post("/v1/explain", files={"file": ("a.png", spot())}).json()
    assert form["source"] == "a.png"
    body = client.post("/v1/explain", json={"image": base64.b64encode(spot()).decode()}).json()
    assert body["faces"] == form["faces"]


@pytest.mark.parametrize(
    ("content", "query", "status", "words"),
    [
        (spot(), {"emotion": "joy"}, 400, "emotion: expected one of anger"),
        (spot(), {"draw": "maybe"}, 400, "draw"),
        (b"no picture", {}, 415, "not a picture of a known format"),
        (b"", {}, 400, "empty"),
    ],
)
def test_problems(client: httpx.Client, content: bytes, query: dict[str, str], status: int, words: str) -> None:
    response = ask(client, content, **query)
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    assert words in response.json()["detail"]


def test_several_pictures_are_too_many(client: httpx.Client) -> None:
    response = client.post("/v1/explain", files=[("file", spot()), ("file", spot())])
    assert response.status_code == 400
    assert response.json()["detail"] == "expected one picture, got 2"


def test_a_key_is_needed(serving: Callable[..., Any]) -> None:
    with serving(api_keys=("a-key-of-the-tests",)) as url:
        assert httpx.post(f"{url}/v1/explain", content=spot(), trust_env=False).status_code == 401


class Crowd(mien.Detector):
    """Finds more faces than are explained; the last ones are the largest."""

    name = "crowd"

    def detect(self, image: NDArray[np.uint8]) -> list[Detection]:
        return [Detection(Box(number, 0, 20 + number, 20 + number), 0.9) for number in range(MAX_FACES + 3)]


@pytest.mark.parametrize("most", [None, 2])
def test_the_largest_faces_are_explained(serving: Callable[..., Any], analyzer: Analyzer, most: int | None) -> None:
    crowd = Analyzer(analyzer._classifier, Crowd()).with_options(max_faces=most)
    with serving(crowd) as url:
        faces = httpx.post(f"{url}/v1/explain", content=spot(), trust_env=False, timeout=60).json()["faces"]
    assert [face["box"]["x"] for face in faces] == list(range(MAX_FACES + 3))[-(most or MAX_FACES) :]
