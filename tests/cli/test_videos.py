"""`mien predict` on several videos, on photos and videos, on folders of frames, and on standard input."""

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

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from mien.cli import inputs
from mien.cli.app import app
from mien.cli.interrupt import _Signals
from mien.errors import ConfigError, ImageError
from mien.signals import ENDING
from mien.video.reader import VideoFile
from mien.video.writer import VideoWriter

RATE = 10
FEAR, SURPRISE = 85, 255  # the greys that the test's model calls so
HEAD = ["video", "person", "first_s", "last_s", "seconds", "emotion", "fraction"]


def film(path: Path, gray: int = FEAR, seconds: float = 2.0) -> Path:
    """A video of 64x48 pixels of one gray."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with VideoWriter(path, rate=RATE) as writer:
        for index in range(round(seconds * RATE)):
            writer.write(np.full((48, 64, 3), gray, np.uint8), index / RATE)
    return path


def animation(path: Path) -> Path:
    first, *others = (Image.new("RGB", (64, 48), (gray,) * 3) for gray in (FEAR, FEAR + 1, FEAR, FEAR + 1))
    first.save(path, save_all=True, append_images=others, duration=500)
    return path


def photo(path: Path, gray: int = SURPRISE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (60, 60), (gray,) * 3).save(path)
    return path


@pytest.fixture
def films(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two videos, one of them in a subfolder, and an animation."""
    monkeypatch.chdir(tmp_path)
    film(Path("films/a.mp4"))
    film(Path("films/sub/a.mkv"), SURPRISE, 3.0)
    animation(Path("films/b.gif"))
    return Path("films")


@pytest.fixture
def predict(brightness_model: Path):
    def run(*arguments: str, given: bytes | None = None) -> Result:
        options = ["--model", str(brightness_model), "--detector", "none"]
        return CliRunner().invoke(app, ["predict", *options, *arguments], input=given)

    return run


def table(result: Result) -> list[list[str]]:
    return [line.replace("\\", "/").split("\t") for line in result.stdout.splitlines()]


def files(folder: str) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in Path(folder).rglob("*") if path.is_file())


ROWS = [
    ["films/a.mp4", "1", "0.0", "2.0", "2.0", "fear", "100 %"],
    ["films/b.gif", "1", "0.0", "2.0", "2.0", "fear", "100 %"],
    ["films/sub/a.mkv", "1", "0.0", "3.0", "3.0", "surprise", "100 %"],
]


def test_a_folder_of_videos_gives_one_table(predict, films: Path) -> None:
    result = predict("films")
    assert result.exit_code == 0, result.stderr
    assert table(result) == [HEAD, *ROWS]
    assert "1 of 3: films/a.mp4" in result.stderr.replace("\\", "/")
    named = predict("films/sub/a.mkv", "films/*.gif", "films/a.mp4", "films/a.mp4")
    assert table(named) == [HEAD, ROWS[2], ROWS[1], ROWS[0]]


def test_each_video_gets_its_own_files(predict, films: Path) -> None:
    result = predict("films", "-o", "out", "--json", "lines/", "--csv", "tables/", "--chart", "charts")
    assert result.exit_code == 0, result.stderr
    assert files("out") == ["a.mp4", "b.gif.mp4", "sub/a.mkv"]
    assert files("lines") == ["a.mp4.jsonl", "b.gif.jsonl", "sub/a.mkv.jsonl"]
    assert files("tables") == ["a.mp4.csv", "b.gif.csv", "sub/a.mkv.csv"]
    assert files("charts") == ["a.mp4.png", "b.gif.png", "sub/a.mkv.png"]
    for name, length in (("a.mp4", 2), ("sub/a.mkv", 3), ("b.gif.mp4", 2)):
        with VideoFile(Path("out", name)) as video:
            list(video)
            assert video.end_s == pytest.approx(length, abs=0.01)
    lines = [json.loads(line) for line in Path("lines/sub/a.mkv.jsonl").read_text(encoding="utf-8").splitlines()]
    assert {Path(line["source"]).as_posix() for line in lines} == {"films/sub/a.mkv"}
    assert len(lines) == 30
    again = predict("films", "-o", "films/out", "--chart", "films/charts")
    assert again.exit_code == 0
    twice = predict("films", "-o", "films/out", "--chart", "films/charts")  # what was written is not read
    assert table(twice) == table(again)


