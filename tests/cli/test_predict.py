from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from mien.cli import console
from mien.cli.app import app
from mien.emotions import EMOTIONS
from mien.errors import ConfigError, MienError, ModelError
from mien.images import find
from mien.signals import ENDING

from ..conftest import YUNET_FILE, needs_yunet


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two grey pictures that the test's model calls fear and surprise, and one in a subfolder."""
    monkeypatch.chdir(tmp_path)
    for name, grey in (("fear.png", 85), ("surprise.jpg", 255), ("sub/fear.png", 85), ("sub/odd.webp", 128)):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (60, 60), (grey, grey, grey)).save(path, lossless=True)
    return tmp_path / "photos"


@pytest.fixture
def predict(brightness_model: Path):
    def run(*arguments: str, detector: str = "none") -> Result:
        options = ["--model", str(brightness_model), "--detector", detector]
        return CliRunner().invoke(app, ["predict", *options, *arguments])

    return run


def records(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]


def test_tab_separated_lines_where_there_is_no_terminal(predict, photos: Path) -> None:
    result = predict("photos")
    assert result.exit_code == 0
    header, *lines = [line.split("\t") for line in result.stdout.splitlines()]
    assert header == ["source", "face", "emotion", "confidence", "x", "y", "width", "height", "uncertain"]
    assert [(Path(line[0]).as_posix(), line[2]) for line in lines] == [
        ("photos/fear.png", "fear"),
        ("photos/surprise.jpg", "surprise"),
        ("photos/sub/fear.png", "fear"),
        ("photos/sub/odd.webp", "happiness"),
    ]
    assert lines[0][4:] == ["0", "0", "60", "60", "no"]
    assert float(lines[0][3]) > 0.9
    assert result.stderr == ""


def test_a_table_on_a_terminal(predict, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "is_terminal", lambda: True)
    result = predict("photos/fear.png")
    assert "\t" not in result.stdout
    assert "0,0 60x60" in result.stdout
    assert "fear" in result.stdout


