"""The one wire format: what Mien says about one picture, as plain dictionaries, numbers and strings."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final, TextIO

from mien.files import written_aside
from mien.types import Face

SCHEMA: Final = 1
"""The version of the records; it rises when a field changes its meaning or goes."""

ROW_COLUMNS: Final = (
    *("source", "frame", "time_s", "face", "track", "x", "y", "width", "height"),
    *("score", "emotion", "confidence", "uncertain"),
)
"""The columns of `to_rows`, which are followed by one for each class."""


def to_record(
    faces: Sequence[Face],
    *,
    model: str,
    source: str | None,
    width: int | None,
    height: int | None,
    frame: int | None = None,
    time_s: float | None = None,
    error: str | None = None,
) -> dict[str, Any]:
    """The record of one picture, ready for JSON.

    model is the model's id; source the picture's path or None; width and height its size in pixels. Of a stream, frame
    counts its frames from 0, and time_s is when this one is shown, in seconds; of a photo they are None. Of a picture
    that could not be read, error says why, width and height are None, and there are no faces.

    A face carries its box in pixels, rounded to 0.1 and clipped to the picture; the detector's score 0..1, between
    detections that of the last one, or None where it has none; the likeliest emotion, its probability as confidence,
    whether that is uncertain (below the face's own threshold), the probabilities of all classes in the model's order,
    rounded to 6 digits, and its track: the same number for the same face in all frames of a stream, None in a photo.
    """
    return {
        "schema": SCHEMA,
        "model": model,
        "source": source,
        "frame": frame,
        "time_s": None if time_s is None else round(float(time_s), 6),
        "width": width,
        "height": height,
        "faces": [_face(face, width, height) for face in faces],
        "error": error,
    }


def _face(face: Face, width: int | None, height: int | None) -> dict[str, Any]:
    box = face.box if width is None or height is None else face.box.clipped(width, height)
    left, top = round(float(box.x), 1), round(float(box.y), 1)
    right, bottom = round(float(box.x + box.width), 1), round(float(box.y + box.height), 1)
    return {
        "box": {"x": left, "y": top, "width": round(right - left, 1), "height": round(bottom - top, 1)},
        "score": None if face.score is None else round(float(face.score), 4),
        "emotion": face.emotion,
        "confidence": round(float(face.confidence), 6),
        "uncertain": bool(face.uncertain),
        "probabilities": {name: round(float(value), 6) for name, value in face.probabilities.items()},
        "track": face.track,
    }


def to_rows(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A record as flat rows, one a face, numbered from 1; a picture without faces gives none.

    The columns are ROW_COLUMNS, then `p_` with each class's name: its probability.
    """
    return [
        {
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
            **{f"p_{name}": value for name, value in face["probabilities"].items()},
        }
        for number, face in enumerate(record["faces"], 1)
    ]


@contextmanager
def json_lines(destination: str) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """A function that writes a record as one line of JSON, to a file or, for "-", to standard output.

    The file appears when the context ends well. The lines are plain ASCII, so that no console or file name breaks them.
    """
    if destination == "-":
        yield lambda record: print(json.dumps(record), file=sys.stdout, flush=True)
        return
    with written_aside(Path(destination)) as part, part.open("w", encoding="utf-8", newline="\n") as file:
        yield lambda record: print(json.dumps(record), file=file)


@contextmanager
def csv_rows(destination: str, classes: Sequence[str]) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """A function that writes the faces of a record as rows of CSV, to a file or, for "-", to standard output.

    The first row names the columns: ROW_COLUMNS, then `p_` with each class's name. A cell without a value is empty. The
    file is UTF-8, and appears when the context ends well; what is no text in a name is written as \\udcXX.
    """
    columns = [*ROW_COLUMNS, *(f"p_{name}" for name in classes)]
    with ExitStack() as stack:
        if destination == "-":
            file: TextIO = sys.stdout
        else:
            part = stack.enter_context(written_aside(Path(destination)))
            file = stack.enter_context(part.open("w", encoding="utf-8", errors="backslashreplace", newline=""))
        rows = csv.DictWriter(file, columns, lineterminator="\n")
        rows.writeheader()

        def write(record: Mapping[str, Any]) -> None:
            rows.writerows(to_rows(record))
            if destination == "-":
                file.flush()

        yield write
