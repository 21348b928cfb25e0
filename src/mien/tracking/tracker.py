"""Identities in a stream: faces keep their ids from frame to frame, through missed detections, occlusions, crossings.

Between detections faces are followed by optical flow (`optical_flow.py`). Where a detector ran, its detections are
assigned to the faces as in SORT (Bewley et al., ICIP 2016): by motion at constant velocity, of less certainty the
longer a face is unseen, and one to one at the least total cost; and, as in Deep SORT (Wojke et al., ICIP 2017), by
appearance as well (`appearance.py`). All of it goes by the frames' timestamps, so frame rates may vary and frames
may be missing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.tracking.appearance import Appearance, appearance_of
from mien.tracking.optical_flow import Small, follow, reduced
from mien.types import Box, Detection

SHOWN_S: Final = 1.25
"""A face that is no longer detected is followed, and reported, for up to this many seconds."""

REMEMBERED_S: Final = 2.0
"""A face that is neither followed nor detected keeps its id for up to this many seconds."""

CONFIDENT_SCORE: Final = 0.86
"""A detection below this score, 0..1, is reported only once a second detection confirms it."""

_FOLLOWED_LIKE: Final = 0.45  # what is less similar to the face is something before it
_SAME_AFTER_CUT: Final = 0.8  # similarity from which on a face is the same in another scene
_SAME_SCENE: Final = 0.6  # correlation of successive frames, below which they are two scenes
_LEARN_FROM: Final = 0.6  # a face's appearance is learnt from detections at least as similar as this
_LEARN_FRACTION: Final = 0.3  # fraction of a detection's appearance in what is known of the face then
_CORRECT_FRACTION: Final = 0.5  # fraction of the detector's box, which is not steady, in a followed face's box
_VELOCITY_S: Final = 0.15  # time constant of the measured velocity
_COAST_S: Final = 0.4  # time constant with which an unseen face is taken to slow down
_APART: Final = 0.3  # IoU of two faces, above which the picture in a box may be of the other one
_NEAR: Final = 1.5  # sides from where a face was lost, within which a detection may be the face, still half hidden
_WAIT_S: Final = 0.15  # a detection there that does not look like the face waits this long before it is another one
_TOUCHING: Final = 0.1  # IoU of two detections, above which it waits on: what it looks like is not to be seen
_SAME_BOX: Final = 0.6  # IoU from which on two boxes cannot be two faces
_LONE_S: Final = 1.0  # seconds since the last frame, from which on no other one can be asked to confirm a detection
_MAX_COST: Final = 1.0


@dataclass(frozen=True, slots=True)
class Tracked:
    """A face in a frame of a stream: track is its id, from 1 on and never given twice."""

    track: int
    detection: Detection


class Tracker:
    """Keeps the faces of one stream apart. Frames are given in their order, each by `detected` or by `followed`.

    Both return the faces in the picture from left to right. A frame may be given to `followed` first and to `detected`
    then, when faces were lost in it.
    """

    def __init__(self) -> None:
        self._faces: list[_Face] = []
        self._before: Small | None = None
        self._time_s = -math.inf
        self._count = 0

    @property
    def is_waiting(self) -> bool:
        """Whether a detection is there that is not reported yet, as another one has to confirm it."""
        return any(face.is_followed and not face.is_shown for face in self._faces)

    def followed(self, image: NDArray[np.uint8], time_s: float) -> list[Tracked]:
        """The faces in a frame on which no detector ran: those whose motion is known, with their last scores.

        image is (H, W, 3) uint8 BGR, time_s the frame's time in seconds.
        """
        self._advance(image, time_s)
        return self._shown()

    def detected(self, found: Sequence[Detection], image: NDArray[np.uint8], time_s: float) -> list[Tracked]:
        """The faces in a frame in which a detector found these, in any order; image and time_s as in `followed`.

        A face is reported where it was found, or, for `SHOWN_S` from its last detection, where it was followed to.
        """
        lone = math.isfinite(self._time_s) and time_s - self._time_s >= _LONE_S
        picture = self._advance(image, time_s)
        detections = sorted(
            (detection for detection in found if detection.box.area > 0),
            key=lambda detection: (detection.box.x, detection.box.y),
        )
        appearances = [appearance_of(picture, detection.box) for detection in detections]
        seen = list(zip(detections, appearances, strict=True))
        costs = np.array(
            [[face.cost(detection, appearance, time_s) for detection, appearance in seen] for face in self._faces]
        )
        pairs = dict(assign(costs.reshape(len(self._faces), len(detections)), _MAX_COST))
        boxes = [detection.box for detection in detections]
        for row, face in enumerate(self._faces):
            if row in pairs:
                column = pairs[row]
                alone = all(face.box.iou(other.box) < _APART for other in self._faces if other is not face)
                face.correct(detections[column], appearances[column] if alone else None, time_s)
            elif not (face.is_confirmed or face.is_confident) or any(face.box.iou(box) > _SAME_BOX for box in boxes):
                face.is_followed = False
        self._faces = [
            face for row, face in enumerate(self._faces) if row in pairs or time_s - face.seen_s <= REMEMBERED_S
        ]
        taken = set(pairs.values())
        self._faces += [
            _Face(detection, appearance, time_s, is_confirmed=lone)
            for column, (detection, appearance) in enumerate(seen)
            if column not in taken and not self._waits(detection, detections, time_s)
        ]
        return self._shown()

    def _waits(self, detection: Detection, detections: Sequence[Detection], time_s: float) -> bool:
        """Whether a detection that is nobody's may yet turn out to be a face that was lost near it."""
        lost = [face for face in self._faces if face.is_near(detection)]
        for face in lost:
            face.awaited_s = min(face.awaited_s, time_s)
        touches = any(detection.box.iou(other.box) > _TOUCHING for other in detections if other is not detection)
        return any(touches or time_s - face.awaited_s < _WAIT_S for face in lost)

    def _advance(self, image: NDArray[np.uint8], time_s: float) -> Small:
        """Take the faces from the frame before to this one, and return its reduced copy."""
        if self._before is not None and time_s == self._time_s:
            return self._before
        picture = reduced(image)
        if self._before is not None:
            cut = not _is_same_scene(self._before, picture)
            going = [face for face in self._faces if face.is_followed and not cut and time_s - face.found_s <= SHOWN_S]
            fronts = [list(_fronts(face, going)) for face in going]
            boxes = follow(self._before, picture, [face.box for face in going], fronts)
            moved = dict(zip(map(id, going), boxes, strict=True))
            for face in self._faces:
                face.is_cut |= cut
                box = moved.get(id(face))
                face.alike = 0.0 if box is None else face.appearance.similarity(appearance_of(picture, box))
                if box is not None and face.alike >= _FOLLOWED_LIKE:
                    face.follow(box, time_s)
                else:
                    face.coast(self._time_s, time_s)
        self._before, self._time_s = picture, time_s
        return picture

    def _shown(self) -> list[Tracked]:
        """The faces to report, each with its id, which it gets with its first report."""
        shown = [face for face in self._faces if face.is_shown]
        shown.sort(key=lambda face: (face.box.x, face.box.y))
        for face in shown:
            if face.track == 0:
                self._count += 1
                face.track = self._count
        return [Tracked(face.track, face.detection) for face in shown]


