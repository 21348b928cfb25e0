"""The one wire format: what Mien reports of one picture.

The types here own it. JSON Schema, the service's OpenAPI document and the page's TypeScript are generated from them
(scripts/record_types.py), the columns of CSV and Parquet are FaceRow's, and reports read what they declare.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NotRequired, TextIO

from mien.files import written_aside
from mien.types import ExplainedFace, Face

if sys.version_info >= (3, 12):
    from typing import TypedDict
else:
    from typing_extensions import TypedDict  # pydantic reads the types below, and typing's from Python 3.12 on only

SCHEMA: Final = 1
"""The version of the records; it rises when a field changes its meaning or goes."""


class BoxRecord(TypedDict):
    """A rectangle in pixels of the picture, clipped to it; x and y are its left top corner. Rounded to 0.1."""

    x: float
    y: float
    width: float
    height: float


class PointRecord(TypedDict):
    """A point in pixels of the picture, rounded to 0.1; it may lie beyond the edge."""

    x: float
    y: float


class LandmarksRecord(TypedDict):
    """Five points of a face; right and left are the person's."""

    right_eye: PointRecord
    left_eye: PointRecord
    nose: PointRecord
    right_mouth: PointRecord
    """The corner of the mouth."""
    left_mouth: PointRecord


class PoseRecord(TypedDict):
    """Which way a head is turned, in degrees, rounded to 0.1; all 0 where it looks into the camera."""

    yaw: float
    """Positive where it looks to the picture's right, -90 to 90."""
    pitch: float
    """Positive where it looks up."""
    roll: float
    """Clockwise, -180 to 180."""


class FaceRecord(TypedDict):
    """One face and its emotion."""

    box: BoxRecord
    score: float | None
    """The detector's, 0 to 1; null where it has none. Between detections that of the last one."""
    emotion: str
    """The likeliest class."""
    confidence: float
    """The probability of `emotion`, 0 to 1, calibrated."""
    uncertain: bool
    """Whether `confidence` is below the threshold, or the head is turned too far aside, up or down."""
    probabilities: dict[str, float]
    """By class, in the model's order, each 0 to 1, of sum 1; rounded to 6 digits."""
    track: int | None
    """The same number for the same face in all frames of a stream; null in a photo."""
    pose: NotRequired[PoseRecord | None]
    """Null where the detector has no landmarks; records of Mien 0.3 have none."""
    landmarks: NotRequired[LandmarksRecord | None]
    """Only where they were asked for; null where the detector has none."""


class PictureRecord(TypedDict):
    """What was found in one picture: a line of `mien predict --json`."""

    schema: int
    """The version of the record."""
    model: str
    """The id of the model."""
    source: str | None
    """The file's path or name, where it has one."""
    frame: int | None
    """The frame's number in its stream, from 0; null for a photo."""
    time_s: float | None
    """When the frame is shown, in seconds from the stream's beginning; null for a photo."""
    width: int | None
    """Of the picture, in pixels; null where it could not be read."""
    height: int | None
    """Of the picture, in pixels; null where it could not be read."""
    faces: list[FaceRecord]
    error: str | None
    """Why the picture could not be read; there are no faces then."""


class ExplainedFaceRecord(FaceRecord):
    """One face, and which parts of it spoke for a class."""

    explained: str
    """The class that was asked about: the likeliest, unless another was named."""
    map: list[list[float]]
    """48 rows of 48 values, from the left top corner of the face's crop on: above 0 this spot spoke for `explained`,
    below 0 against it. Each estimates by how much the log-odds would fall if an 8x8 part of such pixels were hidden.
    """


class ExplanationRecord(PictureRecord):
    """The faces of one picture, explained."""

    faces: list[ExplainedFaceRecord]  # type: ignore[misc]


class FaceRow(TypedDict):
    """A face as one flat row of a table; `p_` with each class's name follows: its probability."""

    source: str | None
    frame: int | None
    time_s: float | None
    face: int
    """Its number in the picture, from 1."""
    track: int | None
    x: float
    y: float
    width: float
    height: float
    score: float | None
    emotion: str
    confidence: float
    uncertain: bool
    yaw: float | None
    """As `pitch` and `roll` in degrees, as in PoseRecord; null where the detector has no landmarks."""
    pitch: float | None
    roll: float | None


ROW_COLUMNS: Final = tuple(FaceRow.__annotations__)
"""The columns of `to_rows`, which are followed by one for each class."""


def row_columns(classes: Sequence[str]) -> list[str]:
    """All columns of `to_rows` for a model of these classes."""
    return [*ROW_COLUMNS, *(f"p_{name}" for name in classes)]


@dataclass(frozen=True, slots=True)
class Origin:
    """Which picture a record is of.

    source         the picture's path or name, None where it has none
    width, height  its size in pixels, None where it could not be read
    frame, time_s  of a stream: the frame's number from 0, and when it is shown in seconds; None for a photo
    """

    source: str | None
    width: int | None = None
    height: int | None = None
    frame: int | None = None
    time_s: float | None = None


