"""How well the detectors find faces of 20 pixels up to the whole picture, in pictures of 240 to 6000 pixels.

    python benchmarks/detection.py [--canvases 240 640 ...] [--pictures 60] [--seed 2] [--backgrounds DIR] [--json]
    python benchmarks/detection.py --natural DIR      # pictures as they are, resized and turned, without pasting
    python benchmarks/detection.py --turned           # the emotion of a photo upright, and turned

Photos of Labeled Faces in the Wild (350x350, one face filling each) are resized and blended into pictures without a
human face: those of scikit-image's wheel, or of a folder. Beyond the photo's edge the edge is repeated, blurred and
faded out over a third of its side, so that no edge gives the face away. Beside each face a decoy, a square of another
background, is blended in the same way. Everything follows from the seed. The least score was chosen on seeds 0 and 1.

A face counts as found at an intersection over union of 0.5 or more with the box that YuNet gave the photo by itself,
which is the face from the hairline to the chin; every other detection is false. scikit-image's cat counts as no face.
Such faces are frontal, sharp and well lit, and chosen by a face detector; but the heads are cut off above the brow and
below the chin, and stand before brick, grass or gravel. In natural pictures small faces are found better than here.

--natural takes pictures with faces. What the detector finds in each as it is, with a score of 0.9 or more, is the
truth for copies of it in which these faces have 20, 30, 40 ... pixels, and for copies turned by 90, 180 and 270
degrees. It cannot tell what was missed in the picture as it is.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import skimage.data
from numpy.typing import NDArray

import mien
from mien.images.decode import read_image
from mien.images.find import find_images
from mien.runtime.detectors import HaarDetector, YuNetDetector
from mien.types import MIN_FACE_SCORE, Box, Detection, DetectOptions

Image = NDArray[np.uint8]

# Only what lies in scikit-image's wheel; no coins, which bear heads.
BACKGROUNDS = (
    *("brick", "chelsea", "coffee", "grass", "gravel", "hubble_deep_field"),
    *("immunohistochemistry", "retina", "rocket", "stereo_motorcycle"),
)
CANVASES = (240, 512, 1024, 1440, 3000, 6000)
BINS = ("20-39 px", "40-59 px", "60-99 px", "100 px to 30 %", "30-60 %", "60-100 %")
FADE = 0.35
"""Width of the faded border around a photo, in its sides."""
NATURAL_SIZES = (20, 24, 30, 40, 60, 100, 200, 400, 800)
TURNS = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}


@dataclass(frozen=True)
class Patch:
    """What is blended into a picture: (S, S, 4) uint8, BGR and alpha, and the face's box on its inner (1, 1) square."""

    pixels: Image
    face: Box | None


@dataclass(frozen=True)
class Scene:
    image: Image
    faces: tuple[Box, ...]
    decoys: tuple[Box, ...]


@dataclass
class Tally:
    faces: int = 0
    found: int = 0
    false: int = 0
    on_decoys: int = 0
    pictures: int = 0
    on_empty: int = 0
    ms: list[float] = field(default_factory=list)

    def add(self, scene: Scene, detections: Sequence[Detection]) -> None:
        boxes = [face.box for face in detections]
        hits = {index for face in scene.faces for index in [_best(boxes, face)] if index is not None}
        self.faces, self.found = self.faces + len(scene.faces), self.found + len(hits)
        rest = [box for index, box in enumerate(boxes) if index not in hits]
        self.false += len(rest)
        self.on_decoys += sum(any(box.iou(decoy) > 0.2 for decoy in scene.decoys) for box in rest)
        self.pictures += 1

    @property
    def figures(self) -> dict[str, float]:
        pictures = max(1, self.pictures)
        return {
            "faces": self.faces,
            "recall": round(self.found / max(1, self.faces), 4),
            "false boxes a picture": round(self.false / pictures, 3),
            "of them on decoys": round(self.on_decoys / pictures, 3),
            "false boxes a picture without faces": round(self.on_empty / pictures, 3),
            "ms": round(float(np.median(self.ms)), 1) if self.ms else 0.0,
        }


