"""Frames a second of Mien's live pipeline beside the loop that everybody writes first, on films with moving faces.

    python benchmarks/live.py [--data ../shared/data] [--films 3] [--json FILE] [--markdown FILE]

The naive loop runs a Haar cascade and the classifier on each frame: once with the cascade, scale and neighbours that
tutorials use (haarcascade_frontalface_default, 1.3, 5), once with Mien's own Haar detector, which finds more. Mien's
pipeline is `Analyzer.stream`, with YuNet and with Haar. All classify faces with the same model. Films are made by
`moving_faces.py`: faces of photos that wander, tilt and change size in front of pictures that move, in changing light,
with noise. Frames lie in memory, so nobody decodes or draws. The loops take turns, film by film, in one process; a
film's first frames warm up and do not count. A face-frame is a face, at least half of it visible, in a frame; it is
kept where a box overlaps the truth by an intersection over union of 0.5 or more. The truth is Haar's or YuNet's box on
the photo that was pasted.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from time import perf_counter

import cv2
import numpy as np
from moving_faces import Film, Image, Portrait, Truth, any_portraits, wandering_film
from output import markdown_table, write_json, write_text

from mien.analyzer import Analyzer
from mien.runtime.classifier import Classifier
from mien.runtime.detectors import HaarDetector, YuNetDetector
from mien.runtime.weights import find_model
from mien.types import Box, Detection, Detector, Frame

SCENES = {"640x480, one face": ((640, 480), 1), "1280x720, five faces": ((1280, 720), 5)}
SECONDS = 5.0
WARM_UP = 10
VISIBLE = 0.5
IOU = 0.5
CASCADE = Path(cv2.__file__).parent / "data" / "haarcascade_frontalface_default.xml"

Loop = Callable[[Sequence[Frame]], Iterator[Sequence[Box]]]


class TutorialHaar(Detector):
    """Haar as tutorials run it."""

    name = "haar"

    def __init__(self) -> None:
        self._cascade = cv2.CascadeClassifier(str(CASCADE))

    def detect(self, image: Image) -> list[Detection]:
        grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
        found = np.asarray(self._cascade.detectMultiScale(grey, 1.3, 5)).reshape(-1, 4)
        return [Detection(Box(*map(float, row))) for row in found]


@dataclass
class Measured:
    """What a loop did with the films of a scene."""

    seconds: list[float] = field(default_factory=list)
    frames: int = 0
    faces: int = 0
    kept: int = 0

    @property
    def rate(self) -> float:
        """Frames a second, the median over films."""
        return self.frames / len(self.seconds) / median(self.seconds)


def naive(detector: Detector, classifier: Classifier) -> Loop:
    analyzer = Analyzer(classifier, detector)

    def loop(frames: Sequence[Frame]) -> Iterator[Sequence[Box]]:
        for frame in frames:
            yield [face.box for face in analyzer.analyze(frame.image).faces]

    return loop


def mien(detector: Detector, classifier: Classifier) -> Loop:
    analyzer = Analyzer(classifier, detector)

    def loop(frames: Sequence[Frame]) -> Iterator[Sequence[Box]]:
        for result in analyzer.stream(frames):
            yield [face.box for face in result.faces]

    return loop


def run(loop: Loop, shown: Sequence[tuple[Frame, Sequence[Truth]]], measured: Measured) -> None:
    """One film through one loop."""
    found = []
    began = perf_counter()
    for boxes in loop([frame for frame, _ in shown]):
        found.append(boxes)
        if len(found) == WARM_UP:
            began = perf_counter()
    measured.seconds.append(perf_counter() - began)
    measured.frames += len(found) - WARM_UP
    for boxes, (_, truth) in list(zip(found, shown, strict=True))[WARM_UP:]:
        for one in truth:
            if one.visible >= VISIBLE:
                measured.faces += 1
                measured.kept += any(one.box.iou(box) >= IOU for box in boxes)


def measure(portraits: Sequence[Portrait], loops: dict[str, Loop], films: int) -> dict[str, dict[str, Measured]]:
    """Each loop on each scene, taking turns."""
    results = {scene: {name: Measured() for name in loops} for scene in SCENES}
    for scene, (size, faces) in SCENES.items():
        for number in range(films):
            shown = list(_with_truth(wandering_film(number, portraits, faces, size=size, seconds=SECONDS)))
            for name, loop in loops.items():
                run(loop, shown, results[scene][name])
    return results


def _with_truth(film: Film) -> Iterator[tuple[Frame, Sequence[Truth]]]:
    for index, (time_s, image, truth) in enumerate(film.frames()):
        yield Frame(image, index, time_s), truth


def markdown(results: dict[str, dict[str, Measured]]) -> str:
    tables = []
    for scene, loops in results.items():
        slowest = [measured.rate for name, measured in loops.items() if name.startswith("naive")]
        heads = ["frames/s", "face-frames kept, %", *(f"times {name}" for name in loops if name.startswith("naive"))]
        rows = []
        for name, measured in loops.items():
            ratios = (f"{measured.rate / rate:.1f}" for rate in slowest)
            cells = [name, f"{measured.rate:.0f}", f"{100 * measured.kept / measured.faces:.1f}", *ratios]
            rows.append(cells)
        tables.append(markdown_table([scene, *heads], rows))
    return "\n".join(tables)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="holds lfw/ and detectors/")
    parser.add_argument("--films", type=int, default=3, help="films of each scene")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--markdown", type=Path)
    args = parser.parse_args()
    yunet = next((args.data / "detectors").glob("face_detection_yunet_*.onnx"))
    classifier = Classifier(find_model(None))
    loops = {
        "naive, Haar as in tutorials": naive(TutorialHaar(), classifier),
        "naive, Mien's Haar": naive(HaarDetector(), classifier),
        "Mien, Haar": mien(HaarDetector(), classifier),
        "Mien, YuNet": mien(YuNetDetector(yunet), classifier),
    }
    results = measure(any_portraits(args.data), loops, args.films)
    text = markdown(results)
    print(text)
    if args.markdown:
        write_text(args.markdown, text)
    if args.json:
        figures = {
            scene: {name: {**asdict(one), "rate": one.rate} for name, one in loops.items()}
            for scene, loops in results.items()
        }
        write_json(args.json, figures)


if __name__ == "__main__":
    main()
