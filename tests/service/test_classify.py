"""`/v1/classify`: boxes in, faces out in their order, and a clear word on all that is no box."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

import mien
from mien.analyzer import Analyzer
from mien.emotions import EMOTIONS
from mien.runtime.classifier import Classifier
from mien.service.app import create_app
from mien.service.classify import MAX_BOXES
from mien.service.server import running
from mien.service.settings import Settings
from mien.types import CropRule, Detection

SIDE = 40


def row(*emotions: str) -> bytes:
    """Squares of these emotions' greys side by side, as a PNG file."""
    levels = [round(255 * EMOTIONS.index(emotion) / 6) for emotion in emotions]
    image = np.repeat(np.array(levels, np.uint8), SIDE)[None].repeat(SIDE, 0)
    return cv2.imencode(".png", image)[1].tobytes()


class Right(mien.Detector):
    """Finds nothing; its boxes have their face on the right."""

    name = "right"
    crop_rule = CropRule(x=1.5)

    def detect(self, image: NDArray[np.uint8]) -> list[Detection]:
        return []


@pytest.fixture(scope="module")
def client(brightness_model: Path) -> Iterator[httpx.Client]:
    settings = Settings(port=0, workers=2, max_pixels=100_000, max_body=200_000)
    analyzer = Analyzer(Classifier(brightness_model, threads=1), Right())
    with running(create_app(analyzer, settings), settings) as url, httpx.Client(base_url=url, trust_env=False) as it:
        yield it


def classify(
    client: httpx.Client, content: bytes, boxes: object = None, query: str = "", kind: str = "form"
) -> httpx.Response:
    text = boxes if isinstance(boxes, str) else json.dumps(boxes)
    if kind == "json":
        body = f'{{"image": "{base64.b64encode(content).decode()}", "boxes": {text}, "actions": ["emotion"]}}'
        return client.post(f"/v1/classify{query}", content=body, headers={"Content-Type": "application/json"})
    fields = {} if boxes is None else {"boxes": text}
    return client.post(f"/v1/classify{query}", files={"file": ("row.png", content)}, data=fields)


def refused(response: httpx.Response, status: int) -> str:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    return str(response.json()["detail"])


@pytest.mark.parametrize(("kind", "source"), [("form", "row.png"), ("json", None)])
def test_the_faces_are_in_the_order_of_the_boxes(client: httpx.Client, kind: str, source: str | None) -> None:
    content = row("fear", "sadness", "surprise")
    for boxes in ([[80, 0, 40, 40], [0, 0, 40, 40]], [{"x": x, "y": 0, "width": 40, "height": 40} for x in (80, 0)]):
        record = classify(client, content, boxes, kind=kind).json()
        assert [face["emotion"] for face in record["faces"]] == ["surprise", "fear"]
        assert [face["box"]["x"] for face in record["faces"]] == [80, 0]
        assert (record["source"], record["width"], record["error"]) == (source, 120, None)
    by_detector = classify(client, content, [[0, 0, 40, 40]], "?crop=detector", kind).json()
    assert [face["emotion"] for face in by_detector["faces"]] == ["sadness"]


def test_without_boxes_the_whole_picture_is_a_face_in_every_kind_of_body(client: httpx.Client) -> None:
    content = row("disgust")
    raw = client.post("/v1/classify", content=content, headers={"Content-Type": "image/png"}).json()
    form = classify(client, content).json()
    json = classify(client, content, None, kind="json").json()
    for record in (raw, form, json):
        [face] = record["faces"]
        assert face["emotion"] == "disgust"
        assert face["box"] == {"x": 0, "y": 0, "width": SIDE, "height": SIDE}
    assert (raw["source"], form["source"], json["source"]) == (None, "row.png", None)


def test_a_box_over_the_edge_is_clipped_and_many_are_taken(client: httpx.Client) -> None:
    boxes = [[-10, -10, 40, 40]] * MAX_BOXES
    faces = classify(client, row("fear"), boxes).json()["faces"]
    assert len(faces) == MAX_BOXES
    assert faces[0]["box"] == {"x": 0, "y": 0, "width": 30, "height": 30}
    as_objects = [{"x": -10.123456789, "y": -10.123456789, "width": 40.123456789, "height": 40.123456789}] * MAX_BOXES
    assert classify(client, row("fear"), as_objects).status_code == 200


