"""The page on a phone, by keyboard alone, and by axe."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from .crowds import grid, show
from .visits import (
    PHONE,
    Visit,
    choose,
    read,
    wait_until,
)

if TYPE_CHECKING:
    from playwright.sync_api import Page

AXE = Path(__file__).parents[2] / "web" / "node_modules" / "axe-core" / "axe.min.js"


def fits(page: Page) -> bool:
    return bool(page.evaluate("document.scrollingElement.scrollWidth <= innerWidth"))


@pytest.mark.slow
@pytest.mark.parametrize("width", [320, 390])
def test_a_phone_need_not_scroll_sideways(
    visit: Visit, service: str, astronaut_file: Path, tmp_path: Path, width: int
) -> None:
    page = visit(service, viewport={**PHONE, "width": width}, has_touch=True, is_mobile=True)
    assert fits(page)
    choose(page, astronaut_file, astronaut_file)
    assert read(page) == "happiness"
    assert fits(page)
    (tmp_path / "a-file-with-a-name-that-is-much-too-long-for-a-phone.txt").write_text("words")
    choose(page, astronaut_file, *tmp_path.iterdir())
    page.get_by_text("2 files: 1 read, 1 passed over").click()
    assert fits(page)
    for boxes in (grid(2, 2, 90, 120, 150), grid(6, 5, 40, 50, 60)):
        show(page, boxes, (400, 300))
        page.locator(".faces button").last.click()
        assert fits(page)
    page.get_by_role("button", name="Camera").click()
    page.locator(".pace").wait_for()
    assert fits(page)
    page.get_by_role("button", name="Help").click()
    page.get_by_role("heading", name="Keys").wait_for()
    assert fits(page)


def test_all_can_be_done_by_keyboard(visit: Visit, service: str, astronaut_file: Path) -> None:
    page = visit(service)
    page.on("filechooser", lambda chooser: chooser.set_files(astronaut_file))
    tab_to(page, "Choose photos…")
    page.keyboard.press("Enter")
    assert read(page) == "happiness"
    tab_to(page, "Cover faces")
    page.keyboard.press("Space")
    assert page.get_by_role("switch", name="Cover faces").is_checked()
    page.keyboard.press("e")
    assert not page.get_by_role("switch", name="Cover faces").is_checked()
    page.keyboard.press("?")
    page.get_by_role("heading", name="Keys").wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("heading", name="Keys").wait_for(state="detached")
    page.get_by_role("button", name="Close").click()
    tab_to(page, "Use the camera")
    page.keyboard.press("c")
    page.locator(".pace").wait_for()
    assert focused(page) == "Stop camera"
    page.keyboard.press("c")
    page.get_by_role("heading", name="What does this face show?").wait_for()
    wait_until(page, lambda: focused(page) == "Use the camera")


def focused(page: Page) -> str:
    return str(page.evaluate("document.activeElement.innerText"))


def tab_to(page: Page, name: str) -> None:
    """Press Tab until the control of this name has the focus; each on the way shows that it has it."""
    for _ in range(20):
        page.keyboard.press("Tab")
        focus = page.evaluate(
            """() => {
              const one = document.activeElement;
              const shown = [one, one.nextElementSibling].some((e) => e && getComputedStyle(e).outlineStyle !== "none");
              return [one.labels?.[0]?.innerText ?? one.innerText ?? "", shown || one === document.body];
            }"""
        )
        assert focus[1], f"the focus on {focus[0]!r} is not visible"
        if focus[0].strip() == name:
            return
    pytest.fail(f"Tab does not lead to {name!r}")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(
    visit: Visit, service: str, astronaut_file: Path, tmp_path: Path, scheme: str
) -> None:
    if not AXE.is_file():
        pytest.skip("axe-core is not installed: run `npm ci` in web")
    page = visit(service, color_scheme=scheme, reduced_motion="reduce")
    page.evaluate(AXE.read_text(encoding="utf-8"))
    assert violations(page) == []
    choose(page, astronaut_file, astronaut_file)
    assert read(page) == "happiness"
    assert violations(page) == []
    (tmp_path / "notes.txt").write_text("words")
    (tmp_path / "plan.pdf").write_text("words")
    (tmp_path / "empty.jpg").touch()
    choose(page, astronaut_file, *tmp_path.iterdir())
    page.get_by_text("4 files: 1 read, 1 not read, 2 passed over").click()
    page.get_by_text("Which", exact=True).click()
    assert violations(page) == []
    page.get_by_role("button", name=re.compile("empty.jpg")).click()
    assert violations(page) == []
    for boxes in (grid(2, 2, 90, 120, 150), grid(6, 5, 40, 50, 60)):
        show(page, boxes, (400, 300))
        page.locator(".faces button").last.click()
        page.locator(".faces button").first.focus()
        assert violations(page) == []
    page.get_by_role("switch", name="Cover faces").check()
    page.get_by_role("button", name="Camera").click()
    page.locator(".pace").wait_for()
    assert violations(page) == []
    page.get_by_role("button", name="Help").click()
    assert violations(page) == []


def violations(page: Page) -> list[str]:
    found = page.evaluate("axe.run().then(({ violations }) => violations)")
    return [f"{one['id']}: {one['nodes'][0]['html']}" for one in found if one["impact"] in {"serious", "critical"}]
