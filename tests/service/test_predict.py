from __future__ import annotations

import io
import socket
import threading
import time
import tracemalloc
from collections.abc import Iterator

import httpx
import numpy as np
import pytest
from PIL import Image

import mien
from mien.analyzer import Analyzer
from mien.emotions import EMOTIONS
from mien.service.app import create_app
from mien.service.server import running
from mien.service.settings import Settings
from mien.types import Detection


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
    assert set(told) == {"type", "title", "status", "detail", "request_id"}
    assert told["request_id"] == response.headers["x-request-id"]
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
        for theme in ("labels", "emoji", "blur", "pixelate", "minimal")
    ]
    for answer in answers:
        assert answer.headers["content-type"] == "image/png"
        assert Image.open(io.BytesIO(answer.content)).size == (90, 90)
    assert len({answer.content for answer in answers}) == 4  # an even picture has no detail to blur
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
        (b"x", "application/json", 400, "expected JSON: expected value at line 1"),
        (b'{"image": "http://127.0.0.1/a.png"}', "application/json", 400, "addresses are not fetched"),
        (b'{"img": "/etc/passwd"}', "application/json", 400, "paths are not opened"),
        (b'{"url": "x"}', "application/json", 400, "one of image, images, img, img_path, got none of them"),
        (b'{"image": "x", "img": "x"}', "text/plain", 400, "got image and img"),
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


@pytest.mark.parametrize("charset", ["punycode", "utf-7", "unicode_escape", "latin-1"])
def test_forms_are_in_utf_8_as_nobody_knows_what_else_a_decoder_does(client: httpx.Client, charset: str) -> None:
    body = (
        b'--x\r\nContent-Disposition: form-data; name="f"; filename="+2AA-"\r\n\r\n' + grey("fear") + b"\r\n--x--\r\n"
    )
    told = {"content-type": f"multipart/form-data; boundary=x; charset={charset}"}
    assert "utf-8" in problem(client.post("/v1/predict", content=body, headers=told), 400)
    told = {"content-type": "multipart/form-data; boundary=x; charset=UTF-8"}
    assert client.post("/v1/predict", content=body, headers=told).json()[0]["source"] == "+2AA-"


def test_a_large_field_is_refused(client: httpx.Client) -> None:
    body = {"data": {"note": "x" * 17_000}, "files": {"f": grey("fear")}}
    assert "exceeded maximum size" in problem(client.post("/v1/predict", **body), 400)


@pytest.mark.slow
def test_pictures_are_let_go_as_they_are_judged(analyzer: Analyzer) -> None:
    """Each is 36 MB in memory: two at a time are judged together, and all sixteen are never there."""
    settings = Settings(workers=1)
    with running(create_app(analyzer, settings), settings) as url:
        files = [("f", grey("fear", side=3500))] * 16
        tracemalloc.start()
        try:
            answer = httpx.post(f"{url}/v1/predict", files=files, timeout=60)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert [record["faces"][0]["emotion"] for record in answer.json()] == ["fear"] * 16
    assert peak < 8 * 3500 * 3500 * 3


@pytest.mark.slow
def test_who_has_left_is_worked_for_no_more(analyzer: Analyzer) -> None:
    class Slow(mien.Detector):
        name = "none"

        def __init__(self) -> None:
            self.begun, self.go_on, self.looked_at = threading.Event(), threading.Semaphore(0), 0

        def detect(self, image: np.ndarray) -> list[Detection]:
            self.looked_at += 1
            self.begun.set()
            assert self.go_on.acquire(timeout=20)
            return analyzer.detector.detect(image)

    slow, settings = Slow(), Settings(workers=1, queue=4)
    picture = grey("fear", side=6000)  # each is a batch of its own
    with running(create_app(Analyzer(analyzer._classifier, slow), settings), settings) as url:
        request = httpx.Request("POST", f"{url}/v1/predict", files=[("f", picture)] * 8)
        head = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
        with socket.create_connection(("127.0.0.1", int(url.rsplit(":", 1)[1]))) as client:
            client.sendall(f"POST /v1/predict HTTP/1.1\r\n{head}\r\n".encode() + request.read())
            assert slow.begun.wait(20)
        for _ in range(9):
            slow.go_on.release()
        small = httpx.post(f"{url}/v1/predict", content=grey("fear"), headers={"content-type": "image/png"}, timeout=20)
        assert small.status_code == 200
    assert slow.looked_at <= 4


@pytest.mark.slow
def test_a_drawn_answer_counts_as_held_until_it_is_fetched(analyzer: Analyzer) -> None:
    noise = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (2200, 2200, 3), dtype=np.uint8)).save(noise, "PNG")
    settings = Settings(max_body=16_000_000, max_buffered=20_000_000)
    with running(create_app(analyzer, settings), settings) as url:
        port = int(url.rsplit(":", 1)[1])
        request = b"POST /v1/predict?draw=1 HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\nContent-Length: "
        request += f"{len(noise.getvalue())}\r\n\r\n".encode() + noise.getvalue()
        with socket.socket() as lazy:
            lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
            lazy.connect(("127.0.0.1", port))
            lazy.sendall(request)
            lazy.recv(100)  # and no more
            refused = httpx.post(f"{url}/v1/predict", content=noise.getvalue(), headers={"content-type": "image/png"})
            assert "too much is sent and fetched at once" in problem(refused, 503)
        for _ in range(100):
            time.sleep(0.05)
            answer = httpx.post(f"{url}/v1/predict", content=noise.getvalue(), headers={"content-type": "image/png"})
            if answer.status_code == 200:
                break
        assert answer.status_code == 200


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
