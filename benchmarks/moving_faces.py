"""Short films of faces that move, hide and cross, made from pictures, with the truth of each frame.

A film's kind says what happens in it, its number everything else. Faces are cut softly from their pictures, and move on
curves, rolling a little, over a textured background that moves as well; the light changes, and the camera is noisy.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import skimage.data
from numpy.typing import NDArray

import mien
from mien.runtime.detectors import HaarDetector
from mien.types import Box, Detection

Image = NDArray[np.uint8]
Curve = Callable[[float], tuple[float, float, float]]
"""Seconds to the middle of a face and the width of its box, in pixels."""

KINDS: Final = ("crossing", "occlusion", "dropped", "size")
WANDERING: Final = "wandering"
RATE: Final = 30
SIZE: Final = 640, 480
SECONDS: Final = 3.0
EVENT_S: Final = 1.2  # when it happens
HIDDEN_S: Final = 0.5
MOST_SIDE: Final = 150
ASTRONAUT_BOX: Final = Box(178, 63, 90, 113)  # YuNet's
BACKGROUNDS: Final = ("coffee", "rocket", "stereo_motorcycle", "brick", "grass", "gravel")


@dataclass(frozen=True)
class Portrait:
    """A face to paste: image (h, w, 3) uint8 BGR, mask (h, w) float32 of 0..1, and the face's box in it."""

    image: Image = field(repr=False)
    mask: NDArray[np.float32] = field(repr=False)
    box: Box


@dataclass(frozen=True)
class Truth:
    """Where a face is in a frame: person counts from 0, visible is the fraction of its box that can be seen, 0..1."""

    person: int
    box: Box
    visible: float


@dataclass(frozen=True)
class Film:
    """portraits move along curves, the first in front; bar, of some width, height and color, before all of them.

    dropped is the span of seconds in which the detector finds nothing; size is width and height in pixels.
    """

    kind: str
    number: int
    portraits: Sequence[Portrait]
    curves: Sequence[Curve]
    bar: tuple[Curve, int, int] | None = None
    dropped: tuple[float, float] = (math.inf, math.inf)
    size: tuple[int, int] = SIZE
    seconds: float = SECONDS

    def frames(self) -> Iterator[tuple[float, Image, list[Truth]]]:
        """The time in seconds, the picture (height, width, 3) uint8 BGR, and the truth of each frame."""
        rng = _random(self.kind, self.number, 1)
        place = scenery(rng, self.size)
        phases = rng.uniform(0, 2 * np.pi, (len(self.curves), 2))
        light = rng.uniform(0, 2 * np.pi)
        slab = rng.integers(40, 216, (8, 8, 3)).astype(np.uint8)
        width, height = self.size
        noise = np.repeat(rng.normal(0, 3, (height + 64, width + 64, 1)).round().astype(np.int16), 3, 2)
        for index in range(round(self.seconds * RATE)):
            time_s = index / RATE
            left, top = (40 + 40 * math.sin(0.7 * time_s + one) for one in phases[0])
            image = view(place, left, top, self.size)
            owner = np.full((height, width), -1, np.int8)
            boxes = [_box(portrait, curve(time_s)) for portrait, curve in zip(self.portraits, self.curves, strict=True)]
            for person in reversed(range(len(boxes))):  # the front one last
                roll = 8 * math.sin(1.5 * time_s + phases[person, 1])
                pasted(image, owner, self.portraits[person], boxes[person], roll, person)
            if self.bar is not None:
                _lay(image, owner, self.bar, slab, time_s)
            y, x = rng.integers(0, 64, 2)  # the noise of one frame is that of another, elsewhere
            image = np.asarray(cv2.convertScaleAbs(image, alpha=1 + 0.08 * math.sin(2 * time_s + light)), np.uint8)
            image = np.asarray(cv2.add(image, noise[y : y + height, x : x + width], dtype=cv2.CV_8U), np.uint8)
            truth = [Truth(person, box, seen_part(owner, box, person)) for person, box in enumerate(boxes)]
            yield time_s, image, truth


