"""The page as a browser lays it out: on phones, on a desk and on paper every column of every table is to be seen."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mien.reports.page import save_page

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from .conftest import Videos

_PAPER = {"A4": 718, "Letter": 740}
"""CSS pixels across, between margins of 10 mm."""

_OUTSIDE = """() => {
  const hidden = [];
  for (const cell of document.querySelectorAll("td, tbody th")) {
    const box = cell.getBoundingClientRect(), room = cell.closest(".tablebox").getBoundingClientRect();
    const seen = getComputedStyle(cell).display !== "none" && box.width > 0 && box.height > 0;
    if (!seen || box.left < room.left - 1 || box.right > room.right + 1) hidden.push(cell.textContent.trim());
  }
  return hidden;
}"""
_OVERLAPS = """() => {
  const found = [];
  for (const row of document.querySelectorAll("tbody tr, .peaks")) {
    const boxes = [...row.querySelectorAll("a, .named, .number, .time, .meter span")].map((one) => {
      const range = document.createRange();
      range.selectNodeContents(one);
      return range.getBoundingClientRect();
    });
    boxes.forEach((a, i) => boxes.slice(i + 1).forEach((b) => {
      const across = Math.min(a.right, b.right) - Math.max(a.left, b.left);
      const down = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
      if (across > 1 && down > 1) found.push(row.textContent.trim());
    }));
  }
  return found;
}"""


@pytest.fixture
def page_file(videos: Videos, tmp_path: Path) -> Path:
    moods = "h" * 150 + "sad" * 10 + "d" * 200 + "f" * 60 + "n" * 160
    films = [
        videos.timeline(videos.moods(moods, moods[::-1], "-" * 290 + "n" * 310), {1: "Anna"}, video=1),
        videos.timeline(videos.moods("h" * 50 + "-" * 30 + "s" * 20, "-" * 85 + "n" * 15), video=2),
    ]
    save_page(films, tmp_path / "report.html", every=10)
    return tmp_path / "report.html"


@pytest.mark.parametrize(
    ("width", "media"),
    [(320, "screen"), (390, "screen"), (600, "screen"), (690, "screen"), (768, "screen"), (1280, "screen")]
    + [(width, "print") for width in _PAPER.values()],
)
def test_no_column_is_hidden_at_any_width(chromium: Browser, page_file: Path, width: int, media: Any) -> None:
    page = chromium.new_page(viewport={"width": width, "height": 800})
    page.goto(page_file.as_uri())
    page.emulate_media(media=media)
    assert page.locator("td").count() > 50
    assert page.evaluate(_OUTSIDE) == []
    assert page.evaluate(_OVERLAPS) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.close()


def test_a_narrow_overview_names_its_figures(chromium: Browser, page_file: Path) -> None:
    page = chromium.new_page(viewport={"width": 390, "height": 800})
    page.goto(page_file.as_uri())
    labels = page.evaluate(
        """[...document.querySelectorAll(".overview tbody tr:first-child td")]
        .map((cell) => getComputedStyle(cell, "::before").content)"""
    )
    labels = [label.replace('" "', "") for label in labels if label != "none"]
    assert labels == ['"seen "', '"uncertain "']
    page.close()
