"""What the page sends of a photo, that it shows how much is sent, and that the user can end it."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from mien import Analyzer, Box

from ..conftest import needs_yunet
from .engine_tab import noise
from .visits import Visit, choose, read, wait_until

if TYPE_CHECKING:
    from playwright.sync_api import Page

KEEP_BODIES = """() => {
  const send = XMLHttpRequest.prototype.send;
  window.bodies = [];
  XMLHttpRequest.prototype.send = function (body) {
    window.bodies.push(body);
    send.call(this, body);
  };
}"""
BODY = """async (index) => {
  const bytes = new Uint8Array(await window.bodies[index].arrayBuffer());
  let text = "";
  for (let at = 0; at < bytes.length; at += 8192) text += String.fromCharCode(...bytes.subarray(at, at + 8192));
  return btoa(text);
}"""


def bodies(page: Page) -> list[bytes]:
    """The pictures that the page sent since KEEP_BODIES ran on it."""
    return [base64.b64decode(page.evaluate(BODY, index)) for index in range(page.evaluate("bodies.length"))]


def throttled(page: Page) -> Callable[[int], None]:
    """A function that limits the bytes per second that the page sends; -1: no limit."""
    network = page.context.new_cdp_session(page)
    network.send("Network.enable")
    shared = {"offline": False, "latency": 0, "downloadThroughput": -1}
    return lambda rate: network.send("Network.emulateNetworkConditions", {**shared, "uploadThroughput": rate}) and None


@pytest.fixture
def heavy(tmp_path: Path, astronaut_image: NDArray[np.uint8]) -> Path:
    """A photo of 3 MB with the astronaut, as PNG."""
    path = tmp_path / "heavy.png"
    image = cv2.resize(astronaut_image, (1400, 1400), interpolation=cv2.INTER_CUBIC).astype(np.int16)
    image += noise(1400, 1400, 3).astype(np.int16) // 16 - 8
    cv2.imwrite(str(path), np.clip(image, 0, 255))
    assert path.stat().st_size > 3_000_000
    return path


def test_a_light_photo_is_sent_as_it_is(visit: Visit, service: str, astronaut_file: Path) -> None:
    page = visit(service)
    page.evaluate(KEEP_BODIES)
    choose(page, astronaut_file)
    assert read(page) == "happiness"
    assert bodies(page) == [astronaut_file.read_bytes()]


def test_how_much_is_sent_is_shown_and_the_user_can_end_it(visit: Visit, service: str, heavy: Path) -> None:
    """A photo that was canceled, and those that waited for it, can be read later."""
    page = visit(service)
    limit = throttled(page)
    limit(150_000)
    choose(page, heavy, heavy)
    page.get_by_text(re.compile(r"Sending 1 of 2, [1-9]\d? %")).wait_for()
    sent = page.get_by_role("progressbar", name="Sent")
    assert 0 < float(sent.get_attribute("value") or 0) < 1
    with page.expect_event("requestfailed"):
        page.get_by_role("button", name="Cancel").press("Enter")
    page.get_by_text("2 files: 2 not read").wait_for()
    page.get_by_text("You canceled it before it was read.").first.wait_for()
    wait_until(page, lambda: str(page.evaluate("document.activeElement.innerText")).startswith("Try again"))
    limit(-1)
    page.keyboard.press("Enter")
    page.get_by_text("2 files: 2 read").wait_for()
    assert read(page) == "happiness"
    assert page.get_by_role("button", name="Cancel").count() == 0


def test_other_photos_end_what_is_being_sent(visit: Visit, service: str, heavy: Path, astronaut_file: Path) -> None:
    page = visit(service)
    limit = throttled(page)
    limit(20_000)
    choose(page, heavy)
    page.get_by_text("Sending").wait_for()
    limit(-1)
    with page.expect_event("requestfailed"):
        choose(page, astronaut_file)
    assert read(page) == "happiness"


@pytest.mark.slow
def test_a_large_turned_photo_is_sent_as_the_detector_sees_it(
    visit: Visit, service: str, analyzer: Analyzer, astronaut_image: NDArray[np.uint8], tmp_path: Path
) -> None:
    """Upright, here of 4 megapixels; a small face in it is still found, its box in pixels of the whole photo."""
    path, turned = tmp_path / "large.jpg", Image.Exif()
    turned[0x0112] = 6  # to be turned by a quarter clockwise
    upright = np.full((2600, 1800, 3), 120, np.uint8)
    upright[-1300:, :1300] = noise(1300, 1300, 3)  # so that it is no light file
    small = cv2.resize(astronaut_image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)  # its face has 55 pixels
    upright[300:556, 1500:1756] = small
    Image.fromarray(np.rot90(upright)[:, :, ::-1]).save(path, quality=95, exif=turned)
    assert path.stat().st_size > 2_000_000
    config = httpx.get(f"{service}/page.json").json()
    config["search"]["max_pixels"] = 4_000_000
    page = visit(service, prepare=lambda page: page.route("**/page.json", lambda route: route.fulfill(json=config)))
    page.evaluate(KEEP_BODIES)
    choose(page, path)
    assert read(page) == "happiness"
    [body] = bodies(page)
    sent = Image.open(io.BytesIO(body))
    assert 3_990_000 < sent.width * sent.height <= 4_000_000
    assert sent.width / sent.height == pytest.approx(1800 / 2600, rel=1e-3)
    assert len(body) < path.stat().st_size
    with page.expect_download() as download:
        page.get_by_role("button", name="Save JSON").click()
    record = json.loads(Path(download.value.path()).read_bytes())
    assert (record["width"], record["height"]) == (1800, 2600)
    [face] = record["faces"]
    [expected] = analyzer.analyze(path).faces
    assert face["emotion"] == expected.emotion
    assert Box(**face["box"]).iou(expected.box) > 0.85


@pytest.mark.slow
def test_no_more_is_sent_than_the_service_takes_and_the_detector_sees(visit: Visit, service: str, heavy: Path) -> None:
    """Of a heavy photo: all its pixels in fewer bytes, or fewer pixels."""
    config = httpx.get(f"{service}/page.json").json()
    about: dict[str, int] = {}
    limits = config["service"]
    respond = lambda route: route.fulfill(json=config | about | {"service": limits | about})  # noqa: E731
    page = visit(service, prepare=lambda page: page.route("**/page.json", respond))
    for changed, pixels in (
        ({}, 1400 * 1400),
        ({"detect_side": 500}, 1000 * 1000),
        ({"max_pixels": 640_000}, 800 * 800),
        ({"max_body": 200_000}, None),
    ):
        about = changed
        page.reload()
        page.evaluate(KEEP_BODIES)
        choose(page, heavy)
        assert read(page) == "happiness"
        [body] = bodies(page)
        size = Image.open(io.BytesIO(body)).size
        assert size[0] == size[1]
        assert len(body) <= min(about.get("max_body", 1_000_000), 0.4 * heavy.stat().st_size)
        assert pixels is None or 0.99 * pixels < size[0] * size[1] <= pixels


@pytest.mark.slow
@needs_yunet
def test_in_the_browser_nothing_is_sent_and_the_user_can_end_it_too(
    visit: Visit, service: str, astronaut_file: Path
) -> None:
    page = visit(service)
    page.get_by_role("radio", name="In this browser").click()
    page.get_by_text("Pictures never leave this browser.").wait_for()
    page.evaluate(KEEP_BODIES)
    choose(page, *[astronaut_file] * 10)
    page.get_by_text(re.compile(r"Reading [1-9]\d? of 10…")).wait_for()
    page.get_by_role("button", name="Cancel").click()
    page.get_by_text(re.compile(r"^10 files: .*\d+ not read$")).wait_for()
    assert page.get_by_text("waiting").count() == 0
    page.get_by_role("button", name="Try again").click()
    page.get_by_text("10 files: 10 read").wait_for()
    assert bodies(page) == []
