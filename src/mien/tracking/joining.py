"""The second pass over a video: which of its tracks are one person, and which are nobody.

While a video is read, a person whom the tracker does not know again gets another track. At its end all is known of each
track, so that they can be compared as wholes: by agglomerative clustering with average linkage (Sokal and Michener,
1958) of the cosines between the embeddings of all their detections. Two who are in one frame are never one person.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mien.errors import ConfigError

# Chosen on films 0 to 5 of each kind of benchmarks/identity.py, for the embedding as it is shipped.

ONE_PERSON: Final = 0.8
"""Mean cosine between the detections of two tracks, from which on they are one person."""

CONFIDENT_SCORE: Final = 0.86
"""Of a face that was never detected with this score, 0..1, the detector is uncertain."""

STRAY_DETECTIONS: Final = 15
"""Who was detected at most this often, and never with confidence, is nobody: texture."""


@dataclass(slots=True, eq=False)
class TrackSummary:
    """What is known of a track.

    track       its number, from 1 on, in the order in which tracks were first reported
    detections  how many there were
    score       the best one's, 0..1; None where the detector has none
    embeddings  (D,) float64: the sum of the embeddings of `learnt` detections that show nobody else
    together    the tracks that were in a frame with it
    is_apart    whether it ended too long ago to be compared with others, and holds no embeddings any more
    """

    track: int = 0
    detections: int = 0
    score: float | None = None
    embeddings: NDArray[np.float64] | None = None
    learnt: int = 0
    together: set[int] = field(default_factory=set)
    is_apart: bool = False

    def add(self, score: float | None, embedding: NDArray[np.float32], *, learns: bool) -> None:
        """Count a detection; learns: whether its embedding (D,), of length 1, is of this face alone."""
        self.detections += 1
        if score is not None:
            self.score = score if self.score is None else max(score, self.score)
        if learns or self.embeddings is None:
            self.learnt += 1
            row = embedding.astype(np.float64)
            self.embeddings = row if self.embeddings is None else self.embeddings + row

    def end(self) -> None:
        """Keep no more than numbers of it: it will not be joined with another track."""
        self.embeddings, self.together, self.is_apart = None, set(), True


def join_tracks(tracks: Sequence[TrackSummary], persons: int | None = None) -> dict[int, int | None]:
    """The number of each track's person, from 1 on in the order of their first tracks, or None: it is nobody.

    With persons, tracks are joined until no more than these are left, or all that are left were in a frame with each
    other. Those that are apart are joined with none. Raises ConfigError on fewer than one.
    """
    if persons is not None and persons < 1:
        raise ConfigError(f"expected 1 person or more, got {persons}")
    tracks = sorted(tracks, key=lambda one: one.track)
    found = _joined(tracks, ONE_PERSON, 1)
    found = [group for group in found if not _is_nobody(group)]
    if persons is not None:
        known = {one.track for group in found for one in group}
        found = _joined([one for one in tracks if one.track in known], -np.inf, persons)
    numbers: dict[int, int | None] = {one.track: None for one in tracks}
    for number, group in enumerate(sorted(found, key=lambda group: group[0].track), 1):
        numbers.update((one.track, number) for one in group)
    return numbers


def _joined(tracks: Sequence[TrackSummary], least: float, left: int) -> list[list[TrackSummary]]:
    """Groups of tracks, each in the given order, joined as `_Groups.join` has it."""
    compared = [one for one in tracks if not one.is_apart]
    groups = _Groups(compared)
    groups.join(least, left)
    return [[compared[i] for i in group] for group in groups.members()] + [[one] for one in tracks if one.is_apart]


def _is_nobody(group: Sequence[TrackSummary]) -> bool:
    """Whether it rests on few detections, of which the detector was not confident."""
    scores = [one.score for one in group if one.score is not None]
    is_faint = len(scores) == len(group) and max(scores) < CONFIDENT_SCORE
    return is_faint and sum(one.detections for one in group) <= STRAY_DETECTIONS


class _Groups:
    """Tracks that are joined step by step, the nearest two first.

    A group stands where its first track does. Only each group's nearest one is remembered, not all distances: there may
    be thousands.
    """

    def __init__(self, tracks: Sequence[TrackSummary]) -> None:
        place = {one.track: i for i, one in enumerate(tracks)}
        self._members = [[i] for i in range(len(tracks))]
        self._apart = [{place[other] for other in one.together if other in place} for one in tracks]
        self._counts = np.array([one.learnt for one in tracks], float)
        self._means = np.array([one.embeddings for one in tracks], float) if tracks else np.zeros((0, 1))
        self._means /= np.maximum(self._counts, 1)[:, None]
        self._is_group = np.ones(len(tracks), bool)
        self._near = np.full(len(tracks), -np.inf)  # cosine with the nearest group behind it
        self._nearest = np.zeros(len(tracks), int)
        for i in range(len(tracks)):
            self._seek(i)

    def members(self) -> list[list[int]]:
        """The places of each group's tracks."""
        return [sorted(self._members[i]) for i in np.flatnonzero(self._is_group)]

    def join(self, least: float, left: int) -> None:
        """Join the nearest two until no two have a mean cosine of `least`, or `left` groups are left."""
        count = int(self._is_group.sum())
        while count > left:
            one = int(self._near.argmax())
            if self._near[one] == -np.inf or self._near[one] < least:
                return
            self._merge(one, int(self._nearest[one]))
            count -= 1

    def _merge(self, one: int, other: int) -> None:
        total = self._counts[one] + self._counts[other]
        sums = self._counts[one] * self._means[one] + self._counts[other] * self._means[other]
        self._means[one] = sums / total
        self._counts[one] = total
        self._members[one] += self._members[other]
        for third in self._apart[other]:
            self._apart[third].discard(other)
            self._apart[third].add(one)
        self._apart[one] |= self._apart[other]
        self._is_group[other], self._near[other] = False, -np.inf
        cosines = self._means @ self._means[one]
        for i in np.flatnonzero(self._is_group[:other]):
            if i == one or self._nearest[i] in (one, other):
                self._seek(int(i))
            elif i < one and i not in self._apart[one] and cosines[i] > self._near[i]:
                self._near[i], self._nearest[i] = cosines[i], one

    def _seek(self, i: int) -> None:
        """Find the nearest group behind one that is not apart from it."""
        cosines = self._means[i + 1 :] @ self._means[i]
        cosines[~self._is_group[i + 1 :]] = -np.inf
        cosines[[other - i - 1 for other in self._apart[i] if other > i]] = -np.inf
        if cosines.size:
            self._nearest[i] = i + 1 + int(cosines.argmax())
            self._near[i] = cosines.max()
