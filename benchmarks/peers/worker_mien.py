"""Mien, as `pip install mien` brings it. Arguments: the name of the detector."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
from worker import Call, serve

import mien
from mien.runtime.classifier import Classifier
from mien.runtime.weights import find_model


def prepare(request: Mapping[str, Any]) -> Call:
    if request["task"] == "classify":
        shape = (request["faces"], 48, 48)
        faces = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
        classifier = Classifier(find_model(), threads=request["threads"])
        return lambda: len(classifier.probabilities(faces))
    analyzer = mien.load(detector=sys.argv[1])
    image = np.asarray(cv2.imread(request["picture"]), np.uint8)
    return lambda: len(analyzer.analyze(image).faces)


if __name__ == "__main__":
    serve(prepare)
