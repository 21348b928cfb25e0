"""A film in which one person leaves for more than a minute, another comes, and texture is taken for a face."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner, Result

import mien
from mien.cli.app import app
from mien.cli.interrupt import _Signals
from mien.errors import ConfigError
from mien.tracking.tracker import REMEMBERED_S
from mien.types import Box, Detection
from mien.video.reader import VideoFile
from mien.video.writer import VideoWriter

Image = NDArray[np.uint8]
RATE = 4
SIDE = 64
AWAY_S = REMEMBERED_S + 4
SECONDS = AWAY_S + 6
PLACES = {"Anna": (24, 60), "stray": (130, 140), "Bert": (220, 60)}
SCORES = {"Anna": 0.95, "stray": 0.82, "Bert": 0.95}


def smooth(seed: int, width: int, height: int, sigma: float) -> Image:
    noise = cv2.GaussianBlur(np.random.default_rng(seed).normal(0, 1, (height, width, 3)), (0, 0), sigma)
    return (128 + 40 * noise / noise.std()).clip(0, 255).astype(np.uint8)


BACK = smooth(9, 320, 240, 3)
LOOKS = {name: smooth(seed, SIDE, SIDE, 6) for seed, name in enumerate(PLACES)}


def visible(time_s: float) -> list[str]:
    """Anna at first, and after more than a minute; Bert at the end; for three quarters of a second, a stray."""
    there = {"Anna": time_s < 3 or time_s >= AWAY_S, "stray": 10 <= time_s < 10.75, "Bert": time_s >= AWAY_S + 2}
    return [name for name in PLACES if there[name]]


def picture(time_s: float) -> Image:
    """The faces; the brightness of each left block says whether one is there."""
    image = BACK.copy()
    for number, name in enumerate(PLACES):
        x, y = PLACES[name]
        is_there = name in visible(time_s)
        if is_there:
            image[y : y + SIDE, x : x + SIDE] = LOOKS[name]
        image[16 * number : 16 * number + 16, :16] = 255 * is_there
    return image


class Marked(mien.Detector):
    """Finds the faces that the blocks say are there."""

    name = "marked"

    def detect(self, image: Image) -> list[Detection]:
        found = [name for number, name in enumerate(PLACES) if image[16 * number : 16 * number + 16, :16].mean() > 128]
        return [Detection(Box(*PLACES[name], SIDE, SIDE), SCORES[name]) for name in found]


def embed(faces: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The faces' pixels at 8x8, less the mean, of length 1."""
    rows = np.array([cv2.resize(face, (8, 8), interpolation=cv2.INTER_AREA).ravel() for face in faces], np.float32)
    rows = rows.reshape(len(faces), 64) - rows.reshape(len(faces), 64).mean(1, keepdims=True)
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


class Embedder:
    embed = staticmethod(embed)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("films") / "film.mp4"
    with VideoWriter(path, rate=RATE) as writer:
        for index in range(round(SECONDS * RATE)):
            writer.write(picture(index / RATE), index / RATE)
    return path.read_bytes()


@pytest.fixture
def predict(
    source: bytes, tmp_path: Path, brightness_model: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Result]:
    monkeypatch.chdir(tmp_path)
    Path("film.mp4").write_bytes(source)
    monkeypatch.setattr("mien.analyzer.load_detector", lambda *names, **options: Marked())
    monkeypatch.setattr("mien.runtime.face_embedding.face_embedder", Embedder)

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(app, ["predict", "--model", str(brightness_model), *arguments])

    return run


def numbers(path: str = "t.jsonl") -> dict[str, set[int]]:
    """The tracks of each face in the records, by its place."""
    found: dict[str, set[int]] = {}
    for line in Path(path).read_text(encoding="utf-8").splitlines():
        for face in json.loads(line)["faces"]:
            nearest = min(PLACES, key=lambda name: abs(PLACES[name][0] - face["box"]["x"]))
            found.setdefault(nearest, set()).add(face["track"])
    return found


JOINED = {"Anna": {1}, "Bert": {2}}
LIVE = {"Anna": {1, 3}, "stray": {2}, "Bert": {4}}


def frames(path: str) -> Iterator[tuple[float, Image]]:
    with VideoFile(path) as video:
        for frame in video:
            yield frame.time_s, frame.image


