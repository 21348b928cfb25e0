"""What tests do on the page, as a user would."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from playwright.sync_api import Page

Visit = Callable[..., "Page"]

KEEP_CAMERAS = """
  const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  window.tracks = [];
  navigator.mediaDevices.getUserMedia = async (wish) => {
    const stream = await ask(wish);
    window.tracks.push(...stream.getTracks());
    return stream;
  };
"""
GIVE_FILLED = """async ([width, height, color]) => {
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const context = canvas.getContext("2d");
  context.fillStyle = color;
  context.fillRect(0, 0, width, height);
  const blob = await new Promise((resolve) => canvas.toBlob(resolve));
  const data = new DataTransfer();
  data.items.add(new File([blob], "filled.png", { type: "image/png" }));
  document.body.dispatchEvent(new ClipboardEvent("paste", { clipboardData: data, bubbles: true }));
}"""
PICTURE = """() => document.querySelector(".picture").toDataURL()"""
PHONE = {"width": 390, "height": 844}
KEEP_WORDS = """() => {
  const write = CanvasRenderingContext2D.prototype.fillText;
  window.written = new Set();
  CanvasRenderingContext2D.prototype.fillText = function (text, ...where) {
    window.written.add(text);
    write.call(this, text, ...where);
  };
}"""


def read(page: Page) -> str:
    """The emotion on the first card, once there is one."""
    return page.locator(".card:not(.empty) .emotion").first.inner_text().lower()


def choose(page: Page, *files: Path) -> None:
    page.locator("input[type=file]").set_input_files(files)


def wait_until(page: Page, is_so: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < until, "waited in vain"
        page.wait_for_timeout(20)


def start_camera(page: Page) -> None:
    page.get_by_role("button", name="Use the camera").click()
    page.locator(".pace").wait_for()


def saved(page: Page, name: str = "astronaut", act: Callable[[], None] | None = None) -> NDArray[np.uint8]:
    """The picture that the page saves; act: what saves it, in place of its button."""
    with page.expect_download() as download:
        (act or page.get_by_role("button", name="Save PNG").click)()
    assert download.value.suggested_filename == f"{name}-mien.png"
    image = cv2.imread(str(download.value.path()))
    assert image is not None
    return image.astype(np.uint8)


def likeness(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """The correlation of two pictures' fine detail."""
    details = [cv2.Laplacian(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), cv2.CV_64F)[4:-4, 4:-4] for image in (one, other)]
    return float(np.corrcoef(details[0].ravel(), details[1].ravel())[0, 1])
