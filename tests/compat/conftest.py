"""A model and a detector of which a test knows the answers, in place of the shared ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from mien.compat import common
from mien.emotions import EMOTIONS
from mien.runtime.classifier import Classifier
from mien.runtime.detectors import load_detector
from mien.types import Box, Detection, Detector


class SquaresDetector(Detector):
    """Finds the bright squares on a black picture; score and landmarks are the test's. It frames as "none" does."""

    name = "none"
    score: float | None = None
    landmarks: tuple[tuple[float, float], ...] | None = None
    grow = 0.0  # pixels by which the box is larger than the square on each side

    def detect(self, image: np.ndarray) -> list[Detection]:
        _, _, stats, _ = cv2.connectedComponentsWithStats((image[:, :, 0] > 0).astype(np.uint8))
        return [
            Detection(
                Box(x - self.grow, y - self.grow, w + 2 * self.grow, h + 2 * self.grow), self.score, self.landmarks
            )
            for x, y, w, h in stats[:0:-1, :4].tolist()
        ]


def picture(*emotions: str, side: int = 60) -> np.ndarray:
    """Grey squares in a row on black, each of the grey that the brightness model takes for its emotion, BGR."""
    image = np.zeros((side + 20, len(emotions) * (side + 10) + 10, 3), np.uint8)
    for number, emotion in enumerate(emotions):
        grey = max(1, round(255 * EMOTIONS.index(emotion) / 6))
        image[10 : 10 + side, 10 + number * (side + 10) :][:, :side] = grey
    return image


@pytest.fixture(name="picture")
def picture_fixture() -> Callable[..., np.ndarray]:
    return picture


@pytest.fixture
def squares(brightness_model: Path, monkeypatch: pytest.MonkeyPatch) -> SquaresDetector:
    """The brightness model and a SquaresDetector behind both shapes, whichever detector is asked for but "none"."""
    detector = SquaresDetector()
    monkeypatch.setattr(common, "_classifier", lambda: Classifier(brightness_model))
    monkeypatch.setattr(common, "_detector", lambda name: load_detector("none") if name == "none" else detector)
    return detector
