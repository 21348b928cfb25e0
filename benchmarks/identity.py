"""Whether a person of a video is one person: films of cuts, dissolves, tilts, exits, flashes, and sparse sampling.

    python benchmarks/identity.py [--data ../shared/data] [--films N] [--first N] [--kinds KIND ...]
                                  [--every SECONDS ...] [--other bytetrack] [--json FILE]

`scene_films.py` says how the films are made. Each goes through YuNet and `mien.Analyzer.stream`, and is scored,
as it comes and with the tracks of the whole film joined, by
TrackEval (Luiten et al., IJCV 2020; `pip install trackeval`): IDF1 (Ristani et al., 2016) and HOTA at IoU 0.5. Truth
is who can be seen by half or more, and has 24 pixels or more; tracks of others are not counted. Joined are cuts in one
place after which the next person had the same track as the one before. Of films of one person alone a frame every
SECONDS is looked at. With --other the same detections, on every frame, go through Roboflow's ByteTrack (`pip install
trackers`).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import thread_time
from typing import Any

import cv2
import numpy as np
from moving_faces import Image, Portrait, Truth, photo_portraits
from output import write_json
from rich.table import Table
from scene_films import RATE, SCENE_KINDS, SceneFilm, scene_film

import mien
from mien.cli import console
from mien.runtime.detectors import load_detector
from mien.types import Box, CropRule, Detection, DetectOptions, Frame

VISIBLE = 0.5
LEAST = 24
IOU = 0.5

Tracks = list[tuple[int, Box]]
Shown = tuple[float, list[Truth], Tracks]
"""A frame's time in seconds, who is there, and the tracks."""


class Remembered(mien.Detector):
    """A detector whose findings are kept by frame, so that several trackers see the same."""

    name = "yunet"
    whole_picture = False

    def __init__(self, detector: Any) -> None:
        self._detector = detector
        self.crop_rule: CropRule = detector.crop_rule
        self.max_side = detector.max_side
        self.known: dict[int, list[Detection]] = {}
        self.model_file = None
        self.frame = -1

    def with_options(self, options: DetectOptions) -> Remembered:
        self._detector = self._detector.with_options(options)
        return self

    def detect(self, image: Image) -> list[Detection]:
        if self.frame not in self.known:
            self.known[self.frame] = self._detector.detect(image)
        return self.known[self.frame]


@dataclass
class Scored:
    """What TrackEval needs of films, and what was counted besides."""

    films: list[dict[str, Any]] = field(default_factory=list)
    persons: list[int] = field(default_factory=list)
    cuts: int = 0
    joined: int = 0
    seconds: float = 0.0
    frames: int = 0

    def add(self, film: SceneFilm, frames: Sequence[tuple[float, list[Truth], Tracks]]) -> None:
        """Count a film whose frames had this truth and these tracks."""
        shown = [(time_s, _countable(truth), _counted(truth, tracks)) for time_s, truth, tracks in frames]
        self.films.append(_for_trackeval(shown))
        self.persons.append(len({track for _, _, tracks in shown for track, _ in tracks}))
        if film.kind == "same place":
            self._count_cuts(film, shown)

    def _count_cuts(self, film: SceneFilm, shown: Sequence[tuple[float, list[Truth], Tracks]]) -> None:
        by_person: dict[int, set[int]] = {}
        for time_s, truth, tracks in shown:
            for one in truth:
                role = film.roles[one.person]
                if time_s < role.start_s + 0.4:
                    continue
                by_person.setdefault(one.person, set()).update(
                    track for track, box in tracks if box.iou(one.box) >= IOU
                )
        for person in range(1, len(film.roles)):
            self.cuts += 1
            self.joined += bool(by_person.get(person, set()) & by_person.get(person - 1, set()))

    def figures(self) -> dict[str, float]:
        """IDF1 and HOTA over all films, and the rest."""
        from trackeval.metrics import HOTA, Identity

        identity, hota = Identity({"PRINT_CONFIG": False}), HOTA()
        parts = {str(number): film for number, film in enumerate(self.films)}
        by_film = {name: identity.eval_sequence(film) for name, film in parts.items()}
        found: dict[str, float] = {"IDF1": float(identity.combine_sequences(by_film)["IDF1"])}
        by_film = {name: hota.eval_sequence(film) for name, film in parts.items()}
        found["HOTA"] = float(np.mean(hota.combine_sequences(by_film)["HOTA"]))
        found["persons"] = float(np.mean(self.persons))
        if self.cuts:
            found |= {"cuts": self.cuts, "joined": self.joined}
        found["ms"] = 1000 * self.seconds / max(1, self.frames)
        return found


