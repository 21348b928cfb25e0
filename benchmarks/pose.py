"""How well faces are read that look aside, up or down, and how many such faces FER2013 has.

    python benchmarks/pose.py [--data FILE] [--detectors FOLDER] [--model FILE]

Each validation face goes through YuNet, four times as large and amid mirrored surroundings (`degradations.py`);
`head_pose.py` makes yaw and pitch of its landmarks. The emotion is read off the face itself, and counts as `ferplus`
says.
"""

from __future__ import annotations

import argparse
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
from degradations import picture
from numpy.typing import NDArray

from mien.cli.reading import read_dataset
from mien.data.dataset import evaluated_rows
from mien.runtime.classifier import Classifier
from mien.runtime.detectors import YuNetDetector
from mien.runtime.head_pose import head_pose
from mien.runtime.weights import find_model
from mien.types import Detector

YAWS = (0, 10, 20, 30, 40, 50, 60, 90)
PITCHES = (-90, -15, -10, -5, 0, 5, 10, 15, 90)


def pose_of_face(face: NDArray[np.uint8], detector: Detector) -> tuple[float, float]:
    """Yaw and pitch of a (48, 48) face by the largest detection, in degrees; NaN where there is none."""
    found = detector.detect(np.asarray(cv2.cvtColor(picture(face, 0), cv2.COLOR_GRAY2BGR), np.uint8))
    largest = max(found, key=lambda one: one.box.area, default=None)
    pose = head_pose(largest.landmarks) if largest is not None else None
    return (pose.yaw, pose.pitch) if pose is not None else (np.nan, np.nan)


def main() -> None:
    """Print percentiles of the angles, and a table by yaw and by pitch."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/fer2013/trainval.parquet"))
    parser.add_argument("--detectors", type=Path, default=Path("../shared/data/detectors"), help="holds YuNet's file")
    parser.add_argument("--model", type=Path, help="an ONNX file; default: the shipped model")
    args = parser.parse_args()
    dataset = read_dataset(args.data).of_split("validation")
    truth, counts = evaluated_rows(dataset, "ferplus")
    faces, truth = np.asarray(dataset.faces[:])[counts], truth[counts]
    detector = YuNetDetector(sorted(args.detectors.glob("face_detection_yunet_*.onnx"))[-1])
    angles = np.array([pose_of_face(face, detector) for face in faces])
    mirrored = np.array([pose_of_face(np.ascontiguousarray(face[:, ::-1]), detector) for face in faces[::4]])
    probabilities = Classifier(find_model(args.model), threads=1).probabilities(faces)
    right, confidence = probabilities.argmax(1) == truth, probabilities.max(1)
    seen = ~np.isnan(angles[:, 0])
    print(f"{seen.sum():,} of {len(faces):,} faces have landmarks")
    for axis, name in enumerate(("yaw", "pitch")):
        low, lower, higher, high = np.percentile(angles[seen, axis], [0.5, 2.5, 97.5, 99.5])
        print(f"{name}: 95 % within {lower:.0f} and {higher:.0f} degrees, 99 % within {low:.0f} and {high:.0f}")
    aside = np.nanmedian(angles[::4, 0] + mirrored[:, 0]) / 2
    print(f"median yaw of faces and their mirror images together: {aside:.1f} degrees")
    print("\n| degrees | faces | right, % | confidence, % |\n| --- | --- | --- | --- |")
    for axis, edges in enumerate((YAWS, PITCHES)):
        values = np.abs(angles[:, 0]) if axis == 0 else angles[:, 1]
        for low, high in pairwise(edges):
            rows = seen & (values >= low) & (values < high)
            name = "yaw" if axis == 0 else "pitch"
            print(f"| {name} {low} to {high} | {row(rows, right, confidence)} |")
    print(f"| no landmarks | {row(~seen, right, confidence)} |")


def row(rows: NDArray[np.bool_], right: NDArray[np.bool_], confidence: NDArray[np.float32]) -> str:
    """The cells of a table for some of the faces."""
    if not rows.any():
        return "0 | | "
    return f"{rows.sum():,} | {100 * right[rows].mean():.1f} | {100 * confidence[rows].mean():.1f}"


if __name__ == "__main__":
    main()
