"""The examples of docs/serving.md, run as they stand there, and its tables, held to what they tell of."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("httpx")
pytest.importorskip("skimage")

import httpx
import numpy as np
import typer.main
from PIL import Image

import mien
from mien.cli.app import app as command_line
from mien.service.app import create_app
from mien.service.memory import PIECE
from mien.service.server import MAX_HEAD, running
from mien.service.settings import Settings
from mien.service.stream import IDLE, MAX_PIXELS
from mien.service.video_jobs import MAX_KEPT, MAX_REPORTS
from mien.service.videos import MIN_RATE
from mien.video.writer import VideoWriter

ROOT = Path(__file__).resolve().parents[2]
KEY = "a-key-of-the-tests"
BLOCK = re.compile(r"(?:^<!-- test: (\w+) -->\n)?^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def document() -> str:
    path = ROOT / "docs" / "serving.md"
    if not path.is_file():
        pytest.skip("docs/serving.md is not here: this is no checkout")
    return path.read_text(encoding="utf-8")


def table(heading: str) -> list[list[str]]:
    """The cells of the table whose first column has this heading, row by row."""
    match = re.search(rf"^\| {heading} \|.*\n\| ---.*\n((?:\|.*\n)+)", document(), re.MULTILINE)
    assert match, f"no table of {heading}"
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in match[1].splitlines()]


def names(cells: list[list[str]]) -> list[str]:
    """What the first column names, in `code`."""
    return [name for row in cells for name in re.findall(r"`(.+?)`", row[0])]


# The examples


def photo() -> Image.Image:
    return Image.fromarray(pytest.importorskip("skimage.data").astronaut())


@pytest.fixture(scope="module")
def analyzer() -> mien.Analyzer:
    return mien.load(detector="haar", threads=1)


@pytest.fixture(scope="module")
def base_url(analyzer: mien.Analyzer) -> Iterator[str]:
    with served(analyzer) as url:
        yield url


@pytest.fixture(scope="module")
def base_url_with_key(analyzer: mien.Analyzer) -> Iterator[str]:
    with served(analyzer, api_keys=(KEY,)) as url:
        yield url


@contextmanager
def served(analyzer: mien.Analyzer, **options: Any) -> Iterator[str]:
    settings = Settings(max_video=10_000_000, **options)
    with running(create_app(analyzer, settings), settings) as url:
        yield url


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What the examples ask about: a face, two of them, no picture, and a face that moves."""
    face = photo()
    face.save(tmp_path / "astronaut.jpg")
    team = Image.new("RGB", (1024, 512))
    team.paste(face, (0, 0))
    team.paste(face, (512, 0))
    team.save(tmp_path / "team.png")
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "frames").mkdir()
    if find_spec("av"):
        with VideoWriter(tmp_path / "film.mp4", rate=10) as film:
            for index in range(8):
                film.write(np.asarray(face)[:, :, ::-1].copy(), index / 10)
    for number in range(3):
        frame = Image.new("RGB", (640, 512))
        frame.paste(face, (4 * number, 0))
        frame.save(tmp_path / "frames" / f"{number}.jpg")
    return tmp_path


def saw_one_record(told: str, folder: Path) -> None:
    record = json.loads(told)
    assert (record["width"], record["height"], record["error"]) == (512, 512, None)
    assert_astronaut(record["faces"])


def saw_one_box(told: str, folder: Path) -> None:
    (face,) = json.loads(told)["faces"]
    assert (face["emotion"], face["box"]) == ("happiness", {"x": 178, "y": 62, "width": 90, "height": 113})


def saw_a_person(told: str, folder: Path) -> None:
    assert re.fullmatch(r"1 happiness 0\.\d+\n", told)


def saw_one_record_in_a_list(told: str, folder: Path) -> None:
    (record,) = json.loads(told)
    assert_astronaut(record["faces"])


def saw_several_records(told: str, folder: Path) -> None:
    one, two, none = json.loads(told)
    assert [one["source"], two["source"], none["source"]] == ["astronaut.jpg", "team.png", "notes.txt"]
    assert [len(one["faces"]), len(two["faces"]), len(none["faces"])] == [1, 2, 0]
    assert none["error"] == "notes.txt: not a picture of a known format; known are JPEG, PNG, WEBP"


