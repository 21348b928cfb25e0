"""Where FER2013's 48x48 frame lies relative to each detector's box: what the detectors' `crop_rule`s are made from.

    python benchmarks/crop_frame.py [--data ../shared/data] [--faces 2000]

Two measurements. Directly: training faces of FER2013, enlarged four times, alone or in a border (which repeats the edge
or is grey, a quarter of the face wide), through the detector; the frame is then known and its side and centre are
given in the box's units, as a CropRule has them. By way of photos: Haar's box in units of YuNet's on the same photo of
LFW, as Haar finds fewer of FER2013's faces. Medians, with the 10th and 90th percentile in brackets.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image

from mien.runtime.crops import FACE_SIZE
from mien.runtime.detectors import HaarDetector, YuNetDetector
from mien.types import MIN_FACE_SCORE, Box, Detector

ENLARGED = 4
BORDERS = {
    "no border": (0, cv2.BORDER_REPLICATE),
    "edge": (12, cv2.BORDER_REPLICATE),
    "grey": (12, cv2.BORDER_CONSTANT),
}


def read_training_faces(path: Path, count: int, seed: int = 0) -> list[NDArray[np.uint8]]:
    """Some faces of the training split that every FER+ voter took for a face."""
    table = pq.read_table(path, columns=["usage", "nf", "image"]).to_pydict()
    rows = [i for i, usage in enumerate(table["usage"]) if usage == "Training" and not table["nf"][i]]
    chosen = np.random.default_rng(seed).choice(rows, min(count, len(rows)), replace=False)
    return [np.asarray(Image.open(BytesIO(table["image"][i])).convert("L")) for i in chosen]


def largest(detector: Detector, image: NDArray[np.uint8]) -> Box | None:
    """The largest confident detection, if any."""
    boxes = [d.box for d in detector.detect(image) if d.score is None or d.score >= MIN_FACE_SCORE]
    return max(boxes, key=lambda box: box.area, default=None)


def relate(box: Box, frame: Box) -> tuple[float, float, float]:
    """A square frame as a CropRule of a box: side, x, y."""
    x, y = frame.x + frame.width / 2 - box.x, frame.y + frame.height / 2 - box.y
    return frame.height / box.height, x / box.width, y / box.height


def report(title: str, rules: Iterable[tuple[float, float, float]], tried: int) -> None:
    values = np.array(list(rules))
    low, middle, high = np.percentile(values, [10, 50, 90], axis=0)
    figures = "   ".join(
        f"{name} {middle[i]:.3f} ({low[i]:.2f}..{high[i]:.2f})" for i, name in enumerate(("side", "x", "y"))
    )
    print(f"{title:24}{figures}   found {len(values) / tried:.1%} of {tried}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--faces", type=int, default=2000)
    options = parser.parse_args()
    yunet = YuNetDetector(next((options.data / "detectors").glob("face_detection_yunet_*.onnx")))
    haar = HaarDetector()
    faces = read_training_faces(options.data / "fer2013" / "trainval.parquet", options.faces)
    for detector in (yunet, haar):
        for border, (width, kind) in BORDERS.items():
            frame = Box(*[width * ENLARGED] * 2, *[FACE_SIZE * ENLARGED] * 2)
            boxes = []
            for face in faces:
                padded = cv2.copyMakeBorder(face, width, width, width, width, kind, value=128)
                large = cv2.resize(padded, None, fx=ENLARGED, fy=ENLARGED, interpolation=cv2.INTER_CUBIC)
                boxes.append(largest(detector, np.asarray(cv2.cvtColor(large, cv2.COLOR_GRAY2BGR), np.uint8)))
            report(f"FER2013 {detector.name}, {border}", (relate(b, frame) for b in boxes if b), len(faces))
    photos = [np.asarray(cv2.imread(str(path)), np.uint8) for path in sorted((options.data / "lfw").glob("*.jpg"))]
    pairs = [(largest(yunet, photo), largest(haar, photo)) for photo in photos]
    report("LFW haar's box in yunet", (relate(y, h) for y, h in pairs if y and h), len(photos))


if __name__ == "__main__":
    main()