class TrueDetector:
    """Finds what can be seen of the truth, a few per cent off: visible faces but those of a dropped span.

    least is the fraction of a face that must be visible; it and the errors are the film's own.
    """

    def __init__(self, film: Film, off: float = 0.03) -> None:
        self._film, self._off = film, off
        self._rng = _random(film.kind, film.number, 2)
        self._least = self._rng.uniform(0.35, 0.65)

    def detect(self, truth: Sequence[Truth], time_s: float) -> list[Detection]:
        """The detections of a frame, in no fixed order."""
        if self._film.dropped[0] <= time_s < self._film.dropped[1]:
            return []
        found = []
        for one in truth:
            if one.visible < self._least:
                continue
            x, y, size = self._rng.normal(0, self._off, 3).tolist()
            box, scale = one.box, math.exp(size)
            middle = box.x + (0.5 + x) * box.width, box.y + (0.5 + y) * box.height
            width, height = scale * box.width, scale * box.height
            found.append(Detection(Box(middle[0] - width / 2, middle[1] - height / 2, width, height), 0.9))
        self._rng.shuffle(found)
        return found


def film(kind: str, number: int, portraits: Sequence[Portrait]) -> Film:
    """The film of a kind (of KINDS) with this number, two of the portraits in it."""
    rng = _random(kind, number, 0)
    cast = [portraits[index] for index in rng.permutation(len(portraits))[:2]]
    side = float(rng.uniform(60, 110))
    if kind == "crossing":
        return Film(kind, number, cast, crossing(rng, side))
    other = wandering(rng, float(rng.uniform(60, 90)), 500, 140)
    if kind == "occlusion":
        if rng.random() < 0.5:
            return Film(kind, number, cast, [_over_the_edge(rng, side), other])
        curve = wandering(rng, side, 200, 280)
        return Film(kind, number, cast, [curve, other], bar=_bar(rng, curve, side))
    if kind == "dropped":
        curve = wandering(rng, side, 230, 280, speed=float(rng.uniform(150, 300)))
        return Film(kind, number, cast, [curve, other], dropped=(EVENT_S, EVENT_S + 1.0))
    return Film(kind, number, cast, [_sized(wandering(rng, side, 220, 270), rng.random() < 0.5), other])


def wandering_film(
    number: int, portraits: Sequence[Portrait], count: int, *, size: tuple[int, int], seconds: float
) -> Film:
    """`count` people side by side, who go round, each about a place, and come nearer and go again."""
    rng = _random(WANDERING, number, 0)
    cast = [portraits[index] for index in rng.permutation(len(portraits))[:count]]
    curves = []
    for place in range(count):
        x, y = (place + 0.5) / count * size[0], size[1] * (0.35 if place % 2 else 0.65)
        inner = wandering(rng, float(rng.uniform(80, 120)), x, y, speed=float(rng.uniform(60, 120)))
        curves.append(_breathing(inner, float(rng.uniform(0, 2 * np.pi))))
    return Film(WANDERING, number, cast, curves, size=size, seconds=seconds)


def photo_portraits(photos: Path, detector: mien.Detector, count: int = 60) -> list[Portrait]:
    """The largest face of each photo (*.jpg) in a folder, as far as the detector finds one."""
    files = sorted(photos.glob("*.jpg"))
    people: dict[str, Path] = {}
    for file in files:
        people.setdefault(file.stem.rsplit("_", 1)[0], file)  # one photo a person
    portraits = []
    for file in list(people.values())[:count]:
        image = cv2.imread(str(file))
        found = [] if image is None else detector.detect(np.asarray(image, np.uint8))
        if image is not None and found:
            portraits.append(_portrait(np.asarray(image, np.uint8), max(found, key=lambda one: one.box.area).box))
    return portraits


def astronaut_portraits() -> list[Portrait]:
    """Scikit-image's astronaut as six people, who differ in proportions, colors and what they wear."""
    image = np.asarray(cv2.cvtColor(skimage.data.astronaut(), cv2.COLOR_RGB2BGR), np.uint8)
    people = []
    for number in range(6):
        shown = image.copy()
        if number % 3 == 1:
            cv2.rectangle(shown, (186, 92), (262, 112), (40, 30, 30), -1)  # dark glasses
        if number % 3 == 2:
            cv2.ellipse(shown, (221, 158), (42, 30), 0, 0, 360, (60, 70, 90), -1)  # a beard
        box = ASTRONAUT_BOX
        if number >= 3:
            box = Box(shown.shape[1] - box.x - box.width, box.y, box.width, box.height)
            tint = np.array([1.1, 0.95, 0.75]) if number % 2 else np.array([0.7, 0.85, 0.9])
            shown = (shown[:, ::-1] * tint).clip(0, 255).astype(np.uint8)
        stretched = cv2.resize(shown, None, fx=1.0, fy=(1.0, 0.9, 1.1)[number % 3], interpolation=cv2.INTER_AREA)
        people.append(_portrait(np.asarray(stretched, np.uint8), box.scaled(1.0, stretched.shape[0] / shown.shape[0])))
    return people


