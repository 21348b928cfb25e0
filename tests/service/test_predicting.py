from __future__ import annotations

import io
from collections.abc import Iterator

import httpx
import numpy as np
import pytest
from PIL import Image

from mien.analyzer import Analyzer
from mien.emotions import EMOTIONS
from mien.service.app import create_app
from mien.service.server import running
from mien.service.settings import Settings


def grey(emotion: str, kind: str = "PNG", side: int = 60) -> bytes:
    """A picture that the brightness model names by this emotion."""
    level = round(255 * EMOTIONS.index(emotion) / 6)
    buffer = io.BytesIO()
    Image.fromarray(np.full((side, side, 3), level, np.uint8)).save(buffer, kind)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def client(analyzer: Analyzer) -> Iterator[httpx.Client]:
    settings = Settings(max_body=100_000, max_images=3, max_pixels=10_000)
    with running(create_app(analyzer, settings), settings) as url, httpx.Client(base_url=url) as client:
        yield client


def problem(response: httpx.Response, status: int) -> str:
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    told = response.json()
    assert set(told) == {"type", "title", "status", "detail"}
    assert told["status"] == status
    assert "\n" not in told["detail"]
    return str(told["detail"])


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("told", ["image/jpeg", "application/octet-stream"])
def test_a_raw_picture_gives_its_record(client: httpx.Client, analyzer: Analyzer, kind: str, told: str) -> None:
    content = grey("fear", kind)
    response = client.post("/v1/predict", content=content, headers={"content-type": told})
    assert response.status_code == 200
    assert response.json() == analyzer.analyze(content).to_dict()
    assert response.json()["faces"][0]["emotion"] == "fear"


def test_a_form_gives_a_list_in_the_order_of_its_files_with_their_names(client: httpx.Client) -> None:
    files = [("one", ("a.png", grey("anger"))), ("two", ("b.jpg", b"nonsense")), ("one", ("c.webp", grey("surprise")))]
    response = client.post("/v1/predict", files=files)
    assert response.status_code == 200
    records = response.json()
    assert [record["source"] for record in records] == ["a.png", "b.jpg", "c.webp"]
    assert [[face["emotion"] for face in record["faces"]] for record in records] == [["anger"], [], ["surprise"]]
    assert records[1]["error"] == "b.jpg: not a picture of a known format; known are JPEG, PNG, WEBP"
    assert records[0]["error"] is None


def test_one_file_in_a_form_is_a_list_too(client: httpx.Client) -> None:
    assert len(client.post("/v1/predict", files={"file": grey("anger")}).json()) == 1


def test_drawing_answers_a_picture_of_the_same_size(client: httpx.Client) -> None:
    content = grey("neutral", side=90)
    answers = [
        client.post(f"/v1/predict?draw=1&theme={theme}", content=content, headers={"content-type": "image/png"})
        for theme in ("labels", "emoji", "minimal")
    ]
    for answer in answers:
        assert answer.headers["content-type"] == "image/png"
        assert Image.open(io.BytesIO(answer.content)).size == (90, 90)
    assert len({answer.content for answer in answers}) == 3
    assert len(client.post("/v1/predict?draw=1", files={"f": content}).content) > 0
    two = client.post("/v1/predict?draw=1", files=[("f", content), ("f", content)])
    assert "takes one picture, got 2" in problem(two, 400)


@pytest.mark.parametrize(
    ("content", "told", "status", "words"),
    [
        (b"", "image/png", 400, "the body is empty"),
        (b"nonsense", "image/png", 415, "the picture: not a picture of a known format; known are JPEG, PNG, WEBP"),
        (b"GIF89a" + bytes(20), "image/png", 415, "not a picture of a known format"),
        (grey("fear")[:60], "image/png", 422, "damaged or truncated"),
        (grey("fear", side=101), "image/png", 413, "the limit is 10,000"),
        (bytes(100_001), "image/png", 413, "at most 100,000"),
        (grey("fear"), "image/gif", 415, "got image/gif"),
        (grey("fear"), "", 415, "got no content type"),
        (b"x", "multipart/form-data", 400, "Missing boundary"),
        (b"x", "multipart/form-data; boundary=y", 400, "expected multipart/form-data"),
    ],
)
def test_what_cannot_be_read_is_a_problem(
    client: httpx.Client, content: bytes, told: str, status: int, words: str
) -> None:
    response = client.post("/v1/predict", content=content, headers={"content-type": told} if told else {})
    assert words in problem(response, status)


def test_forms_have_limits_too(client: httpx.Client) -> None:
    assert "at most 3 files" in problem(client.post("/v1/predict", files=[("f", grey("fear"))] * 4), 400)
    field = b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n--x--\r\n'
    without = client.post("/v1/predict", content=field, headers={"content-type": "multipart/form-data; boundary=x"})
    assert "holds no file" in problem(without, 400)
    none = client.post("/v1/predict", files=[("f", ("a.png", b"x")), ("f", ("b.png", b"y"))])
    assert "none of the 2 pictures can be read" in problem(none, 422)
    assert "body has" in problem(client.post("/v1/predict", files={"f": bytes(200_000)}), 413)


def test_options_are_checked(client: httpx.Client) -> None:
    raw = {"content": grey("fear"), "headers": {"content-type": "image/png"}}
    assert "query.theme" in problem(client.post("/v1/predict?theme=loud", **raw), 400)
    assert "query.draw" in problem(client.post("/v1/predict?draw=perhaps", **raw), 400)
    assert problem(client.get("/v1/predict"), 405)


def test_a_body_may_come_in_parts(client: httpx.Client) -> None:
    content = grey("fear")

    def parts() -> Iterator[bytes]:
        for start in range(0, len(content), 7):
            yield content[start : start + 7]

    response = client.post("/v1/predict", content=parts(), headers={"content-type": "image/png"})
    assert response.json()["faces"][0]["emotion"] == "fear"
