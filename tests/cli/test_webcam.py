from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from mien.cli.app import app
from mien.errors import ConfigError
from mien.signals import ENDING
from mien.video import camera


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def folder(here: Path) -> Path:
    """A folder with twelve grey pictures, fear, which the test's model reads off their brightness."""
    (here / "frames").mkdir()
    for number in range(12):
        Image.new("RGB", (64, 48), (85, 85, 85)).save(here / "frames" / f"{number:02}.png")
    return here / "frames"


@pytest.fixture
def run(brightness_model: Path):
    def run(*arguments: str | Path) -> Result:
        options = ["--model", str(brightness_model), "--detector", "none"]
        return CliRunner().invoke(app, ["webcam", *options, *map(str, arguments)])

    return run


def test_a_folder_stands_in_for_a_camera(run, folder: Path) -> None:
    result = run("--camera", "frames", "--no-window", "--json", "-", "--stats")
    assert result.exit_code == 0, result.output
    records = [json.loads(line) for line in result.stdout.splitlines()]
    assert 1 <= len(records) <= 12
    assert {record["source"] for record in records} == {"frames"}
    times = [record["time_s"] for record in records]
    assert times == sorted(set(times))
    assert all(face["emotion"] == "fear" and face["track"] == 1 for record in records for face in record["faces"])
    assert f"{len(records)} frames, " in result.stderr
    assert "classify" in result.stderr


def test_seconds_end_a_loop_and_the_recording_is_whole(run, folder: Path) -> None:
    pytest.importorskip("av")
    from mien.video.reader import VideoFile

    arguments = ("--camera", "frames", "--loop", "--no-window", "--seconds", "0.8", "--theme", "emoji")
    result = run(*arguments, "--record", "out.mp4", "--json", "t.jsonl", "--csv", "t.csv")
    assert result.exit_code == 0, result.output
    records = [json.loads(line) for line in Path("t.jsonl").read_text().splitlines()]
    assert records[-1]["time_s"] < 5
    assert len(Path("t.csv").read_text().splitlines()) == len(records) + 1
    with VideoFile("out.mp4") as video:
        assert (video.width, video.height) == (64, 48)
        assert len(list(video)) == len(records)


def test_a_window_that_sdl_holds_in_memory(run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pygame")
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    result = run("--camera", "frames", "--loop", "--seconds", "0.3")
    assert result.exit_code == 0, result.output
    assert "frames/s" in result.stderr


@pytest.mark.parametrize("how", ["q", "signal"])
def test_a_recording_begun_in_the_window_is_named_however_it_ends(
    run, folder: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    pytest.importorskip("pygame")
    pytest.importorskip("av")
    from mien.video.reader import VideoFile
    from mien.video.window import Action, Window

    def pressed(self: Window) -> list[Action]:
        calls.append(self)
        if len(calls) == 1:
            return [Action.RECORD]
        recorded = any(path.stat().st_size for path in Path().glob(".*.part"))
        if recorded and how == "signal":
            signal.raise_signal(signal.SIGTERM)
        return [Action.QUIT] if recorded and how == "q" else []

    calls: list[Window] = []
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    monkeypatch.setattr(Window, "actions", pressed)
    result = run("--camera", "frames", "--loop")
    assert result.exit_code == (143 if how == "signal" else 0), result.output
    (path,) = Path().glob("mien-*")
    assert f"recorded {path}\n" in result.stderr
    with VideoFile(path) as video:
        assert list(video)
    assert sorted(Path().iterdir()) == sorted([Path("frames"), path])


def test_a_camera_that_is_gone_exits_1_and_what_was_done_is_saved(
    run, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("av")
    from mien.video.reader import VideoFile

    class Gone:
        def __init__(self, number: int) -> None:
            self.left = 5 if not opened else 0
            opened.append(number)

        def isOpened(self) -> bool:  # noqa: N802
            return True

        def set(self, option: int, value: float) -> None: ...

        def get(self, option: int) -> float:
            return 0.0

        def release(self) -> None: ...

        def read(self) -> tuple[bool, object]:
            self.left -= 1
            return self.left >= 0, np.full((48, 64, 3), 85, np.uint8)

    opened: list[int] = []
    monkeypatch.setattr(camera.cv2, "VideoCapture", Gone)
    monkeypatch.setattr(camera, "PATIENCE_S", 0.3)
    result = run("--no-window", "--record", "out.mp4", "--json", "t.jsonl")
    assert result.exit_code == 1, result.output
    assert "camera 0: gives no picture; trying again for 0.3 s" in result.stderr
    assert result.stderr.strip().splitlines()[-1] == "error: camera 0: gone for 0.3 s"
    with VideoFile("out.mp4") as video:
        assert len(list(video)) == len(Path("t.jsonl").read_text().splitlines()) >= 1
    assert len(opened) > 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--camera", "none.mp4", "--no-window", "--stats"), r"none\.mp4: no such file or folder"),
        (("--camera", "frames", "--no-window"), "leaves nothing to do"),
        (("--camera", "frames", "--no-window", "--record", "a.txt"), r"a\.txt: expected a file that ends with"),
        (("--camera", "frames", "--theme", "emoji", "--no-emoji", "--no-window", "--stats"), "draws emoji"),
        (("--camera", "0", "--loop", "--no-window", "--stats"), "camera 0: a camera never ends"),
        (("--camera", "", "--no-window", "--stats"), "a camera's name is empty"),
        (("--camera", "frames/00.png", "--no-window", "--json", "frames/00.png"), "is read from"),
        (("--camera", "frames", "--no-window", "--json", "t", "--csv", "t"), "is written already"),
    ],
)
def test_invalid_options_are_refused_in_one_line(run, folder: Path, arguments, message: str) -> None:
    if "--record" in arguments:
        pytest.importorskip("av")
    with pytest.raises(ConfigError, match=message) as caught:
        raise run(*arguments).exception
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(sys.platform == "win32", reason="no signal to a single process")
@pytest.mark.parametrize("ending", ENDING)
def test_a_signal_saves_what_was_done(folder: Path, brightness_model: Path, ending: signal.Signals) -> None:
    pytest.importorskip("av")
    from mien.video.reader import VideoFile

    arguments = ["--camera", "frames", "--loop", "--no-window", "--record", "out.mp4", "--json", "-"]
    model = ["--model", str(brightness_model), "--detector", "none"]
    with subprocess.Popen(
        [sys.executable, "-m", "mien", "webcam", *arguments, *model],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    ) as process:
        assert process.stdout is not None
        for _ in range(5):
            assert process.stdout.readline()
        process.send_signal(ending)
        process.send_signal(ending)  # as `timeout` does
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + ending, errors
    assert "Traceback" not in errors
    assert "recorded out.mp4\n" in errors
    assert "frames/s" in errors
    assert sorted(path.name for path in Path().iterdir()) == ["frames", "out.mp4"]
    with VideoFile("out.mp4") as video:
        assert len(list(video)) >= 5
