"""Finding faces: Haar cascades that come with OpenCV, YuNet, or the whole picture taken as the face."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any, Final, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.errors import ConfigError, DetectorError
from mien.runtime.crops import to_grey
from mien.runtime.weights import find_yunet
from mien.runtime.yunet import YuNet
from mien.types import Box, Detection

DETECTORS: Final = ("auto", "haar", "yunet", "none")
"""The names that `load_detector` knows."""

MIN_FACE_SCORE: Final = 0.7
"""From this score on a find of YuNet's counts as a face: the lowest with at most 0.1 false boxes a picture in
benchmarks/detection.py, in steps of 0.05 (seeds 0 and 1)."""

_FETCH_HINT: Final = "run `mien detector yunet` once, or name its file with --detector-model FILE"


class Detector(Protocol):
    """What finds faces. One detector may be used from several threads at once.

    One that has a `max_side` looks at no more pixels of a picture's longer side, so that large pictures may be decoded
    at a reduced size for it; one that has none gets every pixel.
    """

    @property
    def name(self) -> str:
        """Its name, which is also its rule's in `crops.CROP_RULES`."""

    def detect(self, image: NDArray[np.uint8]) -> list[Detection]:
        """The faces in an (H, W, 3) uint8 BGR picture: boxes in its pixels, not clipped, in no fixed order."""


class WholeImageDetector:
    """Takes the whole picture as one face: for faces that are cut out already."""

    name: Final = "none"
    max_side: Final = 480  # ten times the crop's

    def detect(self, image: NDArray[np.uint8]) -> list[Detection]:
        """One box, as large as the picture, without a score."""
        height, width = image.shape[:2]
        return [Detection(Box(0.0, 0.0, float(width), float(height)))]


class HaarDetector:
    """The boosted cascade of Viola and Jones (CVPR 2001) that OpenCV's wheel brings along: frontal faces, no score.

    Works on a grey copy whose longer side is at most `max_side` pixels, with a border that repeats the edge, as the
    cascade misses faces that fill the picture. Raises DetectorError where OpenCV holds no cascade, as from version 5.
    """

    name: Final = "haar"

    def __init__(
        self,
        *,
        cascade: str = "haarcascade_frontalface_alt2.xml",
        max_side: int = 1280,
        border: float = 0.1,
        scale_factor: float = 1.1,
        min_neighbors: int = 6,
        min_size: int = 32,
    ) -> None:
        folder = getattr(getattr(cv2, "data", None), "haarcascades", None)
        if folder is None or not hasattr(cv2, "CascadeClassifier") or not (Path(folder) / cascade).is_file():
            raise DetectorError(f"OpenCV {cv2.__version__} brings no Haar cascade; for YuNet {_FETCH_HINT}")
        self._path = str(Path(folder) / cascade)
        self.max_side, self._border = max_side, border
        self._options = {"scaleFactor": scale_factor, "minNeighbors": min_neighbors, "minSize": (min_size, min_size)}
        self._local = threading.local()
        self._classifier()

    def detect(self, image: NDArray[np.uint8]) -> list[Detection]:
        """The frontal faces, square boxes without score or landmarks."""
        grey = to_grey(image)
        small = fitted(grey, 1, self.max_side)
        border = round(self._border * min(small.shape))
        padded = cv2.copyMakeBorder(small, border, border, border, border, cv2.BORDER_REPLICATE)
        across, down = grey.shape[1] / small.shape[1], grey.shape[0] / small.shape[0]
        found = self._classifier().detectMultiScale(padded, **self._options)
        return [
            Detection(Box(x - border, y - border, width, height).scaled(across, down))
            for x, y, width, height in np.asarray(found, np.float64).reshape(-1, 4).tolist()
        ]

    def _classifier(self) -> Any:
        """This thread's own classifier: one that threads share answers wrong."""
        if not hasattr(self._local, "classifier"):
            classifier = cv2.CascadeClassifier(self._path)
            if classifier.empty():
                raise DetectorError(f"{self._path}: expected a Haar cascade, OpenCV cannot read it")
            self._local.classifier = classifier
        return self._local.classifier


class YuNetDetector:
    """YuNet (Wu et al., Machine Intelligence Research, 2023): faces of most poses, scores, landmarks.

    path is its ONNX file. Works on a copy whose longer side is between `min_side` and `max_side` pixels. Reports every
    find from `min_score` on; threads are the processor's, None leaves them to onnxruntime. Raises DetectorError where
    the file is missing or is not YuNet.
    """

    name: Final = "yunet"

    def __init__(
        self,
        path: Path,
        *,
        min_side: int = 160,
        max_side: int = 1440,
        min_score: float = 0.3,
        overlap: float = 0.3,
        threads: int | None = None,
    ) -> None:
        self.path, self._min_side, self.max_side = Path(path), min_side, max_side
        self._network = YuNet(Path(path), min_score=min_score, overlap=overlap, threads=threads)

    def detect(self, image: NDArray[np.uint8]) -> list[Detection]:
        """The faces, with scores 0..1 and five landmarks each."""
        small = fitted(image, self._min_side, self.max_side)
        across, down = image.shape[1] / small.shape[1], image.shape[0] / small.shape[0]
        return [
            Detection(Box(*row[:4]), row[14], tuple(zip(row[4:14:2], row[5:14:2], strict=True))).scaled(across, down)
            for row in self._network.find(small).tolist()
        ]


def load_detector(name: str = "auto", *, model: Path | None = None, threads: int | None = None) -> Detector:
    """The detector of this name.

    name     "haar", "yunet", "none" (the whole picture is the face), or "auto": YuNet where its file is given, came
             with the package or was fetched by `mien detector yunet`, else Haar
    model    YuNet's file, instead of the one at hand
    threads  of the processor, for YuNet; None leaves them to onnxruntime

    Raises ConfigError on an unknown name or a file for another detector, DetectorError where it cannot be had.
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
        raise DetectorError(f"YuNet is not at hand: {_FETCH_HINT}")
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
