"""Results saved on the page are what `mien predict --json` and `--csv` write."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from typer.testing import CliRunner

from mien import Analyzer
from mien.cli.app import app
from mien.records import ROW_COLUMNS
from mien.reports.load import read_timeline
from mien.runtime.detectors import YuNetDetector

from .visits import Visit, choose, read, start_camera, wait_until

if TYPE_CHECKING:
    from playwright.sync_api import Page, WebSocketRoute

ROUNDED = {"x", "y", "width", "height", "score", "confidence", "yaw", "pitch", "roll"}


def results(page: Page, kind: str, name: str) -> str:
    with page.expect_download() as download:
        page.get_by_role("button", name=f"Save {kind}").click()
    assert download.value.suggested_filename == name
    return Path(download.value.path()).read_bytes().decode()


def numbers(values: dict[str, Any]) -> dict[str, Any]:
    """Numbers that are written in two ways as one: 1 and 1.0."""
    return {name: float(value) if name in ROUNDED or name.startswith("p_") else value for name, value in values.items()}


@pytest.fixture
def pictures(tmp_path: Path, astronaut_image: NDArray[np.uint8]) -> list[Path]:
    """Two faces, a name with a comma and quotes, no face, and no picture."""
    pair = np.hstack([astronaut_image, cv2.flip(astronaut_image, 1)])
    cv2.imwrite(str(tmp_path / "pair.png"), pair)
    cv2.imwrite(str(tmp_path / "a, b.png"), astronaut_image)
    Image.new("RGB", (300, 200), (90, 120, 90)).save(tmp_path / "meadow.png")
    (tmp_path / "broken.png").write_text("no picture")
    return [tmp_path / name for name in ("pair.png", "a, b.png", "meadow.png", "broken.png")]


def test_records_are_those_of_the_command_line(
    visit: Visit, service: str, analyzer: Analyzer, pictures: list[Path], tmp_path: Path
) -> None:
    detector = ["--detector", analyzer.detector.name]
    if isinstance(analyzer.detector, YuNetDetector):
        detector += ["--detector-model", str(analyzer.detector.model_file)]
    files = [str(path) for path in pictures]
    out = ["--json", str(tmp_path / "t.jsonl"), "--csv", str(tmp_path / "t.csv")]
    assert CliRunner().invoke(app, ["predict", *files, *detector, *out]).exit_code == 1  # one is no picture
    page = visit(service)
    choose(page, *pictures)
    page.get_by_text("4 files: 3 read, 1 not read").wait_for()

    saved = [json.loads(line) for line in results(page, "JSON", "photos-mien.jsonl").splitlines()]
    written = [json.loads(line) for line in (tmp_path / "t.jsonl").read_text().splitlines()]
    for one, other in zip(saved, written, strict=True):
        assert list(one) == list(other)
        assert one.pop("source") == Path(other.pop("source")).name
        assert (one.pop("error") is None) == (other.pop("error") is None)
        assert one == other

    table = list(csv.DictReader(results(page, "CSV", "photos-mien.csv").splitlines()))
    expected = list(csv.DictReader((tmp_path / "t.csv").read_text().splitlines()))
    assert len(table) == len(expected) == 3
    for row, wanted in zip(table, expected, strict=True):
        assert list(row) == list(wanted) == [*ROW_COLUMNS, *(f"p_{name}" for name in analyzer.card.classes)]
        wanted["source"] = Path(wanted["source"]).name
        assert numbers(row) == numbers(wanted)


def test_one_photo_gives_its_name_to_its_results(visit: Visit, service: str, astronaut_file: Path) -> None:
    page = visit(service)
    assert page.get_by_role("button", name="Save JSON").count() == 0
    choose(page, astronaut_file)
    assert read(page) == "happiness"
    [record] = [json.loads(line) for line in results(page, "JSON", "astronaut-mien.jsonl").splitlines()]
    assert record["source"] == "astronaut.png"
    assert len(results(page, "CSV", "astronaut-mien.csv").splitlines()) == 2


@pytest.mark.slow
def test_the_timeline_of_the_camera_is_one_stream(visit: Visit, service: str, tmp_path: Path) -> None:
    """Also across a new stream, whose frames, times and tracks begin anew; `mien report` reads it."""
    channels: list[WebSocketRoute] = []

    def relay(channel: WebSocketRoute) -> None:
        channel.connect_to_server()
        channels.append(channel)

    page = visit(
        service,
        expected="willReadFrequently",
        prepare=lambda page: page.route_web_socket("**/v1/stream", relay),
    )
    start_camera(page)
    channels[0].close()
    wait_until(page, lambda: len(channels) == 2)
    assert read(page) == "happiness"
    lines: list[dict[str, Any]] = []

    def has_many() -> bool:
        text = results(page, "JSON", "camera-mien.jsonl")
        lines[:] = [json.loads(line) for line in text.splitlines()]
        return len(lines) > 12

    wait_until(page, has_many)
    table = list(csv.DictReader(results(page, "CSV", "camera-mien.csv").splitlines()))
    assert [record["frame"] for record in lines] == list(range(len(lines)))
    times = [record["time_s"] for record in lines]
    assert times[0] == 0
    assert times == sorted(set(times))
    assert {face["track"] for record in lines for face in record["faces"]} == {1}
    assert {row["track"] for row in table} == {"1"}
    assert {row["emotion"] for row in table} == {"happiness"}
    (tmp_path / "t.jsonl").write_text("".join(f"{json.dumps(record)}\n" for record in lines))
    assert read_timeline(tmp_path / "t.jsonl") is not None