@pytest.mark.parametrize("kind", ["json", "form"])
@pytest.mark.parametrize(
    ("boxes", "status", "words"),
    [
        ([], 400, f"a list of 1 to {MAX_BOXES} boxes"),
        ([[0, 0, 4, 4]] * (MAX_BOXES + 1), 400, f"a list of 1 to {MAX_BOXES} boxes"),
        ("", 400, "expected JSON"),
        ("[[0,0,40,40]", 400, "expected JSON"),
        ("[" * 16_000, 400, "expected JSON"),
        ("[[NaN,0,40,40]]", 400, "number 1 is not"),
        ("[[0,0,1e999,40]]", 400, "number 1 is not"),
        ("[[0,0,40," + "9" * 5000 + "]]", 400, "expected JSON"),
        ("[[0,0,40," + "9" * 4000 + "]]", 400, "number 1 is not"),
        ('{"x":0,"y":0,"width":4,"height":4}', 400, "expected JSON, a list"),
        ([[0, 0, 40, 40], [0, 0, 40]], 400, "number 2 is not [x, y, width, height]"),
        ([[0, 0, 40, 40, 1]], 400, "number 1"),
        ([["0", 0, 40, 40]], 400, "number 1"),
        ([[True, 0, 40, 40]], 400, "number 1"),
        ([[0, 0, 0.5, 40]], 400, "each side of 1 or more"),
        ([[0, 0, -40, 40]], 400, "each side of 1 or more"),
        ([{"x": 0, "y": 0, "w": 40, "h": 40}], 400, "number 1"),
        ([[0, 0, 40, 40], [40, 0, 40, 40]], 422, "the centre of box 2, 60, 20, is outside the picture"),
        ([[0, 0, 1, 101]] * 40, 400, "their heights squared are 408,040 together, at most 400,000"),
        ([[0, 0, 1e6, 1e6]], 400, "their heights squared"),
        ([[-1e6, 0, 1, 1]], 422, "outside the picture of 40 x 40"),
    ],
)
def test_what_is_no_box_is_refused_in_a_line(
    client: httpx.Client, boxes: object, status: int, words: str, kind: str
) -> None:
    detail = refused(classify(client, row("fear"), boxes, kind=kind), status)
    assert words in detail
    assert "\n" not in detail
    assert len(detail) < 300


def test_boxes_in_json_are_no_text(client: httpx.Client) -> None:
    assert "expected JSON, a list" in refused(classify(client, row("fear"), '"[[0,0,40,40]]"', kind="json"), 400)


def test_what_json_holds_is_given_back(serving: Any) -> None:
    """Its boxes count until the response, as its text does."""
    body = {"image": base64.b64encode(row("fear")).decode(), "boxes": [[0, 0, 40, 40]], "x": "x" * 9_000}
    with serving(max_body=10_000, max_buffered=30_000) as url, httpx.Client(base_url=url, trust_env=False) as client:
        for _ in range(5):
            assert client.post("/v1/classify", json=body).status_code == 200


def test_the_document_names_the_boxes(client: httpx.Client) -> None:
    content = client.get("/openapi.json").json()["paths"]["/v1/classify"]["post"]["requestBody"]["content"]
    for kind, picture in (("multipart/form-data", "file"), ("application/json", "image")):
        properties = content[kind]["schema"]["properties"]
        assert picture in properties
        assert properties["boxes"]["maxItems"] == MAX_BOXES


def test_other_fields_and_other_numbers_of_pictures_are_refused(client: httpx.Client) -> None:
    files = {"file": ("a.png", row("fear"))}
    for fields, words in (
        ({"box": "[[0,0,4,4]]"}, "expected one field, boxes, besides the picture, got 'box'"),
        ({"boxes": ["[[0,0,4,4]]"] * 2}, "got 'boxes, boxes'"),
        ({"é\n" * 500: "x"}, "expected one field, boxes"),
    ):
        detail = refused(client.post("/v1/classify", files=files, data=fields), 400)
        assert words in detail
        assert detail.isprintable()
    assert "expected one picture, got 2" in refused(client.post("/v1/classify", files=[("f", row("fear"))] * 2), 400)
    two = {"images": [base64.b64encode(row("fear")).decode()] * 2, "boxes": [[0, 0, 4, 4]]}
    assert "expected one picture, got 2" in refused(client.post("/v1/classify", json=two), 400)
    assert "crop" in refused(classify(client, row("fear"), query="?crop=none"), 400)
    assert "not a picture" in refused(classify(client, b"no picture", [[0, 0, 4, 4]]), 415)


def test_a_picture_of_few_pixels_and_a_long_side_takes_no_memory(client: httpx.Client) -> None:
    buffer = BytesIO()
    Image.new("1", (1, 99_000)).save(buffer, "PNG")
    assert "the limit of a side" in refused(classify(client, buffer.getvalue(), [[0, 0, 1, 99]]), 413)


@given(
    st.lists(st.lists(st.one_of(st.floats(), st.integers(), st.none(), st.text(max_size=3)), max_size=5), max_size=3)
)
@examples(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_comes_as_boxes_the_response_is_a_record_or_a_problem(client: httpx.Client, boxes: Any) -> None:
    for kind in ("form", "json"):
        assert classify(client, row("fear"), boxes, kind=kind).status_code in (200, 400, 422)


def test_pictures_and_faces_are_counted(serving: Any, frame: Callable[..., bytes], figure: Any) -> None:
    with serving() as url, httpx.Client(base_url=url, trust_env=False) as client:
        assert classify(client, frame(9), [[0, 0, 20, 20]] * 3).status_code == 200
        assert figure(url, "mien_faces_total") == 3
        assert figure(url, "mien_pictures_total") == 1
