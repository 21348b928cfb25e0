"""Faces of any size and pose, with a network that sees those of some 40 to 500 pixels well, and upright ones only.

1. Sizes. The network sees the picture at full detail, then copies of a quarter of the size each, until the shorter
   side has at most `level_side` pixels: there a face that fills the picture is small enough. Large copies go through it
   in tiles that overlap.
2. A closer look. Each detection is cut out with its surroundings, scaled to a face of `look_face` pixels, and detected
   anew: the score of that counts. Texture that looks like a face at one scale seldom does so at another, and small
   faces show better when they are enlarged, so the first look may take many candidates. Faces that are tilted or turned
   are looked at turned (`closer_look.py`).
3. Dark pictures. Where nothing is found, and nearly all of the picture is dark, a brightened copy is searched.
4. Turned pictures. Where nothing is found, or faces that are turned, the picture may lie on its side or its head: it is
   searched turned as well.

What each step gains: docs/photos.md, benchmarks/detection.py.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.runtime.brightness import brightened
from mien.runtime.closer_look import Look, closer_look, detected, score_of
from mien.runtime.resize import fitted, scaled
from mien.runtime.search_table import TABLE
from mien.runtime.turning import QUARTERS, turned, turned_back
from mien.runtime.yunet import YuNet
from mien.types import Detection, DetectOptions


@dataclass(frozen=True, slots=True)
class _Level:
    """A copy of the picture, `across` times as wide and `down` times as high."""

    image: NDArray[np.uint8]
    across: float
    down: float

    @property
    def is_last(self) -> bool:
        """Whether a face that fills it is small enough for the network."""
        return bool(min(self.image.shape[:2]) <= TABLE.level_side)

    @property
    def max_face(self) -> int:
        """Larger faces are the next level's; on the last one they are no faces."""
        return 2 * max(self.image.shape[:2]) if self.is_last else TABLE.max_face


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A detection in pixels of its level."""

    face: Detection
    level: _Level

    def in_picture(self) -> Detection:
        return self.face.scaled(1 / self.level.across, 1 / self.level.down)


def search(network: YuNet, image: NDArray[np.uint8], options: DetectOptions) -> list[Detection]:
    """The faces of an (H, W, 3) uint8 BGR picture, in its pixels, by falling score."""
    looks = _looks(network, image, options)
    certain = _certain(looks, options)
    if not certain:
        bright = brightened(image, dark=TABLE.dark_level, bright=TABLE.bright_level)
        if bright is not image:
            image, looks = bright, _looks(network, bright, options)
            certain = _certain(looks, options)
    found = [look.face for look in looks]
    if not options.stream:
        turns = {_quarter(look) for look in certain} - {0} if certain else _turns_of(network, image, options)
        for degrees in sorted(turns):
            hits = _looks(network, turned(image, degrees), options)
            found += [turned_back(hit.face, degrees, image.shape[1], image.shape[0]) for hit in hits]
    return _without_overlaps(found)


def _certain(looks: Sequence[Look], options: DetectOptions) -> list[Look]:
    return [look for look in looks if score_of(look.face) >= options.min_score]


def _turns_of(network: YuNet, image: NDArray[np.uint8], options: DetectOptions) -> set[int]:
    """The turns in degrees in which a smaller copy of the picture shows a face."""
    copy = fitted(image, 1, min(options.side or TABLE.turned_side, TABLE.turned_side))
    smaller = replace(options, side=None, min_face=options.min_face * copy.shape[1] / image.shape[1])
    return {
        degrees
        for degrees in QUARTERS
        for look in _looks(network, turned(copy, degrees), smaller)
        if _quarter(look) == 0 and score_of(look.face) >= options.min_score
    }


def detail(width: int, height: int, options: DetectOptions) -> float:
    """How many times the picture is enlarged for the first level."""
    longer, smallest = max(width, height), options.min_face
    if options.mode == "thorough":
        scale, most = min(TABLE.thorough_detail / max(smallest, 1), 2.0), TABLE.thorough_max_pixels
    else:
        scale, most = min(TABLE.full_detail / max(smallest, 1), 1.0), TABLE.max_pixels
    scale = min(scale, math.sqrt(most / (width * height)))
    if options.side is not None:
        scale = min(scale, options.side / longer)
    return max(scale, TABLE.min_side / longer)


def _looks(network: YuNet, image: NDArray[np.uint8], options: DetectOptions) -> list[Look]:
    """The faces of a picture that are upright, and those of the turned ones that look like faces nevertheless."""
    least = TABLE.thorough_candidate_score if options.mode == "thorough" else TABLE.candidate_score
    candidates = [
        _Candidate(face, level)
        for level in _levels(image, detail(image.shape[1], image.shape[0], options))
        for face in _in_tiles(network, level)
        if score_of(face) >= least and face.box.height <= level.max_face and face.box.width <= level.max_face
    ]
    looks = (
        _closer(network, candidate, is_best=index == 0, min_score=options.min_score)
        for index, candidate in enumerate(_best(candidates))
    )
    return [look for look in looks if score_of(look.face) >= TABLE.min_score]


def _closer(network: YuNet, candidate: _Candidate, *, is_best: bool, min_score: float) -> Look:
    """A closer look at a candidate, in pixels of the picture."""
    level = candidate.level
    look = closer_look(network, level.image, candidate.face, is_best=is_best, min_score=min_score)
    return replace(look, face=look.face.scaled(1 / level.across, 1 / level.down))


def _quarter(look: Look) -> int:
    """The turn of a face to the nearest multiple of 90 degrees, 0 to 270."""
    return round(look.degrees / 90) % 4 * 90


def _levels(image: NDArray[np.uint8], scale: float) -> Iterator[_Level]:
    """The copies of the picture that the network sees, the largest first."""
    height, width = image.shape[:2]
    copy = scaled(image, scale)
    while True:
        level = _Level(copy, copy.shape[1] / width, copy.shape[0] / height)
        yield level
        if level.is_last:
            return
        copy = scaled(copy, 1 / TABLE.level_ratio)


def _in_tiles(network: YuNet, level: _Level) -> Iterator[Detection]:
    """The detections on a level. One that a tile cuts off is left out: it is whole in the next tile or level."""
    height, width = level.image.shape[:2]
    overlap = TABLE.level_side if level.is_last else TABLE.tile_overlap
    for top, bottom in _spans(height, overlap):
        for left, right in _spans(width, overlap):
            for face in detected(network, level.image[top:bottom, left:right]):
                whole = face.moved(1, 1, left, top)
                x0, y0, x1, y1 = whole.box.xyxy
                if (
                    (left == 0 or x0 > left + 1)
                    and (top == 0 or y0 > top + 1)
                    and (right == width or x1 < right - 1)
                    and (bottom == height or y1 < bottom - 1)
                ):
                    yield whole


def _spans(length: int, overlap: int) -> list[tuple[int, int]]:
    """Equal parts of a side, of at most TABLE.tile pixels, that overlap by at least this many."""
    if length <= TABLE.tile:
        return [(0, length)]
    count = math.ceil((length - overlap) / (TABLE.tile - overlap))
    size = math.ceil((length + (count - 1) * overlap) / count)
    starts = [(length - size) * index // (count - 1) for index in range(count)]
    return [(start, start + size) for start in starts]


def _best(candidates: Sequence[_Candidate]) -> list[_Candidate]:
    """Those that stay when overlaps are suppressed, across levels, the most confident first."""
    kept = _not_overlapping([candidate.in_picture() for candidate in candidates])
    return [candidates[index] for index in kept[: TABLE.max_candidates]]


def _without_overlaps(faces: Sequence[Detection]) -> list[Detection]:
    return [faces[index] for index in _not_overlapping(faces)]


def _not_overlapping(faces: Sequence[Detection]) -> list[int]:
    """Indexes of the faces without those that overlap a more confident one, by falling score."""
    boxes = [(face.box.x, face.box.y, face.box.width, face.box.height) for face in faces]
    kept = cv2.dnn.NMSBoxes(boxes, [score_of(face) for face in faces], 0.0, TABLE.max_overlap)
    return [int(index) for index in np.asarray(kept).reshape(-1)]
