"""From a file of JSON Lines to a timeline."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from mien.errors import ConfigError, DataError, reason
from mien.reports.aggregate import Gatherer
from mien.reports.timeline import Timeline

_LONGEST: Final = 1 << 24
_REPORT_EVERY: Final = 1000
_NO_NAMES: Final[Mapping[Any, str]] = MappingProxyType({})


def read_timeline(
    path: str | os.PathLike[str],
    *,
    names: Mapping[int, str] = _NO_NAMES,
    video: int | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Timeline:
    """The timeline of the records that `mien predict VIDEO --json FILE` wrote.

    names gives persons names, by track; tracks of one name are one person. video is the file's place, from 1 on, among
    several. progress is called now and then with the bytes read so far and those of the file. Raises DataError, with
    the line, where the file cannot be read, a line is damaged or is no record of a video's frame, or there is none;
    ConfigError where a name is of a track that is not there, or two tracks of one name are in one frame.
    """
    gatherer = Gatherer(video)
    done = number = 0
    try:
        with Path(path).open("rb") as file:
            total = os.fstat(file.fileno()).st_size
            while line := file.readline(_LONGEST):
                number += 1
                done += len(line)
                if number % _REPORT_EVERY == 0:
                    progress(done, total)
                if not line.isspace():
                    gatherer.add(_parsed(line))
            progress(done, total)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {reason(error)}") from None
    except DataError as error:
        raise DataError(f"{path}, line {number}: {error}") from None
    try:
        return gatherer.timeline(names)
    except (ConfigError, DataError) as error:
        raise type(error)(f"{path}: {error}") from None


def read_timelines(
    paths: Sequence[str | os.PathLike[str]],
    *,
    names: Mapping[tuple[int, int], str] = _NO_NAMES,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Timeline]:
    """The timelines of one or several files of records, each of one video, to be reported together.

    names gives persons names, by the file's place, from 1 on, and the track. Persons of one name are one person,
    also in several videos. Raises as `read_timeline` does, and DataError where models or classes differ.
    """
    timelines: list[Timeline] = []
    for place, path in enumerate(paths, 1):
        own = {track: name for (video, track), name in names.items() if video == place}
        timeline = read_timeline(path, names=own, video=place if len(paths) > 1 else None, progress=progress)
        for other, before in zip(timelines, paths, strict=False):
            if timeline.model != other.model:
                raise DataError(f"{path}: is by another model, {timeline.model!r}, than {before}, {other.model!r}")
            if timeline.classes and other.classes and timeline.classes != other.classes:
                raise DataError(f"{path}: has other classes than {before}")
        timelines.append(timeline)
    return timelines


def _parsed(line: bytes) -> Any:
    if len(line) == _LONGEST:
        raise DataError(f"is longer than {_LONGEST >> 20} MiB")
    try:
        return json.loads(line)
    except (ValueError, RecursionError):  # UnicodeDecodeError is a ValueError
        raise DataError("is no whole line of JSON: records are what `mien predict VIDEO --json FILE` writes") from None
