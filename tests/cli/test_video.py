from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from mien.cli.app import app
from mien.cli.interrupt import _Signals
from mien.cli.video import list_persons
from mien.drawing.style import COVERING
from mien.errors import ConfigError, ImageError
from mien.records import Origin, to_record
from mien.reports.aggregate import Gatherer
from mien.signals import ENDING
from mien.stream import FaceStream
from mien.types import Box, Face
from mien.video.reader import VideoFile
from mien.video.writer import VideoWriter

RATE = 20
FEAR, SURPRISE = 85, 255  # the greys that the test's model calls so


def film(path: Path, seconds: float = 4.0) -> Path:
    """A video of 64x48 pixels, fearful in its first half, surprised in its second."""
    frames = round(seconds * RATE)
    with VideoWriter(path, rate=RATE) as writer:
        for index in range(frames):
            grey = FEAR if index < frames / 2 else SURPRISE
            writer.write(np.full((48, 64, 3), grey, np.uint8), index / RATE)
    return path


@pytest.fixture
def clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return film(Path("clip.mp4"))


@pytest.fixture
def predict(brightness_model: Path):
    def run(*arguments: str) -> Result:
        options = ["--model", str(brightness_model), "--detector", "none"]
        return CliRunner().invoke(app, ["predict", *options, *arguments])

    return run


def test_records_hold_the_time_and_the_track(predict, clip: Path) -> None:
    result = predict("clip.mp4", "--json", "t.jsonl")
    assert result.exit_code == 0, result.stderr
    lines = [json.loads(line) for line in Path("t.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [line["frame"] for line in lines] == list(range(4 * RATE))
    assert [line["time_s"] for line in lines] == pytest.approx([index / RATE for index in range(4 * RATE)], abs=1e-3)
    assert {(line["source"], line["width"], line["height"]) for line in lines} == {("clip.mp4", 64, 48)}
    faces = [line["faces"][0] for line in lines]
    assert {face["track"] for face in faces} == {1}
    emotions = [face["emotion"] for face in faces]
    change = emotions.index("surprise")
    assert set(emotions[:change]) == {"fear"}
    assert set(emotions[change:]) == {"surprise"}
    assert 0 <= change / RATE - 2.0 <= 0.5


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--json", "clip.mp4"), "is read from"),
        (("--csv", "./clip.mp4"), "is read from"),
        (("--out", "clip.mp4"), "is read from"),
        (("--out", "a.mp4", "--json", "a.mp4"), "is written already"),
        (("--json", "t", "--csv", "t"), "is written already"),
    ],
)
def test_no_file_is_written_over_the_video_or_another(
    predict, clip: Path, options: tuple[str, ...], reason: str
) -> None:
    before = clip.read_bytes()
    result = predict("clip.mp4", *options)
    assert isinstance(result.exception, ConfigError)
    assert reason in str(result.exception)
    assert clip.read_bytes() == before
    assert [path.name for path in Path().iterdir()] == ["clip.mp4"]


@pytest.mark.skipif(not Path(os.devnull).exists(), reason="no device to write to")
def test_a_device_may_be_written_to_twice(predict, clip: Path) -> None:
    assert predict("clip.mp4", "--json", os.devnull, "--csv", os.devnull).exit_code == 0


def test_the_persons_are_listed_on_standard_output(predict, clip: Path) -> None:
    result = predict("clip.mp4")
    head, *lines = [line.split("\t") for line in result.stdout.splitlines()]
    assert head == ["person", "first_s", "last_s", "seconds", "emotion", "fraction"]
    [(person, first, last, seconds, emotion, fraction)] = lines
    assert (person, first, last, seconds, emotion) == ("1", "0.0", "4.0", "4.0", "fear")
    assert 50 <= int(fraction.removesuffix(" %")) <= 65


def test_numbers_that_the_list_lacks_are_noted(capsys: pytest.CaptureFixture[str]) -> None:
    gatherer = Gatherer()
    for i in range(40):
        tracks = [1, 3] if i > 5 else [1, 2]
        faces = [Face(Box(1, 1, 9, 9), None, {"calm": 0.9, "glad": 0.1}, track=track) for track in tracks]
        gatherer.add(to_record(faces, Origin("a.mp4", 30, 20, frame=i, time_s=i / 10), model="m"))
    list_persons(gatherer.timeline())
    printed = capsys.readouterr()
    assert [line.split("\t")[0] for line in printed.out.splitlines()] == ["person", "1", "3"]
    assert "Person 2 was seen too shortly to be reported (0.6 s in all)." in printed.err