def _best(boxes: Sequence[Box], face: Box) -> int | None:
    index = max(range(len(boxes)), key=lambda index: boxes[index].iou(face), default=None)
    return index if index is not None and boxes[index].iou(face) >= 0.5 else None


def softened(image: Image, face: Box | None) -> Patch:
    """A square picture with a border that repeats its edge, ever more blurred, and fades out."""
    side = image.shape[0]
    border = round(FADE * side)
    wide = cv2.copyMakeBorder(image, border, border, border, border, cv2.BORDER_REPLICATE).astype(np.float32)
    at = np.arange(side + 2 * border, dtype=np.float32)
    beyond = np.maximum(np.maximum(border - at, at - (side + border - 1)), 0)
    distance = np.hypot(beyond[:, None], beyond[None, :])[..., None] / border
    for sigma, start in ((0.01, 0.0), (0.03, 0.15), (0.08, 0.4)):
        blurred = cv2.GaussianBlur(wide, (0, 0), sigma * side)
        share = ((distance - start) / 0.2).clip(0, 1)
        wide = wide * (1 - share) + blurred * share
    alpha = (1 - distance).clip(0, 1)
    alpha = alpha * alpha * (3 - 2 * alpha)
    box = None if face is None else face.scaled(1 / side, 1 / side)
    return Patch(np.dstack([wide, 255 * alpha]).round().astype(np.uint8), box)


def blend(image: Image, patch: Patch, square: Box) -> None:
    """Blend a patch into the picture, its inner square at this place."""
    whole = round(square.width * (1 + 2 * FADE))
    how = cv2.INTER_AREA if whole < patch.pixels.shape[0] else cv2.INTER_CUBIC
    pixels = cv2.resize(patch.pixels, (whole, whole), interpolation=how)
    left, top = round(square.x - FADE * square.width), round(square.y - FADE * square.width)
    x0, y0 = max(left, 0), max(top, 0)
    x1, y1 = min(left + whole, image.shape[1]), min(top + whole, image.shape[0])
    part = pixels[y0 - top : y1 - top, x0 - left : x1 - left]
    alpha = part[..., 3:].astype(np.float32) / 255
    under = image[y0:y1, x0:x1]
    under[:] = (under * (1 - alpha) + part[..., :3] * alpha).round()


def make_scenes(
    photos: Sequence[Patch], backgrounds: Sequence[Image], canvas: int, size: str, count: int, rng: np.random.Generator
) -> Iterator[tuple[Image, Scene]]:
    """Empty pictures whose longer side is `canvas`, and each with faces of a size and as many decoys."""
    for index in range(count):
        empty = _resized(backgrounds[index % len(backgrounds)], canvas)
        shorter = min(empty.shape[:2])
        low, high = _heights(size, shorter)
        if low >= high:
            continue
        image = empty.copy()
        placed: list[Box] = []
        faces, decoys = [], []
        for number in range(6):  # a face, then a decoy; as many as there is room for, three of each at most
            patch = photos[int(rng.integers(len(photos)))]
            if number % 2:
                patch = _decoy(backgrounds[(index + 1 + number) % len(backgrounds)], rng)
            face_height = patch.face.height if patch.face else 1.0
            side = min(float(np.exp(rng.uniform(math.log(low), math.log(high)))) / face_height, shorter)
            place = _free_place(image, side, placed, rng)
            if place is None:
                continue
            placed.append(place)
            blend(image, patch, place)
            if patch.face is None:
                decoys.append(place)
            else:
                box = patch.face.scaled(side, side)
                faces.append(Box(place.x + box.x, place.y + box.y, box.width, box.height))
        yield empty, Scene(image, tuple(faces), tuple(decoys))


def _free_place(image: Image, side: float, placed: Sequence[Box], rng: np.random.Generator) -> Box | None:
    for _ in range(20):
        x, y = (float(rng.integers(0, length - int(side) + 1)) for length in (image.shape[1], image.shape[0]))
        around = Box(x - FADE * side, y - FADE * side, (1 + 2 * FADE) * side, (1 + 2 * FADE) * side)
        if all(around.iou(other) == 0 for other in placed):
            return Box(x, y, side, side)
    return None


