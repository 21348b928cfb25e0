"""Landmarks come with REST's records and a stream's where they are asked for, and only there."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

import mien
from mien.analyzer import Analyzer
from mien.runtime.classifier import Classifier
from mien.types import Box, Detection

NAMES = ["right_eye", "left_eye", "nose", "right_mouth", "left_mouth"]
POINTS = ((20.0, 20.0), (40.0, 20.0), (30.0, 30.0), (22.0, 40.0), (38.0, 40.0))


class Pointing(mien.Detector):
    """Finds a face with landmarks in every picture."""

    name = "pointing"
    whole_picture = True  # a stream then detects on every frame

    def detect(self, image: NDArray[np.uint8]) -> list[Detection]:
        return [Detection(Box(10, 10, 40, 40), 0.9, POINTS)]


@pytest.fixture
def url(serving: Any, brightness_model: Path) -> Iterator[str]:
    with serving(Analyzer(Classifier(brightness_model, threads=1), Pointing())) as url:
        yield url


def points(face: dict[str, Any]) -> tuple[tuple[float, float], ...]:
    assert list(face["landmarks"]) == NAMES
    return tuple((point["x"], point["y"]) for point in face["landmarks"].values())


@pytest.mark.parametrize("asked", ["1", "true", "0", None])
def test_rest(url: str, frame: Callable[..., bytes], asked: str | None) -> None:
    query = {} if asked is None else {"landmarks": asked}
    headers = {"Content-Type": "image/png"}
    raw = httpx.post(f"{url}/v1/predict", content=frame(9), headers=headers, params=query, trust_env=False).json()
    files = [("file", frame(9)), ("file", b"broken")]
    form = httpx.post(f"{url}/v1/predict", files=files, params=query, trust_env=False).json()
    for record in (raw, form[0]):
        [face] = record["faces"]
        if asked in ("1", "true"):
            assert points(face) == POINTS
        else:
            assert "landmarks" not in face
    assert form[1]["faces"] == []


def test_a_detector_without_landmarks_gives_null(base_url: str, frame: Callable[..., bytes]) -> None:
    headers = {"Content-Type": "image/png"}
    record = httpx.post(f"{base_url}/v1/predict?landmarks=1", content=frame(9), headers=headers, trust_env=False).json()
    assert record["faces"][0]["landmarks"] is None


def test_a_value_that_is_none_is_a_problem(url: str, frame: Callable[..., bytes]) -> None:
    refused = httpx.post(f"{url}/v1/predict?landmarks=all", files={"file": frame(9)}, trust_env=False)
    assert refused.status_code == 400
    assert "landmarks" in refused.json()["detail"]
    address = url.replace("http", "ws", 1)
    with pytest.raises(InvalidStatus) as denied, connect(f"{address}/v1/stream?landmarks=x", proxy=None):
        pass
    assert b"landmarks must be 0 or 1" in (denied.value.response.body or b"")


@pytest.mark.parametrize("query", ["?landmarks=1", "?smooth=0&landmarks=1", "?landmarks=0", ""])
def test_a_stream(url: str, frame: Callable[..., bytes], query: str) -> None:
    with connect(f"{url.replace('http', 'ws', 1)}/v1/stream{query}", proxy=None) as stream:
        stream.send(frame(9))
        [face] = json.loads(stream.recv(timeout=10))["faces"]
    assert face["track"] == 1
    assert points(face) == POINTS if "landmarks=1" in query else "landmarks" not in face