def test_who_is_seen_too_shortly_is_not_no_face(capsys: pytest.CaptureFixture[str]) -> None:
    for tracks, cell in ((range(8), "seen too shortly"), ([], "no face")):
        gatherer = Gatherer()
        for i in range(40):
            faces = [
                Face(Box(1, 1, 9, 9), None, {"calm": 0.9, "glad": 0.1}, track=n + 1) for n in tracks if i // 5 == n
            ]
            gatherer.add(to_record(faces, Origin("a.mp4", 30, 20, frame=i, time_s=i / 10), model="m"))
        list_persons(gatherer.timeline())
        assert capsys.readouterr().out.splitlines()[1:] == ["\t".join(["-", "-", "-", "-", cell, "-"])]


def test_the_annotated_video_shows_each_frame_when_it_was_shown(predict, clip: Path) -> None:
    result = predict("clip.mp4", "--out", "drawn.mp4", "--theme", "emoji")
    assert result.exit_code == 0, result.stderr
    assert "the annotated video is drawn.mp4" in result.stderr
    with VideoFile("clip.mp4") as before, VideoFile("drawn.mp4") as after:
        pairs = list(zip(before, after, strict=True))
        assert before.end_s == pytest.approx(after.end_s, abs=1 / RATE)
    assert all(one.time_s == pytest.approx(other.time_s, abs=1e-3) for one, other in pairs)
    changed = [np.abs(one.image.astype(int) - other.image).mean() for one, other in pairs]
    assert min(changed) > 10


