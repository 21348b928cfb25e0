from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pytest
from PIL import Image
from prometheus_client.parser import text_string_to_metric_families

from mien.analyzer import Analyzer
from mien.errors import ModelError
from mien.service import saturation
from mien.service.app import create_app
from mien.service.server import running
from mien.service.settings import Settings


def png() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((50, 50, 3), np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


PNG = {"content": png(), "headers": {"content-type": "image/png"}}


@pytest.fixture
def client(analyzer: Analyzer) -> Iterator[httpx.Client]:
    with running(create_app(analyzer), Settings()) as url, httpx.Client(base_url=url) as client:
        yield client


def samples(client: httpx.Client) -> dict[tuple[str, ...], float]:
    """What /metrics tells, by name and the values of labels."""
    families = text_string_to_metric_families(client.get("/metrics").text)
    return {(sample.name, *sample.labels.values()): sample.value for family in families for sample in family.samples}


def test_the_card_and_the_states_are_told(client: httpx.Client, analyzer: Analyzer) -> None:
    card = client.get("/v1/model").json()
    assert (card["name"], card["version"]) == (analyzer.card.name, analyzer.card.version)
    assert card["metrics"] == analyzer.card.metrics
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/readyz").json() == {"status": "ready"}


def test_prometheus_is_told_what_was_done(client: httpx.Client) -> None:
    for _ in range(3):
        assert client.post("/v1/predict", **PNG).status_code == 200
    client.post("/v1/predict", content=b"x", headers={"content-type": "image/png"})
    client.get("/some/path/of/a/scanner")
    told = samples(client)
    assert told["mien_requests_total", "/v1/predict", "200"] == 3
    assert told["mien_requests_total", "/v1/predict", "415"] == 1
    assert told["mien_requests_total", "other", "404"] == 1
    assert told["mien_request_seconds_count", "/v1/predict"] == 4
    assert told["mien_pictures_total",] == told["mien_faces_total",] == 3
    assert told["mien_batch_faces_sum",] == 3
    assert told["mien_queue",] == told["mien_streams",] == told["mien_rejected_total", "queue"] == 0
    assert not any("scanner" in " ".join(name) for name in told)


class Held:
    """An analyzer's classifier that waits until it is let go."""

    def __init__(self, classifier: object) -> None:
        self._classifier = classifier
        self.card, self.path = classifier.card, classifier.path
        self.begun, self.let_go = threading.Semaphore(0), threading.Event()

    def probabilities(self, faces: np.ndarray) -> np.ndarray:
        self.begun.release()
        assert self.let_go.wait(20)
        return self._classifier.probabilities(faces)


def held(analyzer: Analyzer) -> tuple[Analyzer, Held]:
    classifier = Held(analyzer._classifier)
    return Analyzer(classifier, analyzer.detector), classifier


def test_past_the_queue_the_answer_is_503_and_what_waited_is_answered(
    analyzer: Analyzer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(saturation, "FULL_S", 0.01)
    slow, classifier = held(analyzer)
    settings = Settings(workers=1, queue=2, batching=False)
    with (
        running(create_app(slow, settings), settings) as url,
        httpx.Client(base_url=url, timeout=20) as client,
        ThreadPoolExecutor(3) as threads,
    ):
        accepted = [threads.submit(client.post, "/v1/predict", **PNG) for _ in range(3)]
        classifier.begun.acquire()
        while client.get("/readyz").status_code == 200:
            pass
        refused = client.post("/v1/predict", **PNG)
        assert refused.status_code == 503
        assert int(refused.headers["retry-after"]) >= 1
        assert "the queue is full" in refused.json()["detail"]
        told = samples(client)
        assert told["mien_rejected_total", "queue"] == 1
        assert told["mien_queue",] == 2
        classifier.let_go.set()
        assert [answer.result().status_code for answer in accepted] == [200] * 3
        assert client.get("/readyz").status_code == 200


def test_faces_of_requests_at_once_are_judged_together(analyzer: Analyzer) -> None:
    slow, classifier = held(analyzer)
    settings = Settings(workers=4)
    with (
        running(create_app(slow, settings), settings) as url,
        httpx.Client(base_url=url, timeout=20) as client,
        ThreadPoolExecutor(4) as threads,
    ):
        first = threads.submit(client.post, "/v1/predict", **PNG)
        classifier.begun.acquire()
        others = [threads.submit(client.post, "/v1/predict", **PNG) for _ in range(3)]
        while samples(client).get(("mien_requests_total", "/metrics", "200"), 0) < 5:
            pass  # by then they wait for the network
        classifier.let_go.set()
        assert {answer.result().status_code for answer in (first, *others)} == {200}
        told = samples(client)
    assert told["mien_batch_faces_sum",] == 4
    assert told["mien_batch_faces_count",] < 4


def test_bodies_that_would_take_too_much_memory_are_refused(analyzer: Analyzer) -> None:
    slow, classifier = held(analyzer)
    settings = Settings(max_body=5_000, max_buffered=5_000)
    body = {"content": png() + bytes(3_000), "headers": {"content-type": "image/png"}}
    with (
        running(create_app(slow, settings), settings) as url,
        httpx.Client(base_url=url, timeout=20) as client,
        ThreadPoolExecutor(1) as threads,
    ):
        first = threads.submit(client.post, "/v1/predict", **body)
        classifier.begun.acquire()
        refused = client.post("/v1/predict", **body)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        classifier.let_go.set()
        assert first.result().status_code == 200
        assert client.post("/v1/predict", **body).status_code == 200
        assert samples(client)["mien_rejected_total", "memory"] == 1


def test_an_error_of_its_own_is_a_problem_that_tells_nothing(
    analyzer: Analyzer, capfd: pytest.CaptureFixture[str]
) -> None:
    class Broken:
        card, path = analyzer.card, analyzer.model_path

        def probabilities(self, faces: np.ndarray) -> np.ndarray:
            raise ModelError("/secret/path: the model fails")

    with running(create_app(Analyzer(Broken(), analyzer.detector)), Settings()) as url:
        answer = httpx.post(f"{url}/v1/predict", **PNG)
        assert answer.status_code == 500
        assert answer.headers["content-type"] == "application/problem+json"
        assert "secret" not in answer.text
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert httpx.get(f"{url}/healthz").status_code == 200
    assert capfd.readouterr().err.count("the model fails") == 1
