"""deepface's `DeepFace.analyze`, by Mien. The shapes are those of deepface 0.0.103."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mien.analysis import Analysis
from mien.compat.common import (
    PEER_NAMES,
    FaceNotDetectedError,
    InvalidOptionError,
    analyze_all,
    analyzer_for,
    pixel_box,
)
from mien.emotions import likeliest
from mien.images.decode import ImageSource
from mien.types import MIN_FACE, Box, Face

BACKENDS: Final = MappingProxyType({"opencv": "haar", "yunet": "yunet", "skip": "none"})
"""deepface's names of the detectors that Mien has, to Mien's."""


class DeepFace:
    """Stands for the module `deepface.DeepFace`, as far as Mien goes: emotions."""

    @staticmethod
    def analyze(
        img_path: ImageSource | list[Any] | NDArray[Any],
        actions: str | Sequence[str] = ("emotion",),
        enforce_detection: bool = True,
        detector_backend: str = "opencv",
        align: bool = True,
        expand_percentage: int = 0,
        silent: bool = False,
        anti_spoofing: bool = False,
    ) -> list[Any]:
        """A dictionary for each face of a picture, from left to right; for a list of pictures, a list of such lists.

        img_path           a path, a `data:image/...;base64,` text, bytes, a file object, a PIL image, an array (BGR);
                           or a list of those, or an array (N, H, W, 3): faces are then classified in batches
        actions            ("emotion",), which is the default too; age, gender and race are refused
        enforce_detection  whether a picture without a face is an error; else the whole picture is taken as one
        detector_backend   "opencv" (Haar), "yunet", or "skip": the whole picture is the face
        align, silent      are taken and change nothing: how a face is cut out is Mien's affair, and it prints nothing
        expand_percentage  only 0
        anti_spoofing      only False

        A face is `{"emotion", "dominant_emotion", "region", "face_confidence"}`. emotion maps angry, disgust, fear,
        happy, sad, surprise, neutral, in this order, to floats 0..100 that add up to 100. region has x, y, w, h, ints
        in pixels within the picture, left_eye and right_eye, (x, y) ints where the detector has them (the person's
        left), else None. face_confidence is the detector's score, 0..1, rounded to 0.01; 1.0 of Haar, which has none;
        and 0.0 where the whole picture was taken.

        Raises FaceNotDetectedError, InvalidImageError or InvalidOptionError, all three ValueErrors as deepface's are
        and MienErrors; DetectorError where the detector is not installed, as YuNet if Mien was built without it.
        """
        _check(actions, detector_backend, expand_percentage, anti_spoofing)
        several = isinstance(img_path, list) or (isinstance(img_path, np.ndarray) and img_path.ndim == 4)
        sources: list[Any] = list(img_path) if several else [img_path]  # type: ignore[arg-type]
        detector = BACKENDS[detector_backend]
        analyzer = analyzer_for(detector, min_face=0 if detector == "none" else MIN_FACE)
        results = [
            _faces(analysis, enforce_detection, whole=detector == "none") for analysis in analyze_all(analyzer, sources)
        ]
        return results if several else results[0]


def _check(actions: str | Sequence[str], backend: str, expand_percentage: int, anti_spoofing: bool) -> None:
    asked = [actions] if isinstance(actions, str) else list(actions or ())
    if not asked or set(asked) != {"emotion"}:
        raise InvalidOptionError(f"Mien reads emotions only: expected actions ('emotion',), got {tuple(asked)!r}")
    if backend not in BACKENDS:
        raise InvalidOptionError(f"expected a detector_backend of {', '.join(BACKENDS)}, got {backend!r}")
    if expand_percentage != 0:
        raise InvalidOptionError(
            f"Mien cuts faces by a measured rule: expected expand_percentage 0, got {expand_percentage!r}"
        )
    if anti_spoofing:
        raise InvalidOptionError(
            "Mien does not distinguish real faces from pictures of faces: anti_spoofing must be False"
        )


def _faces(analysis: Analysis, enforce_detection: bool, *, whole: bool) -> list[dict[str, Any]]:
    """What deepface returns for one picture; whole: the picture itself was taken as a face."""
    if not analysis.faces:
        if enforce_detection:
            raise FaceNotDetectedError(
                f"{analysis.source or 'the picture'}: no face found; enforce_detection=False takes the whole picture"
            )
        face = analyzer_for("none", min_face=0).analyze(analysis.image).faces[0]
        everything = Box(0, 0, analysis.width, analysis.height)
        return [_face(replace(face, box=everything), analysis.width, analysis.height, whole=True)]
    return [_face(face, analysis.width, analysis.height, whole) for face in analysis.faces]


def _face(face: Face, width: int, height: int, whole: bool) -> dict[str, Any]:
    total = sum(face.probabilities.values())
    emotion = {name: 100 * face.probabilities[ours] / total for name, ours in PEER_NAMES.items()}
    x, y, w, h = pixel_box(face.box, width, height)
    right_eye, left_eye = (None, None) if face.landmarks is None else face.landmarks[:2]
    score = 1.0 if face.score is None else round(face.score, 2)
    return {
        "emotion": emotion,
        "dominant_emotion": likeliest(emotion),
        "region": {
            "x": x,
            "y": y,
            "w": w,
            "h": h,
            "left_eye": _pixel(left_eye, width, height),
            "right_eye": _pixel(right_eye, width, height),
        },
        "face_confidence": 0.0 if whole else score,
    }


def _pixel(point: tuple[float, float] | None, width: int, height: int) -> tuple[int, int] | None:
    """The pixel of a point, or None where it lies beyond the picture."""
    if point is None or not (0 <= point[0] < width and 0 <= point[1] < height):
        return None
    return int(point[0]), int(point[1])