def changed(path: str, name: str, times: Callable[[float], bool]) -> float:
    """The mean difference of a drawn video from the film above and in a face, 0..255, at these times."""
    x, y = PLACES[name]
    part = np.s_[y - 24 : y + SIDE, x : x + SIDE]
    drawn = [
        float(cv2.absdiff(image[part], picture(time_s)[part]).mean()) for time_s, image in frames(path) if times(time_s)
    ]
    return float(np.mean(drawn))


def test_all_that_is_written_names_persons(predict: Callable[..., Result]) -> None:
    result = predict("film.mp4", "--json", "t.jsonl", "--csv", "t.csv", "-o", "drawn.mp4", "--chart", "t.png")
    assert result.exit_code == 0, result.stderr
    assert numbers() == JOINED
    rows = [line.split(",") for line in Path("t.csv").read_text(encoding="utf-8").splitlines()]
    assert {row[rows[0].index("track")] for row in rows[1:]} == {"1", "2"}
    assert [line.split("\t")[0] for line in result.stdout.splitlines()] == ["person", "1", "2"]
    assert "not in the records" not in result.stderr
    assert [time_s for time_s, _ in frames("drawn.mp4")] == [time_s for time_s, _ in frames("film.mp4")]
    assert sorted(path.name for path in Path().iterdir()) == ["drawn.mp4", "film.mp4", "t.csv", "t.jsonl", "t.png"]