def any_portraits(data: Path) -> list[Portrait]:
    """Faces of the photos in DATA/lfw, or the astronaut's where there are none."""
    found = photo_portraits(data / "lfw", HaarDetector()) if (data / "lfw").is_dir() else []
    return found or astronaut_portraits()


def _random(kind: str, number: int, purpose: int) -> np.random.Generator:
    return np.random.default_rng([(*KINDS, WANDERING).index(kind), number, purpose])


def _portrait(image: Image, box: Box) -> Portrait:
    """The face and some of what surrounds it, at a size at which pasting does not alias."""
    scale = min(1.0, 1.2 * MOST_SIDE / box.width)
    image = np.asarray(cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
    box = box.scaled(scale, scale)
    left, top = max(0, round(box.x - 0.3 * box.width)), max(0, round(box.y - 0.3 * box.height))
    right, bottom = round(box.x + 1.3 * box.width), round(box.y + 1.3 * box.height)
    image = image[top:bottom, left:right]
    box = Box(box.x - left, box.y - top, box.width, box.height)
    mask = np.zeros(image.shape[:2], np.float32)
    centre = round(box.x + box.width / 2), round(box.y + box.height / 2)
    cv2.ellipse(mask, centre, (round(0.6 * box.width), round(0.65 * box.height)), 0, 0, 360, 1.0, -1)
    return Portrait(image, np.asarray(cv2.GaussianBlur(mask, (0, 0), 0.03 * box.width), np.float32), box)


def crossing(rng: np.random.Generator, side: float) -> list[Curve]:
    """Two faces that meet in the middle and pass each other, or turn back; more than half of a box is shared."""
    returns, gap = rng.random() < 0.4, float(rng.uniform(0.0, 0.25)) * side
    bend, steep = float(rng.uniform(-60, 60)), float(rng.uniform(1.5, 3.0))
    reach, sides = float(rng.uniform(120, 200)), (side, side * float(rng.uniform(0.85, 1.15)))

    def curve(sign: int) -> Curve:
        def at(time_s: float) -> tuple[float, float, float]:
            way = math.tanh(steep * (time_s - SECONDS / 2))
            x = (0.1 * side + reach * way**2 if returns else reach * way) * sign
            y = gap / 2 * sign + bend * math.sin(2.5 * time_s) * (0.3 + way**2 * sign)
            return 320 + x, 240 + y, sides[(sign + 1) // 2]

        return at

    return [curve(1), curve(-1)]


def wandering(rng: np.random.Generator, side: float, x: float, y: float, *, speed: float = 80) -> Curve:
    """A face that goes round about a place."""
    turns, phase = rng.uniform(1.5, 3, 2), rng.uniform(0, 2 * np.pi, 2)

    def at(time_s: float) -> tuple[float, float, float]:
        angles = turns * time_s + phase
        wide, high = (speed / turns * np.sin(angles)).tolist()
        return x + wide, y + 0.6 * high, side

    return at


def _breathing(curve: Curve, phase: float) -> Curve:
    """The curve, its face a quarter larger and smaller within two and a half seconds each way."""

    def at(time_s: float) -> tuple[float, float, float]:
        x, y, side = curve(time_s)
        return x, y, side * 1.25 ** math.sin(2 * np.pi * time_s / 5 + phase)

    return at


def _over_the_edge(rng: np.random.Generator, side: float) -> Curve:
    """A face whose middle is beyond the left edge for HIDDEN_S."""
    start, rise = float(rng.uniform(200, 320)), float(rng.uniform(-50, 50))
    deep = side * float(rng.uniform(0.35, 0.6))  # beyond the edge

    def at(time_s: float) -> tuple[float, float, float]:
        phase = (time_s - EVENT_S) / HIDDEN_S
        x = deep * (4 * phase**2 - 1)
        return x if x < 0 else start * (1 - math.exp(-x / start)), 240 + rise * math.sin(phase), side

    return at


def _bar(rng: np.random.Generator, curve: Curve, side: float) -> tuple[Curve, int, int]:
    """A board that passes before a face, and hides its middle for HIDDEN_S."""
    width, way = 1.6 * side, rng.choice([-1, 1])

    def at(time_s: float) -> tuple[float, float, float]:
        x, y, _ = curve(time_s)
        return x + way * width * (time_s - EVENT_S) / HIDDEN_S, y, width

    return at, round(width), round(2.2 * side)


def _sized(curve: Curve, grows: bool) -> Curve:
    """A face twice or half as large within a second."""

    def at(time_s: float) -> tuple[float, float, float]:
        x, y, side = curve(time_s)
        grown = min(max(time_s - EVENT_S + 0.5, 0.0), 1.0)
        factor = 2 ** (grown if grows else -grown)
        return x, y, factor * (0.9 * side if grows else 1.3 * side) * (0.75 if grows else 1.0)

    return at


def _box(portrait: Portrait, place: tuple[float, float, float]) -> Box:
    x, y, width = place
    height = width * portrait.box.height / portrait.box.width
    return Box(x - width / 2, y - height / 2, width, height)


def scenery(rng: np.random.Generator, size: tuple[int, int]) -> Image:
    """A picture of a place without a face, 80 pixels wider and higher than the frames."""
    shown = getattr(skimage.data, str(rng.choice(BACKGROUNDS)))()
    shown = np.asarray(shown[0] if isinstance(shown, tuple) else shown, np.uint8)
    shown = cv2.cvtColor(shown, cv2.COLOR_GRAY2BGR if shown.ndim == 2 else cv2.COLOR_RGB2BGR)
    return np.asarray(cv2.resize(shown, (size[0] + 80, size[1] + 80), interpolation=cv2.INTER_LINEAR), np.uint8)


def view(scenery: Image, left: float, top: float, size: tuple[int, int]) -> Image:
    """The part of a place that a frame shows."""
    centre = left + (size[0] - 1) / 2, top + (size[1] - 1) / 2
    return np.asarray(cv2.getRectSubPix(scenery, size, centre), np.uint8)


def pasted(shown: Image, owner: NDArray[np.int8], portrait: Portrait, box: Box, roll: float, person: int) -> None:
    """Blend a face into a picture, and note whose its pixels are."""
    scale = box.width / portrait.box.width
    middle = portrait.box.x + portrait.box.width / 2, portrait.box.y + portrait.box.height / 2
    around = Box(box.x - 0.5 * box.width, box.y - 0.5 * box.height, 2 * box.width, 2 * box.height)
    part = around.clipped(shown.shape[1], shown.shape[0])
    left, top, right, bottom = map(round, (part.x, part.y, part.x + part.width, part.y + part.height))
    if right <= left or bottom <= top:
        return
    matrix = np.asarray(cv2.getRotationMatrix2D(middle, -roll, scale), np.float64)
    matrix[:, 2] += box.x + box.width / 2 - middle[0] - left, box.y + box.height / 2 - middle[1] - top
    size = (right - left, bottom - top)
    face = cv2.warpAffine(portrait.image, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    mask = cv2.warpAffine(portrait.mask, matrix, size, flags=cv2.INTER_LINEAR)
    below = shown[top:bottom, left:right]
    below[:] = np.rint(below + mask[..., None] * (face.astype(np.float32) - below))
    owner[top:bottom, left:right][mask > 0.5] = person


def _lay(shown: Image, owner: NDArray[np.int8], bar: tuple[Curve, int, int], slab: Image, time_s: float) -> None:
    """Lay the board over a picture."""
    curve, width, height = bar
    x, y, _ = curve(time_s)
    left, top = round(x - width / 2), round(y - height / 2)
    board = cv2.resize(slab, (width, height), interpolation=cv2.INTER_CUBIC)
    rows, columns = slice(max(top, 0), max(top + height, 0)), slice(max(left, 0), max(left + width, 0))
    seen = shown[rows, columns]
    seen[:] = board[max(-top, 0) :, max(-left, 0) :][: seen.shape[0], : seen.shape[1]]
    owner[rows, columns] = -1


def seen_part(owner: NDArray[np.int8], box: Box, person: int) -> float:
    """The fraction of a face's box that shows it; the ellipse of a whole face counts as all of it."""
    part = box.clipped(owner.shape[1], owner.shape[0])
    rows = slice(round(part.y), round(part.y + part.height))
    columns = slice(round(part.x), round(part.x + part.width))
    return min(1.0, float((owner[rows, columns] == person).sum()) / (0.95 * box.area))
