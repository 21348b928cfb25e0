"""`mien webcam`: the emotions of the faces before a camera, live."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mien.cli import console, options
from mien.cli.options import ANALYZER, OUTPUT
from mien.cli.outputs import Drawing, RecordFiles, check_apart
from mien.errors import ConfigError, ImageError

if TYPE_CHECKING:
    from mien.analyzer import Analyzer
    from mien.cli.live_viewer import Viewer
    from mien.options import OptionFields
    from mien.video.live import Live

Camera = Annotated[
    str,
    typer.Option(
        metavar="N|FILE|URL",
        help="The camera's number or address; or a video or a folder of pictures in place of a camera.",
    ),
]
Loop = Annotated[bool, typer.Option("--loop", help="Start a video or a folder again at its end.")]
Mirror = Annotated[
    bool | None,
    typer.Option(
        "--mirror/--no-mirror", help="Show it as a mirror does.", show_default="only a camera of this computer"
    ),
]
Seconds = Annotated[
    float | None, typer.Option(metavar="N", min=0, help="End after N seconds.", show_default="with the q key")
]
NoWindow = Annotated[bool, typer.Option("--no-window", help="Open no window: with --record, --json, --csv or --stats.")]
Record = Annotated[
    Path | None,
    typer.Option(
        "--record",
        "--out",
        "-o",
        metavar="FILE",
        rich_help_panel=OUTPUT,
        help="Record what is shown, from the beginning (MP4, MKV, WebM).",
    ),
]


def webcam(
    *,
    camera: Camera = "0",
    loop: Loop = False,
    mirror: Mirror = None,
    seconds: Seconds = None,
    no_window: NoWindow = False,
    record: Record = None,
    json_lines: options.JsonLines = None,
    csv: options.Csv = None,
    stats: options.Stats = False,
    theme: options.Theme = "labels",
    emoji: options.Emoji = None,
    labels: options.Labels = None,
    detector: options.Detector = "auto",
    detector_model: options.DetectorFile = None,
    model: options.Model = None,
    threads: options.Threads = None,
    detect_side: options.DetectSide = ANALYZER.detect_side,
    prior: options.Prior = "training",
) -> None:
    """Name the emotions of the faces before a camera, in a window.

    Keys: space pauses, s saves the picture, r starts and ends a recording, e covers faces (as --theme does, or with
    emoji), l switches labels, h hides the line of text, q or Esc quits. Pictures and recordings go to the current
    folder, named by the time of day. If a camera is unplugged, it is waited for ten seconds; then, or if a recording
    fails, the exit code is 1. Ctrl-C ends it, as SIGTERM and a closed terminal do; what was recorded is saved.
    """
    from mien.analyzer import load
    from mien.cli.interrupt import interruptible
    from mien.cli.live_viewer import LiveOutputs, Viewer
    from mien.cli.stage_times import StageTimes
    from mien.video.camera import open_live
    from mien.video.recorder import Recorder
    from mien.video.window import Window

    records, times = RecordFiles(json_lines, csv), StageTimes()
    _check_outputs(camera, record, records, has_other=stats or not no_window)
    style = Drawing(theme, emoji, labels).style()
    with (
        nullcontext() if no_window else Window("Mien") as screen,
        open_live(camera, loop=loop, mirror=mirror, report=console.log) as live,
        interruptible() as exit_code,
    ):
        faces: OptionFields = {"detect_side": detect_side, "prior": options.prior_of(prior)}
        analyzer = load(model, detector=detector, detector_model=detector_model, threads=threads, **faces)
        with records.opened(analyzer.card.classes) as write, Recorder() as recorder:
            if record:
                recorder.start(record)
            viewer = Viewer(live, style, LiveOutputs(screen, recorder, write if records else None), times)
            if no_window and seconds is None:
                console.log("Ctrl-C ends it")
            failure = _watch(viewer, analyzer, live, lambda: bool(exit_code()) or _is_past(live, seconds))
    console.log(viewer.summary())
    if stats:
        times.show()
    if failure:
        console.report(str(failure))
    if code := exit_code() or int(bool(failure or viewer.has_failed)):
        raise typer.Exit(code)


def _check_outputs(camera: str, record: Path | None, records: RecordFiles, *, has_other: bool) -> None:
    """Raise ConfigError where nothing would be shown or written, or a file would be written over another."""
    if not (record or records or has_other):
        raise ConfigError("--no-window leaves nothing to do: add --record, --json, --csv or --stats")
    written = [*([record] if record else []), *records.paths]
    check_apart(written, [Path(camera)] if Path(camera).is_file() else [])


def _watch(viewer: Viewer, analyzer: Analyzer, live: Live, is_over: Callable[[], bool]) -> ImageError | None:
    """Run the viewer to its end, and that of its recording; return what the camera failed with."""
    from mien.covering import covered

    failure = None
    try:
        viewer.watch(lambda frames: covered(analyzer.stream(frames, source=live.name, live=True), live=True), is_over)
    except ImageError as error:
        failure = error
    viewer.end_recording()
    return failure


def _is_past(live: Live, seconds: float | None) -> bool:
    return seconds is not None and live.now_s() >= seconds
