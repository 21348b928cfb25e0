"""Predictions smoothed over a video: each track's probabilities are averaged, its emotion changes only on evidence.

Everything goes by timestamps, so the number of frames a second hardly matters. For each track:

1. The probabilities are averaged exponentially. A frame that comes dt seconds after the one before has the weight
   1 - exp(-dt / window): what was seen fades, and what comes after a pause of a few windows stands for itself.
2. The emotion shown changes by a cumulative sum test (Page, "Continuous inspection schemes", Biometrika, 1954): for
   each other class, sum = max(0, sum + (its probability - that of the class shown) dt), by the frames' own
   probabilities; the first class whose sum passes the evidence is shown from then on, and all sums begin at 0 again.
   So a class that leads by 1 takes over after `evidence` seconds, one that leads by 0.5 after twice as many, and a
   frame or two that say something else do nothing.
3. Where the average has another class ahead of the one shown, the two share their probability evenly: that is the
   nearest distribution, by squares, in which the class shown is likeliest. So the likeliest class is always the one
   shown. An average does not grow more certain by the number of frames, as a product of their evidence would.

docs/steadiness.md has what this was compared with, and what was measured.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mien.errors import ConfigError

EVIDENCE_S: Final = 0.2
"""By benchmarks/steadiness.py: the least flicker at a median delay of 0.2 s, on the first half of its sequences."""

WINDOW_S: Final = 0.3
"""After a sure change the average passes a half in 0.3 ln 2 = 0.2 s: just when the label changes."""

FORGET_S: Final = 2.0

_AHEAD: Final = 1e-3
"""By how much the class shown is ahead of the ones that it shares with, so that rounding does not make a tie of it."""


@dataclass(slots=True)
class _Track:
    """What is known of one track: the average (C,) float64, the class shown, the sums (C,) in seconds, the last time.

    The sum of the class shown is 0.
    """

    average: NDArray[np.float64]
    shown: int
    sums: NDArray[np.float64]
    time_s: float


class Smoother:
    """Smooths the probabilities of the faces of one stream. It remembers its tracks, so each stream needs its own.

    classes     C, 2 or more
    evidence_s  what another class needs to be shown, in seconds of a full lead
    window_s    in how many seconds an average's past fades to 1/e
    forget_s    a track that was not seen for this many seconds begins anew, and is dropped from memory

    Raises ConfigError on other values.
    """

    def __init__(
        self,
        classes: int,
        *,
        evidence_s: float = EVIDENCE_S,
        window_s: float = WINDOW_S,
        forget_s: float = FORGET_S,
    ) -> None:
        if classes < 2:
            raise ConfigError(f"expected at least 2 classes to smooth over, got {classes}")
        for name, value in (("evidence_s", evidence_s), ("window_s", window_s), ("forget_s", forget_s)):
            if not 0 < value < math.inf:
                raise ConfigError(f"{name} must be a number of seconds above 0, got {value}")
        self._classes = classes
        self._evidence_s, self._window_s, self._forget_s = evidence_s, window_s, forget_s
        self._tracks: dict[int, _Track] = {}
        self._time_s = self._swept_s = -math.inf

    def __len__(self) -> int:
        """How many tracks are remembered: those seen in the last 2 x forget_s seconds at most."""
        return len(self._tracks)

    def smooth(self, track: int, probabilities: NDArray[np.floating], time_s: float) -> NDArray[np.float32]:
        """The smoothed probabilities (C,) float32 of a track, 0..1 of sum 1; their likeliest class is the one to show.

        probabilities is (C,), 0..1 of sum 1: what of the frame at time_s seconds. A track's first ones come back as
        they are. Times may not fall from call to call; a frame with the time of the last one adds nothing.
        Raises ConfigError on another shape, on values that are no probabilities, and on a time that falls or is none.
        """
        row = self._checked(probabilities)
        if not (math.isfinite(time_s) and time_s >= self._time_s):
            raise ConfigError(f"expected a time of {max(self._time_s, 0):g} seconds or later, got {time_s}")
        self._time_s = time_s
        self._forget()
        known = self._tracks.get(track)
        if known is None or time_s - known.time_s >= self._forget_s:
            self._tracks[track] = _Track(row, int(row.argmax()), np.zeros(self._classes), time_s)
            return row.astype(np.float32)
        self._add(known, row, time_s - known.time_s)
        known.time_s = time_s
        return _headed_by(known.shown, known.average)

    def _add(self, known: _Track, row: NDArray[np.float64], seconds: float) -> None:
        """Update a track by a frame that came N seconds after its last one."""
        keep = math.exp(-seconds / self._window_s)
        known.average = keep * known.average + (1 - keep) * row
        known.sums = np.maximum(0, known.sums + seconds * (row - row[known.shown]))
        leader = int(known.sums.argmax())
        if known.sums[leader] > self._evidence_s:
            known.shown = leader
            known.sums = np.zeros(self._classes)

    def _forget(self) -> None:
        """Drop tracks long unseen; looking for them now and then is enough."""
        if self._time_s - self._swept_s >= self._forget_s:
            self._swept_s = self._time_s
            least = self._time_s - self._forget_s
            self._tracks = {track: known for track, known in self._tracks.items() if known.time_s > least}

    def _checked(self, probabilities: NDArray[np.floating]) -> NDArray[np.float64]:
        row = np.array(probabilities, np.float64)
        if row.shape != (self._classes,):
            raise ConfigError(f"expected probabilities of shape ({self._classes},) to smooth, got {row.shape}")
        if not (abs(row.sum() - 1) < 0.01 and row.min() >= 0):
            raise ConfigError(
                "expected probabilities of 0 or more that add up to 1 to smooth, "
                f"got a least one of {row.min():g} and a sum of {row.sum():g}"
            )
        return row


def _headed_by(shown: int, average: NDArray[np.float64]) -> NDArray[np.float32]:
    """The distribution (C,) float32 nearest to an average (C,) in which the class shown is the likeliest."""
    result: NDArray[np.float32] = average.astype(np.float32)
    if result.argmax() == shown:
        return result
    level, count = average[shown], 1
    for value in np.sort(average)[::-1]:
        if value <= level:
            break
        level, count = (level * count + value) / (count + 1), count + 1
    result = ((1 - _AHEAD) * np.minimum(average, level)).astype(np.float32)
    result[shown] = (1 - _AHEAD) * level + _AHEAD
    return result
