"""From a file of JSON Lines to a timeline."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from mien.errors import DataError, reason
from mien.reports.aggregate import Gatherer
from mien.reports.timeline import Timeline

_LONGEST: Final = 1 << 24
_REPORT_EVERY: Final = 1000


def read_timeline(
    path: str | os.PathLike[str], *, progress: Callable[[int, int], None] = lambda done, total: None
) -> Timeline:
    """The timeline of the records that `mien predict VIDEO --json FILE` wrote.

    progress is called now and then with the bytes read so far and those of the file. Raises DataError, with the line,
    where the file cannot be read, a line is damaged or is no record of a video's frame, or there is none.
    """
    gatherer = Gatherer()
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
        return gatherer.timeline()
    except DataError as error:
        raise DataError(f"{path}: {error}") from None


def _parsed(line: bytes) -> Any:
    if len(line) == _LONGEST:
        raise DataError(f"is longer than {_LONGEST >> 20} MiB")
    try:
        return json.loads(line)
    except (ValueError, RecursionError):  # UnicodeDecodeError is a ValueError
        raise DataError("is no whole line of JSON") from None
