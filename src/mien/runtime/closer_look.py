"""A second look at a detection: its surroundings, scaled to a face of a fixed size, upright and turned.

1. Upright. Faces that lean by up to 15 degrees have scores of 0.86 and more there, those of 30 degrees about 0.6, of 40
   about 0.3, those upside down mostly less than 0.5.
2. Turned. A face with a lower score is looked at turned, first a little, then on its side and its head, until it shows
   as an upright one does. A turn that shows it only a little better than upright may be chance, and does not count.
3. Straightened. YuNet's landmarks lean to the upright: of a face of 80 pixels 20 degrees show as 5, of one of 190
   pixels as 17. So a face whose landmarks lean is enlarged, turned by what they show, and looked at anew, until it
   stands upright. Its box is the one it has there, and its landmarks show how far its head is rolled.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mien.runtime.head_roll import LEAST_ROLL, shown_roll
from mien.runtime.resize import scaled
from mien.runtime.search_table import TABLE
from mien.runtime.turning import QUARTERS, turned, turned_back, turned_upright
from mien.runtime.yunet import YuNet
from mien.types import Box, Detection


@dataclass(frozen=True, slots=True)
class Look:
    """A face after its closer look, and by how many degrees clockwise the cut that showed it best was turned."""

    face: Detection
    degrees: int


@dataclass(frozen=True, slots=True)
class _Copy:
    """A face's surroundings, from (left, top) of the picture on, `across` times as wide and `down` times as high."""

    image: NDArray[np.uint8]
    across: float
    down: float
    left: int
    top: int

    def in_picture(self, found: Detection) -> Detection:
        return found.moved(1 / self.across, 1 / self.down, self.left, self.top)


def detected(network: YuNet, image: NDArray[np.uint8]) -> list[Detection]:
    """What the network detects in an (H, W, 3) uint8 BGR picture, in its pixels, by falling score."""
    return [
        Detection(Box(*row[:4]), row[14], tuple(zip(row[4:14:2], row[5:14:2], strict=True)))
        for row in network.detect(image).tolist()
    ]


def score_of(face: Detection) -> float:
    """Its score 0..1; 0 where it has none."""
    return face.score or 0.0


def closer_look(network: YuNet, image: NDArray[np.uint8], face: Detection, *, is_best: bool, min_score: float) -> Look:
    """The face as its surroundings in the (H, W, 3) picture show it, in its pixels; score 0 where they show none.

    is_best: whether it is the picture's most confident one. What has a lower score than min_score is not straightened.
    """
    size = max(face.box.width, face.box.height)
    copy = _copy(image, face.box, TABLE.look_face, TABLE.look_side / 2)
    best = Look(_by_quarters(network, copy, face, 0) or replace(face, score=0.0), 0)
    for degrees in _turns_to_try(size, score_of(face), score_of(best.face), is_best=is_best):
        if degrees % 90 == 0:
            other = _by_quarters(network, copy, face, degrees)
        else:
            other = _turned_by(network, image, face, -degrees, (TABLE.look_face, TABLE.look_side))
        if other is not None and _shows_it_better(other, best.face):
            best = Look(other, degrees)
            if score_of(other) >= TABLE.upright_score:
                break
    least = TABLE.least_lean
    if best.degrees == 0 and size >= TABLE.look_face and best.face.box.iou(face.box) >= TABLE.same_overlap:
        # The first look saw it in more detail, and a large face's lean rightly.
        best = replace(best, face=replace(face, score=best.face.score))
        least = least if size < TABLE.roll_face else LEAST_ROLL
    if score_of(best.face) < min_score:
        return best
    return replace(best, face=_straightened(network, image, best.face, least))


def _turns_to_try(size: float, first: float, closer: float, *, is_best: bool) -> tuple[int, ...]:
    """The turns in which a face may have a higher score than upright, by its size in pixels and the scores of its first
    and closer look.
    """
    if closer < TABLE.upright_score:
        oblique = TABLE.oblique_turn, -TABLE.oblique_turn
        if first >= TABLE.turn_score:
            return (*oblique, *QUARTERS)
        return oblique if first >= TABLE.oblique_score and size >= TABLE.full_detail else ()
    return (180,) if is_best and closer < TABLE.surely_upright_score else ()


def _shows_it_better(other: Detection, before: Detection) -> bool:
    """Whether a turn shows a face better than smaller turns do: as an upright face, or by far."""
    score = score_of(other)
    return score > score_of(before) + (0 if score >= TABLE.upright_score else TABLE.turn_gain)


