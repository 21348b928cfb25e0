from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from errno import ENOSPC
from itertools import count, repeat
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mien.analysis import Analysis
from mien.cli.live_viewer import LiveOutputs, Viewer
from mien.cli.stage_times import StageTimes
from mien.drawing.style import Style
from mien.emotions import EMOTIONS
from mien.errors import ConfigError, ImageError, MissingExtraError
from mien.types import Box, Face, Frame
from mien.video.live import Clock, Live
from mien.video.recorder import Recorder
from mien.video.window import Action

PERIOD_S = 1 / 30


class FakeLive(Live):
    """Frames of a camera at 30 a second, on a clock that the test moves; `failure` is raised after `length` of them.

    A frame comes when the clock has reached it; `move` returns once all that are due have been handed on.
    """

    def __init__(self, length: int | None = None, failure: Exception | None = None, size: tuple[int, int] = (48, 64)):
        self.time_s = 0.0
        super().__init__("camera 0", Clock(lambda: self.time_s))
        self.length, self.failure, self.size = length, failure, size
        self.changed = threading.Condition()
        self.waiting_for = -1

    def __iter__(self) -> Iterator[Frame]:
        for index in count():
            if index == self.length:
                if self.failure:
                    raise self.failure
                return
            with self.changed:
                self.waiting_for = index
                self.changed.notify_all()
                self.changed.wait_for(lambda due=index * PERIOD_S: self.time_s >= due - 1e-9 or self._closing.is_set())
            if self._closing.is_set():
                return
            self._began = 0.0
            yield Frame(np.full((*self.size, 3), index % 256, np.uint8), index, index * PERIOD_S)

    def move(self, seconds: float) -> None:
        self.move_to(self.time_s + seconds)

    def move_to(self, time_s: float) -> None:
        with self.changed:
            self.time_s = max(self.time_s, time_s)
            self.changed.notify_all()
            last = int(self.time_s / PERIOD_S + 1e-6)
            if self.length is None:
                assert self.changed.wait_for(lambda: self.waiting_for > last or self._closing.is_set(), 30)

    def close(self) -> None:
        with self.changed:
            super().close()
            self.changed.notify_all()


class FakeScreen:
    """Collects what is shown. keys gives the actions before the n-th frame that is shown; after the last it quits."""

    def __init__(self, keys: Mapping[int, list[Action]], seen: Callable[[], None] = lambda: None) -> None:
        self.keys, self.seen = dict(keys), seen
        self.shown: list[tuple[np.ndarray, str, str]] = []

    def show(self, image: np.ndarray, status: str, alert: str = "") -> None:
        self.shown.append((image, status, alert))
        self.seen()

    def actions(self) -> list[Action]:
        return self.keys.pop(len(self.shown), [])


def analysed(frame: Frame) -> Analysis:
    height, width = frame.image.shape[:2]
    probabilities = dict(zip(EMOTIONS, repeat(0.1), strict=False)) | {"happiness": 0.4}
    face = Face(Box(width / 4, height / 4, width / 2, height / 2), 0.9, probabilities, track=1)
    return Analysis(
        (face,), "fake", "camera 0", frame.image, frame=frame.index, time_s=frame.time_s, stages={"detect": 1}
    )


def in_step(live: FakeLive) -> Callable[[Iterable[Frame]], Iterator[Analysis]]:
    """A stream that takes as long as the camera takes for a frame."""

    def stream(frames: Iterable[Frame]) -> Iterator[Analysis]:
        for frame in frames:
            live.move(PERIOD_S)
            yield analysed(frame)

    return stream


def ignore(line: str) -> None:
    """For lines that a test does not check."""


def viewer_of(live: FakeLive, screen: FakeScreen | None, style: Style | None = None, **outputs: Any) -> Viewer:
    given = {"recorder": Recorder(), "log": ignore, "report": ignore} | outputs
    return Viewer(live, style or Style.of("minimal", emoji=False), LiveOutputs(screen, **given), StageTimes())


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(("analysis_frames", "drawing_frames"), [(0.2, 0.2), (2.5, 0.5), (0.5, 3.5), (3.2, 3.2)])
def test_a_slow_stage_drops_frames_and_lags_no_more_than_two(analysis_frames: float, drawing_frames: float) -> None:
    live = FakeLive()
    begun: list[tuple[int, int]] = []

    def stream(frames: Iterable[Frame]) -> Iterator[Analysis]:
        for frame in frames:
            begun.append((frame.index, live.waiting_for - 1))
            live.move(analysis_frames * PERIOD_S)
            yield analysed(frame)
            live.move_to((frame.index + 1) * PERIOD_S)  # waits for the next frame

    under_way: list[int] = []

    def seen() -> None:
        live.move(drawing_frames * PERIOD_S)
        under_way.append(len(begun) - len(screen.shown) + 1)

    screen = FakeScreen({12: [Action.QUIT]}, seen)
    records: list[Mapping[str, Any]] = []
    viewer = viewer_of(live, screen, write=records.append)
    viewer.watch(stream, lambda: False)
    indices = [record["frame"] for record in records]
    assert indices == sorted(set(indices))
    assert len(indices) == 12
    assert max(under_way) <= 2  # the frame on the screen, and the one in analysis
    if max(analysis_frames, drawing_frames) > 1:
        assert viewer.dropped > 12
    assert "12 frames" in viewer.summary()


