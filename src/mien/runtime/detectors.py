"""Finding faces: Haar cascades that come with OpenCV, YuNet, or the whole picture taken as the face."""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping
from copy import copy
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.errors import ConfigError, DetectorError
from mien.runtime.crops import WHOLE_PICTURE, to_grey
from mien.runtime.face_search import search
from mien.runtime.resize import fitted
from mien.runtime.search_table import TABLE
from mien.runtime.weights import find_yunet
from mien.runtime.yunet import YuNet
from mien.types import Box, CropRule, Detection, DetectOptions, Detector

_FETCH_HINT: Final = "run `mien detector yunet` once, or name its file: `detector_model=FILE`"


class WholeImageDetector(Detector):
    """Takes the whole picture as one face: for faces that are cut out already."""

    name = "none"
    crop_rule = WHOLE_PICTURE
    max_side = 480  # ten times the crop's
    whole_picture = True

    def detect(self, image: NDArray[np.uint8]) -> list[Detection]:
        """One box, as large as the picture, without a score."""
        height, width = image.shape[:2]
        return [Detection(Box(0.0, 0.0, float(width), float(height)))]


# The crop rules of Haar and YuNet are medians of benchmarks/crop_frame.py --faces 400. Of training faces of FER2013
# that fill the picture, YuNet finds 99 % and sees the frame at side 1.02, x 0.50, y 0.485 of its box; in a grey border
# 0.95, 0.50, 0.49. Haar finds 64 % and sees it at 1.10, 0.50, 0.51, in a border 72 % and 1.03, 0.50, 0.50: its scale
# is coarse. On photos of LFW that a face fills Haar's box is 0.88 of YuNet's height.


_CASCADE: Final = "haarcascade_frontalface_alt2.xml"
_BORDER: Final = 0.1
"""Width of the border around a picture for Haar, in its shorter sides."""
_HAAR: Final[Mapping[str, Any]] = {"scaleFactor": 1.1, "minNeighbors": 6, "minSize": (32, 32)}


class HaarDetector(Detector):
    """The boosted cascade of Viola and Jones (CVPR 2001) that OpenCV's wheel brings along: frontal faces, no score.

    Works on a grey copy whose longer side has at most `max_side` pixels (by default 1280, of a stream's frame 640),
    with a border that repeats the edge, as the cascade misses faces that fill the picture. Raises DetectorError where
    OpenCV holds no cascade, as from version 5.
    """

    PHOTO_SIDE: Final = 1280
    STREAM_SIDE: Final = 640  # at 1280 it would hold up a live picture for several frames

    name = "haar"
    crop_rule = CropRule(side=1.05)
    max_side: int

    def __init__(self, *, max_side: int | None = None) -> None:
        folder = getattr(getattr(cv2, "data", None), "haarcascades", None)
        if folder is None or not hasattr(cv2, "CascadeClassifier") or not (Path(folder) / _CASCADE).is_file():
            raise DetectorError(f"OpenCV {cv2.__version__} has no Haar cascade; for YuNet {_FETCH_HINT}")
        self._path, self._side = str(Path(folder) / _CASCADE), max_side
        self.max_side = max_side or self.PHOTO_SIDE
        self._local = threading.local()
        self._classifier()

    def with_options(self, options: DetectOptions) -> HaarDetector:
        """The same cascade at the side that these options ask for; the mode makes no difference."""
        other = copy(self)
        other._local = self._local  # else each copy would read the cascade's file
        other.max_side = options.side or self._side or (self.STREAM_SIDE if options.stream else self.PHOTO_SIDE)
        return other

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_local"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _local=threading.local())

    def detect(self, image: NDArray[np.uint8]) -> list[Detection]:
        """The frontal faces, square boxes without score or landmarks."""
        grey = to_grey(image)
        small = fitted(grey, 1, self.max_side)
        border = round(_BORDER * min(small.shape))
        padded = cv2.copyMakeBorder(small, border, border, border, border, cv2.BORDER_REPLICATE)
        across, down = grey.shape[1] / small.shape[1], grey.shape[0] / small.shape[0]
        found = self._classifier().detectMultiScale(padded, **_HAAR)
        return [
            Detection(Box(x - border, y - border, width, height).scaled(across, down))
            for x, y, width, height in np.asarray(found, np.float64).reshape(-1, 4).tolist()
        ]

    def _classifier(self) -> Any:
        """This thread's own classifier: one that threads share gives wrong boxes."""
        if not hasattr(self._local, "classifier"):
            classifier = cv2.CascadeClassifier(self._path)
            if classifier.empty():
                raise DetectorError(f"{self._path}: expected a Haar cascade, OpenCV cannot read it")
            self._local.classifier = classifier
        return self._local.classifier


