"""Where results go: no file is written over another; records go to JSON Lines, to a table, or to both."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.cli.console import renamed
from mien.errors import ConfigError

if TYPE_CHECKING:
    from mien.drawing.style import Style
    from mien.records import PictureRecord


@dataclass(frozen=True, slots=True)
class Drawing:
    """How faces are drawn: a theme, and what it adds or leaves out, as `Style.of` and `Analysis.draw` take it."""

    theme: str = "labels"
    emoji: bool | None = None
    labels: bool | None = None

    def style(self, *, tracks: bool = False) -> Style:
        """The style to draw frames in. Raises ConfigError on values that do not go together."""
        from mien.drawing.style import Style

        return Style.of(self.theme, emoji=self.emoji, labels=self.labels, tracks=tracks)

    def arguments(self) -> dict[str, Any]:
        """What `Analysis.draw` takes."""
        return {"theme": self.theme, "emoji": self.emoji, "labels": self.labels}


@dataclass(frozen=True, slots=True)
class RecordFiles:
    """Where records go: a file of JSON Lines, a CSV table. "-" is standard output, None nowhere.

    With landmarks the JSON Lines hold each face's, which the table has no columns for. besides takes each record too:
    it writes to what several videos share, which is standard output where shares_stdout.
    """

    json_lines: str | None = None
    csv: str | None = None
    landmarks: bool = False
    besides: Callable[[PictureRecord], None] | None = None
    shares_stdout: bool = False

    def __bool__(self) -> bool:
        """Whether records go anywhere."""
        return self.json_lines is not None or self.csv is not None

    @property
    def on_stdout(self) -> bool:
        """Whether one of them goes to standard output, where nothing else may go then."""
        return self.shares_stdout or "-" in (self.json_lines, self.csv)

    @property
    def paths(self) -> list[Path]:
        """The files."""
        return [Path(name) for name in (self.json_lines, self.csv) if name is not None and name != "-"]

    @contextmanager
    def opened(self, classes: Sequence[str]) -> Iterator[Callable[[PictureRecord], None]]:
        """A function that writes a record to JSON Lines and its faces to the table.

        The files appear when the context ends without an error. Raises ConfigError where both go to standard output.
        """
        from mien.records import csv_rows, json_lines

        if self.landmarks and self.json_lines is None and self.besides is None:
            raise ConfigError("--landmarks goes with --json, and there is none")
        if self.json_lines == self.csv == "-":
            raise ConfigError("--json and --csv cannot both go to standard output")
        with ExitStack() as stack:
            writers = [] if self.besides is None else [self.besides]
            if self.json_lines is not None:
                writers.append(stack.enter_context(json_lines(self.json_lines)))
            if self.csv is not None:
                writers.append(stack.enter_context(csv_rows(self.csv, classes)))

            def write(record: PictureRecord) -> None:
                record["source"] = record["source"] and renamed(record["source"])
                record["error"] = record["error"] and renamed(record["error"])
                for writer in writers:
                    writer(record)

            yield write


@dataclass(frozen=True, slots=True)
class Outputs:
    """What `mien predict` writes: drawn copies of photos or an annotated video (None: neither), records, and a chart of
    a video.
    """

    out: Path | None
    drawing: Drawing
    records: RecordFiles
    chart: Path | None = None

    @property
    def files(self) -> list[Path]:
        """The files of one video."""
        return [*filter(None, (self.out, self.chart)), *self.records.paths]


def check_apart(written: Sequence[Path], read: Sequence[Path]) -> None:
    """Raise ConfigError where a file would be written over one that is read, or twice. Devices and pipes may be."""
    before = {path.resolve(): "is read from" for path in read}
    for path in written:
        place = path.resolve()
        if place.exists() and not place.is_file():
            continue
        if place in before:
            raise ConfigError(f"{path} {before[place]}: name another file to write")
        before[place] = "is written already"
