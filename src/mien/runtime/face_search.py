"""Faces of any size and pose, with a network that sees those of some 40 to 500 pixels well, and upright ones only.

1. Sizes. The network sees the picture at full detail, then copies of a quarter of the size each, until the shorter
   side has at most `level_side` pixels: there a face that fills the picture is small enough. Large copies go through it
   in tiles that overlap.
2. A closer look. Each detection is cut out with its surroundings, scaled to a face of `look_face` pixels, and detected
   anew: the score of that counts. Texture that looks like a face at one scale seldom does so at another, and small
   faces show better when they are enlarged, so the first look may take many candidates. A cut that shows a face better
   when it is turned by 90, 180 or 270 degrees holds a face that is turned so.
3. Dark pictures. Where nothing is found, and nearly all of the picture is dark, a brightened copy is searched.
4. Turned pictures. Where nothing is found, or faces that are turned, the picture may lie on its side or its head: it is
   searched turned as well.

What each step gains: docs/photos.md, benchmarks/detection.py.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.runtime.brightness import brightened
from mien.runtime.resize import fitted, scaled
from mien.runtime.yunet import YuNet
from mien.types import Box, Detection, DetectOptions


@dataclass(frozen=True, slots=True)
class SearchTable:
    """The sizes in pixels and the scores 0..1 of the search. The page's engine gets them from here."""

    dark_level: int = 100
    """A picture is dark if nearly all its values are lower; it is then brightened until nearly all are below
    `bright_level` (`brightness.py`)."""
    bright_level: int = 200
    min_side: int = 160
    """Smaller pictures are enlarged to this longer side."""
    full_detail: int = 40
    """The size of face in pixels that the network finds reliably: the picture is never shrunk so that the smallest
    wanted face has less."""
    max_pixels: int = 24_000_000
    """The network sees at most this many pixels at full detail; larger pictures are shrunk."""
    thorough_detail: int = 30
    """As full_detail, by the mode `thorough`: the picture is enlarged where the smallest wanted face has less."""
    thorough_max_pixels: int = 54_000_000
    level_ratio: int = 4
    level_side: int = 512
    max_face: int = 320
    """On a level, larger faces are left to the next one, which sees them whole."""
    tile: int = 1536
    tile_overlap: int = 160
    """In pixels. Larger faces are found on the next level as well; on the last one tiles overlap by level_side."""
    candidate_score: float = 0.1
    thorough_candidate_score: float = 0.05
    max_candidates: int = 500
    """The most confident ones: a bound of the time for closer looks."""
    look_face: int = 80
    """The size of a face in pixels that a closer look scales it to, in a cut of `look_side` pixels."""
    look_side: int = 128
    same_overlap: float = 0.7
    """A large face keeps the box and landmarks of the first look if they overlap by this with the closer look's."""
    upright_score: float = 0.88
    """A face whose closer look has a lower score may be turned, if the first look gave it `turn_score` or more."""
    turn_score: float = 0.3
    surely_upright_score: float = 0.92
    """The most confident face of a picture is looked at upside down where its score is lower: studio portraits that
    stand on their heads have up to 0.91."""
    turned_side: int = 640
    """The longer side in pixels of the copy on which turned faces are looked for, where nothing else was found."""
    min_score: float = 0.3
    """Detections with a lower score are not reported."""
    max_overlap: float = 0.3
    """Of detections that overlap by more (intersection over union), the most confident stays."""


TABLE: Final = SearchTable()

_ROTATIONS: Final = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}


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


@dataclass(frozen=True, slots=True)
class _Look:
    """A face after its closer look, in pixels of the picture, and by how many degrees clockwise its cut was turned to
    show it upright.
    """

    face: Detection
    degrees: int


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
        turns = {look.degrees for look in certain} - {0} if certain else _turns_of(network, image, options)
        for degrees in sorted(turns):
            hits = _looks(network, _turned(image, degrees), options)
            found += [_turned_back(hit.face, degrees, image.shape[1], image.shape[0]) for hit in hits]
    return _without_overlaps(found)


def _certain(looks: Sequence[_Look], options: DetectOptions) -> list[_Look]:
    return [look for look in looks if _score(look.face) >= options.min_score]


