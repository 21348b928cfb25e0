"""The camera on the page: read live, let go, hidden behind emoji, and connected again."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import httpx
import pytest

from mien import Analyzer
from mien.service.app import create_app
from mien.service.server import running
from mien.service.settings import Settings

from .visits import (
    PICTURE,
    Visit,
    read,
    start_camera,
    wait_until,
)

if TYPE_CHECKING:
    from playwright.sync_api import Page, WebSocketRoute

COVERED = """() => {
  const canvas = document.querySelector(".timeline-row canvas");
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  return data.filter((value, at) => at % 4 === 3 && value > 0).length / (canvas.width * canvas.height);
}"""
YELLOW = """() => {
  const canvas = document.querySelector(".picture");
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  let count = 0;
  for (let at = 0; at < data.length; at += 4) {
    if (data[at] > 220 && data[at + 1] > 185 && data[at + 2] < 130 && data[at + 2] > 20) count += 1;
  }
  return count / (canvas.width * canvas.height);
}"""


def test_the_camera_is_read_live_and_let_go(visit: Visit, service: str) -> None:
    page = visit(service, expected="willReadFrequently")
    with page.expect_websocket() as opened:
        start_camera(page)
    assert read(page) == "happiness"
    assert re.search(r"\d+ frames/s · \d+ ms", page.locator(".pace").inner_text())
    assert page.get_by_role("switch", name="Mirror").is_checked()
    before = page.evaluate(COVERED)
    wait_until(page, lambda: page.evaluate(COVERED) > before + 0.015)  # one second is a sixtieth
    page.get_by_text("1 face: happiness.").wait_for(state="attached")
    page.get_by_role("button", name="Stop camera").click()
    page.get_by_role("heading", name="What does this face show?").wait_for()
    assert page.evaluate("tracks.map((track) => track.readyState)") == ["ended"]
    wait_until(page, opened.value.is_closed)
    assert page.locator("[aria-live=polite]").inner_text() == ""  # of a face that is not seen any more


@pytest.mark.slow
def test_no_live_frame_shows_a_face_without_its_emoji(visit: Visit, service: str) -> None:
    page = visit(service, expected="willReadFrequently")
    start_camera(page)
    assert page.evaluate(YELLOW) < 0.02
    page.get_by_role("switch", name="Cover faces").check()
    bare = set()

    def is_hidden() -> bool:
        picture = page.evaluate(PICTURE)
        hidden: bool = page.evaluate(YELLOW) > 0.03
        if not hidden:
            bare.add(picture)
        return hidden

    wait_until(page, is_hidden)
    assert len(bare) <= 2  # what was shown last, and that veiled
    for _ in range(12):
        assert page.evaluate(YELLOW) > 0.03
        page.wait_for_timeout(70)


@pytest.mark.slow
def test_a_live_frame_is_anonymous_only_with_its_own_record(visit: Visit, service: str) -> None:
    """With emoji only, no newer frame is shown under the emoji of an older one: without records the picture stands."""
    held = False

    def relay(channel: WebSocketRoute) -> None:
        server = channel.connect_to_server()
        server.on_message(lambda record: None if held else channel.send(record))

    def has_moved() -> bool:
        """Within more than a turn of the film, which takes half a second."""
        seen = set()
        for _ in range(6):
            seen.add(page.evaluate(PICTURE))
            page.wait_for_timeout(110)
        return len(seen) > 1

    page = visit(
        service,
        expected="willReadFrequently",
        prepare=lambda page: page.route_web_socket("**/v1/stream", relay),
    )
    start_camera(page)
    for hides in (False, True):
        held = False
        page.get_by_role("switch", name="Cover faces").set_checked(hides)
        if hides:
            wait_until(page, lambda: page.evaluate(YELLOW) > 0.03)
        held = True
        if hides:
            wait_until(page, lambda: not has_moved())  # records of earlier frames may still come
        else:
            assert any(has_moved() for _ in range(10))


@pytest.mark.slow
def test_a_restarted_service_is_found_again(visit: Visit, built_page: None) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def slow_clock(page: Page) -> None:
        """A face that comes back within 15 s is taken for the same one, and a service may take long to start."""
        page.add_init_script("const now = performance.now.bind(performance); performance.now = () => now() / 20;")

    with serving(port) as address:
        page = visit(address, expected="WebSocket connection|ERR_CONNECTION_REFUSED", prepare=slow_clock)
        start_camera(page)
        assert read(page) == "happiness"
    page.get_by_text("Reconnecting…").wait_for()
    assert page.locator(".card:not(.empty)").count() == 0  # nothing stale
    with serving(port):
        page.locator(".pace").wait_for()
        assert read(page) == "happiness"
        assert page.locator(".timeline-row").count() == 1  # the same person
        page.get_by_role("button", name="Stop camera").click()


@pytest.mark.slow
def test_it_shows_when_the_service_takes_no_more_streams(visit: Visit, built_page: None, analyzer: Analyzer) -> None:
    settings = Settings(max_streams=1)
    with running(create_app(analyzer, settings), settings) as address:
        first = visit(address)
        start_camera(first)
        second = visit(address, expected="WebSocket connection")
        second.get_by_role("button", name="Use the camera").click()
        second.get_by_text("The service takes no more streams").wait_for()
        first.get_by_role("button", name="Stop camera").click()
        second.locator(".pace").wait_for()


@contextmanager
def serving(port: int) -> Iterator[str]:
    """A service in a process of its own."""
    command = [sys.executable, "-m", "mien", "serve", "--port", str(port), "--detector", "haar"]
    address = f"http://127.0.0.1:{port}"
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        try:
            until = time.monotonic() + 120
            is_ready = False
            while not is_ready:
                assert time.monotonic() < until, "waited in vain"
                try:
                    is_ready = httpx.get(f"{address}/readyz").is_success
                except httpx.TransportError:
                    assert process.poll() is None, process.stderr and process.stderr.read().decode()
                time.sleep(0.05)
            yield address
        finally:
            process.terminate()
            process.communicate(timeout=60)
