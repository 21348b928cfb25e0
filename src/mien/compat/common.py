"""What both shapes share: names, errors, the pictures that they take, and one model and detector for all callers."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from functools import cache
from types import MappingProxyType
from typing import Final

from mien.analysis import Analysis
from mien.analyzer import Analyzer
from mien.errors import ConfigError, ImageError
from mien.images.decode import ImageSource
from mien.options import AnalyzerOptions
from mien.runtime.classifier import Classifier
from mien.runtime.detectors import load_detector
from mien.runtime.weights import find_model
from mien.types import Box, Detector

PEER_NAMES: Final = MappingProxyType(
    {
        "angry": "anger",
        "disgust": "disgust",
        "fear": "fear",
        "happy": "happiness",
        "sad": "sadness",
        "surprise": "surprise",
        "neutral": "neutral",
    }
)
"""deepface's and fer's names, which are the same, in their order, to Mien's."""

_MAKING: Final = threading.Lock()


# Code written for deepface or fer catches ValueError, code written for Mien MienError: these are both.
class FaceNotDetectedError(ImageError, ValueError):
    """No face was found in a picture, and the caller asked for one."""


class InvalidImageError(ImageError, ValueError):
    """A picture cannot be found, decoded or accepted."""


class InvalidOptionError(ConfigError, ValueError):
    """An argument asks for what Mien does not do, or has a value that cannot be used."""


def analyzer_for(detector: str, *, min_face: float) -> Analyzer:
    """An analyzer of the shipped model with the detector of this name (see `load_detector`).

    min_face is the shorter side of a face's box in pixels; smaller faces are left out. The model is loaded when it is
    first asked for, a detector likewise, and all analyzers share them. Raises ModelError or DetectorError where one
    cannot be had.
    """
    with _MAKING:
        return Analyzer(_classifier(), _detector(detector), AnalyzerOptions(min_face=min_face, reduce=True))


@cache
def _classifier() -> Classifier:
    return Classifier(find_model())


@cache
def _detector(name: str) -> Detector:
    return load_detector(name)


def analyze_all(analyzer: Analyzer, sources: Iterable[ImageSource]) -> Iterator[Analysis]:
    """One Analysis for each picture, in their order; arrays are BGR. Raises InvalidImageError at the first bad one."""
    try:
        yield from analyzer.analyze_many(sources)
    except ImageError as error:
        raise InvalidImageError(str(error)) from error


def pixel_box(box: Box, width: int, height: int) -> tuple[int, int, int, int]:
    """x, y, w, h in whole pixels of the part of a box that lies within a picture of this size."""
    inside = box.clipped(width, height)
    left, top = round(inside.x), round(inside.y)
    return left, top, round(inside.x + inside.width) - left, round(inside.y + inside.height) - top