def test_one_file_holds_the_records_of_all(predict, films: Path) -> None:
    result = predict("films", "--json", "-")
    sources = [json.loads(line)["source"] for line in result.stdout.splitlines()]
    assert len(sources) == 20 + 4 + 30
    assert len(set(sources)) == 3
    result = predict("films", "--json", "all.jsonl", "--csv", "all.csv", "--landmarks")
    assert table(result) == [HEAD, *ROWS]
    assert len(Path("all.jsonl").read_text(encoding="utf-8").splitlines()) == 54
    rows = list(csv.DictReader(io.StringIO(Path("all.csv").read_text(encoding="utf-8"))))
    assert len(rows) == 54
    assert {Path(row["source"]).name for row in rows} == {"a.mp4", "b.gif", "a.mkv"}


def test_photos_and_videos_together(predict, films: Path) -> None:
    photo(Path("films/p.png"))
    result = predict("films", "--json", "lines/", "-o", "out", "--landmarks")
    assert result.exit_code == 0, result.stderr
    photos, videos = table(result)[:2], table(result)[2:]
    assert photos[1][:3] == ["films/p.png", "1", "surprise"]
    assert videos == [HEAD, *ROWS]
    assert files("lines") == ["a.mp4.jsonl", "b.gif.jsonl", "photos.jsonl", "sub/a.mkv.jsonl"]
    assert files("out") == ["a.mp4", "b.gif.mp4", "p.png", "sub/a.mkv"]
    (record,) = (json.loads(line) for line in Path("lines/photos.jsonl").read_text(encoding="utf-8").splitlines())
    assert record["time_s"] is None
    assert record["faces"][0]["landmarks"] is None
    shared = predict("films/p.png", "films/a.mp4", "--json", "-")
    assert len(shared.stdout.splitlines()) == 1 + 20


