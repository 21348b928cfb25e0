"""Whether a finished video shows a face that it was to cover: `mien predict --theme T -o FILE` on made films.

    python benchmarks/uncovered.py [--data ../shared/data] [--films 20] [--first 0] [--themes emoji blur pixelate]
                                   [--json uncovered.json] [--keep FOLDER]

Films are 640x480 at 30 frames/s, 3 seconds long (`moving_faces.py`): cuts from a card without faces to faces and back,
single white frames, faces that enter and leave at the edges, and faces behind a board. Each kind has as many films as
another. The finished file is decoded, and YuNet looks at every frame in which a face can be seen, at a score of 0.5.
"found" are frames in which it finds something at the place of a face: a drawn emoji may be taken for a face too.
"bare" are those of them in which the details of the film are still there at that place: a face that is not covered.
The theme "labels" covers nothing, and shows how many frames can be bare.
"""

from __future__ import annotations

import argparse
import math
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from dataclasses import field as dataclass_field
from pathlib import Path

import cv2
import numpy as np
from moving_faces import RATE, SIZE, Curve, Film, Image, Portrait, Truth, any_portraits, film
from output import write_json
from rich.table import Table

from mien.cli import console
from mien.drawing.style import COVERING, THEMES
from mien.runtime.detectors import load_detector
from mien.types import Box, Detection, DetectOptions
from mien.video.reader import VideoFile
from mien.video.writer import VideoWriter

KINDS = ("card", "flash", "edge", "occlusion")
SCORE = 0.5
SEEN = 0.05  # fraction of a face from which on it can be seen
TOUCHES = 0.1  # IoU of a detection and a true face
BARE, ALIKE = 0.3, 0.5  # fraction of the film's details that is left, and their correlation: a face is not covered
FLASHES_S = (0.5, 1.0, 1.63, 2.21)
CARDS_S = ((0.0, 0.7), (1.4, 1.6), (2.3, 2.5))
LISTED = 40  # frames that are named, of a theme
QUALITY = 14  # of the films, so that details survive


@dataclass
class Counts:
    """Frames of some films: all, with a face in sight, found, bare; and where those that are bare are."""

    films: int = 0
    frames: int = 0
    faces: int = 0
    found: int = 0
    bare: int = 0
    where: list[str] = dataclass_field(default_factory=list)


def frames_of(kind: str, number: int, portraits: Sequence[Portrait]) -> Iterator[tuple[float, Image, list[Truth]]]:
    """The frames of a film, as `Film.frames` gives them. Of what a card or a white frame hides there is no truth."""
    rng = np.random.default_rng([KINDS.index(kind), number])
    if kind == "occlusion":
        yield from film("occlusion", number, portraits).frames()
        return
    source = Film("size", number, *_passing(rng, portraits)) if kind == "edge" else film("size", number, portraits)
    card = np.full((SIZE[1], SIZE[0], 3), rng.integers(0, 256, 3), np.uint8)
    cv2.putText(card, "PART TWO", (150, 250), cv2.FONT_HERSHEY_DUPLEX, 2, (240, 240, 240), 3)
    for time_s, image, truth in source.frames():
        if kind == "card" and any(start <= time_s < end for start, end in CARDS_S):
            yield time_s, card, []
        elif kind == "flash" and any(abs(time_s - flash) < 0.5 / RATE for flash in FLASHES_S):
            yield time_s, np.full_like(image, 255), []
        else:
            yield time_s, image, truth


def _passing(rng: np.random.Generator, portraits: Sequence[Portrait]) -> tuple[list[Portrait], list[Curve]]:
    """Three people, one after another, who pass through the picture at some speed, from side to side or bottom up."""
    cast = [portraits[index] for index in rng.permutation(len(portraits))[:3]]

    def passing(start: float) -> Curve:
        speed, side, lane = map(float, rng.uniform((200, 70, 120), (700, 130, 360)))
        way = int(rng.integers(3))

        def at(time_s: float) -> tuple[float, float, float]:
            along = speed * (time_s - start) - side
            if way == 2:
                return lane / SIZE[1] * SIZE[0], SIZE[1] - along, side
            return (along if way == 0 else SIZE[0] - along), lane, side

        return at

    return cast, [passing(0.3 + 0.8 * n) for n in range(len(cast))]


