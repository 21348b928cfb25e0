"""The page with a key, a busy service, without network, and without a detector."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray

from mien import Analyzer
from mien.service.app import create_app
from mien.service.server import running
from mien.service.settings import Settings

from .visits import (
    Visit,
    choose,
    read,
)

if TYPE_CHECKING:
    pass


def test_a_key_is_asked_for_once(visit: Visit, built_page: None, analyzer: Analyzer, astronaut_file: Path) -> None:
    settings = Settings(api_keys=("open sesame".replace(" ", "-"),))
    with running(create_app(analyzer, settings), settings) as address:
        page = visit(address, expected="401")
        choose(page, astronaut_file)
        page.get_by_label("Key", exact=True).fill("something-else")
        page.keyboard.press("Enter")
        page.get_by_text("That key is not right.").wait_for()
        page.get_by_label("Key", exact=True).fill("open-sesame")
        page.get_by_role("button", name="Use this key").click()
        assert read(page) == "happiness"
        page.get_by_role("button", name="Camera").click()
        page.locator(".pace").wait_for()
        page.reload()
        choose(page, astronaut_file)
        assert read(page) == "happiness"
        assert page.get_by_role("dialog").count() == 0


@pytest.mark.slow
def test_a_camera_with_a_wrong_key_asks_again(visit: Visit, built_page: None, analyzer: Analyzer) -> None:
    settings = Settings(api_keys=("open-sesame",))
    with running(create_app(analyzer, settings), settings) as address:
        page = visit(address, expected="401|WebSocket connection")
        page.get_by_role("button", name="Use the camera").click()
        page.get_by_label("Key", exact=True).fill("something-else")
        page.keyboard.press("Enter")
        page.get_by_text("That key is not right.").wait_for()
        page.get_by_label("Key", exact=True).fill("open-sesame")
        page.keyboard.press("Enter")
        page.locator(".pace").wait_for()
        assert read(page) == "happiness"


@pytest.mark.slow
def test_a_busy_service_is_asked_once_more(visit: Visit, service: str, astronaut_file: Path) -> None:
    page = visit(service, expected="503")
    busy = {"title": "Service Unavailable", "status": 503, "detail": "too many pictures wait: try again later"}
    statuses = [503, None, 503, 503]

    def respond(route: Any) -> None:
        if statuses.pop(0) is None:
            route.fallback()
            return
        headers = {"Content-Type": "application/problem+json", "Retry-After": "1"}
        route.fulfill(status=503, headers=headers, body=json.dumps(busy))

    page.route("**/v1/predict", respond)
    choose(page, astronaut_file)
    page.get_by_text("The service is busy. It is asked again in 1 second.").wait_for()
    assert read(page) == "happiness"
    assert page.locator(".message").count() == 0
    choose(page, astronaut_file)
    page.get_by_role("alert").get_by_text("Too many pictures wait").wait_for()
    assert statuses == []
    page.unroute("**/v1/predict")
    page.get_by_role("button", name="Try again").click()
    assert read(page) == "happiness"
    assert page.locator(".message").count() == 0


@pytest.mark.slow
def test_in_the_browser_no_network_is_needed(
    visit: Visit, built_page: None, analyzer: Analyzer, astronaut_file: Path
) -> None:
    with running(create_app(analyzer, settings := Settings()), settings) as address:
        page = visit(address)
        page.get_by_role("radio", name="In this browser").click()
        page.get_by_text("Pictures never leave this browser.").wait_for(timeout=60_000)
        if not page.evaluate("fetch('page.json').then((response) => response.json())")["engine"]["detector"]:
            pytest.skip("YuNet is neither in the package nor in ../shared/data")
    page.context.set_offline(True)
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    choose(page, astronaut_file)
    assert read(page) == "happiness"
    page.get_by_role("button", name="Camera").click()
    page.locator(".pace").wait_for()
    assert read(page) == "happiness"
    assert [url for url in requests if not url.startswith(("data:", "blob:"))] == []


@pytest.mark.slow
def test_without_a_detector_the_user_marks_the_face(
    visit: Visit, service: str, astronaut_file: Path, analyzer: Analyzer, astronaut_image: NDArray[np.uint8]
) -> None:
    """With a mouse and, beginning anew, with keys."""
    about = httpx.get(f"{service}/page.json").json()
    about["engine"]["detector"] = None
    page = visit(service, prepare=lambda page: page.route("**/page.json", lambda route: route.fulfill(json=about)))
    page.get_by_role("radio", name="In this browser").click()
    page.get_by_text("Pictures never leave this browser.").wait_for(timeout=60_000)
    choose(page, astronaut_file)
    page.get_by_text("Draw a rectangle round a face").wait_for()
    page.get_by_role("switch", name="Cover faces").check()  # nothing is covered yet
    page.get_by_text("Switch off “Cover faces” to see the picture").wait_for()
    assert page.get_by_role("button", name="Save PNG").is_disabled()
    page.get_by_role("switch", name="Cover faces").uncheck()
    box = analyzer.analyze(astronaut_image).faces[0].box
    canvas = page.locator(".picture").bounding_box()
    assert canvas is not None
    scale = canvas["height"] / 512
    left = canvas["x"] + (canvas["width"] - canvas["height"]) / 2 + scale * (box.x - 10)
    top = canvas["y"] + scale * box.y
    page.mouse.move(left, top)
    page.mouse.down()
    page.mouse.move(left + scale * (box.width + 20), top + scale * box.height, steps=3)
    page.mouse.up()
    assert read(page) == "happiness"

    page.get_by_role("button", name="Remove rectangles").click()
    page.get_by_text("No face marked", exact=True).wait_for()
    page.get_by_role("application").focus()
    page.keyboard.press("Enter")
    for key, times in (("ArrowUp", 10), ("ArrowLeft", 4), ("Shift+ArrowLeft", 8), ("Shift+ArrowUp", 8)):
        for _ in range(times):
            page.keyboard.press(key)
    page.get_by_role("heading", name=re.compile("happiness", re.I)).wait_for()
