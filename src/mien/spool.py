"""The results of a video while it is read, in a temporary file, so that memory stays flat.

Faces are kept in full; pictures, faces that were not reported, and times of stages are not.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import astuple
from types import TracebackType
from typing import Any, Final, Self

import numpy as np

from mien.analysis import Analysis
from mien.errors import ConfigError, reason
from mien.types import Box, Face, Pose

_NO_PICTURE: Final = np.zeros((0, 0, 3), np.uint8)


class Spool:
    """Results that are added one by one, and may be read again as often as needed.

    Use it as a context manager; the file has no name where the system allows it, and goes with the process. Raises
    ConfigError where it cannot be written.
    """

    def __init__(self) -> None:
        self._common: tuple[str, str | None, tuple[str, ...]] = "", None, ()
        self._count = 0

    def __enter__(self) -> Self:
        with _stored_or_reported():
            self._file = tempfile.TemporaryFile("w+", encoding="ascii", newline="\n")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):  # of a full disk, which was reported
            self._file.close()

    def __len__(self) -> int:
        return self._count

    def add(self, result: Analysis) -> None:
        """Store the next result of a stream; all are of one video."""
        if not self._count:  # what all results of a video have in common
            self._common = result.model, result.source, result.classes
        self._count += 1
        size = result.width, result.height
        row = (result.frame, result.time_s, size, [_stored(face) for face in result.faces])
        with _stored_or_reported():
            print(json.dumps(row, separators=(",", ":")), file=self._file)

    def __iter__(self) -> Iterator[Analysis]:
        """The results in their order, with an empty picture."""
        model, source, classes = self._common
        with _stored_or_reported():
            self._file.seek(0)  # writes what is still in a buffer
        for line in self._file:
            frame, time_s, (width, height), faces = json.loads(line)
            found = tuple(_face(values, classes) for values in faces)
            size = width, height
            yield Analysis(found, model, source, _NO_PICTURE, size, frame, time_s, classes)


@contextmanager
def _stored_or_reported() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ConfigError(f"the results cannot be stored in {tempfile.gettempdir()}: {reason(error)}") from error


def _stored(face: Face) -> list[Any]:
    """What JSON keeps of a face, without loss."""
    pose = None if face.pose is None else astuple(face.pose)
    probabilities = list(face.probabilities.values())
    return [astuple(face.box), face.score, probabilities, face.landmarks, face.uncertain_below, face.track, pose]


def _face(values: list[Any], classes: tuple[str, ...]) -> Face:
    box, score, probabilities, landmarks, uncertain_below, track, pose = values
    return Face(
        Box(*box),
        score,
        dict(zip(classes, probabilities, strict=True)),
        None if landmarks is None else tuple((x, y) for x, y in landmarks),
        uncertain_below,
        track,
        None if pose is None else Pose(*pose),
    )
