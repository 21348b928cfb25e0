"""Where the records of `mien predict` and `mien webcam` go: JSON Lines, a table, or both."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from mien.errors import ConfigError


@contextmanager
def records_to(
    json_to: str | None, csv_to: str | None, classes: Sequence[str]
) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """A function that writes a record to JSON Lines and its faces to a CSV table, each where it is asked for.

    "-" is standard output. The files appear when the context ends well. Raises ConfigError where both are "-".
    """
    from mien.media.sinks import csv_rows, json_lines

    if json_to == csv_to == "-":
        raise ConfigError("--json and --csv cannot both go to standard output")
    with ExitStack() as stack:
        writers: list[Callable[[Mapping[str, Any]], None]] = []
        if json_to is not None:
            writers.append(stack.enter_context(json_lines(json_to)))
        if csv_to is not None:
            writers.append(stack.enter_context(csv_rows(csv_to, classes)))

        def write(record: Mapping[str, Any]) -> None:
            for writer in writers:
                writer(record)

        yield write