class YuNetDetector(Detector):
    """YuNet (Wu et al., Machine Intelligence Research, 2023): scores and landmarks, and faces of any size and pose, by
    face_search.py.

    path is its ONNX file. By default the longer side of a stream's frame has at most STREAM_SIDE pixels; of a photo
    every pixel counts, up to 24 million. Reports detections of a score of 0.3 or more; threads are the CPU's, None
    leaves them to onnxruntime. Raises DetectorError where the file is missing or is not YuNet.
    """

    STREAM_SIDE: Final = 960

    name = "yunet"
    crop_rule = CropRule(y=0.485)

    def __init__(self, path: Path, *, threads: int | None = None, options: DetectOptions | None = None) -> None:
        self.model_file = Path(path)
        self._network = YuNet(
            Path(path), min_score=TABLE.thorough_candidate_score, overlap=TABLE.max_overlap, threads=threads
        )
        self._use(options or DetectOptions())

    def _use(self, options: DetectOptions) -> None:
        self._options = replace(options, side=options.side or (self.STREAM_SIDE if options.stream else None))
        self.max_side = self._options.side

    def with_options(self, options: DetectOptions) -> YuNetDetector:
        """The same network for other options."""
        other = copy(self)
        other._use(options)
        return other

    def detect(self, image: NDArray[np.uint8]) -> list[Detection]:
        """The faces, with scores 0..1 and five landmarks each, by falling score."""
        return search(self._network, image, self._options)


BUILT_IN: Final[Mapping[str, type[Detector]]] = {
    detector.name: detector for detector in (HaarDetector, YuNetDetector, WholeImageDetector)
}
"""The detectors that Mien has, by their names."""

DETECTORS: Final = ("auto", *BUILT_IN)
"""The names that `load_detector` knows."""


def check_detector(detector: object) -> None:
    """Raise ConfigError where an object lacks a member of `Detector`, naming it."""
    missing = [name for name in (*Detector.__annotations__, "detect", "with_options") if not hasattr(detector, name)]
    if detector is None or isinstance(detector, (int, float, bytes)):
        raise ConfigError(f"expected a detector of {', '.join(DETECTORS)}, or a mien.Detector, got {detector!r}")
    if missing:
        raise ConfigError(
            f"expected a detector with {', '.join(missing)}, got {type(detector).__name__}: subclass mien.Detector"
        )


def found_by(detector: Detector, image: NDArray[np.uint8]) -> list[Detection]:
    """What a detector finds in a picture (H, W, 3) uint8 BGR, all numbers as Python's own.

    A detector may be the user's. Raises DetectorError where it gives something else than detections, a number that is
    not finite, or landmarks that are not five points.
    """
    return [_checked(one, detector.name) for one in detector.detect(image)]


def _checked(one: Detection, detector: str) -> Detection:
    try:
        box = Box(float(one.box.x), float(one.box.y), float(one.box.width), float(one.box.height))
        score = None if one.score is None else float(one.score)
        landmarks = None if one.landmarks is None else tuple((float(x), float(y)) for x, y in one.landmarks)
    except (AttributeError, TypeError, ValueError) as error:
        raise DetectorError(f"detector {detector}: expected a mien.Detection, got {one!r}") from error
    if landmarks is not None and len(landmarks) != _LANDMARKS:
        raise DetectorError(f"detector {detector}: expected {_LANDMARKS} landmarks or None, got {len(landmarks)}")
    numbers = [box.x, box.y, box.width, box.height, score or 0.0, *chain.from_iterable(landmarks or ())]
    if not all(map(math.isfinite, numbers)):
        raise DetectorError(f"detector {detector}: expected numbers, got {one!r}")
    return Detection(box, score, landmarks)


_LANDMARKS: Final = 5


def load_detector(name: str = "auto", *, model: Path | None = None, threads: int | None = None) -> Detector:
    """The detector of this name.

    name     "haar", "yunet", "none" (the whole picture is the face), or "auto": YuNet where its file is given, came
             with the package or was fetched by `mien detector yunet`, else Haar
    model    YuNet's file, in place of the installed one
    threads  of the CPU, for YuNet; None leaves them to onnxruntime

    Raises ConfigError on an unknown name or a file for another detector, DetectorError where it cannot be loaded.
    """
    if name not in DETECTORS:
        raise ConfigError(f"expected a detector of {', '.join(DETECTORS)}, got {name!r}")
    if model is not None and name not in {"auto", "yunet"}:
        raise ConfigError(f"a detector's file goes with yunet or auto, got detector {name!r} and {model}")
    if name == "none":
        return WholeImageDetector()
    path = model or (find_yunet() if name != "haar" else None)
    if path is not None:
        return YuNetDetector(path, threads=threads)
    if name == "yunet":
        raise DetectorError(f"YuNet is not installed: {_FETCH_HINT}")
    return HaarDetector()