def bare_at(film_image: Image, finished: Image, box: Box) -> bool:
    """Whether a finished frame shows in a box the details of the film's."""
    part = box.clipped(film_image.shape[1], film_image.shape[0])
    rows = slice(math.floor(part.y), math.ceil(part.y + part.height))
    columns = slice(math.floor(part.x), math.ceil(part.x + part.width))
    details = []
    for image in (film_image, finished):
        grey = cv2.cvtColor(image[rows, columns], cv2.COLOR_BGR2GRAY).astype(np.float32)
        fine = grey - cv2.GaussianBlur(grey, (0, 0), max(1.0, 0.04 * box.width))
        details.append(fine - fine.mean())
    before, after = details
    # A blur leaves a little of the details; an emoji has more of its own.
    shared, strength, other = (float(one.sum()) for one in (before * after, before**2, after**2))
    return shared >= BARE * strength and shared >= ALIKE * math.sqrt(strength * other)


def look(film_image: Image, finished: Image, truth: Sequence[Truth], detections: Sequence[Detection]) -> str:
    """What a finished frame shows of the faces in it: "" nothing, "found", or "bare"."""
    faces = [one.box for one in truth if one.visible >= SEEN]
    places = [(one.box, box) for one in detections for box in faces if one.box.iou(box) >= TOUCHES]
    # What is beside the face, and in the detection's box, may be the background as it was.
    if any(bare_at(film_image, finished, _shared(*pair)) for pair in places):
        return "bare"
    return "found" if places else ""


def _shared(one: Box, other: Box) -> Box:
    left, top = max(one.x, other.x), max(one.y, other.y)
    right, bottom = min(one.xyxy[2], other.xyxy[2]), min(one.xyxy[3], other.xyxy[3])
    return Box(left, top, right - left, bottom - top)


def score(path: Path, finished: Path, truths: Sequence[Sequence[Truth]], counts: Counts) -> None:
    """Count in a finished file what YuNet finds of the faces."""
    detector = load_detector("yunet", threads=1).with_options(DetectOptions(min_score=SCORE))
    counts.films += 1
    with VideoFile(path) as before, VideoFile(finished) as after:
        for truth, one, other in zip(truths, before, after, strict=True):
            counts.frames += 1
            if not any(face.visible >= SEEN for face in truth):
                continue
            counts.faces += 1
            found = [face for face in detector.detect(other.image) if face.score is None or face.score >= SCORE]
            shown = look(one.image, other.image, truth, found)
            counts.found += shown != ""
            counts.bare += shown == "bare"
            if shown == "bare":
                counts.where.append(f"{path.stem} {one.index}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="holds lfw/")
    parser.add_argument("--films", type=int, default=20, help="films in all")
    parser.add_argument("--first", type=int, default=0, help="number of the first film of each kind")
    parser.add_argument("--themes", nargs="+", choices=THEMES, default=COVERING)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--keep", type=Path, help="keep films and finished files in this folder")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    portraits = any_portraits(args.data)
    results = {theme: {kind: Counts() for kind in KINDS} for theme in args.themes}
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for index in range(args.films):
            kind, number = KINDS[index % len(KINDS)], args.first + index // len(KINDS)
            path, truths = folder / f"{kind}-{number}.mp4", []
            with VideoWriter(path, rate=RATE, crf=QUALITY) as writer:
                for time_s, image, truth in frames_of(kind, number, portraits):
                    writer.write(image, time_s)
                    truths.append(truth)
            for theme in args.themes:
                finished = folder / f"{kind}-{number}-{theme}.mp4"
                command = [sys.executable, "-m", "mien", "predict", path, "--theme", theme, "-o", finished]
                subprocess.run([str(part) for part in command], check=True, capture_output=True)
                score(path, finished, truths, results[theme][kind])
    table = Table(
        "theme", "kind", "films", "frames", "with a face", "found", "bare", title=f"{len(portraits)} portraits"
    )
    for theme, kinds in results.items():
        for kind, counts in kinds.items():
            table.add_row(theme, kind, *(str(value) for value in list(asdict(counts).values())[:-1]))
    console.out().print(table)
    for theme, kinds in results.items():
        where = [place for counts in kinds.values() for place in counts.where]
        frames = sum(counts.faces for counts in kinds.values())
        console.out().print(f"{theme}: {len(where)} of {frames} frames bare", *where[:LISTED])
    if args.json:
        write_json(
            args.json, {theme: {kind: asdict(one) for kind, one in kinds.items()} for theme, kinds in results.items()}
        )


if __name__ == "__main__":
    main()