def _turns_of(network: YuNet, image: NDArray[np.uint8], options: DetectOptions) -> set[int]:
    """The turns in degrees in which a smaller copy of the picture shows a face."""
    copy = fitted(image, 1, min(options.side or TABLE.turned_side, TABLE.turned_side))
    smaller = replace(options, side=None, min_face=options.min_face * copy.shape[1] / image.shape[1])
    return {
        degrees
        for degrees in _ROTATIONS
        for look in _looks(network, _turned(copy, degrees), smaller)
        if look.degrees == 0 and _score(look.face) >= options.min_score
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


def _looks(network: YuNet, image: NDArray[np.uint8], options: DetectOptions) -> list[_Look]:
    """The faces of a picture that are upright, and those of the turned ones that look like faces nevertheless."""
    least = TABLE.thorough_candidate_score if options.mode == "thorough" else TABLE.candidate_score
    candidates = [
        _Candidate(face, level)
        for level in _levels(image, detail(image.shape[1], image.shape[0], options))
        for face in _in_tiles(network, level)
        if _score(face) >= least and face.box.height <= level.max_face and face.box.width <= level.max_face
    ]
    looks = (_closer(network, candidate, is_best=index == 0) for index, candidate in enumerate(_best(candidates)))
    return [look for look in looks if _score(look.face) >= TABLE.min_score]


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
            for face in _detected(network, level.image[top:bottom, left:right]):
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


def _closer(network: YuNet, candidate: _Candidate, *, is_best: bool) -> _Look:
    """The candidate as its surroundings show it, scaled to a face of TABLE.look_face pixels; score 0 where that shows
    none. is_best: whether it is the picture's most confident one.
    """
    face, level = candidate.face, candidate.level
    size = max(face.box.width, face.box.height)
    reach = size * TABLE.look_side / TABLE.look_face / 2
    x, y = face.box.x + face.box.width / 2, face.box.y + face.box.height / 2
    height, width = level.image.shape[:2]
    left, top = min(max(math.floor(x - reach), 0), width - 1), min(max(math.floor(y - reach), 0), height - 1)
    cut = level.image[top : max(math.ceil(y + reach), top + 1), left : max(math.ceil(x + reach), left + 1)]
    view = scaled(cut, TABLE.look_face / size)
    across, down = view.shape[1] / cut.shape[1], view.shape[0] / cut.shape[0]
    view = view[: TABLE.look_side, : TABLE.look_side]  # a pixel more would cost the network another 32

    def look(degrees: int) -> _Look:
        hits = _detected(network, _turned(view, degrees))
        upright = (_turned_back(hit, degrees, view.shape[1], view.shape[0]) for hit in hits)
        here = (hit.moved(1 / across, 1 / down, left, top) for hit in upright)
        same = (hit for hit in here if hit.box.iou(face.box) > TABLE.max_overlap)
        return _Look(max(same, key=_score, default=replace(face, score=0.0)), degrees)

    best = look(0)
    for degrees in _turns_to_try(_score(face), _score(best.face), is_best=is_best):
        best = max(best, look(degrees), key=lambda look: _score(look.face))
    if best.degrees == 0 and size >= TABLE.look_face and best.face.box.iou(face.box) >= TABLE.same_overlap:
        # the first look saw it in more detail
        best = replace(best, face=replace(face, score=best.face.score))
    return replace(best, face=best.face.scaled(1 / level.across, 1 / level.down))


def _turns_to_try(first: float, closer: float, *, is_best: bool) -> tuple[int, ...]:
    """The turns in which a face may have a higher score than upright, by the scores of its first and closer look."""
    if closer < TABLE.upright_score:
        return tuple(_ROTATIONS) if first >= TABLE.turn_score else ()
    return (180,) if is_best and closer < TABLE.surely_upright_score else ()


def _detected(network: YuNet, image: NDArray[np.uint8]) -> list[Detection]:
    return [
        Detection(Box(*row[:4]), row[14], tuple(zip(row[4:14:2], row[5:14:2], strict=True)))
        for row in network.detect(image).tolist()
    ]


def _score(face: Detection) -> float:
    return face.score or 0.0


def _without_overlaps(faces: Sequence[Detection]) -> list[Detection]:
    return [faces[index] for index in _not_overlapping(faces)]


def _not_overlapping(faces: Sequence[Detection]) -> list[int]:
    """Indexes of the faces without those that overlap a more confident one, by falling score."""
    boxes = [(face.box.x, face.box.y, face.box.width, face.box.height) for face in faces]
    kept = cv2.dnn.NMSBoxes(boxes, [_score(face) for face in faces], 0.0, TABLE.max_overlap)
    return [int(index) for index in np.asarray(kept).reshape(-1)]


def _turned(image: NDArray[np.uint8], degrees: int) -> NDArray[np.uint8]:
    """The picture turned clockwise by a multiple of 90 degrees."""
    return np.asarray(cv2.rotate(image, _ROTATIONS[degrees]), np.uint8) if degrees else image


def _turned_back(face: Detection, degrees: int, width: int, height: int) -> Detection:
    """A detection in a picture that was turned clockwise, in pixels of the picture as it was, width x height."""
    if degrees == 0:
        return face
    box = face.box
    x, y = _point_back(box.x + box.width / 2, box.y + box.height / 2, degrees, width, height)
    across, down = (box.width, box.height) if degrees == 180 else (box.height, box.width)
    points = face.landmarks or ()
    landmarks = tuple(_point_back(a, b, degrees, width, height) for a, b in points)
    return replace(face, box=Box(x - across / 2, y - down / 2, across, down), landmarks=landmarks or None)


def _point_back(x: float, y: float, degrees: int, width: int, height: int) -> tuple[float, float]:
    return {90: (y, height - x), 180: (width - x, height - y), 270: (width - y, x)}[degrees]
