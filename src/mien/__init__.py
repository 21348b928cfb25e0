"""Mien reads seven emotions off faces with AlexNet.

    import mien

    analyzer = mien.load()
    for face in analyzer.analyze("team.jpg").faces:
        print(face.emotion, face.confidence, face.box)

Importing the package is cheap: OpenCV, onnxruntime and numpy are imported when the first name that needs them is used.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

# onnxruntime 1.29 and later report each session to Microsoft, and keep an id in the user's cache, unless this is set
# before they are imported. Mien reports nothing to anybody. Who wants the reports sets the variable to 0.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

if TYPE_CHECKING:
    from mien.analysis import Analysis
    from mien.analyzer import Analyzer, load
    from mien.emotions import EMOTIONS, Emotion
    from mien.errors import (
        ConfigError,
        DataError,
        DetectorError,
        ImageError,
        ImageFormatError,
        ImageTooLargeError,
        MienError,
        MissingExtraError,
        ModelError,
        StorageError,
    )
    from mien.explanation import Explanation
    from mien.model_card import ModelCard
    from mien.options import AnalyzerOptions
    from mien.types import Box, CropRule, Detection, Detector, ExplainedFace, Face, Frame, Pose
    from mien.video.reader import VideoFile

__version__ = "0.4.0"

_HOMES = {
    "Analysis": "mien.analysis",
    "Analyzer": "mien.analyzer",
    "AnalyzerOptions": "mien.options",
    "Box": "mien.types",
    "ConfigError": "mien.errors",
    "DataError": "mien.errors",
    "CropRule": "mien.types",
    "Detection": "mien.types",
    "Detector": "mien.types",
    "DetectorError": "mien.errors",
    "EMOTIONS": "mien.emotions",
    "Emotion": "mien.emotions",
    "ExplainedFace": "mien.types",
    "Explanation": "mien.explanation",
    "Face": "mien.types",
    "Frame": "mien.types",
    "ImageError": "mien.errors",
    "ImageFormatError": "mien.errors",
    "ImageTooLargeError": "mien.errors",
    "MienError": "mien.errors",
    "MissingExtraError": "mien.errors",
    "ModelCard": "mien.model_card",
    "ModelError": "mien.errors",
    "Pose": "mien.types",
    "StorageError": "mien.errors",
    "VideoFile": "mien.video.reader",
    "load": "mien.analyzer",
}

__all__ = [
    "EMOTIONS",
    "Analysis",
    "Analyzer",
    "AnalyzerOptions",
    "Box",
    "ConfigError",
    "CropRule",
    "DataError",
    "Detection",
    "Detector",
    "DetectorError",
    "Emotion",
    "ExplainedFace",
    "Explanation",
    "Face",
    "Frame",
    "ImageError",
    "ImageFormatError",
    "ImageTooLargeError",
    "MienError",
    "MissingExtraError",
    "ModelCard",
    "ModelError",
    "Pose",
    "StorageError",
    "VideoFile",
    "__version__",
    "load",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'mien' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
