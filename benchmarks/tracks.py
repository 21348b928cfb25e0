"""Whether faces keep their ids: films of crossings, occlusions, missed detections and changes of size.

    python benchmarks/tracks.py [--data ../shared/data] [--events N] [--first N] [--detector truth|yunet|haar]
                                [--every FRAMES] [--json FILE]

Films are 640x480 at 30 frames/s, 3 seconds long, of two people each (`moving_faces.py` says how they are made). A
detector runs on every sixth frame, and at once where a face was lost, as in `mien.stream`; `truth` stands for one that
finds what is visible, 3 % off in place and size. Switches are counted as in CLEAR MOT (Bernardin and Stiefelhagen,
EURASIP JIVP, 2008), at IoU 0.5: a person and a track stay a pair as long as they may, and a switch is a person whose
track is another one than last time. A person counts in a frame where at least half of the face can be seen; missed is
the fraction of those frames without a track. False are tracks without a person, in a hundred frames. Milliseconds are
CPU time of one thread: of a frame between detections, and of one with a detection, without the detector's own.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from time import thread_time

import cv2
import numpy as np
from moving_faces import KINDS, Film, Image, TrueDetector, Truth, any_portraits, film
from numpy.typing import NDArray
from output import write_json
from rich.table import Table

from mien.cli import console
from mien.runtime.crops import crop_face, stacked, to_grey
from mien.runtime.detectors import YuNetDetector, load_detector
from mien.runtime.face_embedding import face_embedder
from mien.runtime.head_roll import face_roll
from mien.tracking.tracker import Tracked, Tracker
from mien.types import MIN_FACE_SCORE, Detection

Detect = Callable[[Image, Sequence[Truth], float], list[Detection]]

EVERY = 6
VISIBLE = 0.5
IOU = 0.5


@dataclass
class Counts:
    """What was counted in some films; followed are the frames without a detection, milliseconds are sums."""

    films: int = 0
    frames: int = 0
    faces: int = 0
    missed: int = 0
    false: int = 0
    switches: int = 0
    follow_ms: float = 0.0
    detect_ms: float = 0.0
    followed: int = 0


class Scorer:
    """Holds tracks against the truth, frame by frame."""

    def __init__(self, counts: Counts) -> None:
        self._counts = counts
        self._last: dict[int, int] = {}

    def see(self, truth: Sequence[Truth], tracked: Sequence[Tracked]) -> None:
        """Count one frame."""
        free = {one.track: one.detection.box for one in tracked}
        pairs: dict[int, int] = {}
        boxes = {one.person: one.box for one in truth}
        for person, track in self._last.items():
            if track in free and boxes[person].iou(free[track]) >= IOU:
                pairs[person] = track
        rest = [
            (box.iou(free[track]), person, track)
            for person, box in boxes.items()
            for track in free
            if person not in pairs and track not in pairs.values()
        ]
        for iou, person, track in sorted(rest, reverse=True):
            if iou >= IOU and person not in pairs and track not in pairs.values():
                pairs[person] = track
        visible = {one.person for one in truth if one.visible >= VISIBLE}
        self._counts.frames += 1
        self._counts.faces += len(visible)
        self._counts.missed += len(visible - pairs.keys())
        self._counts.false += len(free) - len(pairs)
        for person, track in pairs.items():
            if person not in visible:
                continue  # of two faces in one place the front one may have been taken for the other
            self._counts.switches += self._last.get(person, track) != track
            self._last[person] = track


def run(
    frames: Iterable[tuple[float, Image, list[Truth]]], detect: Detect, counts: Counts, *, every: int = EVERY
) -> None:
    """Track the frames of one film, and count."""
    tracker, scorer, before = Tracker(embed), Scorer(counts), 0
    counts.films += 1
    for index, (time_s, image, truth) in enumerate(frames):
        tracked: Sequence[Tracked] = ()
        if index % every:
            began = thread_time()
            tracked = tracker.followed(image, time_s)
            counts.follow_ms += 1000 * (thread_time() - began)
            counts.followed += 1
        if index % every == 0 or len(tracked) < before:
            found = detect(image, truth, time_s)
            began = thread_time()
            tracked = tracker.detected(found, image, time_s)
            counts.detect_ms += 1000 * (thread_time() - began)
            before = len(tracked)
        scorer.see(truth, tracked)


def embed(image: Image, found: Sequence[Detection]) -> NDArray[np.float32]:
    """As `Analyzer.stream`, of boxes as YuNet's are."""
    grey = to_grey(image)
    crops = [crop_face(grey, one.box, YuNetDetector.crop_rule, face_roll(one.landmarks)) for one in found]
    return face_embedder().embed(stacked(crops))


def detection(name: str, shown: Film, model: Path | None) -> Detect:
    """The detector of this name, for one film."""
    if name == "truth":
        true = TrueDetector(shown)
        return lambda image, truth, time_s: true.detect(truth, time_s)
    real = load_detector(name, model=model, threads=1)

    def detect(image: Image, truth: Sequence[Truth], time_s: float) -> list[Detection]:
        if shown.dropped[0] <= time_s < shown.dropped[1]:
            return []
        return [one for one in real.detect(image) if one.score is None or one.score >= MIN_FACE_SCORE]

    return detect


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="holds lfw/ and detectors/")
    parser.add_argument("--events", type=int, default=25, help="films of each kind")
    parser.add_argument("--first", type=int, default=0, help="number of the first film of each kind")
    parser.add_argument("--detector", choices=("truth", "yunet", "haar"), default="truth")
    parser.add_argument("--every", type=int, default=EVERY, help="frames from one detection to the next")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    cv2.setNumThreads(1)
    model = None
    if args.detector == "yunet":
        model = next((args.data / "detectors").glob("face_detection_yunet_*.onnx"), None)
    portraits = any_portraits(args.data)
    columns = ("event", "films", "switches", "missed, %", "false", "follow, ms", "detected, ms")
    table = Table(*columns, title=f"{args.detector}, {len(portraits)} portraits")
    results = {}
    for kind in KINDS:
        counts = Counts()
        for number in range(args.first, args.first + args.events):
            shown = film(kind, number, portraits)
            was = counts.switches
            run(shown.frames(), detection(args.detector, shown, model), counts, every=args.every)
            if counts.switches > was:
                console.out().print(f"{kind} {number}: {counts.switches - was} switches")
        results[kind] = asdict(counts)
        table.add_row(
            kind,
            str(counts.films),
            str(counts.switches),
            f"{100 * counts.missed / counts.faces:.1f}",
            f"{100 * counts.false / counts.frames:.1f}",
            f"{counts.follow_ms / counts.followed:.2f}",
            f"{counts.detect_ms / (counts.frames - counts.followed):.2f}",
        )
    console.out().print(table)
    console.out().print(f"{sum(one['switches'] for one in results.values())} switches in all")
    if args.json:
        write_json(args.json, results)


if __name__ == "__main__":
    main()
