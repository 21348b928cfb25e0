"""Faces of several threads, classified together: the network runs once for all that wait."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from mien.model_card import ModelCard
from mien.runtime.classifier import FaceClassifier, check_faces

_Request: TypeAlias = "tuple[NDArray[np.uint8], Future[NDArray[np.float32]]]"


class SharedClassifier:
    """Classifies as its classifier does, and is safe to use from several threads.

    Faces that arrive while the network runs wait; the next thread that reaches it classifies all of them in one batch.
    So a lone thread never waits, and the busier it gets, the larger are the batches. At most `max_concurrent_batches`
    run at once: with one, a processor of many cores would wait for a network that uses one of them. observe is called
    with the number of faces in each batch; a copy by pickle has none.
    """

    def __init__(
        self,
        classifier: FaceClassifier,
        observe: Callable[[int], object] | None = None,
        *,
        max_concurrent_batches: int = 1,
    ) -> None:
        self._classifier, self._observe = classifier, observe
        self._running, self._lock = threading.Semaphore(max_concurrent_batches), threading.Lock()
        self._limit = max_concurrent_batches
        self._waiting: list[_Request] = []

    def __reduce__(self) -> tuple[object, ...]:
        return partial(SharedClassifier, max_concurrent_batches=self._limit), (self._classifier,)

    @property
    def path(self) -> Path:
        """The ONNX file."""
        return self._classifier.path

    @property
    def card(self) -> ModelCard:
        """What the model's file states."""
        return self._classifier.card

    def probabilities(self, faces: NDArray[np.uint8]) -> NDArray[np.float32]:
        """As `Classifier.probabilities`, with its errors; one that the network raises is raised to all in the batch."""
        check_faces(faces)
        if not len(faces):
            return self._classifier.probabilities(faces)
        result: Future[NDArray[np.float32]] = Future()
        with self._lock:
            self._waiting.append((faces, result))
        with self._running:
            with self._lock:  # another thread may have included these faces, and others may wait by now
                batch, self._waiting = self._waiting, []
            if batch:
                self._run(batch)
        return result.result()

    def _run(self, batch: list[_Request]) -> None:
        faces = np.concatenate([faces for faces, _ in batch])
        try:
            rows = self._classifier.probabilities(faces)
        except BaseException as error:
            for _, result in batch:
                result.set_exception(error)
            return
        if self._observe is not None:
            self._observe(len(faces))
        ends = np.cumsum([len(faces) for faces, _ in batch])[:-1]
        for (_, result), mine in zip(batch, np.split(rows, ends), strict=True):
            result.set_result(mine)
