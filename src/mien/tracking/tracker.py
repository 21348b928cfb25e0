"""Identities in a stream: faces keep their ids from frame to frame, through missed detections, occlusions, crossings.

Between detections faces are followed by optical flow (`optical_flow.py`), each until what is in its box changes at once
(`appearance.py`): at a cut it is lost, wherever the cut shows. Where a detector ran, its detections are assigned to the
faces as in SORT (Bewley et al., ICIP 2016): by motion at constant velocity, of less certainty the longer a face is
unseen, and one to one at the least total cost; and, as in Deep SORT (Wojke et al., ICIP 2017), by a vector that is
alike in all pictures of a person (`runtime/face_embedding.py`). A lost face that looks the same is the same wherever it
turns up; one that does not look the same is another one, wherever it is. All of it goes by the frames' timestamps, so
frame rates may vary and frames may be missing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.tracking.appearance import Appearance, appearance_of
from mien.tracking.assignment import assign
from mien.tracking.joining import CONFIDENT_SCORE, TrackSummary
from mien.tracking.optical_flow import Small, follow, reduced
from mien.types import Box, Detection

SHOWN_S: Final = 1.25
"""A face that is no longer detected is followed, and reported, for up to this many seconds."""

REMEMBERED_S: Final = 60.0
"""A face that is neither followed nor detected keeps its id for up to this many seconds."""

# Thresholds of identity, chosen on films 0 to 5 of each kind of benchmarks/identity.py, for the embedding as it is
# shipped: another one needs others. A likeness is a cosine of embeddings plus 0.2 times the similarity of appearances.

SAME: Final = 0.95
"""Likeness from which on a detection is of a person seen before, wherever in a video."""

OTHER: Final = 0.72
"""Cosine below which the mean of a few embeddings is of another person."""

CONFIRM_S: Final = 0.09
"""Seconds for which each detection must find an uncertain face first: detections of one moment make the same error."""

_PATCH_WEIGHT: Final = 0.2  # of the picture's similarity in the likeness, beside the cosine
_LEARN_SAME: Final = 0.65  # cosine from which on an embedding is learnt
_LEARN_LOOKS: Final = 0.5  # cosine from which on an appearance is learnt
_LOST_COST: Final = 0.3  # what it costs to take a detection for a lost face rather than for one that is there
_ALIKE: Final = 0.85  # similarity of appearances from which on a face is itself, whatever the embedding says
_UNLIKE: Final = 0.35  # cosine below which one embedding, be it of a face half hidden, is of another person
_FOLLOWED_LIKE: Final = 0.45  # what is less similar to the face is something before it
_JUMPED: Final = 0.8  # steadiness of what is in a box from frame to frame, below which something else is there
_SETTLED: Final = 0.95  # the same, below which a detector has to see, and the embedding to agree, at once
_UNSETTLED_A_SECOND: Final = 1.5  # by how much both are lower for each second between the frames
_SCENE_CHANGE: Final = 8.0  # mean difference of coarse brightness from one frame to the next, 0..255
_LEARN_FROM: Final = 0.6  # a face's appearance is learnt from detections at least as similar as this
_RECENT_FRACTION: Final = 0.4  # fraction of a detection's embedding in the mean of the last few
_KNOWN_FRACTION: Final = 0.1  # fraction, at least, of a detection's embedding in what is known of the face then
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

    embed  a picture (H, W, 3) uint8 BGR and N faces in it to vectors (N, D) float32 of length 1, near each other for
           pictures of one person
    """

    def __init__(self, embed: Callable[[NDArray[np.uint8], Sequence[Detection]], NDArray[np.float32]]) -> None:
        self._embed = embed
        self._faces: list[_Face] = []
        self._before: Small | None = None
        self.scene_changed = False  # whether the last frame differs from the one before as after a cut
        self._time_s = -math.inf
        self._summaries: list[TrackSummary] = []
        self._reported: list[_Face] = []  # in the last frame

    @property
    def is_waiting(self) -> bool:
        """Whether a detection is there that is not reported yet, as another one has to confirm it."""
        return any(face.is_followed and not face.is_shown for face in self._faces)

    @property
    def needs_detection(self) -> bool:
        """Whether the last frame asks for a detection: the picture, or a face's box, changed as at a cut."""
        return self.scene_changed or any(face.may_have_changed and face.is_followed for face in self._faces)

    def summaries(self) -> list[TrackSummary]:
        """What is known of each track that was reported so far."""
        self._note_together()
        return list(self._summaries)

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
        found = [detection for detection in found if detection.box.area > 0]
        seen = sorted(
            (
                _Seen(detection, appearance_of(picture, detection), embedding)
                for detection, embedding in zip(found, self._embed(image, found), strict=True)
            ),
            key=lambda one: (one.detection.box.x, one.detection.box.y),
        )
        detections = [one.detection for one in seen]
        costs = np.array([[face.cost(one, time_s) for one in seen] for face in self._faces])
        pairs = dict(assign(costs.reshape(len(self._faces), len(detections)), _MAX_COST))
        boxes = [detection.box for detection in detections]
        for row, face in enumerate(self._faces):
            if row in pairs:
                column = pairs[row]
                alone = all(face.box.iou(other.box) < _APART for other in self._faces if other is not face)
                face.correct(seen[column], time_s, learns=alone)
                continue
            # At a cut somebody else is found there; what is found nowhere is behind something.
            face.has_jumped &= any(face.box.iou(box) > _APART for box in boxes)
            face.since_s, face.may_have_changed = math.inf, False
            if not face.is_certain or face.is_new or any(face.box.iou(box) > _SAME_BOX for box in boxes):
                face.is_followed = False
        self._faces = [
            face for row, face in enumerate(self._faces) if row in pairs or time_s - face.seen_s <= REMEMBERED_S
        ]
        taken = set(pairs.values())
        self._faces += [
            _Face(one, time_s, is_certain=lone)
            for column, one in enumerate(seen)
            if column not in taken and (lone or not self._waits(one, detections, time_s))
        ]
        return self._shown()

    def _waits(self, seen: _Seen, detections: Sequence[Detection], time_s: float) -> bool:
        """Whether a detection that is nobody's may yet turn out to be a face that was lost near it."""
        detection = seen.detection
        lost = [face for face in self._faces if face.is_near(seen)]
        for face in lost:
            face.awaited_s = min(face.awaited_s, time_s)
        touches = any(detection.box.iou(other.box) > _TOUCHING for other in detections if other is not detection)
        return any(touches or time_s - face.awaited_s < _WAIT_S for face in lost)

    def _advance(self, image: NDArray[np.uint8], time_s: float) -> Small:
        """Take the faces from the frame before to this one, and return its reduced copy."""
        if self._before is not None and time_s == self._time_s:
            return self._before
        self._note_together()
        picture = reduced(image)
        self.scene_changed = self._before is not None and _differ(self._before, picture)
        if self._before is not None:
            going = [face for face in self._faces if face.is_followed and time_s - face.found_s <= SHOWN_S]
            before = [face.patch or appearance_of(self._before, face.detection) for face in going]
            fronts = [list(_fronts(face, going)) for face in going]
            boxes = follow(self._before, picture, [face.box for face in going], fronts)
            moved = dict(zip(map(id, going), zip(boxes, before, strict=True), strict=True))
            for face in self._faces:
                box, was = moved.get(id(face), (None, None))
                face.patch = None if box is None else appearance_of(picture, _moved_to(face.detection, box))
                face.alike = 0.0 if face.patch is None else face.appearance.similarity(face.patch)
                if was is not None and not any(other is not face and other.box.iou(face.box) > 0 for other in going):
                    alike = (face.patch or appearance_of(picture, face.detection)).steadiness(was)
                    alike += _UNSETTLED_A_SECOND * max(0.0, time_s - self._time_s - 1 / 30)
                    face.has_jumped |= alike < _JUMPED
                    face.may_have_changed |= alike < _SETTLED
                if box is not None and face.alike >= _FOLLOWED_LIKE and not face.has_jumped:
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
                self._summaries.append(face.summary)
                face.summary.track = len(self._summaries)
        self._reported = shown
        return [Tracked(face.track, face.detection) for face in shown]

    def _note_together(self) -> None:
        """Note of the faces in the last frame that they are different ones."""
        for face in self._reported:
            face.summary.together.update(other.track for other in self._reported if other is not face)