def test_the_analysis_takes_the_newest_frame() -> None:
    live = FakeLive()
    taken: list[tuple[int, int]] = []

    def stream(frames: Iterable[Frame]) -> Iterator[Analysis]:
        for frame in frames:
            taken.append((frame.index, round(live.time_s / PERIOD_S)))
            live.move(4 * PERIOD_S)
            yield analysed(frame)

    viewer = viewer_of(live, FakeScreen({5: [Action.QUIT]}))
    viewer.watch(stream, lambda: False)
    assert [now - index for index, now in taken[:5]] == [0] * 5
    assert [index for index, _ in taken[:5]] == [0, 4, 8, 12, 16]
    assert viewer.dropped >= 3 * 4


def test_it_ends_with_its_source_with_q_and_when_it_is_over() -> None:
    live = FakeLive(5)
    viewer = viewer_of(live, FakeScreen({}))
    viewer.watch(in_step(live), lambda: False)
    assert 1 <= viewer.frames <= 5
    live = FakeLive()
    viewer = viewer_of(live, FakeScreen({3: [Action.QUIT]}))
    viewer.watch(in_step(live), lambda: False)
    assert viewer.frames == 3
    live = FakeLive()
    viewer = viewer_of(live, None)
    viewer.watch(in_step(live), lambda: live.now_s() > 0.5)
    assert 1 <= viewer.frames <= 16


def test_what_the_source_raises_comes_after_what_it_gave() -> None:
    live = FakeLive(1, ImageError("camera 0: gone for 10 s"))
    records: list[Mapping[str, Any]] = []
    with pytest.raises(ImageError, match="gone for 10 s"):
        viewer_of(live, None, write=records.append).watch(in_step(live), lambda: False)
    assert [record["frame"] for record in records] == [0]


def test_space_holds_everything_until_it_is_pressed_again() -> None:
    live = FakeLive()
    records: list[Mapping[str, Any]] = []

    class Screen(FakeScreen):
        def actions(self) -> list[Action]:
            if self.shown and self.shown[-1][1] == "paused":
                return [Action.PAUSE] if live.time_s > (records[-1]["frame"] + 20) * PERIOD_S else []
            return super().actions()

    screen = Screen({4: [Action.PAUSE], 9: [Action.QUIT]})
    viewer_of(live, screen, write=records.append).watch(in_step(live), lambda: False)
    frames = [record["frame"] for record in records]
    assert len(screen.shown) == 9
    np.testing.assert_array_equal(screen.shown[4][0], screen.shown[3][0])  # drawn again, with another line
    assert len(frames) == 7
    assert frames[4] - frames[3] > 10


def test_e_covers_faces_and_l_switches_labels() -> None:
    live = FakeLive(size=(240, 320))
    screen = FakeScreen(
        {n: [action] for n, action in enumerate([Action.PAUSE, Action.COVER, Action.COVER, Action.LABELS], 1)}
    )
    screen.keys[5] = [Action.QUIT]
    viewer_of(live, screen, style=Style.of("labels")).watch(in_step(live), lambda: False)
    plain, covered, again, bare = (screen.shown[n][0] for n in (1, 2, 3, 4))
    middle = (slice(100, 140), slice(140, 180))
    assert plain[middle].std() < covered[middle].std()  # an emoji where there was an even face
    np.testing.assert_array_equal(again, plain)
    changed = np.flatnonzero((bare != plain).any(axis=(1, 2)))
    assert len(changed) > 10
    assert (bare[middle] == plain[middle]).all()


def test_s_saves_what_is_shown_under_a_new_name_each_time(here: Path) -> None:
    live, lines = FakeLive(), []
    screen = FakeScreen({2: [Action.SAVE, Action.SAVE], 5: [Action.QUIT]})
    viewer_of(live, screen, log=lines.append).watch(in_step(live), lambda: False)
    saved = sorted(here.glob("mien-????????-??????*.png"))
    assert len(saved) == 2
    assert sorted(lines) == sorted(f"saved {path.name}" for path in saved)
    np.testing.assert_array_equal(np.asarray(Image.open(saved[0]))[:, :, ::-1], screen.shown[1][0])
    assert screen.shown[3][1] == lines[-1]


