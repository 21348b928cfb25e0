"""The options of an analyzer: declared, checked and documented here once.

Cheap to import: the command line reads the defaults for its help.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypedDict

from mien.errors import ConfigError
from mien.images.limits import FORMATS, MAX_PIXELS
from mien.types import UNCERTAIN_BELOW

MIN_FACE: Final = 20.0
"""Faces below this many pixels show too little of an emotion; the network itself reads 48."""

MIN_FACE_SCORE: Final = 0.7
"""From this score on a detection of YuNet counts as a face: the lowest with at most 0.1 false boxes a picture in
benchmarks/detection.py, in steps of 0.05 (seeds 0 and 1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalyzerOptions:
    """How an analyzer reads pictures and which faces it reports. Raises ConfigError on a value outside its range.

    min_face        the shorter side of a face's box in pixels; smaller faces are left out
    min_face_score  0..1: detections with a lower score are left out; Haar gives no score
    uncertain_below 0..1: faces whose likeliest class has a lower probability are marked `uncertain`; 0 marks none
    flip            average the probabilities over each face and its mirror image: twice the network's work, and useless
                    where the network does so itself, as the shipped one
    reduce          decode large JPEGs at a half, a quarter or an eighth of their size, as far as detector and faces
                    allow, which takes a fraction of the time; `Analysis.image` and `draw()` are then smaller as well
    max_pixels      pictures with more, width times height, are refused before they are decoded
    formats         the formats that are decoded, of `mien.images.limits.FORMATS`
    """

    min_face: float = MIN_FACE
    min_face_score: float = MIN_FACE_SCORE
    uncertain_below: float = UNCERTAIN_BELOW
    flip: bool = False
    reduce: bool = False
    max_pixels: int = MAX_PIXELS
    formats: Sequence[str] = FORMATS

    def __post_init__(self) -> None:
        if not 0 <= self.min_face < math.inf:
            raise ConfigError(f"min_face must be 0 pixels or more, got {self.min_face}")
        for name in ("min_face_score", "uncertain_below"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name} must be within 0..1, got {getattr(self, name)}")
        if self.max_pixels < 1:
            raise ConfigError(f"max_pixels must be 1 or more, got {self.max_pixels}")
        if not self.formats or not set(self.formats) <= set(FORMATS):
            raise ConfigError(f"formats must be some of {', '.join(FORMATS)}, got {self.formats}")


class OptionFields(TypedDict, total=False):
    """The fields of AnalyzerOptions as keywords, for type checkers and editors; a test holds the two equal."""

    min_face: float
    min_face_score: float
    uncertain_below: float
    flip: bool
    reduce: bool
    max_pixels: int
    formats: Sequence[str]
