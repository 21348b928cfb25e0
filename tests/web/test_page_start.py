"""The start says what comes out and offers a sample; on a phone the answer needs no scrolling; HEIC."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from mien import EMOTIONS, Analyzer
from mien.runtime.detectors import YuNetDetector

from .crowds import grid, show
from .visits import PHONE, Visit, choose, read

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "web" / "public" / "assets" / "sample.jpg"
SMALL_PHONE = {"width": 320, "height": 568}


def test_the_start_names_the_emotions_and_shows_a_result(visit: Visit, service: str) -> None:
    page = visit(service)
    assert page.get_by_role("list", name="Emotions").get_by_role("listitem").all_inner_texts() == list(EMOTIONS)
    example = page.locator(".example")
    assert example.locator(".card .emotion").inner_text().lower() == "happiness"
    assert example.locator(".card .bars li").count() == 7
    sides = [example.locator("img").first.evaluate("(image) => image.naturalWidth")]
    assert sides == [400]  # it is there


def test_the_sample_is_read_as_any_photo(visit: Visit, service: str) -> None:
    page = visit(service)
    page.get_by_role("button", name="Try a sample photo").click()
    assert read(page) == "happiness"
    assert page.locator(".card").count() == 1


def test_the_result_that_is_shown_is_the_samples(service: str, analyzer: Analyzer) -> None:
    if not isinstance(analyzer.detector, YuNetDetector):
        pytest.skip("YuNet is not here")
    shown = json.loads((ROOT / "web" / "src" / "sample.json").read_text(encoding="utf-8"))
    assert SAMPLE.stat().st_size <= 40_000
    assert "sample.jpg" in (ROOT / "LICENSES.md").read_text(encoding="utf-8")
    headers = {"Content-Type": "image/jpeg"}
    record = httpx.post(f"{service}/v1/predict", content=SAMPLE.read_bytes(), headers=headers).json()
    [face], [expected] = shown.pop("faces"), record.pop("faces")
    assert [shown[name] for name in ("schema", "width", "height")] == [
        record[name] for name in ("schema", "width", "height")
    ]
    assert face["emotion"] == expected["emotion"]
    assert face["box"] == pytest.approx(expected["box"], abs=2)
    assert face["probabilities"] == pytest.approx(expected["probabilities"], abs=0.02)


def test_a_model_of_other_classes_gets_no_example_that_is_not_its_own(visit: Visit, service: str) -> None:
    about = httpx.get(f"{service}/page.json").json()
    about["classes"] = ["calm", "loud"]
    page = visit(service, prepare=lambda page: page.route("**/page.json", lambda route: route.fulfill(json=about)))
    page.get_by_role("list", name="Emotions").wait_for()
    assert page.locator(".example .card").count() == 0


def is_above_the_fold(page: Page, *ones: Locator) -> bool:
    view = page.viewport_size
    assert view is not None
    boxes = [one.bounding_box() for one in ones]
    return page.evaluate("scrollY") == 0 and all(
        box is not None and box["y"] >= 0 and box["y"] + box["height"] <= view["height"] for box in boxes
    )


def test_on_a_phone_the_answer_is_above_the_fold(
    visit: Visit, service: str, astronaut_file: Path, tmp_path: Path
) -> None:
    """Of one photo, of several, below a note, of several faces and of a group."""
    (tmp_path / "notes.txt").write_text("words")
    page = visit(service, viewport=PHONE, has_touch=True, is_mobile=True)
    emotion, confidence = page.locator(".card .emotion").first, page.locator(".card .confidence").first
    shots = ([astronaut_file], [astronaut_file, astronaut_file], [astronaut_file, tmp_path / "notes.txt"])
    for view in (PHONE, SMALL_PHONE):
        page.set_viewport_size(view)
        for files in shots:
            choose(page, *files)
            assert read(page) == "happiness"
            assert is_above_the_fold(page, page.locator(".stage"), emotion, confidence)
            page.evaluate("scrollTo(0, 10_000)")  # the next photo begins at the top again
        show(page, grid(3, 1, 70, 90, 120), (400, 110))
        assert is_above_the_fold(page, emotion, confidence)
        show(page, grid(6, 5, 40, 50, 60), (400, 300))
        page.get_by_role("heading", name="Group of 30").wait_for()
        assert is_above_the_fold(page, page.locator(".counts .emotion").first, page.locator(".counts .value").first)
        page.unroute("**/v1/predict")


HEIC = b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic"
AVIF = b"\x00\x00\x00\x18ftypavif\x00\x00\x00\x00mif1avif"


FILES = [
    ("IMG_0001.HEIC", "", HEIC, True),
    ("photo", "", HEIC, True),
    ("photo.jpg", "image/jpeg", HEIC.replace(b"ftypheic", b"ftypmif1"), True),
    ("IMG_0002.heif", "", b"something else", True),
    ("photo", "image/heic", b"something else", True),
    ("photo.heic", "image/heic", AVIF, False),
    ("photo.jpg", "image/jpeg", b"something else", False),
]


def test_heic_that_the_browser_cannot_read_gets_a_way_out(visit: Visit, service: str) -> None:
    """By content, which counts most, by name or by type."""
    page = visit(service)
    files: list[dict[str, Any]] = [
        {"name": name, "mimeType": kind, "buffer": bytes_} for name, kind, bytes_, _ in FILES
    ]
    page.locator("input[type=file]").set_input_files(files)  # type: ignore[arg-type]
    page.get_by_text("7 files: 7 not read").click()
    lines = page.locator(".account li").all_inner_texts()
    assert ["cannot read HEIC" in line for line in lines] == [is_heic for *_, is_heic in FILES]
    assert ["Most Compatible" in line for line in lines] == [is_heic for *_, is_heic in FILES]
    assert page.get_by_role("button", name="Try again").count() == 0


def test_what_only_an_image_element_decodes_is_read(visit: Visit, service: str, astronaut_file: Path) -> None:
    """As HEIC in Safari: here SVG, which createImageBitmap refuses."""
    encoded = base64.b64encode(astronaut_file.read_bytes()).decode()
    image = f'<image width="512" height="512" href="data:image/png;base64,{encoded}"/>'
    drawing = f'<svg xmlns="http://www.w3.org/2000/svg" width="512" height="512">{image}</svg>'
    page = visit(service)
    file: dict[str, Any] = {"name": "a.svg", "mimeType": "image/svg+xml", "buffer": drawing.encode()}
    page.locator("input[type=file]").set_input_files([file])  # type: ignore[arg-type]
    assert read(page) == "happiness"
