"""Faces of several threads, judged together: each thread asks for its own, the network runs once for all that wait."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mien.model_card import ModelCard
from mien.runtime.classifier import FaceClassifier, check_faces


class SharedClassifier:
    """Judges as its classifier does, and is safe to use from several threads.

    Faces that are asked about while the network is at work wait; whoever comes next to it judges all of them in one
    batch. So a lone thread never waits, and the busier it gets, the larger are the batches. observe is told the number
    of faces in each batch.
    """

    def __init__(self, classifier: FaceClassifier, observe: Callable[[int], object] | None = None) -> None:
        self._classifier, self._observe = classifier, observe
        self._network, self._desk = threading.Lock(), threading.Lock()
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
        request = _Request(faces)
        with self._desk:
            self._waiting.append(request)
        with self._network:
            if not request.is_done:
                with self._desk:
                    batch, self._waiting = self._waiting, []
                self._judge(batch)
        if request.error is not None:
            raise request.error
        return request.answer

    def _judge(self, batch: list[_Request]) -> None:
        faces = np.concatenate([request.faces for request in batch])
        try:
            answers = self._classifier.probabilities(faces)
        except BaseException as error:
            for request in batch:
                request.error, request.is_done = error, True
            return
        if self._observe is not None:
            self._observe(len(faces))
        ends = np.cumsum([len(request.faces) for request in batch])[:-1]
        for request, answer in zip(batch, np.split(answers, ends), strict=True):
            request.answer, request.is_done = answer, True


@dataclass(slots=True)
class _Request:
    """Faces (N, 48, 48) of one thread, and what came of them."""

    faces: NDArray[np.uint8]
    answer: NDArray[np.float32] = field(default_factory=lambda: np.empty((0, 0), np.float32))
    error: BaseException | None = None
    is_done: bool = False