def test_uncertain_faces_are_marked(predict, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("RGB", (60, 60), (64, 64, 64)).save(photos / "fear.png")  # between disgust and fear
    for options, uncertain in ((), True), (("--uncertain-below", "0.1"), False):
        (record,) = records(predict("photos/fear.png", "--json", "-", *options).stdout)
        assert record["faces"][0]["uncertain"] is uncertain
        line = predict("photos/fear.png", *options).stdout.splitlines()[1].split("\t")
        assert line[-1] == ("yes" if uncertain else "no")
        assert "?" not in line[2]
    monkeypatch.setattr(console, "is_terminal", lambda: True)
    assert "fear?" in predict("photos/fear.png").stdout
    assert "fear?" not in predict("photos/fear.png", "--uncertain-below", "0").stdout
    assert predict("photos/fear.png", "--uncertain-below", "1.5").exit_code == 2


def test_flip_classifies_the_mirror_image_too(predict, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mien.runtime.classifier import Classifier

    classified = []
    probabilities = Classifier.probabilities
    monkeypatch.setattr(
        Classifier, "probabilities", lambda self, faces: classified.append(faces) or probabilities(self, faces)
    )
    assert predict("photos/fear.png", "--flip").stdout == predict("photos/fear.png").stdout  # an even grey: the same
    assert [len(faces) for faces in classified] == [2, 1]


def test_drawn_copies_have_the_size_of_the_photo(predict, tmp_path: Path) -> None:
    """Without --out a large JPEG is decoded at a reduced size, and the record still has the whole size."""
    photo, copies = tmp_path / "large.jpg", tmp_path / "drawn"
    Image.new("RGB", (1000, 600), (85, 85, 85)).save(photo)
    (record,) = records(predict(str(photo), "--json", "-").stdout)
    (with_copy,) = records(predict(str(photo), "--json", "-", "--out", str(copies)).stdout)
    assert record == with_copy
    assert (record["width"], record["height"]) == (1000, 600)
    assert record["faces"][0]["box"] == {"x": 0.0, "y": 0.0, "width": 1000.0, "height": 600.0}
    with Image.open(copies / "large.jpg") as copy:
        assert copy.size == (1000, 600)


def test_a_photo_needs_no_more_than_it_uses(brightness_model: Path, tmp_path: Path) -> None:
    """What is slow to import and not used stays away: decoders of other formats, drawing, fetching, tables."""
    photo = tmp_path / "photo.jpg"
    Image.new("RGB", (60, 60), (85, 85, 85)).save(photo)
    options = ["predict", str(photo), "--model", str(brightness_model), "--detector", "none"]
    code = (
        f"import sys; sys.argv = ['mien', *{options!r}]\nfrom mien.cli import main\ntry:\n    main()\nfinally:\n"
        "    print(*sys.modules, file=sys.stderr)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "fear" in run.stdout
    loaded = set(run.stderr.split())
    assert "PIL.JpegImagePlugin" in loaded
    assert not loaded & {"PIL.WebPImagePlugin", "PIL.TiffImagePlugin", "mien.drawing.draw", "mien.runtime.download"}
    assert not loaded & {"http.client", "ssl", "rich.table", "rich.progress"}


def test_json_lines_on_standard_output_and_nothing_else(predict, photos: Path) -> None:
    result = predict("photos", "--json", "-")
    assert result.exit_code == 0
    fear, surprise, *_ = records(result.stdout)
    assert list(fear) == ["schema", "model", "source", "frame", "time_s", "width", "height", "faces", "error"]
    assert (fear["schema"], fear["model"], fear["error"]) == (1, "brightness-1.0-float32", None)
    (face,) = fear["faces"]
    assert face["box"] == {"x": 0, "y": 0, "width": 60, "height": 60}
    assert face["score"] is None
    assert list(face["probabilities"]) == list(EMOTIONS)
    assert face["confidence"] == face["probabilities"]["fear"]
    assert surprise["faces"][0]["emotion"] == "surprise"


@pytest.mark.parametrize("asked", [True, False])
def test_landmarks_are_written_where_they_are_asked_for(predict, photos: Path, asked: bool) -> None:
    result = predict("photos", "missing.jpg", "--json", "-", *(["--landmarks"] if asked else []))
    faces = [face for record in records(result.stdout) for face in record["faces"]]
    assert [face.get("landmarks", "none") for face in faces] == [None if asked else "none"] * 4


def test_landmarks_without_json_have_no_place(predict, photos: Path) -> None:
    result = predict("photos", "--csv", "table.csv", "--landmarks")
    assert isinstance(result.exception, ConfigError)
    assert "--landmarks goes with --json" in str(result.exception)


def test_bad_pictures_are_reported_and_the_rest_goes_on(predict, photos: Path) -> None:
    (photos / "a text.jpg").write_text("no picture", encoding="utf-8")
    (photos / "empty.png").touch()
    whole = (photos / "surprise.jpg").read_bytes()
    (photos / "truncated.jpg").write_bytes(whole[: len(whole) - 200])
    result = predict("photos", "gone.jpg", "--json", "out.jsonl", "--out", "drawn")
    assert result.exit_code == 1
    errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 4
    for words in ("gone.jpg: no such file", "not a picture", "the file is empty", "truncated"):
        assert sum(words in line for line in errors) == 1
    got = records(Path("out.jsonl").read_text(encoding="utf-8"))
    assert len(got) == 8
    bad = [record for record in got if record["error"]]
    assert [Path(record["source"]).name for record in bad] == ["gone.jpg", "a text.jpg", "empty.png", "truncated.jpg"]
    assert all(record["faces"] == [] and record["width"] is None for record in bad)
    assert sorted(path.relative_to("drawn").as_posix() for path in Path("drawn").rglob("*.*")) == [
        "fear.png",
        "sub/fear.png",
        "sub/odd.webp.png",
        "surprise.jpg",
    ]


def test_nothing_to_do_exits_with_2_and_writes_nothing(predict, photos: Path) -> None:
    Path("empty").mkdir()
    result = predict("gone.jpg", "empty", "*.gif", "--json", "out.jsonl", "--out", "drawn")
    assert result.exit_code == 2
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    for line, words in zip(lines, ("gone.jpg: no such file", "empty: no pictures", "*.gif: no picture"), strict=True):
        assert words in line
    assert not Path("out.jsonl").exists()
    assert not Path("drawn").exists()


def test_drawn_copies_are_upright_marked_and_of_the_same_kind(predict, photos: Path) -> None:
    before = {path: path.read_bytes() for path in photos.rglob("*.*")}
    turned = Image.new("RGB", (200, 120), "gray")
    exif = Image.Exif()
    exif[0x0112] = 6
    turned.save(photos / "turned.jpg", exif=exif)
    assert predict("photos", "--out", "photos/drawn").exit_code == 0
    assert predict("photos", "--out", "photos/drawn").exit_code == 0  # what was drawn is not drawn again
    assert len(list((photos / "drawn").rglob("*.*"))) == 5
    with Image.open("photos/drawn/turned.jpg") as drawn:
        assert (drawn.format, drawn.size) == ("JPEG", (120, 200))
        assert len(set(drawn.get_flattened_data())) > 10
    assert all(path.read_bytes() == content for path, content in before.items())


def test_originals_are_not_overwritten(predict, photos: Path) -> None:
    before = (photos / "fear.png").read_bytes()
    result = predict("photos/fear.png", "--out", "photos")
    assert isinstance(result.exception, ConfigError)
    assert "would be overwritten" in str(result.exception)
    assert (photos / "fear.png").read_bytes() == before
    result = predict("photos/fear.png", "--out", "photos/fear.png")
    assert isinstance(result.exception, ConfigError)
    assert "would be overwritten: name another one" in str(result.exception)
    assert (photos / "fear.png").read_bytes() == before


def test_one_photo_may_be_drawn_into_a_file(predict, photos: Path) -> None:
    result = predict("photos/fear.png", "--out", "new/drawn.jpg")
    assert result.exit_code == 0
    assert "the drawn copy is" in result.stderr
    with Image.open("new/drawn.jpg") as drawn:
        assert drawn.format == "JPEG"
    assert [path.name for path in Path("new").iterdir()] == ["drawn.jpg"]


def test_an_empty_path_is_not_the_current_folder(predict, photos: Path) -> None:
    result = predict("")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.splitlines()[-1].endswith("the path is empty")


@pytest.mark.parametrize("address", ["http://x.y/a.jpg", "http://x.y/a.mp4", "rtsp://127.0.0.1:1/x", "HTTPS://x.y/a"])
def test_an_address_is_not_fetched(predict, photos: Path, address: str) -> None:
    result = predict(address)
    assert result.exit_code == 2
    assert f"{address}: addresses are not fetched: download it first" in result.stderr.replace("\n", "")


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        (["--out", "photos/fear.png/x"], ConfigError, "cannot be made a folder"),
        (["--out", "drawn.png"], ConfigError, "is the name of one picture, and there are"),
        (["--out", "drawn.webp"], ConfigError, "drawn.webp: expected a name that ends in .jpeg, .jpg, .png"),
        (["--json", "gone/out.jsonl"], ConfigError, "cannot be written"),
        (["--json", "photos"], ConfigError, "is a folder"),
        (["--model", "gone.onnx"], ModelError, "gone.onnx"),
        (["--model", "photos/fear.png"], ModelError, "fear.png"),
        (["--detector-model", "photos/fear.png", "--detector", "yunet"], MienError, "fear.png"),
    ],
)
def test_options_that_cannot_work(predict, photos: Path, options: list[str], kind: type, words: str) -> None:
    result = predict("photos", *options)
    assert isinstance(result.exception, kind)
    assert words in str(result.exception)
    assert "\n" not in str(result.exception)
    assert result.stdout == ""


def test_a_whole_picture_is_a_face_at_any_size(predict, photos: Path) -> None:
    Image.new("L", (9, 12), 85).save("photos/tiny.png")
    (record,) = records(predict("photos/tiny.png", "--min-face", "60", "--json", "-").stdout)
    assert [face["emotion"] for face in record["faces"]] == ["fear"]


@needs_yunet
def test_small_faces_can_be_left_out(predict, photos: Path) -> None:
    data = pytest.importorskip("skimage.data")
    Image.fromarray(data.astronaut()).save("photos/astronaut.png")
    found = ["photos/astronaut.png", "--detector-model", str(YUNET_FILE), "--json", "-"]
    (record,) = records(predict(*found, detector="yunet").stdout)
    (face,) = record["faces"]
    side = min(face["box"]["width"], face["box"]["height"])
    for min_face, count in ((side - 1, 1), (side + 1, 0)):
        result = predict(*found, "--min-face", f"{min_face:.0f}", detector="yunet")
        assert result.exit_code == 0
        assert len(records(result.stdout)[0]["faces"]) == count


def test_what_is_not_read_is_told(predict, photos: Path) -> None:
    pages = [Image.new("L", (60, 60), grey) for grey in (85, 170, 255)]
    pages[0].save("photos/a.tiff", save_all=True, append_images=pages[1:])
    for name in ("notes.md", "sub/notes.txt", ".hidden"):
        Path("photos", name).touch()
    result = predict("photos")
    assert result.exit_code == 0
    assert "note: photos/a.tiff: the first of 3 frames was read" in result.stderr.replace("\\", "/")
    assert "note: 2 passed over: 1 .md, 1 .txt" in result.stderr


def test_without_the_package_for_videos_they_are_counted(
    predict, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(find, "find_spec", lambda name: None)
    for name in ("film.mp4", "film.mov"):
        Path("photos", name).touch()
    result = predict("photos")
    assert result.exit_code == 0
    assert "note: 2 passed over: 1 .mov, 1 .mp4" in result.stderr
    assert "note: videos are read with: pip install 'mien[video]'" in result.stderr


def test_names_that_hold_anything_stay_on_their_line(predict, photos: Path) -> None:
    name = "photos/[red]x ä.png"
    Image.new("RGB", (60, 60)).save(name)
    assert str(Path(name)) in predict(name).stdout
    if os.name == "posix" and sys.platform != "darwin":
        odd = b"photos/line\nbreak \xff.png"
        Path(os.fsdecode(odd)).write_bytes(Path(name).read_bytes())
        result = predict(os.fsdecode(odd), "--json", "out.jsonl")
        assert result.stdout.splitlines()[1].startswith("photos/line?break ?.png\t1\t")
        assert records(Path("out.jsonl").read_text(encoding="utf-8"))[0]["source"] == os.fsdecode(odd)


@pytest.mark.parametrize(
    "detector",
    [
        pytest.param(["--detector", "haar"], id="haar"),
        pytest.param(
            ["--detector", "yunet", "--detector-model", str(YUNET_FILE)],
            id="yunet",
            marks=needs_yunet,
        ),
    ],
)
def test_the_shipped_model_calls_the_astronaut_happy(tmp_path: Path, detector: list[str]) -> None:
    data = pytest.importorskip("skimage.data")
    Image.fromarray(data.astronaut()).save(tmp_path / "astronaut.png")
    result = CliRunner().invoke(app, ["predict", str(tmp_path), *detector, "--json", "-"])
    (record,) = records(result.stdout)
    (face,) = record["faces"]
    assert face["emotion"] == "happiness"
    assert 170 < face["box"]["x"] + face["box"]["width"] / 2 < 270


def mien(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "mien", *arguments]


def test_an_expected_failure_is_one_line_and_2(photos: Path) -> None:
    run = subprocess.run(mien("predict", "photos", "--model", "gone.onnx"), capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert run.stdout == ""
    assert run.stderr.startswith("error: ")
    assert run.stderr.count("\n") == 1


@pytest.mark.skipif(os.name == "nt", reason="sends signals")
@pytest.mark.parametrize("ending", ENDING)
def test_a_signal_saves_what_was_done(brightness_model: Path, tmp_path: Path, ending: signal.Signals) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (250, 250, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "0.bmp")
    for number in range(1, 3000):  # more than are drawn before it is interrupted, however busy the machine is
        os.link(tmp_path / "0.bmp", tmp_path / f"{number}.bmp")
    out, lines = tmp_path / "drawn", tmp_path / "out.jsonl"
    options = ["--model", str(brightness_model), "--detector", "none", "--out", str(out), "--json", str(lines)]
    command = mien("predict", str(tmp_path), *options)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        until = time.monotonic() + 60
        while len(list(out.glob("*.png"))) < 5 and time.monotonic() < until:
            time.sleep(0.01)
        process.send_signal(ending)
        process.send_signal(ending)  # as `timeout` does
        table, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + ending
    assert not list(tmp_path.rglob("*.part"))
    drawn = list(out.glob("*.png"))
    assert 5 <= len(drawn) < 3000
    assert f"interrupted after {len(drawn)} of 3000 photos" in errors
    assert "Traceback" not in errors
    assert len(lines.read_text(encoding="utf-8").splitlines()) == len(table.splitlines()) - 1 == len(drawn)
    for path in drawn:
        with Image.open(path) as image:
            image.load()


def test_records_are_not_written_over_a_photo_or_each_other(predict, photos: Path) -> None:
    before = (photos / "fear.png").read_bytes()
    result = predict("photos", "--json", "photos/fear.png")
    assert isinstance(result.exception, ConfigError)
    assert "is read from" in str(result.exception)
    assert (photos / "fear.png").read_bytes() == before
    result = predict("photos", "--json", "t", "--csv", "t")
    assert "is written already" in str(result.exception)
    assert not Path("t").exists()


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_standard_output_on_a_full_disk_is_reported_in_one_line(photos: Path, brightness_model: Path) -> None:
    model = ["--model", str(brightness_model), "--detector", "none"]
    command = [sys.executable, "-m", "mien", "predict", "photos", *model]
    for options in ([], ["--json", "-"]):
        with Path("/dev/full").open("w") as full:
            result = subprocess.run([*command, *options], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
        assert result.returncode == 2
        assert result.stderr == "error: standard output: cannot be written: No space left on device\n"


@pytest.mark.skipif(os.name == "nt", reason="no shell that closes standard output")
def test_standard_output_may_be_closed(photos: Path, brightness_model: Path) -> None:
    script = '"$0" -m mien predict photos --model "$1" --detector none --json t.jsonl >&-'
    command = ["sh", "-c", script, sys.executable, str(brightness_model)]
    result = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")
    assert len(records(Path("t.jsonl").read_text())) == 4
