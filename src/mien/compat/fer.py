"""fer's `FER`, by Mien. The shapes are those of fer 25.10.3."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from mien.analysis import Analysis
from mien.compat.common import (
    PEER_NAMES,
    InvalidImageError,
    InvalidOptionError,
    analyze_all,
    analyzer_for,
    pixel_box,
)
from mien.emotions import likeliest
from mien.errors import ImageError
from mien.images.decode import ImageSource, read_image
from mien.runtime.crops import crop_face, to_grey
from mien.runtime.detectors import HaarDetector
from mien.types import MIN_FACE, Box


class FER:
    """A face detector and a reader of emotions, as fer's class of this name. Threads may share one.

    mtcnn          False for Haar, True for YuNet, which takes the place of fer's MTCNN
    min_face_size  the shorter side of a face's box in pixels; smaller faces are left out. As in fer, Haar only
    cascade_file   only None, and
    tfserving      only False: Mien brings its own detectors and runs its network itself
    use_tflite, scale_factor, min_neighbors, offsets
                   are taken and change nothing: there is one network, and how faces are found and cut out was measured
                   for it (docs/photos.md)

    Raises InvalidOptionError, a ValueError and a MienError; DetectorError where the detector is not installed, as YuNet
    if Mien was built without it; ModelError where the model cannot be loaded.
    """

    def __init__(
        self,
        cascade_file: str | None = None,
        mtcnn: bool = False,
        tfserving: bool = False,
        use_tflite: bool = True,
        scale_factor: float = 1.1,
        min_face_size: int = 50,
        min_neighbors: int = 5,
        offsets: tuple[int, int] = (10, 10),
    ) -> None:
        if cascade_file is not None:
            raise InvalidOptionError(f"Mien brings its own cascade: expected cascade_file None, got {cascade_file!r}")
        if tfserving:
            raise InvalidOptionError("Mien runs its network itself: tfserving must be False")
        if not 1 <= min_face_size < math.inf:
            raise InvalidOptionError(f"min_face_size must be 1 pixel or more, got {min_face_size!r}")
        self._mtcnn = mtcnn
        self._analyzer = analyzer_for(
            "yunet" if mtcnn else "haar", min_face=float(MIN_FACE if mtcnn else min_face_size)
        )

    def detect_emotions(
        self, img: ImageSource, face_rectangles: Iterable[Sequence[float]] | None = None
    ) -> list[dict[str, Any]]:
        """A dictionary `{"box", "emotions"}` for each face of a picture, from left to right; [] where there is none.

        img              a path, a `data:image/...;base64,` text, bytes, a file object, a PIL image, an array (BGR)
        face_rectangles  x, y, w, h in pixels of faces that another detector found: these are classified, in their order

        box is x, y, w, h in pixels within the picture, in fer's types: an int32 array (4,) from Haar, a list of ints
        with mtcnn=True, a given rectangle as it was given. emotions maps angry, disgust, fear, happy, sad, surprise,
        neutral, in this order, to floats 0..1, rounded to 0.01.

        Raises InvalidImageError on a bad picture, InvalidOptionError on a bad rectangle.
        """
        if face_rectangles is not None:
            return self._classify_given(img, list(face_rectangles))
        return self._boxes_and_emotions(next(analyze_all(self._analyzer, [img])))

    def batch_detect_emotions(self, imgs: Iterable[ImageSource]) -> list[list[dict[str, Any]]]:
        """What `detect_emotions` returns for each picture; faces are classified in batches across pictures."""
        return [self._boxes_and_emotions(analysis) for analysis in analyze_all(self._analyzer, imgs)]

    def top_emotion(self, img: ImageSource) -> tuple[str, float] | tuple[None, None]:
        """The likeliest emotion of the largest face and its probability; (None, None) without a face.

        fer takes whichever face its detector names first, which may be anybody in the background.
        """
        faces = self.detect_emotions(img)
        if not faces:
            return None, None
        emotions = max(faces, key=lambda face: int(face["box"][2]) * int(face["box"][3]))["emotions"]
        name = likeliest(emotions)
        return name, emotions[name]

    def _boxes_and_emotions(self, analysis: Analysis) -> list[dict[str, Any]]:
        result = []
        for face in analysis.faces:
            box = pixel_box(face.box, analysis.width, analysis.height)
            shown = list(box) if self._mtcnn else np.array(box, np.int32)
            result.append({"box": shown, "emotions": _rounded(face.probabilities)})
        return result

    def _classify_given(self, img: ImageSource, rectangles: list[Sequence[float]]) -> list[dict[str, Any]]:
        boxes = [_box(rectangle) for rectangle in rectangles]
        try:
            grey = to_grey(read_image(img))
        except ImageError as error:
            raise InvalidImageError(str(error)) from error
        crops = [crop_face(grey, box, HaarDetector.crop_rule) for box in boxes]
        rows, classes = self._analyzer.classify(crops).tolist(), self._analyzer.card.classes
        return [
            {"box": rectangle, "emotions": _rounded(dict(zip(classes, row, strict=True)))}
            for rectangle, row in zip(rectangles, rows, strict=True)
        ]


def _rounded(probabilities: Mapping[str, float]) -> dict[str, float]:
    return {name: round(probabilities[ours], 2) for name, ours in PEER_NAMES.items()}


def _box(rectangle: Sequence[float]) -> Box:
    try:
        if isinstance(rectangle, str):
            raise TypeError("text is no rectangle")
        x, y, width, height = map(float, rectangle)
    except (TypeError, ValueError):
        raise InvalidOptionError(f"expected a face rectangle x, y, w, h in pixels, got {rectangle!r}") from None
    if not (width > 0 and height > 0 and all(map(math.isfinite, (x, y, width, height)))):
        raise InvalidOptionError(f"expected a face rectangle of some size, got {rectangle!r}")
    return Box(x, y, width, height)
