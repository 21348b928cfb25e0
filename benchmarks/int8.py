"""What does each mode of an int8 model cost on this CPU, in accuracy and in time?

Classifies validation faces by each path on one thread, and sets its probabilities against those of the same network in
float32 (`mien export` without --int8), where one is given. Times are medians, the paths taking turns.

    python benchmarks/int8.py --float32 float32.onnx
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import get_args

import numpy as np

from mien.data.dataset import evaluated_rows
from mien.data.readers import read_faces
from mien.evaluation.metrics import evaluate
from mien.runtime.classifier import Classifier
from mien.runtime.int8_backend import Int8Path, choose, cpu_flags
from mien.runtime.weights import find_model


def milliseconds(classifiers: dict[str, Classifier], batch: int, rounds: int) -> dict[str, float]:
    """The median time of a batch by each classifier, over rounds in which they take turns."""
    faces = np.random.default_rng(0).integers(0, 256, (batch, 48, 48), dtype=np.uint8)
    times: dict[str, list[float]] = {name: [] for name in classifiers}
    for _ in range(rounds):
        for name, classifier in classifiers.items():
            classifier.probabilities(faces)  # the turn before left its own weights in the cache
            began = time.perf_counter()
            classifier.probabilities(faces)
            times[name].append(1e3 * (time.perf_counter() - began))
    return {name: float(np.median(taken)) for name, taken in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="an int8 model; default: the newest that ships")
    parser.add_argument("--float32", type=Path, help="the same network in float32")
    parser.add_argument("--data", type=Path, default=Path("../shared/data/fer2013/trainval.parquet"))
    parser.add_argument("--rounds", type=int, default=200, help="of batch 1; a tenth of it for batch 64")
    args = parser.parse_args()
    validation = read_faces(args.data).of_split("validation")
    faces = validation.faces[:]
    truth, mask = evaluated_rows(validation, "ferplus")
    classifiers = {path: Classifier(find_model(args.model), threads=1, int8=path) for path in get_args(Int8Path)}
    if args.float32:
        classifiers["float32 model"] = Classifier(args.float32, threads=1)
    predictions = {name: classifier.probabilities(faces) for name, classifier in classifiers.items()}
    against = "float32 model" if args.float32 else "exact"
    one, many = (milliseconds(classifiers, *sizes) for sizes in ((1, args.rounds), (64, max(1, args.rounds // 10))))
    print(json.dumps({"flags": sorted(cpu_flags()), "auto": choose(cpu_flags()).path, "against": against}))
    for name, found in predictions.items():
        apart = np.abs(found - predictions[against]).max(axis=1)
        figures = {
            "accuracy": 100 * evaluate(found[mask], truth[mask], classes=validation.classes).accuracy,
            "other_class_percent": 100 * float((found.argmax(axis=1) != predictions[against].argmax(axis=1)).mean()),
            "apart_mean": float(apart.mean()),
            "apart_most": float(apart.max()),
            "ms_1": one[name],
            "ms_64": many[name],
        }
        print(json.dumps({"path": name, **{key: round(value, 4) for key, value in figures.items()}}))


if __name__ == "__main__":
    main()