class _Face:
    """What is known of one face: where it is, how it moves, what it looks like."""

    def __init__(self, detection: Detection, appearance: Appearance, time_s: float, *, is_confirmed: bool) -> None:
        self.detection = detection
        self.appearance = appearance
        self.found_s = self.seen_s = time_s  # when it was last detected; when it was last detected or followed
        self.seen_at = _centre(detection.box)
        self.velocity = (0.0, 0.0)  # pixels a second
        self.is_confirmed = is_confirmed  # by a second detection
        self.track = 0
        self.alike = 1.0  # similarity of what is in the box to the appearance
        self.is_followed = True
        self.is_cut = False  # whether the scene changed since it was last seen
        self.awaited_s = math.inf  # since when there are detections near that may be this face, lost before

    @property
    def box(self) -> Box:
        return self.detection.box

    @property
    def is_confident(self) -> bool:
        """Whether the detector was confident of the last detection. Haar, which has no score, never is."""
        return self.detection.score is not None and self.detection.score >= CONFIDENT_SCORE

    @property
    def is_shown(self) -> bool:
        """Whether it is to be reported."""
        return self.is_followed and (self.is_confirmed or self.is_confident or self.detection.score is None)

    def is_near(self, detection: Detection) -> bool:
        """Whether it was lost in this scene near where something was found."""
        away = math.dist(_centre(self.box), _centre(detection.box))
        return not self.is_followed and not self.is_cut and away <= _NEAR * math.sqrt(self.box.area)

    def follow(self, box: Box, time_s: float) -> None:
        """Move it to where it was seen at this time."""
        elapsed = time_s - self.seen_s
        if elapsed > 0:
            fraction = 1 - math.exp(-elapsed / _VELOCITY_S)
            steps = ((b - a) / elapsed for a, b in zip(self.seen_at, _centre(box), strict=True))
            x, y = (old + fraction * (new - old) for old, new in zip(self.velocity, steps, strict=True))
            self.velocity = x, y
        self.detection = _moved_to(self.detection, box)
        self.seen_s, self.seen_at, self.is_followed, self.awaited_s = time_s, _centre(box), True, math.inf

    def coast(self, before_s: float, time_s: float) -> None:
        """Move it, unseen, to where it may be at this time, by constant velocity that fades."""
        start, end = (math.exp(-max(0.0, at - self.seen_s) / _COAST_S) for at in (before_s, time_s))
        way = _COAST_S * (start - end)
        self.detection = self.detection.moved(1, 1, way * self.velocity[0], way * self.velocity[1])
        self.is_followed = False

    def cost(self, detection: Detection, appearance: Appearance, time_s: float) -> float:
        """What it costs to take a detection for this face: infinite where it cannot be."""
        if self.is_cut:
            alike = self.appearance.similarity(appearance)
            return 1 - alike if alike >= _SAME_AFTER_CUT else math.inf
        unseen = time_s - self.seen_s
        side = math.sqrt(self.box.area)
        away = math.dist(_centre(self.box), _centre(detection.box)) / (side * min(0.6 + 4.0 * unseen, 4.0))
        growth = abs(math.log(math.sqrt(detection.box.area) / side)) / (0.5 + 0.7 * min(unseen, 1.0))
        off = max(away, growth)
        if off > 1:
            return math.inf
        penalty = 0.0 if self.is_followed else 0.2 + 0.6 * min(unseen, 0.5)
        return 0.3 * off + penalty + 1 - self.appearance.similarity(appearance)

    def correct(self, detection: Detection, appearance: Appearance | None, time_s: float) -> None:
        """Take over what a detector found of it; appearance is None where another face may be in the picture of it."""
        if self.is_followed and self.box.iou(detection.box) > _SAME_BOX:
            detection = _moved_to(detection, _between(self.box, detection.box, _CORRECT_FRACTION))
        self.follow(detection.box, time_s)
        self.detection = detection
        self.found_s, self.is_cut = time_s, False
        self.is_confirmed = True
        if appearance is not None:
            self.alike = self.appearance.similarity(appearance)
            if self.alike >= _LEARN_FROM:
                self.appearance = self.appearance.blended(appearance, _LEARN_FRACTION)


