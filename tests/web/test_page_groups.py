"""From three faces on: bars with names, cards linked with boxes, and groups that are no wall of emoji."""

from __future__ import annotations

import random
import re
from typing import TYPE_CHECKING

import pytest

from .crowds import EMOTIONS, Box, grid, point, show
from .visits import PICTURE, Visit, wait_until

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

SIZE = (400, 300)
SIX = grid(3, 2, 70, 90, 120)
KEEP_EMOJI = """() => {
  const draw = CanvasRenderingContext2D.prototype.drawImage;
  window.emoji = [];
  CanvasRenderingContext2D.prototype.clearRect = new Proxy(CanvasRenderingContext2D.prototype.clearRect, {
    apply(clear, context, where) {
      if (context.canvas.className === "picture") window.emoji = [];
      return Reflect.apply(clear, context, where);
    },
  });
  CanvasRenderingContext2D.prototype.drawImage = function (picture, ...where) {
    if (this.canvas.className === "picture" && picture.width === 512) window.emoji.push(where);
    draw.call(this, picture, ...where);
  };
}"""
BARE = """([boxes, width, height]) => {
  const canvas = document.querySelector(".picture");
  const scale = Math.min(canvas.width / width, canvas.height / height);
  const [left, top] = [(canvas.width - width * scale) / 2, (canvas.height - height * scale) / 2];
  const context = canvas.getContext("2d");
  return boxes.map(([x, y, across, down]) => {
    const area = [left + x * scale, top + y * scale, across * scale, down * scale].map(Math.round);
    const { data } = context.getImageData(...area);
    let bare = 0;
    for (let at = 0; at < data.length; at += 4) bare += data[at] > 250 && data[at + 1] < 5 && data[at + 2] > 250;
    return bare;
  });
}"""


def card(page: Page, number: int) -> Locator:
    return page.locator(f".card[data-face='{number}']")


@pytest.mark.slow
def test_the_bars_of_each_of_several_faces_have_names(visit: Visit, service: str) -> None:
    """On hover, by the focus and by a click, which lets them stay."""
    page = visit(service)
    emotions = show(page, SIX[:3], SIZE)
    bars, button = card(page, 2).locator(".bars"), card(page, 2).get_by_role("button")

    def are_visible() -> bool:
        box = card(page, 2).locator(".stacked > div").bounding_box()
        return box is not None and box["height"] > 100

    for act in (button.hover, button.focus, button.click):
        page.mouse.move(0, 0)
        assert not are_visible()
        act()
        wait_until(page, are_visible)
        assert bars.locator(".name").all_inner_texts() == list(EMOTIONS)
        assert bars.locator("li").nth(EMOTIONS.index(emotions[1])).inner_text().split("\n")[-1] == "70 %"
        page.keyboard.press("Escape")
        if act == button.click:
            assert button.get_attribute("aria-expanded") == "true"
            button.blur()
            page.mouse.move(0, 0)
            assert are_visible()
            button.press("Enter")
            button.blur()
        wait_until(page, lambda: not are_visible())
        button.blur()


@pytest.mark.slow
def test_a_card_and_its_box_show_each_other(visit: Visit, service: str) -> None:
    page = visit(service, expected="willReadFrequently", viewport={"width": 1280, "height": 560})
    show(page, SIX, SIZE)
    page.mouse.move(0, 0)
    plain = page.evaluate(PICTURE)
    pictures = {plain}
    for number in (2, 6):
        card(page, number).hover()
        wait_until(page, lambda: page.evaluate(PICTURE) not in pictures)
        pictures.add(page.evaluate(PICTURE))
        page.mouse.move(0, 0)
        wait_until(page, lambda: page.evaluate(PICTURE) == plain)
        card(page, number).get_by_role("button").focus()
        wait_until(page, lambda: page.evaluate(PICTURE) in pictures - {plain})
        card(page, number).get_by_role("button").blur()
    for chosen in (True, False):  # a click lets it stand out until the next one
        card(page, 3).locator(".emotion").click()
        page.mouse.move(0, 0)
        wait_until(page, lambda: (page.evaluate(PICTURE) != plain) == chosen)  # noqa: B023
    page.evaluate("scrollTo(0, 0)")
    x, y, width, height = SIX[5]
    at = point(page, x + width / 2, y + height / 2, SIZE)
    page.mouse.move(*at)
    wait_until(page, lambda: "pointed" in str(card(page, 6).get_attribute("class")))
    assert page.locator(".pointed").count() == 1
    page.mouse.click(*at)
    wait_until(page, lambda: bool(page.evaluate("document.activeElement.closest('[data-face]')?.dataset.face === '6'")))
    assert is_in_view(page, card(page, 6))