@dataclass(frozen=True, slots=True)
class _Seen:
    """A detection, what is in its box, and its embedding."""

    detection: Detection
    appearance: Appearance
    embedding: NDArray[np.float32]


class _Face:
    """What is known of one face: where it is, how it moves, what it looks like."""

    def __init__(self, seen: _Seen, time_s: float, *, is_certain: bool) -> None:
        self.detection, self.appearance, self.embedding = seen.detection, seen.appearance, seen.embedding
        self.found_s = self.seen_s = time_s  # when it was last detected; when it was last detected or followed
        self.seen_at = _centre(seen.detection.box)
        self.velocity = (0.0, 0.0)  # pixels a second
        self.since_s = time_s  # since when each detection found it
        self.is_new = not is_certain  # found once: where the next detection misses it, it may have been texture
        self.is_certain = is_certain or self._is_confident
        self.summary = TrackSummary()
        self.summary.add(seen.detection.score, seen.embedding, learns=True)
        self.alike = 1.0  # similarity of what is in the box to the appearance
        self.patch: Appearance | None = None  # what is in the box of the last frame, where that is known
        self.is_followed = True
        self.has_jumped = False  # whether something else was in its box at once, since it was last detected
        self.may_have_changed = False  # whether it might be something else
        self.learnt = 1  # how many detections the embedding is the mean of
        self.recent = seen.embedding  # the mean of the last few detections, of any look
        self.awaited_s = math.inf  # since when there are detections near that may be this face, lost before

    @property
    def box(self) -> Box:
        return self.detection.box

    @property
    def track(self) -> int:
        """Its id; 0 as long as it was not reported."""
        return self.summary.track

    @property
    def is_itself(self) -> bool:
        """Whether it still looks like itself: not where it dissolved into another one, whom flow follows on."""
        return float(self.embedding @ self.recent) >= OTHER

    @property
    def _is_confident(self) -> bool:
        """Whether the detector was confident of the last detection. Haar, which has no score, never is."""
        return self.detection.score is not None and self.detection.score >= CONFIDENT_SCORE

    @property
    def _is_confirmed(self) -> bool:
        return self.found_s - self.since_s >= CONFIRM_S

    @property
    def is_shown(self) -> bool:
        """Whether it is to be reported."""
        return self.is_followed and (self.is_certain or self._is_confirmed or self.detection.score is None)

    def is_near(self, seen: _Seen) -> bool:
        """Whether it was lost near where something was found that may be it, half hidden."""
        if self.is_followed or not self.is_itself:
            return False
        if self.has_jumped and float(self.embedding @ seen.embedding) < OTHER:
            return False
        away = math.dist(_centre(self.box), _centre(seen.detection.box))
        return away <= _NEAR * math.sqrt(self.box.area)

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

    def cost(self, seen: _Seen, time_s: float) -> float:
        """What it costs to take a detection for this face: infinite where it cannot be."""
        same = float(self.embedding @ seen.embedding)
        unseen = time_s - self.seen_s
        side, box = math.sqrt(self.box.area), seen.detection.box
        away = math.dist(_centre(self.box), _centre(box)) / (side * min(0.6 + 4.0 * unseen, 4.0))
        growth = abs(math.log(math.sqrt(box.area) / side)) / (0.5 + 0.7 * min(unseen, 1.0))
        off = max(away, growth)
        patch = self.appearance.similarity(seen.appearance)
        if not self.is_followed and same + _PATCH_WEIGHT * patch >= SAME:
            return _LOST_COST + 0.2 * min(off, 1.0) + 0.3 * (1 - same) + 0.2 * (1 - patch)
        if off > 1 or same < self._least(patch):
            return math.inf
        if self.has_jumped:
            return math.inf
        penalty = 0.0 if self.is_followed else 0.2 + 0.6 * min(unseen, 0.5)
        return 0.3 * off + penalty + 1 - (patch + max(patch, same)) / 2

    def _least(self, patch: float) -> float:
        """The cosine below which no detection is this face, even where it is expected; by how much alike it appears."""
        if self.may_have_changed or not (self.is_itself or patch >= _ALIKE):
            return OTHER
        return -1.0 if self.is_followed else _UNLIKE

    def correct(self, seen: _Seen, time_s: float, *, learns: bool) -> None:
        """Take over what a detector found of it; learns: whether no other face can be in the picture of it."""
        detection = seen.detection
        if self.is_followed and self.box.iou(detection.box) > _SAME_BOX:
            detection = _moved_to(detection, _between(self.box, detection.box, _CORRECT_FRACTION))
        self.follow(detection.box, time_s)
        self.detection = detection
        self.since_s = min(self.since_s, time_s)
        self.is_new = False
        self.found_s, self.has_jumped, self.may_have_changed, self.patch = time_s, False, False, None
        self.is_certain |= self._is_confident or (detection.score is None and self.found_s > self.since_s)
        same = float(self.embedding @ seen.embedding)
        self.recent = _mixed(self.recent, seen.embedding, _RECENT_FRACTION)
        self.summary.add(detection.score, seen.embedding, learns=learns)
        if not learns:
            return
        self.alike = self.appearance.similarity(seen.appearance)
        if self.alike >= _LEARN_FROM and same >= _LEARN_LOOKS:
            self.appearance = self.appearance.blended(seen.appearance, _LEARN_FRACTION)
        if same >= _LEARN_SAME:
            self.learnt += 1
            self.embedding = _mixed(self.embedding, seen.embedding, max(_KNOWN_FRACTION, 1 / self.learnt))


def _differ(before: Small, after: Small) -> bool:
    """Whether two frames are as different as two scenes, by their coarse brightness."""
    if before.grey.shape != after.grey.shape:
        return True
    one, other = (cv2.resize(frame.grey, (16, 12), interpolation=cv2.INTER_AREA) for frame in (before, after))
    return float(cv2.absdiff(one, other).mean()) > _SCENE_CHANGE


def _fronts(face: _Face, others: Sequence[_Face]) -> Iterator[Box]:
    """The boxes of those that seem to stand before a face: they overlap it, and are more like themselves."""
    return (other.box for other in others if other.alike > face.alike and other.box.iou(face.box) > 0)


def _mixed(known: NDArray[np.float32], seen: NDArray[np.float32], fraction: float) -> NDArray[np.float32]:
    """A vector of length 1 between two."""
    between = known + fraction * (seen - known)
    return np.asarray(between / (np.linalg.norm(between) + 1e-9), np.float32)


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