def saw_a_drawn_picture(told: str, folder: Path) -> None:
    with Image.open(folder / "drawn.png") as drawn:
        assert (drawn.format, drawn.size) == ("PNG", (512, 512))
        # An emoji lies over the face, and nothing else was touched.
        assert drawn.convert("RGB").getpixel((224, 120)) != photo().getpixel((224, 120))


def wrote_the_maps(told: str, folder: Path) -> None:
    with Image.open(folder / "why.png") as sheet:
        assert sheet.format == "PNG"
        assert sheet.size == mien.load(detector="haar", threads=1).explain(photo()).draw().size


def saw_a_face_in_python(told: str, folder: Path) -> None:
    assert re.fullmatch(r"\[\('happiness', (0\.9\d*|1\.0), \{'x': .*\}\)\]\n", told)


def saw_a_stream(told: str, folder: Path) -> None:
    assert told.splitlines() == [f"{number}.jpg [(1, 'happiness')]" for number in range(3)]


def saw_one_frame(told: str, folder: Path) -> None:
    assert_astronaut(json.loads(told)["faces"])


def saw_the_problem_of_the_document(told: str, folder: Path) -> None:
    shown = re.search(r'^    (\{"type".*?\})$', document(), re.MULTILINE | re.DOTALL)
    assert shown
    given, documented = json.loads(told), json.loads(shown[1])
    assert re.fullmatch("[0-9a-f]{32}", given.pop("request_id"))
    assert re.fullmatch("[0-9a-f]{32}", documented.pop("request_id"))
    assert given == documented


def saw_a_certificate(told: str, folder: Path) -> None:
    """The service runs with it, and who trusts it gets there."""
    settings = Settings(tls_cert=folder / "cert.pem", tls_key=folder / "key.pem")
    trust = ssl.create_default_context(cafile=folder / "cert.pem")
    analyzer = mien.load(detector="none", threads=1)
    with running(create_app(analyzer, settings), settings) as url:
        assert url.startswith("https://127.0.0.1:")
        assert httpx.get(f"{url}/healthz", verify=trust).json() == {"status": "ok"}


def assert_astronaut(faces: list[dict[str, Any]]) -> None:
    (face,) = faces
    assert face["emotion"] == "happiness"
    assert 150 < face["box"]["x"] < 224 < face["box"]["x"] + face["box"]["width"] < 300


EXAMPLES: Mapping[str, Callable[[str, Path], None]] = {
    "raw": saw_one_record,
    "explained": wrote_the_maps,
    "json": saw_one_record,
    "several": saw_several_records,
    "drawn": saw_a_drawn_picture,
    "boxes": saw_one_box,
    "video": saw_a_person,
    "httpx": saw_a_face_in_python,
    "stream": saw_a_stream,
    "problem": saw_the_problem_of_the_document,
    "key": saw_one_record_in_a_list,
    "key_stream": saw_one_frame,
    "certificate": saw_a_certificate,
}