def _heights(size: str, shorter: int) -> tuple[float, float]:
    """Of a face's box, in pixels."""
    low, high = {
        "20-39 px": (20, 40),
        "40-59 px": (40, 60),
        "60-99 px": (60, 100),
        "100 px to 30 %": (100, 0.3 * shorter),
        "30-60 %": (0.3 * shorter, 0.6 * shorter),
        "60-100 %": (0.6 * shorter, shorter),
    }[size]
    return max(low, 20), min(high, shorter)


def _decoy(background: Image, rng: np.random.Generator) -> Patch:
    side = int(rng.integers(64, min(351, *(length + 1 for length in background.shape[:2]))))
    x, y = (int(rng.integers(0, length - side + 1)) for length in (background.shape[1], background.shape[0]))
    return softened(np.ascontiguousarray(background[y : y + side, x : x + side]), None)


def _resized(image: Image, longer: int) -> Image:
    scale = longer / max(image.shape[:2])
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, None, fx=scale, fy=scale, interpolation=how), np.uint8)


def load_backgrounds(folder: Path | None) -> list[Image]:
    if folder is not None:
        found = find_images([str(folder)]).images
        return [read_image(one.path) for one in found]
    pictures = []
    for name in BACKGROUNDS:
        picture = getattr(skimage.data, name)()
        picture = picture[0] if isinstance(picture, tuple) else picture
        code = cv2.COLOR_GRAY2BGR if picture.ndim == 2 else cv2.COLOR_RGB2BGR
        pictures.append(np.asarray(cv2.cvtColor(picture, code), np.uint8))
    return pictures


def load_photos(folder: Path, detector: mien.Detector) -> list[Patch]:
    """Each photo with the detector's most confident box on it."""
    photos = []
    for path in sorted(folder.glob("*.jpg")):
        image = np.asarray(cv2.imread(str(path)), np.uint8)
        best = max(detector.detect(image), key=lambda face: face.score or 0.0)
        photos.append(softened(image, best.box))
    return photos


def confident(detections: Sequence[Detection], least: float) -> list[Detection]:
    return [face for face in detections if face.score is None or face.score >= least]


def pasted(detectors: dict[str, mien.Detector], options: argparse.Namespace) -> dict[str, Any]:
    photos = load_photos(options.data / "lfw", detectors["yunet"])
    backgrounds = load_backgrounds(options.backgrounds)
    results: dict[str, Any] = {}
    for canvas in options.canvases:
        for size in BINS:
            rng = np.random.default_rng((options.seed, canvas, BINS.index(size)))
            tallies = {name: Tally() for name in detectors}
            for empty, scene in make_scenes(photos, backgrounds, canvas, size, options.pictures, rng):
                for name, detector in detectors.items():
                    began = time.perf_counter()
                    found = detector.detect(scene.image)
                    tallies[name].ms.append(1000 * (time.perf_counter() - began))
                    tallies[name].add(scene, confident(found, options.min_score))
                    if size == BINS[0]:
                        tallies[name].on_empty += len(confident(detector.detect(empty), options.min_score))
            results[f"{canvas}"] = results.get(f"{canvas}", {}) | {
                size: {name: tally.figures for name, tally in tallies.items()}
            }
            if not options.json:
                shown = (f"{name} {_line(tally)}" for name, tally in tallies.items() if tally.faces)
                print(f"{canvas:5} {size:15}" + "   ".join(shown), flush=True)
    return results


def _line(tally: Tally) -> str:
    figures = tally.figures
    false = f"{figures['false boxes a picture']:.2f} false ({figures['of them on decoys']:.2f} on decoys)"
    empty = f", {figures['false boxes a picture without faces']:.2f} on empty" if tally.on_empty else ""
    return f"{100 * figures['recall']:5.1f} % of {tally.faces:3}, {false}{empty}, {figures['ms']:.0f} ms"


