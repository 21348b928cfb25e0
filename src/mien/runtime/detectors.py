"""Finding faces: Haar cascades that come with OpenCV, YuNet, or the whole picture taken as the face."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.errors import ConfigError, DetectorError
from mien.runtime.crops import WHOLE_PICTURE, to_grey
from mien.runtime.weights import find_yunet
from mien.runtime.yunet import YuNet
from mien.types import Box, CropRule, Detection, Detector

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

    Works on a grey copy whose longer side is at most `max_side` pixels, with a border that repeats the edge, as the
    cascade misses faces that fill the picture. Raises DetectorError where OpenCV holds no cascade, as from version 5.
    """

    name = "haar"
    crop_rule = CropRule(side=1.05)
    max_side: int
    stream_side = 640  # at 1280 it would hold up a live picture for several frames

    def __init__(self, *, max_side: int = 1280) -> None:
        folder = getattr(getattr(cv2, "data", None), "haarcascades", None)
        if folder is None or not hasattr(cv2, "CascadeClassifier") or not (Path(folder) / _CASCADE).is_file():
            raise DetectorError(f"OpenCV {cv2.__version__} has no Haar cascade; for YuNet {_FETCH_HINT}")
        self._path, self.max_side = str(Path(folder) / _CASCADE), max_side
        self._local = threading.local()
        self._classifier()

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
    """YuNet (Wu et al., Machine Intelligence Research, 2023): faces of most poses, scores, landmarks.

    path is its ONNX file. Works on a copy whose longer side is between `min_side` and `max_side` pixels. Reports
    detections of a score of 0.3 or more; threads are the CPU's, None leaves them to onnxruntime. Raises DetectorError
    where the file is missing or is not YuNet.
    """

    name = "yunet"
    crop_rule = CropRule(y=0.485)
    max_side: int
    stream_side = 960

    def __init__(
        self,
        path: Path,
        *,
        min_side: int = 160,
        max_side: int = 1440,
        threads: int | None = None,
    ) -> None:
        self.model_file, self._min_side, self.max_side = Path(path), min_side, max_side
        self._network = YuNet(Path(path), min_score=0.3, overlap=0.3, threads=threads)

    def detect(self, image: NDArray[np.uint8]) -> list[Detection]:
        """The faces, with scores 0..1 and five landmarks each."""
        small = fitted(image, self._min_side, self.max_side)
        across, down = image.shape[1] / small.shape[1], image.shape[0] / small.shape[0]
        return [
            Detection(Box(*row[:4]), row[14], tuple(zip(row[4:14:2], row[5:14:2], strict=True))).scaled(across, down)
            for row in self._network.detect(small).tolist()
        ]


BUILT_IN: Final[Mapping[str, type[Detector]]] = {
    detector.name: detector for detector in (HaarDetector, YuNetDetector, WholeImageDetector)
}
"""The detectors that Mien has, by their names."""

DETECTORS: Final = ("auto", *BUILT_IN)
"""The names that `load_detector` knows."""


def check_detector(detector: object) -> None:
    """Raise ConfigError where an object lacks a member of `Detector`, naming it."""
    missing = [name for name in (*Detector.__annotations__, "detect") if not hasattr(detector, name)]
    if missing:
        raise ConfigError(
            f"expected a detector with {', '.join(missing)}, got {type(detector).__name__}: subclass mien.Detector"
        )


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


def fitted(image: NDArray[np.uint8], min_side: int, max_side: int) -> NDArray[np.uint8]:
    """The picture itself, or a copy scaled so that its longer side lies in between, no side below 1."""
    height, width = image.shape[:2]
    longer = max(height, width)
    wanted = min(max(longer, min_side), max_side)
    if wanted == longer:
        return image
    size = max(1, round(width * wanted / longer)), max(1, round(height * wanted / longer))
    how = cv2.INTER_AREA if wanted < longer else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, size, interpolation=how), np.uint8)
