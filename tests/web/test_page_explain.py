"""The button that shows what in a photo's faces spoke for their emotion."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mien import Analyzer
from mien.service.app import create_app
from mien.service.server import running
from mien.service.settings import Settings

from .visits import PHONE, Visit, choose, read, wait_until

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

NATURAL_WIDTH = "image => image.naturalWidth"


def sheet(page: Page) -> Locator:
    """The picture in the dialog, once it is there."""
    picture = page.get_by_role("dialog", name="What the model reacted to").locator("img")
    picture.wait_for()
    wait_until(page, lambda: picture.evaluate(NATURAL_WIDTH) > 0)
    return picture


@pytest.mark.slow
def test_the_maps_are_shown_and_another_class_can_be_asked_about(
    visit: Visit, service: str, astronaut_file: Path
) -> None:
    page = visit(service)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/v1/explain" in request.url else None)
    choose(page, astronaut_file)
    assert read(page) == "happiness"
    page.get_by_role("button", name="Explain").click()
    first = sheet(page).get_attribute("src")
    page.get_by_text("not what the person feels").nth(0).wait_for()
    page.get_by_label("What spoke for").select_option("fear")
    wait_until(page, lambda: page.locator("dialog img").count() == 1 and sheet(page).get_attribute("src") != first)
    assert [url.split("?")[1] for url in asked] == ["draw=1", "draw=1&emotion=fear"]
    page.get_by_role("button", name="Close").last.click()
    assert page.get_by_role("dialog").count() == 0


def test_it_is_legible_on_a_phone(visit: Visit, service: str, astronaut_file: Path) -> None:
    page = visit(service, viewport=PHONE)
    choose(page, astronaut_file)
    assert read(page) == "happiness"
    page.get_by_role("button", name="Explain").click()
    box, dialog = sheet(page).bounding_box(), page.get_by_role("dialog").bounding_box()
    assert box is not None
    assert dialog is not None
    assert box["width"] >= 700  # it scrolls
    assert dialog["width"] <= PHONE["width"]
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_covered_faces_are_not_shown(visit: Visit, service: str, astronaut_file: Path) -> None:
    page = visit(service)
    choose(page, astronaut_file)
    assert read(page) == "happiness"
    page.get_by_role("switch", name="Cover faces").check()
    assert page.get_by_role("button", name="Explain").is_disabled()
    page.get_by_text("Uncover the faces to explain them.").wait_for()


@pytest.mark.slow
def test_in_the_browser_the_page_says_why_not(visit: Visit, service: str, astronaut_file: Path) -> None:
    page = visit(service)
    page.get_by_role("radio", name="In this browser").click()
    page.get_by_text("Pictures never leave this browser.").wait_for(timeout=60_000)
    if not page.evaluate("fetch('page.json').then((response) => response.json())")["engine"]["detector"]:
        pytest.skip("YuNet is neither in the package nor in ../shared/data")
    choose(page, astronaut_file)
    assert read(page) == "happiness"
    assert page.get_by_role("button", name="Explain").is_disabled()
    page.get_by_text("too slow in this browser").wait_for()


def test_a_failure_is_said_in_the_dialog(
    visit: Visit, built_page: None, analyzer: Analyzer, astronaut_file: Path
) -> None:
    with running(create_app(analyzer, settings := Settings()), settings) as address:
        page = visit(address, expected="500")
        problem: dict[str, Any] = {"title": "Internal Server Error", "status": 500, "detail": "something broke"}
        headers = {"Content-Type": "application/problem+json"}
        page.route(
            "**/v1/explain**", lambda route: route.fulfill(status=500, headers=headers, body=json.dumps(problem))
        )
        choose(page, astronaut_file)
        assert read(page) == "happiness"
        page.get_by_role("button", name="Explain").click()
        page.get_by_role("alert").get_by_text("Something broke.").wait_for()
        page.keyboard.press("Escape")
        assert page.get_by_role("dialog").count() == 0