def test_what_cannot_be_read_does_not_stop_the_rest(predict, films: Path) -> None:
    Path("films/broken.mp4").write_text("no film at all", encoding="utf-8")
    content = film(Path("films/cut.mkv"), seconds=6).read_bytes()
    Path("films/cut.mkv").write_bytes(content[: len(content) * 7 // 10])
    result = predict("films", "gone.mp4", "--json", "lines/")
    assert result.exit_code == 1
    errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 3
    assert "broken.mp4: not a video" in result.stderr
    assert "cut.mkv: cut short" in result.stderr
    assert "gone.mp4: no such file" in result.stderr
    assert [row[0] for row in table(result)[1:]] == ["films/a.mp4", "films/b.gif", "films/cut.mkv", "films/sub/a.mkv"]
    assert "broken.mp4.jsonl" not in files("lines")


def test_without_a_face_a_video_has_its_line(predict, tmp_path: Path, brightness_model: Path) -> None:
    for name in ("a.mp4", "b.mp4"):
        film(tmp_path / name)
    arguments = ["predict", "--model", str(brightness_model), "--detector", "haar", str(tmp_path)]
    lines = table(CliRunner().invoke(app, arguments))
    assert [line[1:] for line in lines[1:]] == [["-", "-", "-", "-", "no face", "-"]] * 2
    (line,) = table(CliRunner().invoke(app, [*arguments[:-1], str(tmp_path / "a.mp4")]))[1:]
    assert line == ["-", "-", "-", "-", "no face", "-"]


def test_a_repeated_command_passes_over_what_is_there(predict, films: Path) -> None:
    options = ["films", "-o", "out", "--json", "lines/", "--resume"]
    assert predict(*options).exit_code == 0
    before = {name: Path("out", name).stat().st_mtime_ns for name in files("out")}
    Path("out/b.gif.mp4").unlink()  # as if it had been interrupted there
    Path("lines/sub/a.mkv.jsonl").unlink()
    result = predict(*options)
    assert result.exit_code == 0, result.stderr
    assert sorted(table(result)[1:]) == ROWS  # also of those that were passed over
    assert "1 video was passed over" in result.stderr
    after = {name: Path("out", name).stat().st_mtime_ns for name in files("out")}
    assert [name for name in before if before[name] == after[name]] == ["a.mp4"]
    assert "3 videos were passed over" in predict(*options).stderr
    assert predict("films", "-o", "out").stderr.count("passed over") == 0


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="signals are sent otherwise on Windows")
@pytest.mark.parametrize("ending", ENDING)
def test_an_interrupted_video_leaves_nothing_and_is_resumed(
    brightness_model: Path, tmp_path: Path, ending: signal.Signals
) -> None:
    film(tmp_path / "films" / "a.mp4")
    film(tmp_path / "films" / "b.mp4", seconds=300)
    command = [sys.executable, "-m", "mien", "predict", "films", "--model", str(brightness_model), "--detector", "none"]
    command += ["-o", "out", "--csv", "-"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path)
    assert process.stdout is not None
    for _ in range(1 + 2 * RATE):  # of the first video, when it is read
        process.stdout.readline()
    out, until = tmp_path / "out", monotonic() + 60
    while not (Path(out, "a.mp4").exists() and any(path.stat().st_size for path in out.glob(".*.part"))):
        assert monotonic() < until, "took too long"
        sleep(0.005)
    process.send_signal(ending)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 128 + ending
    assert "interrupted in films/b.mp4, which leaves no file; --resume goes on with it" in err
    assert "Traceback" not in err
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a.mp4"]


@pytest.mark.parametrize("at", [1, 10])
def test_what_several_videos_share_is_saved_when_a_signal_comes(
    predict, films: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    """Also while a video is being opened, which then has no frame."""
    packets, read = VideoFile._packets, []

    def interrupted(self: VideoFile):
        for packet in packets(self):
            if self.path == Path("films/sub/a.mkv"):
                read.append(packet)
                if len(read) == at:
                    signal.raise_signal(signal.SIGTERM)
                    while not _Signals.active.exit_code():  # the main thread handles it
                        sleep(0.001)
            yield packet

    monkeypatch.setattr(VideoFile, "_packets", interrupted)
    result = predict("films", "--json", "all.jsonl", "--csv", "tables/")
    assert result.exit_code == 143
    assert "error" not in result.stderr
    assert f"interrupted in {Path('films/sub/a.mkv')}, which leaves no file" in result.stderr
    sources = {json.loads(line)["source"] for line in Path("all.jsonl").read_text(encoding="utf-8").splitlines()}
    assert {Path(source).name for source in sources} >= {"a.mp4", "b.gif"}
    assert files("tables") == ["a.mp4.csv", "b.gif.csv"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["-o", "out.mp4"], "--out names a folder where there is more than one photo or video"),
        (["-o", "out.png"], "--out names a folder where there is more than one photo or video"),
        (["-o", "out.webp"], "--out names a folder where there is more than one photo or video"),
        (["--chart", "c.svg"], "--chart names a folder where there are several videos"),
        (["--resume"], "--resume goes with --out, or with a folder"),
        (["--resume", "--json", "all.jsonl"], "--resume goes with --out, or with a folder"),
        (["--json", "films/a.mp4"], "is read from"),
        (["-o", "films"], "is read from"),
    ],
)
def test_what_does_not_go_with_several_videos(predict, films: Path, options: list[str], words: str) -> None:
    before = files("films")
    result = predict("films", *options)
    assert isinstance(result.exception, ConfigError)
    assert words in str(result.exception)
    assert files("films") == before
    assert files(".") == [f"films/{name}" for name in before]


def test_one_video_is_not_resumed(predict, films: Path) -> None:
    result = predict("films/a.mp4", "--resume", "-o", "out.mp4")
    assert isinstance(result.exception, ConfigError)
    assert "--resume goes with several videos" in str(result.exception)


@pytest.fixture
def frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of 30 frames, fearful at first, surprised from the tenth on, in a subfolder's order of numbers."""
    monkeypatch.chdir(tmp_path)
    for number in range(30):
        photo(Path(f"frames/{number}.png"), FEAR if number < 10 else SURPRISE)
    return Path("frames")