def to_record(
    faces: Sequence[Face], origin: Origin, *, model: str, error: str | None = None, landmarks: bool = False
) -> PictureRecord:
    """The record of one picture, ready for JSON, by a model of this id.

    Boxes are clipped to the picture. Of a picture that could not be read, error holds the reason. With landmarks each
    face has those that the detector found, or None.
    """
    return {
        "schema": SCHEMA,
        "model": model,
        "source": origin.source,
        "frame": origin.frame,
        "time_s": None if origin.time_s is None else round(float(origin.time_s), 6),
        "width": origin.width,
        "height": origin.height,
        "faces": [_face(face, origin.width, origin.height, landmarks=landmarks) for face in faces],
        "error": error,
    }


def _face(face: Face, width: int | None, height: int | None, *, landmarks: bool) -> FaceRecord:
    box = face.box if width is None or height is None else face.box.clipped(width, height)
    left, top = round(float(box.x), 1), round(float(box.y), 1)
    right, bottom = round(float(box.x + box.width), 1), round(float(box.y + box.height), 1)
    record: FaceRecord = {
        "box": {"x": left, "y": top, "width": round(right - left, 1), "height": round(bottom - top, 1)},
        "score": None if face.score is None else round(float(face.score), 4),
        "emotion": face.emotion,
        "confidence": round(float(face.confidence), 6),
        "uncertain": bool(face.uncertain),
        "probabilities": {name: round(float(value), 6) for name, value in face.probabilities.items()},
        "track": face.track,
        "pose": _pose(face),
    }
    if landmarks:
        record["landmarks"] = _landmarks(face)
    return record


def _pose(face: Face) -> PoseRecord | None:
    pose = face.pose
    if pose is None:
        return None
    return {"yaw": _degrees(pose.yaw), "pitch": _degrees(pose.pitch), "roll": _degrees(pose.roll)}


def _degrees(angle: float) -> float:
    return round(float(angle), 1) + 0.0  # no -0.0


def _landmarks(face: Face) -> LandmarksRecord | None:
    if face.landmarks is None:
        return None
    right_eye, left_eye, nose, right_mouth, left_mouth = (
        PointRecord(x=round(float(x), 1), y=round(float(y), 1)) for x, y in face.landmarks
    )
    return {
        "right_eye": right_eye,
        "left_eye": left_eye,
        "nose": nose,
        "right_mouth": right_mouth,
        "left_mouth": left_mouth,
    }


def to_explanation_record(record: PictureRecord, faces: Sequence[ExplainedFace]) -> ExplanationRecord:
    """The record of a picture whose faces were explained, in the same order; maps are rounded to 4 digits."""
    explained: list[ExplainedFaceRecord] = []
    for face, one in zip(record["faces"], faces, strict=True):
        rows = [[round(value, 4) + 0.0 for value in row] for row in one.map.tolist()]
        explained.append({**face, "explained": one.emotion, "map": rows})
    return {**record, "faces": explained}


def to_rows(record: PictureRecord) -> list[dict[str, Any]]:
    """A record as flat rows, one a face: a FaceRow, then `p_` with each class's name. No face, no row."""
    rows = []
    for number, face in enumerate(record["faces"], 1):
        pose = face.get("pose")
        row: FaceRow = {
            "source": record["source"],
            "frame": record["frame"],
            "time_s": record["time_s"],
            "face": number,
            "track": face["track"],
            **face["box"],
            "score": face["score"],
            "emotion": face["emotion"],
            "confidence": face["confidence"],
            "uncertain": face["uncertain"],
            "yaw": None if pose is None else pose["yaw"],
            "pitch": None if pose is None else pose["pitch"],
            "roll": None if pose is None else pose["roll"],
        }
        rows.append({**row, **{f"p_{name}": value for name, value in face["probabilities"].items()}})
    return rows


@contextmanager
def json_lines(destination: str) -> Iterator[Callable[[PictureRecord], None]]:
    """A function that writes a record as one line of JSON, to a file or, for "-", to standard output.

    The file appears when the context ends well. The lines are plain ASCII, so that no console or file name breaks them.
    """
    if destination == "-":
        yield lambda record: print(json.dumps(record), file=sys.stdout, flush=True)
        return
    with written_aside(Path(destination)) as part, part.open("w", encoding="utf-8", newline="\n") as file:
        yield lambda record: print(json.dumps(record), file=file)


@contextmanager
def csv_rows(destination: str, classes: Sequence[str]) -> Iterator[Callable[[PictureRecord], None]]:
    """A function that writes the faces of a record as rows of CSV, to a file or, for "-", to standard output.

    The first row names the columns, those of `row_columns`. A cell without a value is empty. The
    file is UTF-8, and appears when the context ends well; what is no text in a name is written as \\udcXX.
    """
    columns = row_columns(classes)
    with ExitStack() as stack:
        if destination == "-":
            file: TextIO = sys.stdout
        else:
            part = stack.enter_context(written_aside(Path(destination)))
            file = stack.enter_context(part.open("w", encoding="utf-8", errors="backslashreplace", newline=""))
        rows = csv.DictWriter(file, columns, lineterminator="\n")
        rows.writeheader()

        def write(record: PictureRecord) -> None:
            rows.writerows(to_rows(record))
            if destination == "-":
                file.flush()

        yield write