def _for_trackeval(shown: Sequence[tuple[float, list[Truth], Tracks]]) -> dict[str, Any]:
    gt_names = sorted({one.person for _, truth, _ in shown for one in truth})
    names = sorted({track for _, _, tracks in shown for track, _ in tracks})
    data: dict[str, Any] = {
        "gt_ids": [np.array([gt_names.index(one.person) for one in truth], int) for _, truth, _ in shown],
        "tracker_ids": [np.array([names.index(track) for track, _ in tracks], int) for _, _, tracks in shown],
        "similarity_scores": [
            np.array([[one.box.iou(box) for _, box in tracks] for one in truth]).reshape(len(truth), len(tracks))
            for _, truth, tracks in shown
        ],
        "num_gt_ids": len(gt_names),
        "num_tracker_ids": len(names),
        "num_gt_dets": sum(len(truth) for _, truth, _ in shown),
        "num_tracker_dets": sum(len(tracks) for _, _, tracks in shown),
        "num_timesteps": len(shown),
    }
    return data


def ours(film: SceneFilm, detector: Remembered, every: float) -> dict[str, list[Shown]]:
    """What `Analyzer.stream` makes of a film of which a frame every N seconds is looked at: live, and in the end."""
    analyzer = mien.load(detector=detector, threads=1)
    step = max(1, round(every * RATE))
    truths: list[list[Truth]] = []

    def frames() -> Iterator[Frame]:
        for index, (time_s, image, truth) in enumerate(film.frames()):
            if index % step == 0:
                truths.append(truth)
                detector.frame = index
                yield Frame(image, index, time_s)

    results = analyzer.stream(frames())
    live: list[Shown] = []
    for result in results:
        tracks = [(face.track, face.box) for face in result.faces if face.track is not None]
        live.append((result.time_s or 0.0, truths[-1], tracks))
    numbers = results.persons()
    joined: list[Shown] = []
    for time_s, truth, tracks in live:
        persons = [(numbers[track], box) for track, box in tracks]
        joined.append((time_s, truth, [(person, box) for person, box in persons if person is not None]))
    return {"mien": live, "mien, whole file": joined}


def bytetrack(film: SceneFilm, detector: Remembered, every: float) -> dict[str, list[Shown]]:
    """What supervision's ByteTrack makes of it."""
    return {"bytetrack": list(_bytetrack(film, detector, every))}


def _bytetrack(film: SceneFilm, detector: Remembered, every: float) -> Iterator[Shown]:
    """What supervision's ByteTrack makes of it, with a detection on every frame that is looked at."""
    import supervision
    import trackers

    step = max(1, round(every * RATE))
    tracker = trackers.ByteTrackTracker(frame_rate=RATE / step)
    for index, (time_s, image, truth) in enumerate(film.frames()):
        if index % step:
            continue
        detector.frame = index
        found = [one for one in detector.detect(image) if (one.score or 0) >= mien.types.MIN_FACE_SCORE]
        boxes = np.array([one.box.xyxy for one in found], float).reshape(-1, 4)
        scores = np.array([one.score for one in found], float)
        tracked = tracker.update(
            supervision.Detections(xyxy=boxes, confidence=scores, class_id=np.zeros(len(found), int))
        )
        ids = [-1] * len(tracked) if tracked.tracker_id is None else tracked.tracker_id.tolist()
        tracks = [
            (track, Box(x, y, right - x, bottom - y))
            for (x, y, right, bottom), track in zip(tracked.xyxy.tolist(), ids, strict=True)
            if track >= 0  # not yet confirmed
        ]
        yield time_s, truth, tracks