@pytest.mark.parametrize("theme", COVERING)
def test_a_face_is_covered_before_it_is_found(
    predict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, theme: str
) -> None:
    """In the finished file, where records say when it was found; and frames long before it stay as they are."""
    monkeypatch.chdir(tmp_path)
    checks = (np.indices((48, 64)).sum(0) // 3 % 2 * 200).astype(np.uint8)[:, :, None].repeat(3, 2)
    with VideoWriter(Path("checks.mp4"), rate=RATE) as writer:
        for index in range(2 * RATE):
            writer.write(checks, index / RATE)
    find = FaceStream.faces
    monkeypatch.setattr(
        FaceStream, "faces", lambda stream, frame: find(stream, frame) if frame.time_s >= 1 else ((), {})
    )
    result = predict("checks.mp4", "--out", "drawn.mp4", "--theme", theme, "--json", "t.jsonl")
    assert result.exit_code == 0, result.stderr
    found = [len(json.loads(line)["faces"]) for line in Path("t.jsonl").read_text(encoding="utf-8").splitlines()]
    assert found == [0] * RATE + [1] * RATE
    with VideoFile("checks.mp4") as before, VideoFile("drawn.mp4") as after:
        pairs = list(zip(before, after, strict=True))
    changed = [np.abs(one.image[18:30, 26:38].astype(int) - other.image[18:30, 26:38]).mean() for one, other in pairs]
    covered = [index for index, difference in enumerate(changed) if difference > 30]
    assert covered == list(range(round(0.6 * RATE), 2 * RATE))


@pytest.mark.parametrize("theme", COVERING)
def test_who_covers_faces_covers_all(predict, clip: Path, theme: str) -> None:
    result = predict("clip.mp4", "--out", "drawn.mp4", "--theme", theme, "--max-faces", "2")
    assert isinstance(result.exception, ConfigError)
    assert f"--theme {theme} covers every face that is found" in str(result.exception)


def test_sound_that_is_not_copied_is_no_failure(predict, clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(VideoWriter, "problems", property(lambda self: ["clip.mp4: its sound (aac) was encoded anew"]))
    result = predict("clip.mp4", "--out", "a.webm")
    assert result.exit_code == 0
    assert result.stderr.splitlines()[-1] == "note: clip.mp4: its sound (aac) was encoded anew"


@pytest.mark.parametrize("name", ["film.gif", "film.webp", "film.png", "film"])
def test_an_animation_is_a_video(predict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    first, *others = (Image.new("RGB", (64, 48), (gray, gray, gray)) for gray in (FEAR, FEAR, FEAR, SURPRISE))
    options = {"save_all": True, "append_images": others, "duration": [500, 500, 500, 300]}
    first.save(name, Path(name).suffix[1:] or "gif", **options)  # by content, whatever it is called
    result = predict(name, "--json", "t.jsonl", "--out", "drawn.mp4", "--no-emoji")
    assert result.exit_code == 0, result.stderr
    lines = [json.loads(line) for line in Path("t.jsonl").read_text(encoding="utf-8").splitlines()]
    shown = {line["time_s"] for line in lines}
    assert shown <= {0, 0.5, 1, 1.5}
    assert {line["faces"][0]["track"] for line in lines} == {1}
    assert "first of" not in result.stderr
    with VideoFile("drawn.mp4") as drawn:
        assert {round(frame.time_s, 3) for frame in drawn} == shown
        assert drawn.end_s == pytest.approx(1.8, abs=0.01)


def test_one_video_may_be_drawn_into_a_folder(predict, clip: Path) -> None:
    Path("there").mkdir()
    for folder in ("there", "new", "new/deeper/"):
        result = predict("clip.mp4", "--out", folder)
        assert result.exit_code == 0, result.stderr
        assert [path.name for path in Path(folder).iterdir() if path.is_file()] == ["clip.mp4"]
    assert predict("clip.mp4", "--out", "x.avi").exit_code == 1  # no form of video that is written


def test_a_row_of_jpegs_is_a_video(predict, tmp_path: Path) -> None:
    pictures = []
    for gray in (FEAR,) * 25:
        file = io.BytesIO()
        Image.new("RGB", (64, 48), (gray, gray, gray)).save(file, "JPEG")
        pictures.append(file.getvalue())
    for name in ("a.mjpeg", "a.mjpg", "a"):
        (tmp_path / name).write_bytes(b"".join(pictures))
        result = predict(str(tmp_path / name), "--json", "-", "--out", str(tmp_path / "drawn.mp4"))
        assert result.exit_code == 0, result.stderr
        assert len(result.stdout.splitlines()) == 25
        with VideoFile(tmp_path / "drawn.mp4") as drawn:
            assert len(list(drawn)) == 25


def test_a_table_and_a_chart(predict, clip: Path) -> None:
    result = predict("clip.mp4", "--csv", "t.csv", "--chart", "t.png", "--every", "0.5")
    assert result.exit_code == 0, result.stderr
    rows = list(csv.DictReader(io.StringIO(Path("t.csv").read_text(encoding="utf-8"))))
    assert [float(row["time_s"]) for row in rows] == pytest.approx([0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5])
    assert {row["track"] for row in rows} == {"1"}
    assert float(rows[0]["p_fear"]) > 0.9
    with Image.open("t.png") as chart:
        assert min(chart.size) > 200


def test_a_part_of_the_video(predict, clip: Path) -> None:
    result = predict("clip.mp4", "--start", "1", "--end", "1.5", "--json", "-")
    times = [json.loads(line)["time_s"] for line in result.stdout.splitlines()]
    assert times == pytest.approx([1 + index / RATE for index in range(10)])


def test_what_each_stage_took(predict, clip: Path) -> None:
    result = predict("clip.mp4", "--stats", "--out", "drawn.mp4")
    assert all(stage in result.stderr for stage in ("decode", "detect", "track", "classify", "draw", "encode"))


def test_landmarks_are_written_where_they_are_asked_for(predict, clip: Path) -> None:
    for asked in (["--landmarks"], []):
        lines = predict(str(clip), "--json", "-", *asked).stdout.splitlines()
        faces = [face for line in lines for face in json.loads(line)["faces"]]
        assert faces
        assert all(("landmarks" in face) == bool(asked) for face in faces)


@pytest.mark.parametrize(
    "option", [["--every", "1"], ["--start", "1"], ["--end", "1"], ["--chart", "c.png"], ["--stats"]]
)
def test_what_goes_with_videos_only_is_refused_for_photos(predict, tmp_path: Path, option: list[str]) -> None:
    result = predict(str(tmp_path), *option)
    assert isinstance(result.exception, ConfigError)
    assert str(result.exception) == f"{option[0]} goes with a video, and there is none"


def test_what_is_no_video_is_reported_in_one_line(predict, tmp_path: Path) -> None:
    text = tmp_path / "notes.mp4"
    text.write_text("dear diary", encoding="utf-8")
    for path in (text, tmp_path / "lost.mp4"):
        result = predict(str(path), "--out", str(tmp_path / "drawn.mp4"))
        assert isinstance(result.exception, ImageError)
        assert str(path) in str(result.exception)
        assert "\n" not in str(result.exception)
    assert not (tmp_path / "drawn.mp4").exists()


def test_a_damaged_video_is_analysed_as_far_as_it_goes_and_reported(predict, clip: Path) -> None:
    film(Path("whole.mkv"))
    content = Path("whole.mkv").read_bytes()
    Path("cut.mkv").write_bytes(content[: len(content) * 6 // 10])
    result = predict("cut.mkv", "--json", "t.jsonl", "--out", "drawn.mkv")
    assert result.exit_code == 1
    assert "error: cut.mkv: " in result.stderr
    assert len(Path("t.jsonl").read_text(encoding="utf-8").splitlines()) >= RATE
    assert Path("drawn.mkv").exists()


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return film(tmp_path_factory.mktemp("films") / "long.mp4", seconds=120)


def command_on(path: Path, model: Path, *prefix: str) -> list[str]:
    """A command that reads the video, and writes a video, a table and JSON Lines."""
    command = [*prefix, sys.executable, "-m", "mien", "predict", str(path), "--model", str(model), "--detector", "none"]
    return [*command, "--out", "drawn.mp4", "--csv", "t.csv", "--json", "t.jsonl"]


def await_frames(folder: Path, process: subprocess.Popen[Any]) -> None:
    """Wait until the command writes the frames of a video."""
    until = monotonic() + 60
    while not any(path.stat().st_size for path in folder.glob(".*.part")):
        assert process.poll() is None
        assert monotonic() < until, "took too long"
        sleep(0.005)


def check_saved(folder: Path, least_s: float, most_s: float) -> None:
    """What was written is whole, and of the same frames; nothing else is there."""
    with VideoFile(folder / "drawn.mp4") as drawn:
        shown = [frame.time_s for frame in drawn]
        assert drawn.problems == []
    assert least_s <= shown[-1] <= most_s
    assert len((folder / "t.csv").read_text(encoding="utf-8").splitlines()) == len(shown) + 1
    assert len((folder / "t.jsonl").read_text(encoding="utf-8").splitlines()) == len(shown)
    assert sorted(path.name for path in folder.iterdir()) == ["drawn.mp4", "t.csv", "t.jsonl"]


unless_windows = pytest.mark.skipif(os.name == "nt", reason="signals are sent otherwise on Windows")


@unless_windows
@pytest.mark.parametrize("ending", ENDING)
def test_a_signal_saves_what_was_done(
    brightness_model: Path, long_clip: Path, tmp_path: Path, ending: signal.Signals
) -> None:
    command = command_on(long_clip, brightness_model)
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=tmp_path) as process:
        await_frames(tmp_path, process)
        process.send_signal(ending)
        process.send_signal(ending)  # as `timeout` does
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + ending
    assert "interrupted at" in errors
    assert "Traceback" not in errors
    check_saved(tmp_path, 0, 119)


@pytest.mark.slow
@unless_windows
def test_a_terminal_that_closes_saves_what_was_done(brightness_model: Path, long_clip: Path, tmp_path: Path) -> None:
    """A progress bar is drawn in it until then."""
    ours, its = os.openpty()
    shell = 'exec "$@" <>"$0" >&0 2>&0'  # the session's first terminal becomes its own
    command = command_on(long_clip, brightness_model, "sh", "-c", shell, os.ttyname(its))
    with subprocess.Popen(command, cwd=tmp_path, start_new_session=True) as process:
        await_frames(tmp_path, process)
        os.close(its)
        os.close(ours)
        assert process.wait(60) == 129
    check_saved(tmp_path, 0, 119)


@pytest.mark.slow
@unless_windows
def test_with_nohup_it_goes_on(brightness_model: Path, long_clip: Path, tmp_path: Path) -> None:
    command = command_on(long_clip, brightness_model, "sh", "-c", "trap '' HUP; exec \"$@\"", "sh")
    with subprocess.Popen([*command, "--end", "40"], cwd=tmp_path, stdout=subprocess.DEVNULL) as process:
        await_frames(tmp_path, process)
        process.send_signal(signal.SIGHUP)
        assert process.wait(60) == 0
    check_saved(tmp_path, 39.9, 40)


def test_a_signal_ends_reading_between_two_frames_that_are_asked_for(
    predict, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next one may be far: a system that stops the program would not wait for it."""
    read = []
    packets = VideoFile._packets

    def counted(self: VideoFile):
        for packet in packets(self):
            read.append(packet)
            if len(read) == 20:
                signal.raise_signal(signal.SIGTERM)
                while not _Signals.active.exit_code():  # the main thread handles it
                    sleep(0.001)
            yield packet

    monkeypatch.setattr(VideoFile, "_packets", counted)
    result = predict("clip.mp4", "--every", "3", "--out", "drawn.mp4", "--csv", "t.csv", "--json", "t.jsonl")
    assert result.exit_code == 143
    assert len(read) == 20
    clip.unlink()
    check_saved(Path(), 0, 0)
