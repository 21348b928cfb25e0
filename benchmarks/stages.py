"""Where the time goes between a picture and its result: each stage of `analyze`, and what it takes as a whole.

    python benchmarks/stages.py [--data ../shared/data] [--detector yunet|haar] [--markdown stages.md]

Pictures are scikit-image's astronaut (512x512) as an array and as a JPEG, her copies in a frame of 1280x720, and a
JPEG of 12 megapixels. Stages are timed one by one, interleaved over rounds, and stand beside `analyze` as a whole;
medians in milliseconds. `python -X importtime -m mien predict PHOTO` shows where a cold start goes.
"""

from __future__ import annotations

import argparse
import functools
import io
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import skimage.data
from numpy.typing import NDArray
from output import markdown_table, write_text
from PIL import Image

import mien
from mien.images.decode import read_picture
from mien.runtime.classifier import Classifier
from mien.runtime.crops import crop_face, to_grey
from mien.runtime.weights import find_model

WARM, TIMES = 3, 5


def pictures() -> dict[str, Any]:
    """Each picture by its name: arrays in BGR, bytes of a JPEG."""
    rgb = skimage.data.astronaut()
    frame = np.full((720, 1280, 3), 128, np.uint8)
    for index, side in enumerate((360, 300, 240, 180)):
        small = np.asarray(Image.fromarray(rgb[:256, 96:352]).resize((side, side), Image.Resampling.LANCZOS))
        left = 20 + 310 * index
        frame[200 : 200 + side, left : left + min(side, 1280 - left)] = small[:, : 1280 - left]
    photo = Image.fromarray(rgb).resize((4032, 3024), Image.Resampling.LANCZOS)
    return {
        "astronaut, 512x512, array": np.ascontiguousarray(rgb[:, :, ::-1]),
        "astronaut, 512x512, JPEG": as_jpeg(Image.fromarray(rgb)),
        "four faces, 1280x720, array": np.ascontiguousarray(frame[:, :, ::-1]),
        "photo, 4032x3024, JPEG": as_jpeg(photo),
    }


def as_jpeg(image: Image.Image) -> bytes:
    """The bytes of a file."""
    file = io.BytesIO()
    image.save(file, "JPEG", quality=90)
    return file.getvalue()


def stages(analyzer: mien.Analyzer, classifier: Classifier, source: Any) -> dict[str, Callable[[], object]]:
    """What `analyze` does one after the other, each on what the one before it made, and the whole."""
    picture = read_picture(source, reduce_to=analyzer.detector.max_side)
    found = analyzer.detector.detect(picture.image)
    rule = analyzer.detector.crop_rule

    def crop() -> NDArray[np.uint8]:
        grey = to_grey(picture.image)
        return np.stack([crop_face(grey, face.box, rule) for face in found])

    return {
        "read": functools.partial(read_picture, source, reduce_to=analyzer.detector.max_side),
        "detect": functools.partial(analyzer.detector.detect, picture.image),
        "crop": crop,
        "classify": functools.partial(classifier.probabilities, crop()),
        "analyze": functools.partial(analyzer.analyze, source),
    }


def measure(parts: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median milliseconds of each part, interleaved."""
    times: dict[str, list[float]] = {name: [] for name in parts}
    for part in parts.values():
        for _ in range(WARM):
            part()
    for _ in range(rounds):
        for name, part in parts.items():
            for _ in range(TIMES):
                start = time.perf_counter()
                part()
                times[name].append(1e3 * (time.perf_counter() - start))
    return {name: statistics.median(values) for name, values in times.items()}


def table(found: dict[str, dict[str, float]]) -> str:
    """Milliseconds of each stage with its fraction of their sum, and the whole."""
    names = [name for name in next(iter(found.values())) if name != "analyze"]
    rows = []
    for name, times in found.items():
        total = sum(times[stage] for stage in names)
        cells = [f"{times[stage]:.2f} ({100 * times[stage] / total:.0f} %)" for stage in names]
        rows.append([name, *cells, f"{times['analyze']:.2f}"])
    return markdown_table(["picture", *names, "analyze, whole"], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--detector", choices=("yunet", "haar"), default="yunet")
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--markdown", type=Path)
    options = parser.parse_args()
    file = next((options.data / "detectors").glob("face_detection_yunet_*.onnx"), None)
    analyzer = mien.load(
        detector=options.detector, detector_model=file if options.detector == "yunet" else None, reduce=True
    )
    classifier = Classifier(find_model())
    found = {name: measure(stages(analyzer, classifier, source), options.rounds) for name, source in pictures().items()}
    text = table(found)
    if options.markdown:
        write_text(options.markdown, text)
    print(text)


if __name__ == "__main__":
    main()