def test_a_folder_of_frames_is_one_film_at_its_rate(predict, frames: Path) -> None:
    result = predict("frames/", "--rate", "10", "-o", "film.mp4", "--json", "t.jsonl", "--chart", "c.png")
    assert result.exit_code == 0, result.stderr
    assert table(result) == [HEAD[1:], ["1", "0.0", "3.0", "3.0", "surprise", table(result)[1][-1]]]
    lines = [json.loads(line) for line in Path("t.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [line["time_s"] for line in lines] == [number / 10 for number in range(30)]
    assert [line["faces"][0]["emotion"] for line in lines][:10] == ["fear"] * 10
    with VideoFile("film.mp4") as video:
        assert len(list(video)) == 30
        assert video.end_s == pytest.approx(3, abs=0.01)
    part = predict("frames", "--rate", "10", "--start", "1", "--end", "2", "--every", "0.5", "--json", "-")
    assert [json.loads(line)["frame"] for line in part.stdout.splitlines()] == [10, 15]
    assert len(table(predict("frames"))) == 31  # photos, without a rate


def test_several_folders_of_frames(predict, frames: Path) -> None:
    photo(Path("more/1.png"))
    photo(Path("more/2.png"))
    result = predict("frames", "more/*.png", "--rate", "5", "-o", "out", "--json", "lines/")
    assert result.exit_code == 0, result.stderr
    assert [row[0] for row in table(result)[1:]] == ["frames", "more/*.png"]
    assert files("out") == ["frames.mp4", "more/_.png.mp4"]
    assert files("lines") == ["frames.jsonl", "more/_.png.jsonl"]


def test_a_rate_goes_with_folders(predict, frames: Path) -> None:
    film(Path("a.mp4"))
    Path("empty").mkdir()
    for path, rate, words in (
        ("a.mp4", "5", "--rate goes with folders of pictures, and a.mp4 is a file"),
        ("gone", "5", "gone: no such folder"),
        ("empty", "5", "no pictures in this folder"),
        ("frames", "0", "rate must be within"),
    ):
        result = predict(path, "--rate", rate)
        assert isinstance(result.exception, ConfigError)
        assert words in str(result.exception)


def test_a_video_on_standard_input(predict, films: Path) -> None:
    result = predict("-", "--json", "t.jsonl", "-o", "o.mp4", given=Path("films/a.mp4").read_bytes())
    assert result.exit_code == 0, result.stderr
    assert table(result)[1] == ROWS[0][1:]
    lines = [json.loads(line) for line in Path("t.jsonl").read_text(encoding="utf-8").splitlines()]
    assert {line["source"] for line in lines} == {"-"}
    assert len(lines) == 20
    with VideoFile("o.mp4") as video:
        assert len(list(video)) == 20
    assert table(predict("-", given=Path("films/b.gif").read_bytes()))[1] == ROWS[1][1:]


def test_a_photo_on_standard_input(predict, films: Path) -> None:
    content = photo(Path("p.png")).read_bytes()
    result = predict("-", "--json", "t.jsonl", "-o", "drawn", given=content)
    assert result.exit_code == 0, result.stderr
    assert table(result)[1][:3] == ["-", "1", "surprise"]
    assert json.loads(Path("t.jsonl").read_text(encoding="utf-8"))["source"] == "-"
    assert files("drawn") == ["stdin.png"]
    both = predict("-", "films/a.mp4", given=content)
    assert [row[0] for row in table(both)] == ["source", "-", "video", "films/a.mp4"]


def test_what_is_wrong_on_standard_input_is_told_without_a_path(predict, films: Path) -> None:
    cut = Path("films/a.mp4").read_bytes()[:-300]
    for content, words in ((b"", "-: the file is empty"), (b"neither of them", "-: not a picture")):
        result = predict("-", "--json", "t.jsonl", given=content)
        assert result.exit_code == 1
        assert words in result.stderr
        assert "mien-" not in result.stderr
        assert json.loads(Path("t.jsonl").read_text(encoding="utf-8"))["error"].startswith(words)
    result = predict("-", given=cut)
    assert isinstance(result.exception, ImageError)
    assert str(result.exception).startswith("-: ")
    assert "mien-" not in str(result.exception)


def test_a_terminal_is_no_input(predict, films: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.BytesIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(inputs.sys, "stdin", Terminal())
    with (
        pytest.raises(ConfigError, match="standard input is a terminal: pipe a file into it"),
        inputs.stdin_stored("-"),
    ):
        pass
    monkeypatch.setattr(inputs.sys, "stdin", None)
    with pytest.raises(ConfigError, match="standard input is closed"), inputs.stdin_stored(["-"]):
        pass
