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

from mien.tracking.appearance import appearance_of
from mien.tracking.assignment import assign
from mien.tracking.joining import TrackSummary
from mien.tracking.optical_flow import Small, follow, reduced
from mien.tracking.tracked_face import SAME_BOX, Seen, TrackedFace, moved_to
from mien.types import Box, Detection

SHOWN_S: Final = 1.25
"""A face that is no longer detected is followed, and reported, for up to this many seconds."""

REMEMBERED_S: Final = 60.0
"""A face that is neither followed nor detected keeps its id for up to this many seconds."""

MAX_LOST: Final = 300
"""At most this many lost faces are remembered: a detection is compared with each of them."""

MAX_SUMMARIES: Final = 10_000
"""The second pass joins at most this many tracks; in longer streams the oldest ended ones stay as they are."""

_FOLLOWED_LIKE: Final = 0.45  # what is less similar to the face is something before it
_JUMPED: Final = 0.8  # steadiness of what is in a box from frame to frame, below which something else is there
_SETTLED: Final = 0.95  # the same, below which a detector has to see, and the embedding to agree, at once
_UNSETTLED_A_SECOND: Final = 1.5  # by how much both are lower for each second between the frames
_SCENE_CHANGE: Final = 8.0  # mean difference of coarse brightness from one frame to the next, 0..255
_APART: Final = 0.3  # IoU of two faces, above which the picture in a box may be of the other one
_WAIT_S: Final = 0.15  # a detection there that does not look like the face waits this long before it is another one
_TOUCHING: Final = 0.1  # IoU of two detections, above which it waits on: what it looks like is not to be seen
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
        self._faces: list[TrackedFace] = []
        self._image: NDArray[np.uint8] | None = None
        self._before: Small | None = None  # the last frame, reduced
        self.scene_changed = False  # whether the last frame differs from the one before as after a cut
        self._time_s = -math.inf
        self._summaries: list[TrackSummary] = []
        self._compared_from = 0  # the first of them that the second pass may join
        self._reported: list[TrackedFace] = []  # in the last frame

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
                Seen(detection, appearance_of(picture, detection), embedding)
                for detection, embedding in zip(found, self._embed(image, found), strict=True)
            ),
            key=lambda one: (one.detection.box.x, one.detection.box.y),
        )
        detections = [one.detection for one in seen]
        costs = np.full((len(self._faces), len(seen)), math.inf)
        if costs.size:
            known, found_there = (np.array([one.embedding for one in ones]) for ones in (self._faces, seen))
            for row, (face, cosines) in enumerate(zip(self._faces, (known @ found_there.T).tolist(), strict=True)):
                costs[row] = [face.cost(one, same, time_s) for one, same in zip(seen, cosines, strict=True)]
        pairs = dict(assign(costs, _MAX_COST))
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
            if not face.is_certain or face.is_new or any(face.box.iou(box) > SAME_BOX for box in boxes):
                face.is_followed = False
        self._faces = [
            face for row, face in enumerate(self._faces) if row in pairs or time_s - face.seen_s <= REMEMBERED_S
        ]
        if len(self._faces) > MAX_LOST:
            self._forget()
        taken = set(pairs.values())
        self._faces += [
            TrackedFace(one, time_s, is_certain=lone)
            for column, one in enumerate(seen)
            if column not in taken and (lone or not self._waits(one, detections, time_s))
        ]
        return self._shown()

    def _forget(self) -> None:
        """Forget the faces that have been lost for the longest, beyond MAX_LOST."""
        lost = [face for face in self._faces if not face.is_followed]
        forgotten = {id(face) for face in sorted(lost, key=lambda face: face.seen_s)[: max(0, len(lost) - MAX_LOST)]}
        self._faces = [face for face in self._faces if id(face) not in forgotten]

    def _waits(self, seen: Seen, detections: Sequence[Detection], time_s: float) -> bool:
        """Whether a detection that is nobody's may yet turn out to be a face that was lost near it."""
        detection = seen.detection
        lost = [face for face in self._faces if face.is_near(seen)]
        for face in lost:
            face.awaited_s = min(face.awaited_s, time_s)
        touches = any(detection.box.iou(other.box) > _TOUCHING for other in detections if other is not detection)
        return any(touches or time_s - face.awaited_s < _WAIT_S for face in lost)

    def _advance(self, image: NDArray[np.uint8], time_s: float) -> Small:
        """Take the faces from the frame before to this one, and return its reduced copy."""
        if self._before is not None and image is self._image and time_s == self._time_s:
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
                face.patch = None if box is None else appearance_of(picture, moved_to(face.detection, box))
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
        self._image, self._before, self._time_s = image, picture, time_s
        return picture

    def _shown(self) -> list[Tracked]:
        """The faces to report, each with its id, which it gets with its first report."""
        shown = [face for face in self._faces if face.is_shown]
        shown.sort(key=lambda face: (face.box.x, face.box.y))
        for face in shown:
            if face.track == 0:
                self._summaries.append(face.summary)
                face.summary.track = len(self._summaries)
        while len(self._summaries) - self._compared_from > MAX_SUMMARIES:
            oldest = self._summaries[self._compared_from]
            self._compared_from += 1
            if all(face.summary is not oldest for face in self._faces):
                oldest.end()
        self._reported = shown
        return [Tracked(face.track, face.detection) for face in shown]

    def _note_together(self) -> None:
        """Note of the faces in the last frame that they are different ones."""
        for face in self._reported:
            face.summary.together.update(other.track for other in self._reported if other is not face)


def _differ(before: Small, after: Small) -> bool:
    """Whether two frames are as different as two scenes, by their coarse brightness."""
    if before.grey.shape != after.grey.shape:
        return True
    one, other = (cv2.resize(frame.grey, (16, 12), interpolation=cv2.INTER_AREA) for frame in (before, after))
    return float(cv2.absdiff(one, other).mean()) > _SCENE_CHANGE


def _fronts(face: TrackedFace, others: Sequence[TrackedFace]) -> Iterator[Box]:
    """The boxes of those that seem to stand before a face: they overlap it, and are more like themselves."""
    return (other.box for other in others if other.alike > face.alike and other.box.iou(face.box) > 0)
