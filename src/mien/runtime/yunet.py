"""YuNet (Wu et al., Machine Intelligence Research, 2023) on onnxruntime: a picture in, boxes, landmarks and scores out.

OpenCV's own wrapper, cv2.FaceDetectorYN, gives the same boxes (tests/runtime/test_yunet.py) and takes three to four
times as long, since its engine is slower on this network; nor can threads share it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from mien.errors import DetectorError, reason
from mien.runtime.int8_backend import session_options

STRIDES: Final = (8, 16, 32)
"""Pixels from one cell of each of the three output maps to the next."""

_ENDS: Final = {"cls": 1, "obj": 1, "bbox": 4, "kps": 10}
_OUTPUTS: Final = tuple(f"{name}_{stride}" for stride in STRIDES for name in _ENDS)
_MOST: Final = 5000


class YuNet:
    """The network, ready to find faces. Safe to use from several threads.

    path       its ONNX file, from the OpenCV zoo, of a version that takes pictures of any size
    min_score  0..1: detections with a lower score are left out
    overlap    0..1: of detections whose boxes overlap more than this (intersection over union), the most confident
               stays
    threads    of the processor; None: onnxruntime's choice, one a core

    Raises DetectorError where the file is missing or is not YuNet.
    """

    def __init__(self, path: Path, *, min_score: float, overlap: float, threads: int | None = None) -> None:
        self._arguments: dict[str, Any] = {"path": path, "min_score": min_score, "overlap": overlap, "threads": threads}
        self._min_score, self._overlap = min_score, overlap
        # Waiting threads that spin would take the cores from the classifier, whose turn is next (benchmarks/stages.py).
        options = session_options(threads, {"session.intra_op.allow_spinning": "0"})
        try:
            content = path.read_bytes()
        except OSError as error:
            raise DetectorError(f"{path}: cannot read YuNet's file: {reason(error)}") from error
        try:
            self._session = ort.InferenceSession(
                content, options, providers=["CPUExecutionProvider"], enable_fallback=0
            )
            entry = self._session.get_inputs()[0]
            self._input, sides = entry.name, [side for side in entry.shape[2:] if isinstance(side, int)]
            if sides:
                raise ValueError(f"it takes pictures of one size only, {sides}")
            self.detect(np.zeros((64, 96, 3), np.uint8))
        except Exception as error:  # onnxruntime's exceptions share no base class
            raise DetectorError(
                f"{path}: expected YuNet for pictures of any size, as the OpenCV zoo has it, got something else: "
                "`mien detector yunet` fetches it"
            ) from error

    def __reduce__(self) -> tuple[object, ...]:
        return partial(YuNet, **self._arguments), ()

    def detect(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Faces (N, 15) in an (H, W, 3) uint8 BGR picture, the most confident first.

        A row is x, y, width, height of the box, then x, y of right eye, left eye, nose tip, right and left corner of
        the mouth (the person's right), all in pixels, then the score 0..1.
        """
        height, width = image.shape[:2]
        # Nothing lies beyond the right and the lower edge: the maps are whole at multiples of the largest stride.
        canvas = np.zeros((1, 3, -(-height // 32) * 32, -(-width // 32) * 32), np.float32)
        for plane, values in zip(canvas[0], cv2.split(image), strict=True):
            plane[:height, :width] = values
        maps = dict(zip(_OUTPUTS, self._session.run(list(_OUTPUTS), {self._input: canvas}), strict=True))
        rows = np.concatenate(
            [decode(_of(maps, stride), stride, canvas.shape[3] // stride, self._min_score) for stride in STRIDES]
        )
        kept = cv2.dnn.NMSBoxes(rows[:, :4].tolist(), rows[:, 14].tolist(), 0.0, self._overlap, top_k=_MOST)
        return rows[np.asarray(kept, np.intp).reshape(-1)]


def _of(maps: Mapping[str, NDArray[np.float32]], stride: int) -> dict[str, NDArray[np.float32]]:
    return {name: maps[f"{name}_{stride}"].reshape(-1, size) for name, size in _ENDS.items()}


def decode(maps: Mapping[str, NDArray[np.float32]], stride: int, columns: int, min_score: float) -> NDArray[np.float32]:
    """The detections of one output map as rows (N, 15), those whose score is min_score or more.

    maps has a row a cell, row by row of the map: `cls` and `obj` (cells, 1), whose geometric mean is the score; `bbox`
    (cells, 4), centre relative to the cell and logarithm of the size, in strides; `kps` (cells, 10), five points
    relative to the cell, in strides.
    """
    scores = np.sqrt(maps["cls"][:, 0].clip(0, 1) * maps["obj"][:, 0].clip(0, 1))
    cells = np.flatnonzero(scores >= min_score)
    corner = np.stack([cells % columns, cells // columns], axis=1).astype(np.float32)
    boxes, points = maps["bbox"][cells], maps["kps"][cells]
    size = np.exp(boxes[:, 2:]) * stride
    centre = (boxes[:, :2] + corner) * stride
    landmarks = (points + np.tile(corner, 5)) * stride
    return np.concatenate([centre - size / 2, size, landmarks, scores[cells, None]], axis=1, dtype=np.float32)
