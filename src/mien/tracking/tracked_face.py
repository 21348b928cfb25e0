"""One face of a stream: where it is, how it moves, what it looks like, and what a detection is to it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mien.tracking.appearance import Appearance
from mien.tracking.joining import CONFIDENT_SCORE, TrackSummary
from mien.types import Box, Detection

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
_LEARN_APPEARANCE: Final = 0.5  # cosine from which on an appearance is learnt
_LOST_COST: Final = 0.3  # what it costs to take a detection for a lost face rather than for one that is there
_ALIKE: Final = 0.85  # similarity of appearances from which on a face is itself, whatever the embedding says
_UNLIKE: Final = 0.35  # cosine below which one embedding, be it of a face half hidden, is of another person
_LEARN_FROM: Final = 0.6  # a face's appearance is learnt from detections at least as similar as this
_RECENT_FRACTION: Final = 0.4  # fraction of a detection's embedding in the mean of the last few
_KNOWN_FRACTION: Final = 0.1  # fraction, at least, of a detection's embedding in what is known of the face then
_LEARN_FRACTION: Final = 0.3  # fraction of a detection's appearance in what is known of the face then
_CORRECT_FRACTION: Final = 0.5  # fraction of the detector's box, which is not steady, in a followed face's box
_VELOCITY_S: Final = 0.15  # time constant of the measured velocity
_COAST_S: Final = 0.4  # time constant with which an unseen face is taken to slow down
_NEAR: Final = 1.5  # sides from where a face was lost, within which a detection may be the face, still half hidden

SAME_BOX: Final = 0.6
"""IoU from which on two boxes cannot be two faces."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A detection, what is in its box, and its embedding."""

    detection: Detection
    appearance: Appearance
    embedding: NDArray[np.float32]


class TrackedFace:
    """What is known of one face: where it is, how it moves, what it looks like."""

    def __init__(self, seen: Seen, time_s: float, *, is_certain: bool) -> None:
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
        """Where it is, or may be."""
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

    def is_near(self, seen: Seen) -> bool:
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
        self.detection = moved_to(self.detection, box)
        self.seen_s, self.seen_at, self.is_followed, self.awaited_s = time_s, _centre(box), True, math.inf

    def coast(self, before_s: float, time_s: float) -> None:
        """Move it, unseen, to where it may be at this time, by constant velocity that fades."""
        start, end = (math.exp(-max(0.0, at - self.seen_s) / _COAST_S) for at in (before_s, time_s))
        way = _COAST_S * (start - end)
        self.detection = self.detection.moved(1, 1, way * self.velocity[0], way * self.velocity[1])
        self.is_followed = False

    def cost(self, seen: Seen, same: float, time_s: float) -> float:
        """What it costs to take a detection for this face: infinite where it cannot be.

        same is the cosine of both embeddings.
        """
        unseen = time_s - self.seen_s
        side, box = math.sqrt(self.box.area), seen.detection.box
        away = math.dist(_centre(self.box), _centre(box)) / (side * min(0.6 + 4.0 * unseen, 4.0))
        growth = abs(math.log(math.sqrt(box.area) / side)) / (0.5 + 0.7 * min(unseen, 1.0))
        off = max(away, growth)
        if off > 1 and (self.is_followed or same + _PATCH_WEIGHT < SAME):  # whatever it looks like
            return math.inf
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

    def correct(self, seen: Seen, time_s: float, *, learns: bool) -> None:
        """Take over what a detector found of it; learns: whether no other face can be in the picture of it."""
        detection = seen.detection
        if self.is_followed and self.box.iou(detection.box) > SAME_BOX:
            detection = moved_to(detection, _between(self.box, detection.box, _CORRECT_FRACTION))
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
        if self.alike >= _LEARN_FROM and same >= _LEARN_APPEARANCE:
            self.appearance = self.appearance.blended(seen.appearance, _LEARN_FRACTION)
        if same >= _LEARN_SAME:
            self.learnt += 1
            self.embedding = _mixed(self.embedding, seen.embedding, max(_KNOWN_FRACTION, 1 / self.learnt))


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


def moved_to(detection: Detection, box: Box) -> Detection:
    """The detection with its box, and its landmarks with it, brought to another box."""
    across, down = box.width / detection.box.width, box.height / detection.box.height
    return detection.moved(across, down, box.x - across * detection.box.x, box.y - down * detection.box.y)
