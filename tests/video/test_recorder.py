from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mien.errors import ConfigError
from mien.video.recorder import Recorder

pytest.importorskip("av")
from mien.video.reader import VideoFile


def plain(width: int, height: int, grey: int) -> np.ndarray:
    return np.full((height, width, 3), grey, np.uint8)


def test_a_recording_begins_with_its_first_frame(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    with Recorder() as recorder:
        assert not recorder.is_on
        recorder.start(path)
        assert recorder.is_on
        assert recorder.length_s(70.0) == 0
        for number in range(4):
            recorder.write(plain(64, 48, 50), 63.0 + number / 4)
        assert recorder.length_s(64.0) == 1.0
        assert recorder.stop()
        assert not recorder.is_on
        assert not recorder.stop()
    with VideoFile(path) as video:
        assert [frame.time_s for frame in video] == pytest.approx([0, 0.25, 0.5, 0.75])


def test_a_frame_of_another_size_is_fitted_into_the_first_ones(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    with Recorder() as recorder:
        recorder.start(path)
        recorder.write(plain(64, 48, 200), 0.0)
        recorder.write(plain(48, 96, 200), 0.1)
    with VideoFile(path) as video:
        first, second = (frame.image for frame in video)
    assert first.shape == second.shape == (48, 64, 3)
    assert (second[:, 24:40] > 150).all()
    assert (second[:, :16] < 50).all()
    assert (second[:, 48:] < 50).all()


@pytest.mark.parametrize(("error", "is_kept"), [(KeyboardInterrupt, True), (OSError, False)])
def test_what_ends_it_decides_whether_it_is_kept(tmp_path: Path, error: type[BaseException], is_kept: bool) -> None:
    path = tmp_path / "a.mp4"
    recorder = Recorder()
    recorder.start(path)
    recorder.write(plain(64, 48, 200), 0.0)
    recorder.__exit__(error, error(), None)
    assert [item.name for item in tmp_path.iterdir()] == (["a.mp4"] if is_kept else [])


def test_without_a_frame_nothing_is_left(tmp_path: Path) -> None:
    with Recorder() as recorder:
        recorder.start(tmp_path / "a.mp4")
        assert not recorder.stop()
        recorder.start(tmp_path / "b.mp4")
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_recorded_is_told_at_the_start(tmp_path: Path) -> None:
    recorder = Recorder()
    for name in ("a.txt", "none/a.mp4"):
        with pytest.raises(ConfigError, match="a\\."):
            recorder.start(tmp_path / name)
        assert not recorder.is_on
