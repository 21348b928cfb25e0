from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mien.errors import ImageError, ModelError
from mien.model_card import ModelCard
from mien.runtime.batching import SharedClassifier

CARD = ModelCard("slow", "1", ("mean", "rest"), {})


class SlowClassifier:
    """Tells a face's first pixel as its probability of class 0; the first call waits until it is let go."""

    card, path = CARD, Path("slow.onnx")

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.begun, self.let_go = threading.Event(), threading.Event()
        self.error: Exception | None = None

    def probabilities(self, faces: NDArray[np.uint8]) -> NDArray[np.float32]:
        self.sizes.append(len(faces))
        if len(self.sizes) == 1:
            self.begun.set()
            assert self.let_go.wait(10)
        if self.error:
            raise self.error
        first = faces[:, 0, 0].astype(np.float32) / 255
        return np.stack([first, 1 - first], axis=1)


def faces(*values: int) -> NDArray[np.uint8]:
    return np.stack([np.full((48, 48), value, np.uint8) for value in values])


def asked_while_busy(slow: SlowClassifier, shared: SharedClassifier, requests: list[NDArray[np.uint8]]) -> list[Any]:
    """What comes of requests that are made while the network is at work on another face."""

    def ask(request: NDArray[np.uint8]) -> object:
        try:
            return shared.probabilities(request)
        except Exception as error:
            return error

    with ThreadPoolExecutor(len(requests) + 1) as threads:
        first = threads.submit(shared.probabilities, faces(1))
        assert slow.begun.wait(10)
        others = [threads.submit(ask, request) for request in requests]
        while len(shared._waiting) < len(requests):
            pass
        slow.let_go.set()
        first.result()
        return [other.result() for other in others]


def test_faces_that_wait_are_judged_in_one_batch_and_each_gets_its_own() -> None:
    slow = SlowClassifier()
    sizes: list[int] = []
    shared = SharedClassifier(slow, sizes.append)
    requests = [faces(10), faces(20, 30), faces(40, 50, 60)]
    answers = asked_while_busy(slow, shared, requests)
    assert slow.sizes == sizes == [1, 6]
    for request, answer in zip(requests, answers, strict=True):
        np.testing.assert_allclose(answer[:, 0] * 255, request[:, 0, 0], atol=1e-4)
    assert shared.card is CARD
    assert shared.path == slow.path


def test_an_error_is_raised_to_all_in_the_batch_and_to_none_after_it() -> None:
    slow = SlowClassifier()
    shared = SharedClassifier(slow)
    with ThreadPoolExecutor(3) as threads:
        first = threads.submit(shared.probabilities, faces(1))
        assert slow.begun.wait(10)
        others = [threads.submit(shared.probabilities, faces(value)) for value in (2, 3)]
        while len(shared._waiting) < 2:
            pass
        slow.error = ModelError("it broke")
        slow.let_go.set()
        for future in (first, *others):
            with pytest.raises(ModelError, match="it broke"):
                future.result()
    slow.error = None
    assert shared.probabilities(faces(255))[0, 0] == 1


def test_a_second_lane_does_not_wait_for_the_first() -> None:
    slow = SlowClassifier()
    shared = SharedClassifier(slow, max_concurrent_batches=2)
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(shared.probabilities, faces(1))
        assert slow.begun.wait(10)
        assert threads.submit(shared.probabilities, faces(255)).result(10)[0, 0] == 1
        assert not first.done()
        slow.let_go.set()
        assert first.result(10).shape == (1, 2)
    assert slow.sizes == [1, 1]


def test_a_lone_thread_is_served_at_once_and_no_face_asks_for_nothing() -> None:
    slow = SlowClassifier()
    slow.let_go.set()
    shared = SharedClassifier(slow)
    assert shared.probabilities(faces(255)).tolist() == [[1, 0]]
    assert shared.probabilities(faces(0)[:0]).shape == (0, 2)


def test_faces_of_another_shape_spoil_no_batch() -> None:
    shared = SharedClassifier(SlowClassifier())
    with pytest.raises(ImageError, match=r"expected faces of shape"):
        shared.probabilities(np.zeros((1, 40, 40), np.uint8))
    assert not shared._waiting


@pytest.mark.parametrize("lanes", [1, 3])
def test_many_threads_get_what_they_asked_for(lanes: int) -> None:
    slow = SlowClassifier()
    slow.let_go.set()
    shared = SharedClassifier(slow, max_concurrent_batches=lanes)

    def ask(seed: int) -> bool:
        mine = faces(*np.random.default_rng(seed).integers(0, 256, 1 + seed % 4).tolist())
        return np.allclose(shared.probabilities(mine)[:, 0] * 255, mine[:, 0, 0], atol=1e-4)

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(ask, range(400)))
