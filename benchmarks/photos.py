"""The whole path on natural photos: how often one of the seven emotions is named as the photo's label says.

    python benchmarks/photos.py [--data ../shared/data] [--model FILE]

The photos are of Labeled Faces in the Wild, labelled by one student each, so only happiness and neutral (and perhaps
surprise) are labelled well enough to say much. Of several faces in a photo the largest counts; a photo without a found
face counts as wrong.
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path

import numpy as np

import mien
from mien.emotions import parse_emotion

RELIABLE = ("happiness", "neutral")


def interval(right: np.ndarray, seed: int = 0) -> list[float]:
    """95 % bootstrap interval of a fraction, in per cent."""
    draws = np.random.default_rng(seed).choice(right, (2000, len(right))).mean(1)
    return [round(100 * float(q), 1) for q in np.quantile(draws, [0.025, 0.975])]


def measure(analyzer: mien.Analyzer, photos: Path) -> dict[str, object]:
    with (photos / "labels.csv").open(encoding="utf-8") as file:
        rows = [(row["file"], parse_emotion(row["emotion"])) for row in csv.DictReader(file)]
    predictions, found = [], 0
    for analysis in analyzer.analyze_many(photos / name for name, _ in rows):
        largest = max(analysis.faces, key=lambda face: face.box.area, default=None)
        found += largest is not None
        predictions.append(None if largest is None else largest.emotion)
    right = np.array([prediction == label for prediction, (_, label) in zip(predictions, rows, strict=True)], float)
    reliable = np.array([label in RELIABLE for _, label in rows])
    return {
        "detector": analyzer.detector.name,
        "model": analyzer.card.id,
        "photos": len(rows),
        "found": found,
        "seven, %": round(100 * right.mean(), 1),
        "seven, ci95": interval(right),
        "happiness and neutral, n": int(reliable.sum()),
        "happiness and neutral, %": round(100 * right[reliable].mean(), 1),
        "happiness and neutral, ci95": interval(right[reliable]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="holds lfw/ and detectors/")
    parser.add_argument("--model", default=None)
    args = parser.parse_args()
    yunet = next((args.data / "detectors").glob("face_detection_yunet_*.onnx"))
    for detector, file in (("haar", None), ("yunet", yunet)):
        analyzer = mien.load(args.model, detector=detector, detector_model=file)
        print(json.dumps(measure(analyzer, args.data / "lfw")))


if __name__ == "__main__":
    main()
