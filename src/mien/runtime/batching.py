"""Faces of several threads, judged together: each thread asks for its own, the network runs once for all that wait."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from mien.model_card import ModelCard
from mien.runtime.classifier import FaceClassifier, check_faces

_Request: TypeAlias = "tuple[NDArray[np.uint8], Future[NDArray[np.float32]]]"


class SharedClassifier:
    """Judges as its classifier does, and is safe to use from several threads.

    Faces that are asked about while the network is at work wait; whoever comes next to it judges all of them in one
    batch. So a lone thread never waits, and the busier it gets, the larger are the batches. `lanes` batches may be at
    work at once: with one, a processor of many cores would wait for a network that uses one of them. observe is told
    the number of faces in each batch.
    """

    def __init__(
        self, classifier: FaceClassifier, observe: Callable[[int], object] | None = None, *, lanes: int = 1
    ) -> None:
        self._classifier, self._observe = classifier, observe
        self._lanes, self._desk = threading.Semaphore(lanes), threading.Lock()
        self._waiting: list[_Request] = []

    @property
    def path(self) -> Path:
        """The ONNX file."""
        return self._classifier.path

    @property
    def card(self) -> ModelCard:
        """What the model says of itself."""
        return self._classifier.card

    def probabilities(self, faces: NDArray[np.uint8]) -> NDArray[np.float32]:
        """As `Classifier.probabilities`, with its errors; one that the network raises is raised to all in the batch."""
        check_faces(faces)
        if not len(faces):
            return self._classifier.probabilities(faces)
        answer: Future[NDArray[np.float32]] = Future()
        with self._desk:
            self._waiting.append((faces, answer))
        with self._lanes:
            with self._desk:  # another one may have taken these faces along, and others may wait by now
                batch, self._waiting = self._waiting, []
            if batch:
                self._judge(batch)
        return answer.result()

    def _judge(self, batch: list[_Request]) -> None:
        faces = np.concatenate([faces for faces, _ in batch])
        try:
            rows = self._classifier.probabilities(faces)
        except BaseException as error:
            for _, answer in batch:
                answer.set_exception(error)
            return
        if self._observe is not None:
            self._observe(len(faces))
        ends = np.cumsum([len(faces) for faces, _ in batch])[:-1]
        for (_, answer), mine in zip(batch, np.split(rows, ends), strict=True):
            answer.set_result(mine)
