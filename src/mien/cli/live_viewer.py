"""A live stream's results: drawn, shown, recorded and written; and what the window's keys change."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from mien.analysis import Analysis
from mien.cli import console
from mien.cli.stage_times import StageTimes
from mien.concurrency import Latest, ReadAhead
from mien.drawing.draw import draw_frame
from mien.drawing.style import Style
from mien.errors import ConfigError
from mien.records import PictureRecord
from mien.types import Frame
from mien.video.live import Live
from mien.video.recorder import Recorder
from mien.video.window import Action

_POLL_S: Final = 0.05
"""The longest that keys wait while no frame comes."""

_HANG_S: Final = 2.0
"""The longest that the end waits for a camera that hangs."""

_SILENCE_S: Final = 1.0
"""Seconds without a frame after which the window shows that it waits."""

_NOTICE_S: Final = 3.0
"""Seconds for which a notice stays in the window."""

_RATE_S: Final = 1.0
"""Seconds over which the frames/s are counted."""


class Screen(Protocol):
    """What shows frames and knows the keys, as `mien.video.window.Window` does."""

    def show(self, image: NDArray[np.uint8], status: str, alert: str = "") -> None:
        """Show a picture (H, W, 3) uint8 BGR with a line of text."""

    def actions(self) -> list[Action]:
        """The actions asked for since the last call, in order."""


@dataclass(frozen=True, slots=True)
class LiveOutputs:
    """Where a live source's results go.

    screen    where frames are shown, and where keys come from; None: nowhere
    recorder  records what is drawn while it is on
    write     is called with each record; None: no record is made
    log       prints in one line what was saved
    report    prints in one line what went wrong
    """

    screen: Screen | None
    recorder: Recorder
    write: Callable[[PictureRecord], None] | None = None
    log: Callable[[str], object] = console.log
    report: Callable[[str], object] = console.report


class Viewer:
    """Watches one live source, once.

    style    how faces are drawn at first
    outputs  where the results go
    times    collects how long the stages take

    While the window is paused, nothing is shown, recorded or written. Files that keys ask for go to the current folder.
    """

    def __init__(self, live: Live, style: Style, outputs: LiveOutputs, times: StageTimes) -> None:
        self._live, self._times = live, times
        self._screen, self._recorder, self._write = outputs.screen, outputs.recorder, outputs.write
        self._log, self._report = outputs.log, outputs.report
        self._style = self._plain = style
        self._covered = Style.of("emoji")
        if style.covers:
            self._covered, self._plain = style, Style.of("labels")
        self._paused = self._quits = self._waits = False
        self._result: Analysis | None = None
        self._drawn: NDArray[np.uint8] | None = None
        self._notice, self._notice_until_s = "", 0.0
        self._shown_s: deque[float] = deque()
        self._delay_s = self._delays_s = 0.0
        self.frames = self.dropped = 0
        self.seconds = 0.0
        self.has_failed = False

    def watch(self, stream: Callable[[Iterable[Frame]], Iterator[Analysis]], is_over: Callable[[], bool]) -> None:
        """Take the results of the live source until it ends, the window quits, or `is_over` returns true.

        Capture, analysis and viewer run in parallel. The analysis begins with the newest frame when the result before
        it is taken, so at most two frames are in progress: one in analysis, one being shown. Frames that come
        meanwhile are dropped. Raises what the source raises.
        """
        newest = Latest(self._live)
        results = ReadAhead(stream(newest), 1)
        try:
            self._take(results, is_over)
        finally:
            self.seconds = self._live.now_s()
            self._live.close()
            newest.close(_HANG_S)
            results.close(_HANG_S)
            self.dropped = newest.dropped

    def end_recording(self) -> None:
        """End the recording, where one goes on, and log its file."""
        with self._recording():
            path, is_on = self._recorder.path, self._recorder.is_on
            if self._recorder.stop():
                self._notify(f"recorded {path}")
            elif is_on:
                self._notify(f"nothing was recorded: {path} was not written")

    def summary(self) -> str:
        """One line: frames, frames/s, and how long after it was taken a frame was shown."""
        rate = self.frames / self.seconds if self.seconds > 0 else 0.0
        delay = 1000 * self._delays_s / max(1, self.frames)
        return f"{self.frames} frames, {self.dropped} dropped; {rate:.1f} frames/s, {delay:.0f} ms behind the camera"

    def _take(self, results: ReadAhead[Analysis], is_over: Callable[[], bool]) -> None:
        while not is_over():
            for action in self._screen.actions() if self._screen is not None else ():
                self._act(action)
            if self._quits:
                return
            try:
                result = results.take(_POLL_S)
            except TimeoutError:
                self._show_silence()
                continue
            except StopIteration:
                return
            if not self._paused:
                self._result = result
                self._output(result)

    def _show_silence(self) -> None:
        """Show in the window that no frame has come for a while."""
        if not self._waits and self._shown_s and self._live.now_s() - self._shown_s[-1] > _SILENCE_S:
            self._waits = True
            self._draw()

    def _output(self, result: Analysis) -> None:
        self._waits = False
        self._times.add(result.stages)
        self._draw()
        now_s, taken_s = self._live.now_s(), result.time_s or 0.0
        self.frames += 1
        self._delay_s = now_s - taken_s
        self._delays_s += self._delay_s
        self._shown_s.append(now_s)
        while self._shown_s[0] < now_s - _RATE_S:
            self._shown_s.popleft()
        if self._recorder.is_on and self._drawn is not None:
            with self._times.timed("record"), self._recording():
                self._recorder.write(self._drawn, taken_s)
        if self._write is not None:
            self._write(result.to_dict())

    def _draw(self) -> None:
        """Draw the last result and show it, if it is shown or recorded."""
        result = self._result
        if result is None or (self._screen is None and not self._recorder.is_on):
            return
        with self._times.timed("draw"):
            self._drawn = draw_frame(result.image, result.faces, self._style, result.unreported)
        if self._screen is not None:
            with self._times.timed("show"):
                self._screen.show(self._drawn, self._status(), self._alert())

    def _status(self) -> str:
        notice = self._notice if self._live.now_s() < self._notice_until_s else ""
        if self._paused:
            return f"paused; {notice}" if notice else "paused"
        if notice or self._waits:
            return notice or "waiting for the camera"
        span = self._shown_s[-1] - self._shown_s[0] if self._shown_s else 0.0
        rate = (len(self._shown_s) - 1) / span if span > 0 else 0.0
        return f"{rate:.0f} frames/s, {1000 * self._delay_s:.0f} ms behind"

    def _alert(self) -> str:
        if not self._recorder.is_on:
            return ""
        minutes, seconds = divmod(int(self._recorder.length_s(self._live.now_s())), 60)
        return f"● {minutes:02}:{seconds:02}"

    def _act(self, action: Action) -> None:
        if action is Action.QUIT:
            self._quits = True
            return
        if action is Action.PAUSE:
            self._paused = not self._paused
        elif action is Action.COVER:
            self._style = self._plain if self._style.covers else self._covered
        elif action is Action.LABELS:
            on = not self._style.labels
            self._style = replace(self._style, labels=on, bars=on and self._style.theme == "labels")
        elif action is Action.SAVE:
            self._save()
        else:
            self._switch_recording()
        self._draw()

    def _save(self) -> None:
        if self._drawn is None:
            return
        from PIL import Image

        from mien.images.save import save_picture

        path = _dated(".png")
        try:
            save_picture(Image.fromarray(np.ascontiguousarray(self._drawn[:, :, ::-1])), path)
        except ConfigError as error:
            self._fail(error)
        else:
            self._notify(f"saved {path}")

    def _switch_recording(self) -> None:
        if self._recorder.is_on:
            self.end_recording()
            return
        with self._recording():
            self._recorder.start(_dated(".mp4"))

    @contextmanager
    def _recording(self) -> Iterator[None]:
        """Report a recording that fails, and go on with the rest."""
        try:
            yield
        except ConfigError as error:
            self._recorder.stop(error)
            self._fail(error)
            self._quits = self._quits or (self._screen is None and self._write is None)

    def _notify(self, line: str) -> None:
        self._log(line)
        self._notice, self._notice_until_s = line, self._live.now_s() + _NOTICE_S

    def _fail(self, error: ConfigError) -> None:
        self.has_failed = True
        self._report(str(error))
        self._notice, self._notice_until_s = str(error), self._live.now_s() + _NOTICE_S


def _dated(suffix: str) -> Path:
    """A name for a new file in the current folder, with the time of day."""
    stem = f"mien-{datetime.now():%Y%m%d-%H%M%S}"
    path, count = Path(stem + suffix), 1
    while path.exists():
        count += 1
        path = Path(f"{stem}-{count}{suffix}")
    return path
