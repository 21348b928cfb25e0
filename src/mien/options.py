"""The options of an analyzer: declared, checked and documented here once.

Cheap to import: the command line reads the defaults for its help.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from numbers import Integral, Real
from typing import Any, Final, Literal, TypedDict, TypeVar, get_args

from mien.errors import ConfigError
from mien.images.limits import FORMATS, MAX_PIXELS
from mien.types import MIN_FACE, MIN_FACE_SCORE, UNCERTAIN_BELOW, Detection, DetectMode, DetectOptions, Face, Prior

MIN_DETECT_SIDE: Final = 64
"""YuNet sees nothing in less."""

Order = Literal["left", "size"]
"""Of a picture's faces: from left to right, or the largest first."""

BoxedT = TypeVar("BoxedT", Detection, Face)


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalyzerOptions:
    """How an analyzer reads pictures and which faces it reports. Raises ConfigError on a value outside its range.

    min_face        the shorter side of a face's box in pixels; smaller faces are left out, but not pictures that are
                    taken as one face
    min_face_score  0..1: detections with a lower score are left out; Haar gives no score
    max_faces       report at most N faces of a picture or frame, the largest ones; None reports all. Themes that cover
                    faces cover the others of a photo too; in a stream these are not followed
    order           "left": from left to right; "size": the largest first
    detect_mode     "fast" finds nearly all faces of 40 pixels and more, and most of 20 to 39; "thorough" nearly all of
                    those too, in two to three times the time (YuNet; docs/photos.md)
    detect_side     detect faces in a copy whose longer side has at most N pixels: quicker, and small faces are missed;
                    None: every pixel of a photo, 960 of a stream's frame (Haar: 1280, 640)
    uncertain_below 0..1: faces whose likeliest class has a lower probability are marked `uncertain`, and so
                    are heads turned far aside; 0 marks none
    prior           how frequent each class is expected to be: "training" as in the training data, "uniform" all alike,
                    or a frequency for each class, of any sum; probabilities are recomputed (docs/photos.md)
    flip            average the probabilities over each face and its mirror image: twice the network's work, and useless
                    where the network does so itself (`network.mirror`)
    reduce          decode large JPEGs at a half, a quarter or an eighth of their size, as far as detector and faces
                    allow, which takes a fraction of the time; `Analysis.image` and `draw()` are then smaller as well
    max_pixels      pictures with more, width times height, are refused before they are decoded
    formats         the formats that are decoded, of `mien.images.limits.FORMATS`
    """

    min_face: float = MIN_FACE
    min_face_score: float = MIN_FACE_SCORE
    max_faces: int | None = None
    order: Order = "left"
    detect_mode: DetectMode = "fast"
    detect_side: int | None = None
    uncertain_below: float = UNCERTAIN_BELOW
    prior: Prior = "training"
    flip: bool = False
    reduce: bool = False
    max_pixels: int = MAX_PIXELS
    formats: Sequence[str] = FORMATS

    def __post_init__(self) -> None:
        self._check_types()
        if not 0 <= self.min_face < math.inf:
            raise ConfigError(f"min_face must be 0 pixels or more, got {self.min_face}")
        for name in ("min_face_score", "uncertain_below"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name} must be within 0..1, got {getattr(self, name)}")
        if self.max_faces is not None and self.max_faces < 1:
            raise ConfigError(f"max_faces must be 1 or more, got {self.max_faces}")
        if self.detect_side is not None and self.detect_side < MIN_DETECT_SIDE:
            raise ConfigError(f"detect_side must be {MIN_DETECT_SIDE} pixels or more, got {self.detect_side}")
        for name, values in (("order", get_args(Order)), ("detect_mode", get_args(DetectMode))):
            if getattr(self, name) not in values:
                raise ConfigError(f"{name} must be one of {', '.join(values)}, got {getattr(self, name)!r}")
        _check_prior(self.prior)
        if self.max_pixels < 1:
            raise ConfigError(f"max_pixels must be 1 or more, got {self.max_pixels}")
        if not self.formats or not set(self.formats) <= set(FORMATS):
            raise ConfigError(f"formats must be some of {', '.join(FORMATS)}, got {self.formats}")

    def _check_types(self) -> None:
        for name in ("min_face", "min_face_score", "uncertain_below"):
            if not _is_number(getattr(self, name)):
                raise ConfigError(f"{name} must be a number, got {getattr(self, name)!r}")
        for name, optional in (("max_faces", True), ("detect_side", True), ("max_pixels", False)):
            value = getattr(self, name)
            if not (_is_number(value) and isinstance(value, Integral)) and not (optional and value is None):
                raise ConfigError(f"{name} must be a whole number{' or None' if optional else ''}, got {value!r}")
        for name in ("flip", "reduce"):
            if getattr(self, name) not in (True, False):
                raise ConfigError(f"{name} must be True or False, got {getattr(self, name)!r}")

    def changed(self, changes: Mapping[str, Any]) -> AnalyzerOptions:
        """These options with other values for some. Raises ConfigError on an unknown name or an invalid value."""
        for name in changes:
            if name not in OptionFields.__annotations__:
                from difflib import get_close_matches  # for a misspelt name only

                near = get_close_matches(name, OptionFields.__annotations__, 1)
                hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(OptionFields.__annotations__)}"
                raise ConfigError(f"unknown option {name}: {hint}")
        return replace(self, **changes)

    def for_detector(self, *, stream: bool = False) -> DetectOptions:
        """What these options ask of a detector."""
        return DetectOptions(
            min_face=self.min_face,
            min_score=self.min_face_score,
            side=self.detect_side,
            mode=self.detect_mode,
            stream=stream,
        )

    def selected(self, faces: Iterable[Detection]) -> list[Detection]:
        """The faces to report of all that were detected in a picture, in their order."""
        wanted = sorted(filter(self._is_wanted, faces), key=lambda face: -face.box.area)[: self.max_faces]
        return self.ordered(wanted)

    def unreported(self, faces: Iterable[Detection], reported: Iterable[Detection]) -> tuple[Detection, ...]:
        """Those of all detections that count as faces by their score, but are not among the reported ones."""
        known = set(map(id, reported))
        return tuple(face for face in faces if id(face) not in known and self._counts(face))

    def _is_wanted(self, face: Detection) -> bool:
        return min(face.box.width, face.box.height) >= self.min_face and self._counts(face)

    def _counts(self, face: Detection) -> bool:
        return face.box.area > 0 and (face.score is None or face.score >= self.min_face_score)

    def ordered(self, faces: Iterable[BoxedT]) -> list[BoxedT]:
        """Detections or faces by `order`."""
        if self.order == "size":
            return sorted(faces, key=lambda face: -face.box.area)
        return sorted(faces, key=lambda face: (face.box.x, face.box.y))


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _check_prior(prior: Prior) -> None:
    if isinstance(prior, Mapping):
        values = prior.values()
        fits = all(_is_number(value) and 0 <= value < math.inf for value in values) and sum(values) > 0
    else:
        fits = isinstance(prior, str) and prior in ("training", "uniform")
    if not fits:
        raise ConfigError(f"prior must be training, uniform, or a frequency of 0 or more for each class, got {prior!r}")


class OptionFields(TypedDict, total=False):
    """The fields of AnalyzerOptions as keywords, for type checkers and editors; a test holds the two equal."""

    min_face: float
    min_face_score: float
    max_faces: int | None
    order: Order
    detect_mode: DetectMode
    detect_side: int | None
    uncertain_below: float
    prior: Prior
    flip: bool
    reduce: bool
    max_pixels: int
    formats: Sequence[str]
