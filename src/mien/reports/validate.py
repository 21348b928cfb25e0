"""A record of a video, held against what `mien.records` says of it, and brought to plain values."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from reprlib import repr as shown
from typing import Any, Final

from mien.errors import DataError
from mien.records import SCHEMA

_SIDES: Final = ("x", "y", "width", "height")
_NOT_A_VIDEO: Final = (
    "has no time_s: these are records of photos. A report needs those of a video: `mien predict VIDEO --json FILE`"
)


@dataclass(frozen=True, slots=True)
class SeenFace:
    """A face of a frame: its track, the prediction, the probabilities in the order of classes, the box in pixels."""

    track: int
    emotion: str
    uncertain: bool
    classes: tuple[str, ...]
    probabilities: tuple[float, ...]
    box: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class SeenFrame:
    """A frame: when it was shown in seconds, and its faces. With an error it could not be read, and has neither."""

    source: str | None
    model: str
    index: int | None
    time_s: float
    size: tuple[int, int] | None
    faces: tuple[SeenFace, ...]
    error: str | None


def check_frame(record: object) -> SeenFrame:
    """The record's values. Raises DataError, whose message is to follow the record's place ("line 7: ...")."""
    if not isinstance(record, Mapping) or "schema" not in record:
        raise DataError("is no record of Mien's")
    if record["schema"] != SCHEMA:
        raise DataError(f"has schema {shown(record['schema'])}; this version of Mien reads schema {SCHEMA}")
    source, model, error = (_text(record, key) for key in ("source", "model", "error"))
    if model is None:
        raise DataError("has no model")
    if error is not None:
        return SeenFrame(source, model, None, math.nan, None, (), error)
    if record.get("time_s") is None:
        raise DataError(_NOT_A_VIDEO)
    faces = record.get("faces")
    if not isinstance(faces, list):
        raise DataError("has no list of faces")
    index = record.get("frame")
    return SeenFrame(
        source,
        model,
        index if type(index) is int and 0 <= index < 1 << 63 else None,
        _number(record, "time_s"),
        _size(record.get("width"), record.get("height")),
        tuple(_face(face, f"face {number}") for number, face in enumerate(faces, 1)),
        None,
    )


def _face(face: object, name: str) -> SeenFace:
    if not isinstance(face, Mapping):
        raise DataError(f"{name} is no object")
    track, emotion, fractions, box = (face.get(key) for key in ("track", "emotion", "probabilities", "box"))
    if type(track) is not int:
        raise DataError(f"{name} has no track")
    if not isinstance(fractions, Mapping) or not fractions:
        raise DataError(f"{name} has no probabilities")
    probabilities = tuple(_number(fractions, key) for key in fractions)
    if not all(0 <= value <= 1 for value in probabilities):
        raise DataError(f"{name} has a probability that is not within 0..1")
    if not isinstance(emotion, str) or emotion not in fractions:
        raise DataError(f"{name} has the emotion {shown(emotion)}, which is none of its classes")
    if not isinstance(box, Mapping):
        raise DataError(f"{name} has no box")
    sides = tuple(_number(box, side) for side in _SIDES)
    return SeenFace(track, emotion, face.get("uncertain") is True, tuple(fractions), probabilities, sides)


def _size(width: object, height: object) -> tuple[int, int] | None:
    return (width, height) if isinstance(width, int) and isinstance(height, int) and min(width, height) > 0 else None


def _text(record: Mapping[str, Any], key: str) -> str | None:
    value = record.get(key)
    if value is not None and not isinstance(value, str):
        raise DataError(f"{key} must be text, got {shown(value)}")
    return value


def _number(values: Mapping[str, Any], key: str) -> float:
    """A finite number; JSON may hold NaN, and whole numbers that no float holds."""
    value = values.get(key)
    if type(value) not in (int, float) or not -1e12 < value < 1e12:  # type: ignore[operator]
        raise DataError(f"{key} must be a number, got {shown(value)}")
    return float(value)  # type: ignore[arg-type]