def natural(detectors: dict[str, mien.Detector], options: argparse.Namespace) -> dict[str, Any]:
    """Recall by the faces' height in pixels, and in turned pictures, of what yunet finds in pictures as they are."""
    rows: dict[str, dict[str, list[bool]]] = defaultdict(lambda: defaultdict(list))
    found = find_images([str(options.natural)]).images
    for one in found:
        image = read_image(one.path)
        truth = [face.box for face in detectors["yunet"].detect(image) if (face.score or 0) >= 0.9]
        for name, detector in detectors.items():
            for box, size in ((box, size) for box in truth for size in NATURAL_SIZES):
                scale = size / box.height
                if not 32 <= scale * max(image.shape[:2]) <= 8000:
                    continue
                copy = _resized(image, round(scale * max(image.shape[:2])))
                factor = copy.shape[1] / image.shape[1]
                hits = [face.box for face in confident(detector.detect(copy), options.min_score)]
                rows[f"{size} px"][name].append(_best(hits, box.scaled(factor, factor)) is not None)
            for degrees, code in TURNS.items():
                faces = detector.detect(np.asarray(cv2.rotate(image, code), np.uint8))
                hits = [face.box for face in confident(faces, options.min_score)]
                turned = [_turned(box, degrees, image.shape[1], image.shape[0]) for box in truth]
                rows[f"turned {degrees}"][name] += [_best(hits, box) is not None for box in turned]
    result = {
        row: {name: {"faces": len(hits), "recall": round(float(np.mean(hits)), 4)} for name, hits in by_name.items()}
        for row, by_name in rows.items()
    }
    if not options.json:
        for row, by_name in result.items():
            print(
                f"{row:12}" + "   ".join(f"{n} {100 * f['recall']:.1f} % of {f['faces']}" for n, f in by_name.items())
            )
    return result


def turned_emotions(folder: Path) -> dict[str, int]:
    """How often the largest face of a photo gets the same emotion when the photo is turned."""
    analyzer = mien.load(detector="yunet", max_faces=1)
    counts = dict.fromkeys(("turned photos", "no face", "same emotion", "another, both certain"), 0)
    for path in sorted(folder.glob("*.jpg")):
        photo = np.asarray(cv2.imread(str(path)), np.uint8)
        border = round(0.23 * photo.shape[0])  # the faces fill the photos
        image = np.asarray(cv2.copyMakeBorder(photo, border, border, border, border, cv2.BORDER_REPLICATE), np.uint8)
        upright = analyzer.analyze(image).faces
        for code in TURNS.values() if upright else ():
            turned = analyzer.analyze(np.asarray(cv2.rotate(image, code), np.uint8)).faces
            counts["turned photos"] += 1
            counts["no face"] += not turned
            if turned:
                same = turned[0].emotion == upright[0].emotion
                counts["same emotion"] += same
                counts["another, both certain"] += not (same or turned[0].uncertain or upright[0].uncertain)
    return counts


def _turned(box: Box, degrees: int, width: int, height: int) -> Box:
    if degrees == 90:
        return Box(height - box.y - box.height, box.x, box.height, box.width)
    if degrees == 180:
        return Box(width - box.x - box.width, height - box.y - box.height, box.width, box.height)
    return Box(box.y, width - box.x - box.width, box.height, box.width)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--canvases", type=int, nargs="+", default=CANVASES, help="longer sides of the pictures")
    parser.add_argument("--pictures", type=int, default=60, help="for each canvas and size of face")
    parser.add_argument("--seed", type=int, default=2)
    parser.add_argument("--backgrounds", type=Path, help="pictures without faces, in place of scikit-image's")
    parser.add_argument("--natural", type=Path, help="pictures with faces, to be resized and turned")
    parser.add_argument("--turned", action="store_true", help="compare emotions of turned photos")
    parser.add_argument("--detectors", nargs="+", default=["yunet", "thorough", "haar"])
    parser.add_argument(
        "--min-score", type=float, default=MIN_FACE_SCORE, help="detections with a lower one are left out"
    )
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.turned:
        print(json.dumps(turned_emotions(options.data / "lfw")))
        return
    yunet = YuNetDetector(next((options.data / "detectors").glob("face_detection_yunet_*.onnx")))
    known = {"yunet": yunet, "thorough": yunet.with_options(DetectOptions(mode="thorough")), "haar": HaarDetector()}
    detectors: dict[str, mien.Detector] = {name: known[name] for name in ["yunet", *options.detectors]}
    results = natural(detectors, options) if options.natural else pasted(detectors, options)
    if options.json:
        print(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