def assign(costs: NDArray[np.float64], limit: float) -> list[tuple[int, int]]:
    """The pairs (row, column) of least total cost, each row and column in one at most, none dearer than the limit.

    costs is (N, M) of values from 0 on, inf where there can be no pair. A pair is worth what it is below the limit.
    Exact, by shortest augmenting paths (Jonker and Volgenant, Computing, 1987).
    """
    rows, columns = costs.shape
    if not rows or not columns:
        return []
    # Each row has an extra column that stands for no pair, so that a path always ends.
    padded = np.full((rows, columns + rows), np.inf)
    padded[:, :columns] = np.where(costs <= limit, costs - limit, np.inf)
    padded[np.arange(rows), columns + np.arange(rows)] = 0.0
    owner = np.full(columns + rows, -1)
    row_price, column_price = np.zeros(rows), np.zeros(columns + rows)
    for first in range(rows):
        distance, previous = np.full(columns + rows, np.inf), np.full(columns + rows, -1)
        done = np.zeros(columns + rows, bool)
        row, column, so_far = first, -1, 0.0
        while row >= 0:
            through = so_far + padded[row] - row_price[row] - column_price
            better = ~done & (through < distance)
            distance[better], previous[better] = through[better], column
            column = int(np.argmin(np.where(done, np.inf, distance)))
            so_far, row = float(distance[column]), int(owner[column])
            done[column] = True
        row_price[first] += so_far
        for other in np.flatnonzero(done):
            column_price[other] += distance[other] - so_far
            if owner[other] >= 0:
                row_price[owner[other]] += so_far - distance[other]
        while column >= 0:
            before = int(previous[column])
            owner[column] = owner[before] if before >= 0 else first
            column = before
    return [(int(row), column) for column, row in enumerate(owner[:columns]) if row >= 0]


def _is_same_scene(before: Small, after: Small) -> bool:
    """Whether two frames show one scene, as far as their coarse brightness shows."""
    if before.grey.shape != after.grey.shape:
        return False
    one, other = (cv2.resize(frame.grey, (16, 12), interpolation=cv2.INTER_AREA) for frame in (before, after))
    return float(cv2.matchTemplate(one, other, cv2.TM_CCOEFF_NORMED)[0, 0]) >= _SAME_SCENE


def _fronts(face: _Face, others: Sequence[_Face]) -> Iterator[Box]:
    """The boxes of those that seem to stand before a face: they overlap it, and are more like themselves."""
    return (other.box for other in others if other.alike > face.alike and other.box.iou(face.box) > 0)


def _centre(box: Box) -> tuple[float, float]:
    return box.x + box.width / 2, box.y + box.height / 2


def _between(one: Box, other: Box, fraction: float) -> Box:
    """The box between one (fraction 0) and another (fraction 1)."""
    pairs = zip((one.x, one.y, one.width, one.height), (other.x, other.y, other.width, other.height), strict=True)
    return Box(*(a + fraction * (b - a) for a, b in pairs))


def _moved_to(detection: Detection, box: Box) -> Detection:
    """The detection with its box, and its landmarks with it, brought to another box."""
    across, down = box.width / detection.box.width, box.height / detection.box.height
    return detection.moved(across, down, box.x - across * detection.box.x, box.y - down * detection.box.y)