def test_numbers_in_the_annotated_video_are_those_of_the_records(
    predict: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    from mien.cli import two_passes

    drawn: list[tuple[float, list[int]]] = []
    original = two_passes.draw_frame

    def seen(image: Image, faces: Sequence[Any], *others: Any) -> Image:
        drawn.append((float(image.mean()), [face.track for face in faces]))
        return original(image, faces, *others)

    monkeypatch.setattr(two_passes, "draw_frame", seen)
    assert predict("film.mp4", "--json", "t.jsonl", "-o", "drawn.mp4").exit_code == 0
    first, second = drawn[: len(drawn) // 2], drawn[len(drawn) // 2 :]
    assert [mean for mean, _ in first] == [mean for mean, _ in second]
    assert {track for _, tracks in first for track in tracks} == {1, 2, 3, 4}
    records = [json.loads(line) for line in Path("t.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [tracks for _, tracks in second] == [[face["track"] for face in record["faces"]] for record in records]
    assert changed("drawn.mp4", "stray", lambda time_s: 10.2 <= time_s < 10.6) < 8
    assert changed("drawn.mp4", "Bert", lambda time_s: time_s >= AWAY_S + 3) > 8


@pytest.mark.parametrize(("theme", "passes"), [("blur", 1), ("minimal", 2), ("labels", 2)])
def test_the_video_is_read_again_only_where_that_changes_what_is_drawn(
    predict: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, theme: str, passes: int
) -> None:
    opened: list[Path] = []
    begin = VideoFile._begin

    def counted(self: VideoFile) -> None:
        opened.append(self.path)
        begin(self)

    monkeypatch.setattr(VideoFile, "_begin", counted)
    assert predict("film.mp4", "--theme", theme, "-o", "drawn.mp4").exit_code == 0
    assert len(opened) == passes
    opened.clear()
    assert predict("film.mp4", "--theme", theme, "-o", "drawn.mp4", "--end", "3").exit_code == 0
    assert len(opened) == 1


@pytest.mark.parametrize("labels", ["--labels", "--no-labels"])
def test_a_stray_is_no_person_but_is_covered(predict: Callable[..., Result], labels: str) -> None:
    assert predict("film.mp4", "--theme", "pixelate", labels, "-o", "drawn.mp4", "--json", "t.jsonl").exit_code == 0
    assert numbers() == JOINED
    assert changed("drawn.mp4", "stray", lambda time_s: 10 <= time_s < 10.75) > 8


def test_as_many_persons_as_one_says(predict: Callable[..., Result]) -> None:
    result = predict("film.mp4", "--persons", "2", "--json", "t.jsonl")
    assert numbers() == JOINED
    assert "note" not in result.stderr
    result = predict("film.mp4", "--persons", "1", "--json", "t.jsonl")
    assert numbers() == JOINED
    assert "note: film.mp4: --persons 1 gives 2, as some of them are in one frame" in result.stderr
    result = predict("film.mp4", "--persons", "5", "--json", "t.jsonl")
    assert numbers() == {"Anna": {1, 2}, "Bert": {3}}
    assert "note: film.mp4: --persons 5 gives 3, as no more were found" in result.stderr


def test_persons_are_of_a_video_and_one_at_least(predict: Callable[..., Result]) -> None:
    cv2.imwrite("a.png", BACK)
    result = predict("a.png", "--persons", "2")
    assert isinstance(result.exception, ConfigError)
    assert "--persons goes with a video, and there is none" in str(result.exception)
    assert predict("film.mp4", "--persons", "0").exit_code == 2


@pytest.mark.slow
def test_records_on_standard_output_and_of_several_videos_name_persons(
    predict: Callable[..., Result], source: bytes
) -> None:
    result = predict("film.mp4", "--json", "-")
    Path("out.jsonl").write_text(result.stdout, encoding="utf-8")
    assert numbers("out.jsonl") == JOINED
    Path("films").mkdir()
    for name in ("a.mp4", "b.mp4"):
        Path("films", name).write_bytes(source)
    options = ("films", "--json", "lines/", "-o", "drawn")
    result = predict(*options)
    assert [line.split("\t")[1] for line in result.stdout.splitlines()[1:]] == ["1", "2"] * 2
    assert numbers("lines/a.mp4.jsonl") == numbers("lines/b.mp4.jsonl") == JOINED
    assert predict(*options, "--resume").stdout == result.stdout


@pytest.mark.slow
def test_a_folder_of_frames_has_its_persons(predict: Callable[..., Result]) -> None:
    Path("frames").mkdir()
    for index in range(round(SECONDS * RATE)):
        cv2.imwrite(f"frames/{index}.png", picture(index / RATE))
    assert predict("frames", "--rate", str(RATE), "--json", "t.jsonl", "-o", "drawn.mp4").exit_code == 0
    assert numbers() == JOINED


def interrupted(monkeypatch: pytest.MonkeyPatch, reading: int, at: int = 40) -> None:
    """Let a signal come when a film is read for the nth time, at a packet."""
    packets, begin, begun = VideoFile._packets, VideoFile._begin, list[VideoFile]()

    def counted(self: VideoFile) -> None:
        begun.append(self)
        begin(self)

    def signalled(self: VideoFile) -> Iterator[Any]:
        for number, packet in enumerate(packets(self)):
            if len(begun) == reading and number == at:
                signal.raise_signal(signal.SIGTERM)
                while not _Signals.active.exit_code():  # type: ignore[union-attr] # the main thread handles it
                    pass
            yield packet

    monkeypatch.setattr(VideoFile, "_begin", counted)
    monkeypatch.setattr(VideoFile, "_packets", signalled)


def test_a_signal_in_the_second_pass_keeps_what_the_first_gave(
    predict: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        interrupted(patched, reading=2)
        result = predict("film.mp4", "--json", "t.jsonl", "-o", "drawn.mp4")
    assert result.exit_code == 143
    assert numbers() == LIVE
    assert [time_s for time_s, _ in frames("drawn.mp4")] == [time_s for time_s, _ in frames("film.mp4")]
    assert changed("drawn.mp4", "stray", lambda time_s: 10.2 <= time_s < 10.6) > 8
    assert sorted(path.name for path in Path().iterdir()) == ["drawn.mp4", "film.mp4", "t.jsonl"]


@pytest.mark.slow
def test_of_several_videos_one_whose_second_pass_is_ended_leaves_no_file(
    predict: Callable[..., Result], source: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("films").mkdir()
    for name in ("a.mp4", "b.mp4"):
        Path("films", name).write_bytes(source)
    with monkeypatch.context() as patched:
        interrupted(patched, reading=4)
        assert predict("films", "-o", "out").exit_code == 143
    assert [path.name for path in Path("out").iterdir()] == ["a.mp4"]
    assert predict("films", "-o", "out", "--resume").exit_code == 0
    assert changed("out/b.mp4", "stray", lambda time_s: 10.2 <= time_s < 10.6) < 8


def test_a_video_that_reads_otherwise_the_second_time_keeps_its_tracks(
    predict: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    from mien.cli import two_passes

    monkeypatch.setattr(two_passes, "_with_pictures", lambda results, frames: iter(()))
    result = predict("film.mp4", "--json", "t.jsonl", "-o", "drawn.mp4")
    assert result.exit_code == 0
    assert "film.mp4: gave other frames when read again, so tracks were not joined" in result.stderr
    assert numbers() == LIVE
    assert len(list(frames("drawn.mp4"))) == len(list(frames("film.mp4")))
