"""What the page sends of a photo, that it shows how much is sent, and that the user can end it."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

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


def test_a_heavy_photo_is_sent_with_all_its_pixels_in_fewer_bytes(visit: Visit, service: str, heavy: Path) -> None:
    page = visit(service)
    page.evaluate(KEEP_BODIES)
    choose(page, heavy)
    assert read(page) == "happiness"
    [body] = bodies(page)
    assert len(body) < 0.4 * heavy.stat().st_size
    assert Image.open(io.BytesIO(body)).size == (1400, 1400)


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