def _copy(image: NDArray[np.uint8], box: Box, wanted: int, reach: float) -> _Copy:
    """The surroundings of a box, scaled so that it has `wanted` pixels, up to `reach` of those on each side."""
    size = max(box.width, box.height)
    reach *= size / wanted
    x, y = _centre(box)
    height, width = image.shape[:2]
    left, top = min(max(math.floor(x - reach), 0), width - 1), min(max(math.floor(y - reach), 0), height - 1)
    cut = image[top : max(math.ceil(y + reach), top + 1), left : max(math.ceil(x + reach), left + 1)]
    view = scaled(cut, wanted / size)
    return _Copy(view, view.shape[1] / cut.shape[1], view.shape[0] / cut.shape[0], left, top)


def _by_quarters(network: YuNet, copy: _Copy, face: Detection, degrees: int) -> Detection | None:
    """The face as the network sees it in the copy, turned clockwise by a multiple of 90 degrees, if it does."""
    view = copy.image[: TABLE.look_side, : TABLE.look_side]  # a pixel more would cost the network another 32
    height, width = view.shape[:2]
    hits = detected(network, turned(view, degrees))
    return _same((copy.in_picture(turned_back(hit, degrees, width, height)) for hit in hits), face)


def _turned_by(
    network: YuNet, image: NDArray[np.uint8], face: Detection, roll: float, sizes: tuple[int, int]
) -> Detection | None:
    """The face as the network sees it in a copy that is turned so that a face of this roll stands upright, if it does.

    roll is in degrees clockwise; sizes are those of the face and of the copy, in pixels. The box is about the face's
    centre and as large as upright.
    """
    wanted, side = sizes
    copy = _copy(image, face.box, wanted, 0.71 * side + 1)
    x, y = _centre(face.box)
    # By whole pixels and degrees the page turns exactly as far, though its numbers differ in their last digits.
    x, y, roll = round((x - copy.left) * copy.across), round((y - copy.top) * copy.down), round(roll)
    inner = side - 4  # its border makes it a multiple of 32
    view, _ = turned_upright(copy.image, Box(x - inner / 2, y - inner / 2, inner, inner), roll)
    cos, sin = math.cos(math.radians(roll)), math.sin(math.radians(roll))

    def back(point: tuple[float, float]) -> tuple[float, float]:
        a, b = point[0] - side / 2, point[1] - side / 2
        return x + cos * a - sin * b, y + sin * a + cos * b

    def rolled(hit: Detection) -> Detection:
        landmarks = tuple(back(point) for point in hit.landmarks or ())
        return Detection(rolled_box(hit.box, back(_centre(hit.box)), roll), hit.score, landmarks)

    return _same((copy.in_picture(rolled(hit)) for hit in detected(network, view)), face)


def rolled_box(box: Box, centre: tuple[float, float], roll: float) -> Box:
    """The box of a face that is `box` when it stands upright, about this centre, rolled by some degrees.

    The side along the face, which its frame goes by (`crops.crop_square`), keeps its length; the other one grows up to
    it: at 45 degrees, where they change places, the box is a square.
    """
    along = box.height
    across = box.width + (along - box.width) * math.sin(math.radians(2 * roll)) ** 2
    width, height = (along, across) if round(roll / 90) % 2 else (across, along)
    return Box(centre[0] - width / 2, centre[1] - height / 2, width, height)


def _straightened(network: YuNet, image: NDArray[np.uint8], face: Detection, least: float) -> Detection:
    """The face with the box and the landmarks of the look that shows it upright; itself if it leans by less than
    `least` degrees, as its landmarks show, or by less than LEAST_ROLL in truth, or if such a look does not show it.

    Such a look is more detailed, and what has a low score there is no face.
    """
    if face.landmarks is None:
        return face
    first = roll = shown_roll(face.landmarks)
    if not _leans(roll, least):
        return face
    seen = face
    for _ in range(TABLE.roll_looks):
        other = _turned_by(network, image, seen, roll, (TABLE.roll_face, TABLE.roll_side))
        if other is None or other.landmarks is None:
            return face
        seen, before, roll = other, roll, shown_roll(other.landmarks)
        if not (_leans(first, LEAST_ROLL) or _leans(roll, LEAST_ROLL)):
            return face
        if abs(math.remainder(roll - before, 360)) < TABLE.roll_step:
            break
    return replace(seen, score=min(score_of(face), score_of(seen)))


def _leans(roll: float, least: float) -> bool:
    """Whether a face is off the nearest multiple of 90 degrees by at least this."""
    return abs(math.remainder(roll, 90)) >= least


def _same(found: Iterable[Detection], face: Detection) -> Detection | None:
    """The most confident of the detections that overlap the face."""
    return max((one for one in found if one.box.iou(face.box) > TABLE.max_overlap), key=score_of, default=None)


def _centre(box: Box) -> tuple[float, float]:
    return box.x + box.width / 2, box.y + box.height / 2