def test_s_in_a_folder_that_cannot_be_written_goes_on(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(image: object, path: Path) -> None:
        raise ConfigError(f"{path}: cannot be written: disk full")

    monkeypatch.setattr("mien.images.save.save_picture", fail)
    live, lines = FakeLive(), []
    viewer = viewer_of(live, FakeScreen({2: [Action.SAVE], 5: [Action.QUIT]}), report=lines.append)
    viewer.watch(in_step(live), lambda: False)
    assert viewer.frames >= 3
    assert viewer.has_failed
    assert len(lines) == 1
    assert "disk full" in lines[0]


def test_r_records_from_its_frame_on_until_it_is_pressed_again(here: Path) -> None:
    pytest.importorskip("av")
    from mien.video.reader import VideoFile

    live, lines = FakeLive(), []
    screen = FakeScreen({2: [Action.RECORD], 12: [Action.RECORD], 16: [Action.QUIT]})
    viewer_of(live, screen, log=lines.append).watch(in_step(live), lambda: False)
    (path,) = here.glob("mien-*.mp4")
    assert lines == [f"recorded {path.name}"]
    alerts = [alert for _, _, alert in screen.shown]
    assert alerts[0] == alerts[-1] == ""
    assert alerts[5].startswith("● 00:0")
    with VideoFile(path) as video:
        frames = list(video)
    assert frames[0].time_s == 0
    assert 8 <= len(frames) <= 10


def test_a_recording_without_a_frame_is_not_reported_as_saved(here: Path) -> None:
    pytest.importorskip("av")
    live, lines = FakeLive(), []
    screen = FakeScreen({2: [Action.PAUSE, Action.RECORD, Action.RECORD], 5: [Action.QUIT]})
    viewer_of(live, screen, log=lines.append).watch(in_step(live), lambda: False)
    (line,) = lines
    assert re.fullmatch(r"nothing was recorded: mien-.*\.mp4 was not written", line)
    assert not list(here.iterdir())


@pytest.mark.parametrize("paused", [False, True])
def test_a_recording_that_goes_on_at_the_end_is_ended_and_named(here: Path, paused: bool) -> None:
    pytest.importorskip("av")
    from mien.video.reader import VideoFile

    live, lines = FakeLive(), []
    screen = FakeScreen({2: [*([Action.PAUSE] if paused else []), Action.RECORD], 6: [Action.QUIT]})
    with Recorder() as recorder:
        viewer = viewer_of(live, screen, log=lines.append, recorder=recorder)
        viewer.watch(in_step(live), lambda: live.now_s() > 1)
        viewer.end_recording()
        viewer.end_recording()  # there is none any more
    if paused:
        assert lines == [f"nothing was recorded: {recorder.path} was not written"]
        assert not list(here.iterdir())
        return
    (path,) = here.iterdir()
    assert lines == [f"recorded {path.name}"]
    with VideoFile(path) as video:
        assert 3 <= len(list(video)) <= 4


def test_a_recording_that_cannot_be_ended_is_reported(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("av")
    from mien.video.writer import VideoWriter

    def full(self: VideoWriter) -> None:
        raise OSError(ENOSPC, os.strerror(ENOSPC))

    monkeypatch.setattr(VideoWriter, "_finish", full)
    live, lines, failures = FakeLive(), [], []
    screen = FakeScreen({2: [Action.RECORD], 6: [Action.QUIT]})
    viewer = viewer_of(live, screen, log=lines.append, report=failures.append)
    viewer.watch(in_step(live), lambda: False)
    viewer.end_recording()
    assert viewer.has_failed
    assert lines == []
    assert len(failures) == 1
    assert "mp4: cannot be written: No space left on device" in failures[0]
    assert not list(here.iterdir())


def test_a_recording_without_its_extra_is_reported_and_the_rest_goes_on(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(self: Recorder, path: Path) -> None:
        raise MissingExtraError("video", "video")

    monkeypatch.setattr(Recorder, "start", missing)
    live, lines = FakeLive(), []
    screen = FakeScreen({2: [Action.RECORD], 6: [Action.QUIT]})
    viewer = viewer_of(live, screen, report=lines.append)
    viewer.watch(in_step(live), lambda: False)
    assert lines == ["video needs an optional part of Mien: pip install 'mien[video]'"]
    assert viewer.frames >= 4
    assert viewer.has_failed


def test_a_recording_that_fails_ends_what_has_nothing_else_to_do(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("av")

    def full(self: Recorder, image: object, time_s: float) -> None:
        raise ConfigError("a.mp4: cannot be written: No space left on device")

    monkeypatch.setattr(Recorder, "write", full)
    for write, ends in ((None, True), (lambda record: None, False)):
        live, lines = FakeLive(), []
        with Recorder() as recorder:
            recorder.start(Path("a.mp4"))
            viewer = viewer_of(live, None, recorder=recorder, write=write, report=lines.append)
            viewer.watch(in_step(live), lambda: live.now_s() > 1)  # noqa: B023 - called before the next round
        assert len(lines) == 1
        assert (viewer.frames == 1) is ends
        assert not list(here.iterdir())


def test_the_window_shows_that_it_waits_for_the_camera() -> None:
    live = FakeLive()

    class Screen(FakeScreen):
        def actions(self) -> list[Action]:
            if len(self.shown) == 1:
                live.time_s += 0.4  # nothing comes meanwhile, since the camera's clock is not moved
            return super().actions()

    def one(frames: Iterable[Frame]) -> Iterator[Analysis]:
        yield analysed(next(iter(frames)))
        yield from map(analysed, frames)  # none comes

    screen = Screen({2: [Action.QUIT]})
    viewer_of(live, screen).watch(one, lambda: False)
    assert [status for _, status, _ in screen.shown] == ["0 frames/s, 0 ms behind", "waiting for the camera"]
