"""`mien predict` on several videos, and photos beside them: one after another, with one table at the end."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import typer

from mien.cli import console
from mien.cli.interrupt import interruptible
from mien.cli.outputs import Outputs, RecordFiles, check_apart
from mien.cli.photos import predict_photos
from mien.cli.stage_times import StageTimes
from mien.cli.two_passes import Excerpt, read_video
from mien.cli.video import PERSON_HEADS, nobody, person_rows, print_table, report_on, video_name
from mien.errors import ConfigError, DataError, ImageError
from mien.files import make_folder
from mien.images.find import Search, passed_over
from mien.images.save import is_picture_name, paths_below
from mien.reports.load import read_timeline
from mien.reports.numbers import missing_numbers
from mien.video.writer import FORMS

if TYPE_CHECKING:
    from mien.analyzer import Analyzer
    from mien.reports.timeline import Timeline

_HEADS: Final = ("video", *PERSON_HEADS)
_CHARTS: Final = frozenset({".png", ".svg", ".pdf"})


def predict_videos(
    search: Search,
    make_analyzer: Callable[..., Analyzer],
    outputs: Outputs,
    excerpt: Excerpt,
    *,
    resume: bool,
    stats: bool,
) -> None:
    """Read photos and videos, list the persons of all videos, and exit.

    What cannot be read is reported, the others are read, and the exit code is 1, as it is with damage. A video that
    a signal ends early leaves no file, and the exit code is the signal's; with resume those are passed over whose files
    are all there. Raises ConfigError where one file is named, and each video needs its own.
    """
    records = outputs.records
    shared = replace(
        records,
        json_lines=None if _folder(records.json_lines) else records.json_lines,
        csv=None if _folder(records.csv) else records.csv,
        landmarks=records.landmarks and not _folder(records.json_lines),
    )
    check_apart(shared.paths, [video.path for video in search.videos])
    analyzer = make_analyzer(reduce=False)
    with interruptible() as exit_code, shared.opened(analyzer.card.classes) as write:
        summary = _Summary(exit_code)
        besides = RecordFiles(landmarks=records.landmarks, besides=write, shares_stdout=shared.on_stdout)
        tasks = list(_tasks(search, outputs, besides))
        check_apart([file for task in tasks for file in task.outputs.files], [task.path for task in tasks])
        if resume and not any(task.outputs.files for task in tasks):
            raise ConfigError(
                "--resume goes with --out, or with a folder for --json or --csv, where each video has a file"
            )
        summary.has_failed = _read_photos(search, make_analyzer, outputs, besides)
        for number, task in enumerate(tasks, 1):
            if exit_code():
                break
            if resume and task.is_finished:
                summary.pass_over(task)
                continue
            console.log(f"{number} of {len(tasks)}: {task.path}")
            if not summary.read(task, analyzer, excerpt):
                break
    summary.show(with_table=not shared.on_stdout, with_stats=stats)
    if outputs.out:
        console.log(f"annotated videos are in {outputs.out}")
    raise typer.Exit(exit_code() or int(summary.has_failed))


@dataclass(frozen=True, slots=True)
class _Task:
    """A video to read, and where its results go."""

    path: Path
    outputs: Outputs

    @property
    def is_finished(self) -> bool:
        """Whether all files of the video are there; each is written whole or not at all."""
        return bool(self.outputs.files) and all(map(Path.is_file, self.outputs.files))


@dataclass(slots=True)
class _Summary:
    """What all videos together gave; exit_code is that of a signal, once one has come."""

    exit_code: Callable[[], int]
    has_failed: bool = False
    passed: int = 0
    rows: list[tuple[str, ...]] = field(default_factory=list)
    times: StageTimes = field(default_factory=StageTimes)

    def read(self, task: _Task, analyzer: Analyzer, excerpt: Excerpt) -> bool:
        """Read a video; False where a signal ended it."""
        for file in task.outputs.files:
            make_folder(file.parent)
        try:
            reading = read_video(
                task.path, analyzer, task.outputs, excerpt, self.times, keep_part=not task.outputs.files
            )
        except (ImageError, typer.Exit) as error:
            if self.exit_code():  # no frame may have come until then
                console.log(f"interrupted in {task.path}, which leaves no file; --resume goes on with it")
                return False
            self.has_failed = True
            console.report(str(error))
            return True
        report_on(reading)
        self.add(task.path, reading.timeline)
        self.has_failed |= bool(reading.problems)
        return not reading.exit_code

    def pass_over(self, task: _Task) -> None:
        """Take a video that an earlier command has read from its records, where there are some."""
        self.passed += 1
        if task.outputs.records.json_lines is not None:
            try:
                self.add(task.path, read_timeline(task.outputs.records.json_lines))
            except DataError as error:
                self.has_failed = True
                console.report(str(error))

    def add(self, path: Path, timeline: Timeline) -> None:
        """Add the persons of a video to the table."""
        name = console.printable(str(path))
        for sentence in missing_numbers(timeline):
            console.note(f"{name}: {sentence}")
        self.rows += [(name, *row) for row in person_rows(timeline) or [nobody(timeline)]]

    def show(self, *, with_table: bool, with_stats: bool) -> None:
        """Print the table of all persons, and what was passed over."""
        if with_table:
            print_table(_HEADS, self.rows)
        if self.passed:
            videos = "video was" if self.passed == 1 else "videos were"
            console.note(f"{self.passed} {videos} passed over: all files are there already")
        if with_stats:
            self.times.show()


def _read_photos(
    search: Search, make_analyzer: Callable[..., Analyzer], outputs: Outputs, besides: RecordFiles
) -> bool:
    """Read the photos; gives whether there was one that cannot be read, or a path that names nothing."""
    if search.images:
        of_photos = replace(_outputs(Path("photos"), outputs, besides, out=outputs.out), chart=None)
        for file in of_photos.records.paths:
            make_folder(file.parent)
        try:
            predict_photos(search, make_analyzer, of_photos)
        except typer.Exit:  # some cannot be read, or a signal came
            return True
        return False
    for item in search.unfound:
        console.report(str(item))
    if search.passed:
        console.note(passed_over(search.passed))
    return bool(search.unfound)


def _tasks(search: Search, outputs: Outputs, besides: RecordFiles) -> Iterator[_Task]:
    """The videos, each with its own files, which lie as the videos do below the folders that were named."""
    out = outputs.out
    if out is not None and (is_picture_name(out) or (out.suffix.lower() in FORMS and not out.is_dir())):
        raise ConfigError(f"{out}: --out names a folder where there is more than one photo or video")
    if outputs.chart is not None and outputs.chart.suffix.lower() in _CHARTS and not outputs.chart.is_dir():
        raise ConfigError(f"{outputs.chart}: --chart names a folder where there are several videos")
    for video, place in zip(search.videos, paths_below(search.videos), strict=True):
        below = Path(*(re.sub(r"[*?\[\]]", "_", part) for part in place.parts))  # a pattern's
        yield _Task(video.path, _outputs(below, outputs, besides, out=outputs.out and outputs.out / video_name(below)))


def _outputs(below: Path, outputs: Outputs, besides: RecordFiles, *, out: Path | None) -> Outputs:
    """Where the results of one video go, or those of all photos: into files named after `below`."""
    json_folder, csv_folder = _folder(outputs.records.json_lines), _folder(outputs.records.csv)
    records = replace(
        besides,
        json_lines=str(json_folder / f"{below}.jsonl") if json_folder else None,
        csv=str(csv_folder / f"{below}.csv") if csv_folder else None,
    )
    return replace(outputs, out=out, records=records, chart=outputs.chart and outputs.chart / f"{below}.png")


def _folder(name: str | None) -> Path | None:
    """The folder that a name means: it ends in a slash, or is there."""
    if name is None or name == "-":
        return None
    return Path(name) if name.endswith(("/", os.sep)) or Path(name).is_dir() else None
