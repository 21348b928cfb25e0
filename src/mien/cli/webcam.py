"""`mien webcam`: the emotions of the faces before a camera, live."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Literal

import typer

from mien.cli import console
from mien.cli.options import PANEL, DetectorFile, DetectorName, ModelName

_OUTPUT = "What is kept"
_LOOKS = "Looks"


def webcam(
    *,
    camera: Annotated[
        str,
        typer.Option(
            metavar="N|FILE|URL",
            help="The camera's number, or its address; or a video or a folder of pictures that stands in for one.",
        ),
    ] = "0",
    loop: Annotated[bool, typer.Option("--loop", help="A video or a folder starts again at its end.")] = False,
    mirror: Annotated[
        bool | None,
        typer.Option("--mirror/--no-mirror", help="Show it as a mirror does; default: only a camera of this computer."),
    ] = None,
    seconds: Annotated[
        float | None, typer.Option(metavar="N", min=0, help="End after so many seconds; default: with the q key.")
    ] = None,
    no_window: Annotated[
        bool, typer.Option("--no-window", help="Open no window: with --record, --json, --csv or --stats.")
    ] = False,
    record: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", rich_help_panel=_OUTPUT, help="Record what is shown from the beginning (MP4, MKV, WebM)."
        ),
    ] = None,
    json_lines_to: Annotated[
        str | None,
        typer.Option(
            "--json",
            metavar="FILE|-",
            rich_help_panel=_OUTPUT,
            help="Write JSON Lines, one frame a line; - is standard output.",
        ),
    ] = None,
    csv_to: Annotated[
        str | None,
        typer.Option(
            "--csv",
            metavar="FILE|-",
            rich_help_panel=_OUTPUT,
            help="Write a table, one face a row; - is standard output.",
        ),
    ] = None,
    stats: Annotated[
        bool, typer.Option("--stats", rich_help_panel=_OUTPUT, help="Print at the end what each stage took.")
    ] = False,
    theme: Annotated[
        Literal["labels", "emoji", "minimal"],
        typer.Option(rich_help_panel=_LOOKS, help="How faces are marked; emoji covers them."),
    ] = "labels",
    emoji: Annotated[
        bool | None, typer.Option("--emoji/--no-emoji", rich_help_panel=_LOOKS, help="Draw emoji as well.")
    ] = None,
    labels: Annotated[
        bool | None, typer.Option("--labels/--no-labels", rich_help_panel=_LOOKS, help="Draw labels.")
    ] = None,
    detector: DetectorName = "auto",
    detector_model: DetectorFile = None,
    model: ModelName = None,
    threads: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            rich_help_panel=PANEL,
            help="CPU threads for the networks; default: onnxruntime's choice.",
        ),
    ] = None,
) -> None:
    """Name the emotions of the faces before a camera, in a window.

    Keys: space pauses, s saves the picture, r starts and ends a recording, e covers faces with emoji, l switches
    labels, h hides the line of text, q or Esc quits. Pictures and recordings go to the current folder, with the time of
    day as their name. A camera that is taken away is waited for ten seconds; then, or where a recording fails, the exit
    code is 1. Ctrl-C ends it, and keeps what was recorded and written.
    """
    from mien.analyzer import load
    from mien.cli.interrupt import interruptible
    from mien.cli.live_viewer import Viewer
    from mien.cli.outputs import check_apart, record_files, records_to
    from mien.cli.stage_times import StageTimes
    from mien.drawing.style import Style
    from mien.errors import ConfigError, ImageError
    from mien.video.camera import open_live
    from mien.video.recorder import Recorder
    from mien.video.window import Window

    writes = json_lines_to is not None or csv_to is not None
    if no_window and not (record or writes or stats):
        raise ConfigError("--no-window leaves nothing to do: add --record, --json, --csv or --stats")
    written = [*([record] if record else []), *record_files(json_lines_to, csv_to)]
    check_apart(written, [Path(camera)] if Path(camera).is_file() else [])
    style = Style.of(theme, emoji=emoji, labels=labels)
    times, failure = StageTimes(), None
    with (
        nullcontext() if no_window else Window("Mien") as screen,
        open_live(camera, loop=loop, mirror=mirror, report=_say) as live,
        interruptible() as interrupted,
    ):
        analyzer = load(model, detector=detector, detector_model=detector_model, threads=threads)
        with records_to(json_lines_to, csv_to, analyzer.card.classes) as write, Recorder() as recorder:
            if record:
                recorder.start(record)
            viewer = Viewer(
                live,
                style=style,
                screen=screen,
                recorder=recorder,
                write=write if writes else None,
                say=_say,
                report=console.report,
                times=times,
            )
            if no_window and seconds is None:
                _say("Ctrl-C ends it")
            try:
                viewer.watch(
                    lambda frames: analyzer.stream(frames, source=live.name, live=True),
                    lambda: interrupted() or (seconds is not None and live.now_s() >= seconds),
                )
            except ImageError as error:
                failure = error
    if record and not viewer.frames:
        _say(f"nothing was recorded: no frame came, and {record} is not there")
    _say(viewer.summary())
    if stats:
        times.show()
    if failure:
        console.report(str(failure))
    if interrupted():
        raise typer.Exit(130)
    if failure or viewer.has_failed:
        raise typer.Exit(1)


def _say(line: str) -> None:
    console.err().print(console.escape(console.printable(line)), soft_wrap=True, highlight=False)
