"""Draw docs/images/steps.jpg: how a face gets from the picture to probabilities, upright, tilted and blurred.

python scripts/draw_steps.py docs/images/steps.jpg

Needs matplotlib and scikit-image, whose photo of an astronaut it reads.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, Final

import cv2
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import Rectangle
from numpy.typing import NDArray
from skimage.data import astronaut

import mien
from mien.emotions import EMOTIONS
from mien.runtime.crops import crop_face, crop_square, to_grey
from mien.runtime.head_roll import face_roll

_TILT: Final = 35.0
_BLUR: Final = 7.5
_WINDOW: Final = (90, 5, 240, 240)
"""The part of the photo that is shown: x, y, width, height in pixels."""


def main() -> None:
    """Write the picture that the command line names."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("out", type=Path)
    out: Path = parser.parse_args().out
    photo = np.ascontiguousarray(astronaut()[:, :, ::-1])
    turn = cv2.getRotationMatrix2D((224, 120), _TILT, 1.0)
    rows = {
        "as it is": photo,
        f"tilted by {_TILT:g} degrees": cv2.warpAffine(photo, turn, (512, 512), borderMode=cv2.BORDER_REFLECT),
        "blurred": cv2.GaussianBlur(photo, (0, 0), _BLUR),
    }
    analyzer = mien.load()
    figure, axes = plt.subplots(len(rows), 3, figsize=(10, 9.5), width_ratios=(1, 1, 1.2), layout="constrained")
    for line, (name, image) in zip(axes, rows.items(), strict=True):
        _draw_row(line, name, np.asarray(image, np.uint8), analyzer)
    figure.savefig(out, dpi=90, facecolor="white", pil_kwargs={"quality": 85})


def _draw_row(line: Any, name: str, image: NDArray[np.uint8], analyzer: mien.Analyzer) -> None:
    """One picture's detection, its crop and its probabilities, in three axes."""
    (face,) = analyzer.analyze(image).faces
    roll, rule = face_roll(face.landmarks), analyzer.detector.crop_rule
    x, y, width, height = _WINDOW
    line[0].imshow(image[:, :, ::-1])
    line[0].set(xlim=(x, x + width), ylim=(y + height, y), xticks=[], yticks=[], title=name)
    line[0].add_patch(_frame(face.box, 0.0, "#ffffff"))
    line[0].add_patch(_frame(crop_square(face.box, rule, roll), roll, "#ffb000"))
    if face.landmarks:
        line[0].scatter(*zip(*face.landmarks, strict=True), s=18, color="#00d0ff")
    line[1].imshow(crop_face(to_grey(image), face.box, rule, roll), cmap="gray", vmin=0, vmax=255)
    line[1].set(xticks=[], yticks=[], title="48x48 pixels, grey, upright")
    values = [face.probabilities[emotion] for emotion in EMOTIONS]
    line[2].barh([str(emotion) for emotion in EMOTIONS], values, color="#3b6fb6")
    line[2].invert_yaxis()
    line[2].set(xlim=(0, 1), title="probabilities" + (" (uncertain)" if face.uncertain else ""))


def _frame(box: mien.Box, roll: float, color: str) -> Rectangle:
    corner = (box.x, box.y)
    return Rectangle(
        corner, box.width, box.height, angle=roll, rotation_point="center", fill=False, edgecolor=color, linewidth=2
    )


if __name__ == "__main__":
    main()