def is_in_view(page: Page, one: Locator) -> bool:
    box, view = one.bounding_box(), page.viewport_size
    assert box is not None
    assert view is not None
    return box["y"] >= 0 and box["y"] + box["height"] <= view["height"]


@pytest.mark.slow
def test_the_picture_stays_in_view(visit: Visit, service: str) -> None:
    """Beside the last of many cards or faces, wide or on a phone, and hides none that has the focus."""
    page = visit(service)
    for boxes in (SIX, grid(8, 6, 30, 36, 45)):
        for width, height in ((1280, 560), (390, 700)):
            page.set_viewport_size({"width": width, "height": height})
            show(page, boxes, SIZE)
            last = page.locator(".faces [data-face]").last
            last.scroll_into_view_if_needed()
            assert page.evaluate("scrollY") > 0
            assert is_in_view(page, page.locator(".stage"))
            last.focus()
            stage, box = page.locator(".stage").bounding_box(), last.bounding_box()
            assert stage is not None
            assert box is not None
            assert width > 760 or box["y"] >= stage["y"] + stage["height"]


def test_a_group_is_counted_by_emotion(visit: Visit, service: str) -> None:
    page = visit(service)
    emotions = show(page, grid(6, 5, 40, 50, 60), SIZE)
    page.get_by_role("heading", name="Group of 30").wait_for()
    rows = [text.split() for text in page.locator(".counts li").all_inner_texts()]
    assert {name.lower(): int(number) for name, number in rows} == {name: emotions.count(name) for name in EMOTIONS}
    numbers = [int(number) for _, number in rows]
    assert numbers == sorted(numbers, reverse=True)
    assert page.locator(".card").count() == 1
    chip = page.get_by_role("button", name=re.compile("^Face 30: surprise|^Face 30: disgust"))
    chip.click()
    assert chip.get_attribute("aria-pressed") == "true"
    detail = page.locator(".detail .card")
    assert detail.locator(".emotion").inner_text().lower() == emotions[29]
    assert detail.locator(".bars li").count() == 7
    assert is_in_view(page, detail)


def crowd(kind: str) -> list[Box]:
    chance = random.Random(kind)
    if kind == "rows":
        return grid(10, 6, 36, 44, 38)
    if kind == "pair":
        return [(40, 60, 90, 120), (135, 60, 90, 120)]
    sizes = [chance.uniform(12, 60) for _ in range(40)]
    return [(chance.uniform(0, 400 - size), chance.uniform(0, 300 - 1.2 * size), size, 1.2 * size) for size in sizes]


def test_emoji_of_a_crowd_hide_every_face_and_no_other_emoji(visit: Visit, service: str) -> None:
    """Unless one face lies in the middle of another one: these are hidden too, under emoji that may overlap."""
    page = visit(service, expected="willReadFrequently")
    page.evaluate(KEEP_EMOJI)
    for kind in ("rows", "pair", "anywhere"):
        boxes = crowd(kind)
        size = (400, 260) if kind == "rows" else (400, 300)
        show(page, boxes, size, "#f0f")
        wait_until(page, lambda: min(page.evaluate(BARE, [boxes, *size])) > 0)  # noqa: B023
        page.keyboard.press("e")
        wait_until(page, lambda: not any(page.evaluate(BARE, [boxes, *size])))  # noqa: B023
        assert page.evaluate("emoji.length") == len(boxes)
        squares = page.evaluate("emoji") if kind != "anywhere" else []
        for index, one in enumerate(squares):
            for other in squares[:index]:
                apart = max(abs(one[axis] + one[2] / 2 - other[axis] - other[2] / 2) for axis in (0, 1))
                assert apart >= (one[2] + other[2]) / 2 - 0.01
        page.keyboard.press("e")
