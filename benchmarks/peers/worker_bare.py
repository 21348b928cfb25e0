"""What a few lines of onnxruntime and OpenCV do: YuNet finds faces in the picture as it is, a network classifies them.

    python worker_bare.py NETWORK.onnx YUNET.onnx [PHOTO]

With a photo it classifies that one and ends. The network takes faces (N, 1 or 3, S, S) float32 in 0..1.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
import onnxruntime as ort
from worker import Call, serve


def prepare(request: Mapping[str, Any]) -> Call:
    if request["task"] == "picture":
        read = reader(sys.argv[1], sys.argv[2])
        image = cv2.imread(request["picture"])
        return lambda: len(read(image))
    network = open_network(sys.argv[1], request["threads"])
    entry = network.get_inputs()[0]
    rng = np.random.default_rng(0)
    if request["task"] == "peak":
        return run(network, entry.name, rng.integers(0, 256, entry.shape, dtype=np.uint8))
    return run(network, entry.name, rng.random((request["faces"], *entry.shape[1:]), np.float32))


def open_network(path: str, threads: int | None = None) -> Any:
    options = ort.SessionOptions()
    if threads is not None:
        options.intra_op_num_threads = threads
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def run(network: Any, name: str, values: Any) -> Call:
    return lambda: len(network.run(None, {name: values})[0])


def reader(network_path: str, yunet_path: str) -> Any:
    """A function from a BGR picture to the probabilities of its faces."""
    network = open_network(network_path)
    entry = network.get_inputs()[0]
    _, channels, _, side = entry.shape
    detector = cv2.FaceDetectorYN.create(yunet_path, "", (0, 0), 0.7)

    def read(image: Any) -> Any:
        detector.setInputSize((image.shape[1], image.shape[0]))
        found = detector.detect(image)[1]
        faces = []
        for x, y, width, height in [] if found is None else found[:, :4].astype(int):
            face = image[max(0, y) : y + height, max(0, x) : x + width]
            if channels == 1:
                face = cv2.cvtColor(face, cv2.COLOR_BGR2GRAY)
            resized = cv2.resize(face, (side, side)).reshape(side, side, channels)
            faces.append(resized.transpose(2, 0, 1).astype(np.float32) / 255)
        return network.run(None, {entry.name: np.stack(faces)})[0] if faces else []

    return read


if __name__ == "__main__":
    if len(sys.argv) > 3:
        print(reader(sys.argv[1], sys.argv[2])(cv2.imread(sys.argv[3]))[0])
    else:
        serve(prepare)