def _countable(truth: Sequence[Truth]) -> list[Truth]:
    return [one for one in truth if one.visible >= VISIBLE and one.box.width >= LEAST]


def _counted(truth: Sequence[Truth], tracks: Tracks) -> Tracks:
    """The tracks without those of faces that are hardly to be seen."""
    hidden = [one.box for one in truth if one not in _countable(truth)]
    seen = [one.box for one in _countable(truth)]
    return [
        (track, box)
        for track, box in tracks
        if not any(box.iou(other) > 0.3 for other in hidden) or any(box.iou(other) >= IOU for other in seen)
    ]


TRACKERS: dict[str, Callable[[SceneFilm, Remembered, float], dict[str, list[Shown]]]] = {
    "mien": ours,
    "bytetrack": bytetrack,
}


def measure(
    kinds: Sequence[str],
    numbers: Sequence[int],
    everies: Sequence[float],
    names: Sequence[str],
    portraits: Sequence[Portrait],
) -> dict[str, dict[str, dict[str, float]]]:
    """Figures by tracker, then by kind, and by sampling where the kind is "alone"."""
    scored: dict[str, dict[str, Scored]] = {}
    for kind in kinds:
        for number in numbers:
            film = scene_film(kind, number, portraits)
            detector = Remembered(load_detector("yunet", threads=1))
            for every in everies if kind == "alone" else [0.0]:
                label = f"{kind}, every {every:g} s" if every else kind
                for name in names:
                    began = thread_time()
                    found = TRACKERS[name](film, detector, every)
                    seconds = thread_time() - began
                    for made, shown in found.items():
                        into = scored.setdefault(made, {}).setdefault(label, Scored())
                        into.seconds += seconds
                        into.frames += len(shown)
                        into.add(film, shown)
    figures: dict[str, dict[str, dict[str, float]]] = {}
    for name, by_kind in scored.items():
        whole = Scored([film for one in by_kind.values() for film in one.films], [0])
        figures[name] = {kind: one.figures() for kind, one in by_kind.items()}
        figures[name]["all"] = {key: whole.figures()[key] for key in ("IDF1", "HOTA")}
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="holds lfw/")
    parser.add_argument("--films", type=int, default=8, help="films of each kind")
    parser.add_argument("--first", type=int, default=0, help="number of the first film of each kind")
    parser.add_argument("--kinds", nargs="*", default=SCENE_KINDS, choices=SCENE_KINDS)
    parser.add_argument("--every", type=float, nargs="*", default=[0, 0.25, 0.5, 1, 2], help="of films of one person")
    parser.add_argument("--other", choices=("bytetrack",))
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    cv2.setNumThreads(1)
    portraits = photo_portraits(args.data / "lfw", load_detector("yunet", threads=1))
    names = ["mien", *([args.other] if args.other else [])]
    found = measure(args.kinds, range(args.first, args.first + args.films), args.every, names, portraits)
    for name, by_kind in found.items():
        table = Table(
            "film", "IDF1", "HOTA", "persons", "joined", "ms a frame", title=f"{name}, {len(portraits)} portraits"
        )
        for kind, one in by_kind.items():
            joined = f"{one['joined']:.0f} of {one['cuts']:.0f}" if "cuts" in one else ""
            persons, ms = (f"{one[key]:.1f}" if key in one else "" for key in ("persons", "ms"))
            table.add_row(kind, f"{one['IDF1']:.3f}", f"{one['HOTA']:.3f}", persons, joined, ms)
        console.out().print(table)
    if args.json:
        write_json(args.json, found)


if __name__ == "__main__":
    main()
