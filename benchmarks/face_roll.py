"""How far off is the head roll that `mien errors` measures on 48x48 faces?

    python benchmarks/face_roll.py [--data FILE] [--faces 150]

Validation faces are turned by known angles; the difference to the roll of the unturned face should be that angle.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.cli.reading import read_dataset
from mien.evaluation.conditions import head_rolls
from mien.runtime.detectors import load_detector

TURNS: Final = (-30, -20, -10, 10, 20, 30)


def turned(face: NDArray[np.uint8], degrees: float) -> NDArray[np.uint8]:
    """The face turned clockwise about its centre; its edge goes on into the corners."""
    matrix = cv2.getRotationMatrix2D((23.5, 23.5), -degrees, 1)
    moved = cv2.warpAffine(face, matrix, (48, 48), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, np.uint8)


def main() -> None:
    """Print how many faces have a roll, and the errors by angle."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/fer2013/trainval.parquet"))
    parser.add_argument("--faces", type=int, default=150)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    faces = read_dataset(args.data).of_split("validation").faces[:]
    chosen = np.random.default_rng(args.seed).choice(len(faces), min(args.faces, len(faces)), replace=False)
    faces, detector = faces[np.sort(chosen)], load_detector("yunet")
    before = head_rolls(faces, detector)
    print(f"roll measured on {np.isfinite(before).sum()} of {len(faces)} faces")
    for degrees in TURNS:
        after = head_rolls(np.stack([turned(face, degrees) for face in faces]), detector)
        error = np.abs((after - before - degrees + 180) % 360 - 180)
        error = error[np.isfinite(error)]
        middle, most = np.quantile(error, (0.5, 0.9))
        print(
            f"turned by {degrees:4d}: {len(error)} faces, error {middle:.1f} in the median, {most:.1f} in nine of ten"
        )


if __name__ == "__main__":
    main()