def test_every_example_is_run() -> None:
    blocks = BLOCK.findall(document())
    assert sorted(name for name, *_ in blocks) == sorted(EXAMPLES)
    assert {language for _, language, _ in blocks} == {"sh", "python"}


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_example_does_what_is_told(name: str, folder: Path, base_url: str, base_url_with_key: str) -> None:
    language, code = next(block[1:] for block in BLOCK.findall(document()) if block[0] == name)
    address = (base_url_with_key if "MIEN_API_KEY" in code else base_url).removeprefix("http://")
    code = code.replace("127.0.0.1:8000", address).replace("192.168.1.5", "127.0.0.1")
    if name == "video":
        pytest.importorskip("av")
    if language == "sh":
        program = code.split()[0]
        if shutil.which(program) is None or shutil.which("sh") is None:
            pytest.skip(f"{program} is not installed here")
    command = ["sh", "-e", "-c", code] if language == "sh" else [sys.executable, "-c", code]
    # A proxy of this machine is no way to a service on it.
    environment = {**os.environ, "MIEN_API_KEY": KEY, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
    done = subprocess.run(command, cwd=folder, env=environment, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    EXAMPLES[name](done.stdout, folder)


# The command lines


def serve_command() -> Any:
    return typer.main.get_command(command_line).commands["serve"]  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["docs/serving.md", "deploy/Dockerfile", "deploy/mien.service"])
def test_command_lines_are_taken(name: str) -> None:
    path = ROOT / name
    if not path.is_file():
        pytest.skip(f"{name} is not here: this is no checkout")
    text = path.read_text(encoding="utf-8").replace('", "', " ")  # as a Dockerfile quotes it
    lines = re.findall(r"^(?:    |ExecStart=|CMD \[\").*?\bmien serve\b *([^\n\"]*)", text, re.MULTILINE)
    lines += re.findall(r"`mien serve *([^`]*)`", text)
    assert lines
    for line in lines:
        serve_command().make_context("serve", shlex.split(line))  # raises on what it does not take


# The tables


def test_the_table_of_options_is_whole_and_right() -> None:
    in_words = {
        "--workers": "one a core, at least 2",
        "--model": "newest",
        "--threads": "the cores, divided among workers",
    }
    told = {option: row[1] for row in table("option") for option in re.findall(r"`(--.+?)`", row[0])}
    expected = {
        option: in_words.get(option) or in_figures(parameter)
        for parameter in serve_command().params
        for option in (*parameter.opts, *parameter.secondary_opts)
        if parameter.name != "help"
    }
    assert told == expected


def in_figures(parameter: Any) -> str:
    """An option's default, as the document writes it."""
    match parameter.default:
        case bool(is_on):
            return "on" if is_on else "off"
        case int(number):
            return str(number) if parameter.name == "port" else f"{number:,}"
        case float(number):
            return f"{number:,g}"
        case default:
            return default or "none"


def test_the_table_of_settings_is_whole_and_right() -> None:
    has_option = {parameter.name for parameter in serve_command().params} | {"api_keys", "hosts", "origins"}
    fixed = [field.name for field in fields(Settings) if field.name not in has_option]
    settings = Settings()
    assert [(name, row[1]) for row in table("setting") for name in names([row])] == [
        (name, f"{getattr(settings, name):,}".removesuffix(".0")) for name in fixed
    ]


def test_limits_in_the_text_are_those_of_the_service() -> None:
    settings = Settings()
    read_seconds = settings.body_seconds + PIECE / settings.min_rate
    for line in (
        f"| 1009 | a frame of more than {settings.max_frame:,} bytes |",
        f"| {IDLE} | no frame came for {settings.idle_seconds:g} s |",
        f"| 408 | for {settings.body_seconds:g} s the body came with less than {settings.min_rate:,} bytes/s",
        f"or it took longer than {settings.max_body_seconds:g} s; "
        f"a video: {MIN_RATE:,} bytes/s, {settings.video_seconds:,.0f} s |",
        f"| a client that reads less than 64 kB of a response in {read_seconds:.0f} s | service | closed |",
        f"when there are more than {MAX_KEPT} of them or {MAX_REPORTS // 10**6} MB",
        f"Up to {settings.max_videos} arrive, wait or are processed",
        f"a request's head of more than {MAX_HEAD:,} bytes",
        f"A frame has {MAX_PIXELS:,} pixels at most",
    ):
        assert line in " ".join(document().split())


@pytest.mark.parametrize(
    ("name", "pattern", "unit"),
    [("nginx.conf", r"_body_size (\d+)m;", 1 << 20), ("Caddyfile", r"max_size (\d+)MB", 10**6)],
)
def test_proxies_take_bodies_that_the_service_takes(name: str, pattern: str, unit: int) -> None:
    path = ROOT / "deploy" / name
    if not path.is_file():
        pytest.skip(f"deploy/{name} is not here: this is no checkout")
    (megabytes,) = re.findall(pattern, path.read_text(encoding="utf-8"))
    assert int(megabytes) * unit >= Settings().max_body


def test_every_status_and_metric_is_told(base_url: str) -> None:
    paths = httpx.get(f"{base_url}/openapi.json").json()["paths"]
    operations = [operation for methods in paths.values() for operation in methods.values()]
    documented = {int(status) for operation in operations for status in operation["responses"]} - {101, 200, 202, 204}
    assert documented <= {int(status) for row in table("status") for status in row[0].split(",")}

    metrics = httpx.get(f"{base_url}/metrics").text
    families = set(re.findall(r"^# TYPE (mien_\w+) ", metrics, re.MULTILINE))
    assert set(names(table("name"))) == families
