"""Which faces the page finds, and what it shows and saves of those to be covered, also where it finds none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from mien import Analyzer
from mien.runtime.detectors import YuNetDetector
from mien.service.app import create_app
from mien.service.server import running
from mien.service.settings import Settings

from .engine_tab import noise
from .visits import KEEP_WORDS, Visit, choose, likeness, read, saved, start_camera, wait_until

if TYPE_CHECKING:
    from playwright.sync_api import Page, WebSocketRoute

Image = NDArray[np.uint8]


@pytest.fixture
def pattern(tmp_path: Path) -> Path:
    """A picture of 400x300 squares without a face."""
    path = tmp_path / "pattern.png"
    cv2.imwrite(str(path), cv2.resize(noise(6, 8, 3), (400, 300), interpolation=cv2.INTER_NEAREST))
    return path


def pixels(path: Path) -> Image:
    image = cv2.imread(str(path))
    assert image is not None
    return image.astype(np.uint8)


def to_browser(page: Page) -> None:
    page.get_by_role("radio", name="In this browser").click()
    page.get_by_text("Pictures never leave this browser.").wait_for(timeout=60_000)


def cover_faces(page: Page, *, on: bool = True) -> None:
    page.get_by_role("switch", name="Cover faces").set_checked(on)


@pytest.fixture
def has_yunet(analyzer: Analyzer) -> None:
    if not isinstance(analyzer.detector, YuNetDetector):
        pytest.skip("YuNet is not here")


@pytest.mark.slow
@pytest.mark.usefixtures("has_yunet")
def test_a_face_that_fills_a_large_photo_is_found_in_the_browser(
    visit: Visit, service: str, astronaut_image: Image, tmp_path: Path
) -> None:
    """Of 12 megapixels, without a rectangle or any other step."""
    path = tmp_path / "large.jpg"
    face = cv2.resize(astronaut_image[20:170, 120:320], (4000, 3000), interpolation=cv2.INTER_CUBIC)
    cv2.imwrite(str(path), face)
    page = visit(service)
    to_browser(page)
    choose(page, path)
    assert read(page) == "happiness"
    assert page.locator(".card:not(.empty)").count() == 1
    assert page.get_by_text("Draw a rectangle").count() == 0
    assert not page.get_by_role("switch", name="Mark faces myself").is_checked()


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["server", "browser"])
def test_with_emoji_only_a_photo_without_a_face_is_blurred(
    visit: Visit, service: str, analyzer: Analyzer, pattern: Path, backend: str
) -> None:
    """In the picture shown and in what is saved, which say why."""
    if backend == "browser" and not isinstance(analyzer.detector, YuNetDetector):
        pytest.skip("YuNet is not here")
    original = pixels(pattern)
    page = visit(service)
    page.evaluate(KEEP_WORDS)
    if backend == "browser":
        to_browser(page)
    choose(page, pattern)
    page.get_by_text("No face found", exact=True).wait_for()
    assert likeness(saved(page, "pattern"), original) > 0.99
    assert page.evaluate("[...written]") == []
    cover_faces(page)
    page.get_by_text("the picture is shown and saved blurred").wait_for()
    wait_until(page, lambda: page.evaluate("[...written]") == ["No face found"])
    assert likeness(shown(page, original), original) < 0.1
    blurred = saved(page, "pattern")
    assert blurred.shape == original.shape
    assert likeness(blurred, original) < 0.1
    cover_faces(page, on=False)
    assert likeness(saved(page, "pattern"), original) > 0.99


def shown(page: Page, original: Image) -> Image:
    """The picture on the page, at its own size."""
    page.wait_for_timeout(100)  # a frame of the screen
    drawn = np.frombuffer(page.locator("canvas.picture").screenshot(), np.uint8)
    image = cv2.imdecode(drawn, cv2.IMREAD_COLOR)
    assert image is not None
    height, width = original.shape[:2]
    scale = min(image.shape[0] / height, image.shape[1] / width)
    left, top = (round((a - scale * b) / 2) for a, b in ((image.shape[1], width), (image.shape[0], height)))
    part = image[top : top + round(scale * height), left : left + round(scale * width)]
    return cv2.resize(part, (width, height), interpolation=cv2.INTER_AREA).astype(np.uint8)


def test_a_photo_is_saved_with_its_own_emoji(
    visit: Visit, service: str, analyzer: Analyzer, astronaut_image: Image, astronaut_file: Path, pattern: Path
) -> None:
    """Though another one is shown before it is written."""
    page = visit(service)
    choose(page, astronaut_file, pattern)
    cover_faces(page)
    assert read(page) == "happiness"

    def save_and_go_on() -> None:
        page.evaluate(
            """() => {
              for (const key of ["s", "ArrowRight"]) document.dispatchEvent(new KeyboardEvent("keydown", { key }));
            }"""
        )

    hidden = saved(page, act=save_and_go_on)
    box = analyzer.analyze(astronaut_image).faces[0].box
    inside = np.s_[round(box.y) : round(box.y + box.height), round(box.x) : round(box.x + box.width)]
    assert likeness(hidden[inside], astronaut_image[inside]) < 0.1
    assert likeness(hidden[300:], astronaut_image[300:]) > 0.7


@pytest.mark.parametrize("name", ["a blur", "large pixels"])
def test_a_whole_head_is_blurred_or_in_large_pixels(
    visit: Visit, service: str, analyzer: Analyzer, astronaut_image: Image, astronaut_file: Path, name: str
) -> None:
    """Hair and chin too; what is saved has no detail of it left, and all else as it was."""
    page = visit(service)
    choose(page, astronaut_file)
    assert read(page) == "happiness"
    cover_faces(page)
    page.get_by_role("combobox", name="Cover with").select_option(label=name)
    page.get_by_text("a blur or pixels leave its rough colors").wait_for()
    hidden = saved(page)
    box = analyzer.analyze(astronaut_image).faces[0].box
    head = np.s_[
        round(box.y - 0.3 * box.height) : round(box.y + 1.05 * box.height),
        round(box.x - 0.1 * box.width) : round(box.x + 1.1 * box.width),
    ]
    fine = [image[head].astype(int) - cv2.GaussianBlur(image[head], (0, 0), 2) for image in (astronaut_image, hidden)]
    assert abs(np.corrcoef(fine[0].ravel(), fine[1].ravel())[0, 1]) < 0.15
    if name == "a blur":
        assert fine[1].std() < 0.2 * fine[0].std()
    else:
        assert len(np.unique(hidden[head].reshape(-1, 3), axis=0)) <= 49
    assert likeness(hidden[300:], astronaut_image[300:]) > 0.99


@pytest.mark.slow
def test_where_the_service_leaves_faces_out_nobody_stays_bare(
    visit: Visit, built_page: None, analyzer: Analyzer, astronaut_image: Image, tmp_path: Path
) -> None:
    """It reports one face of two: the page cannot know where the other one is."""
    path, pair = tmp_path / "astronaut.png", np.hstack([astronaut_image, astronaut_image[:, ::-1]])
    cv2.imwrite(str(path), pair)
    app = create_app(analyzer.with_options(max_faces=1), settings := Settings())
    with running(app, settings) as address:
        page = visit(address)
        page.evaluate(KEEP_WORDS)
        choose(page, path)
        assert read(page) == "happiness"
        assert likeness(saved(page), pair) > 0.7
        cover_faces(page)
        page.get_by_text("no more than 1 of the faces in a picture").wait_for()
        wait_until(page, lambda: "There may be more faces" in page.evaluate("[...written]"))
        blurred = saved(page)
        assert np.abs(np.diff(blurred[:150].astype(int), axis=1)).max() < 25


@pytest.mark.slow
def test_with_emoji_only_a_live_frame_without_a_face_is_blurred(
    visit: Visit, service: str, astronaut_image: Image
) -> None:
    def relay(channel: WebSocketRoute) -> None:
        server = channel.connect_to_server()
        server.on_message(lambda record: channel.send(json.dumps({**json.loads(record), "faces": []})))

    page = visit(service, prepare=lambda page: page.route_web_socket("**/v1/stream", relay))
    page.evaluate(KEEP_WORDS)
    start_camera(page)
    assert saved(page, "camera").std() > 40
    cover_faces(page)
    wait_until(page, lambda: page.evaluate("[...written]") == ["No face found"])
    blurred = saved(page, "camera")
    words = np.s_[blurred.shape[0] // 3 : -blurred.shape[0] // 3]
    blurred[words] = 0
    edges = cv2.Laplacian(cv2.cvtColor(blurred, cv2.COLOR_BGR2GRAY), cv2.CV_64F)
    assert np.abs(edges[2 : words.start - 2]).max() < 8
