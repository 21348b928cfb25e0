"""README.md: one screen, by figures of the pages that own them."""

from __future__ import annotations

import re

import pytest

from .pages import ROOT, blocks

if not (ROOT / "docs" / "performance.md").is_file():
    pytest.skip("docs/ is not here: this is no checkout", allow_module_level=True)


def text(name: str) -> str:
    return " ".join((ROOT / name).read_text(encoding="utf-8").replace("**", "").split())


def test_it_has_at_most_ninety_lines() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 90


def test_accuracies_are_those_of_the_model_card() -> None:
    rows = re.findall(
        r"\| `(ferplus(?:-strict)?)`[^|]*\(([\d,]+) faces\) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|", text("README.md")
    )
    assert [row[0] for row in rows] == ["ferplus", "ferplus-strict"]
    for protocol, faces, accuracy, f1, error in rows:
        mean, interval = accuracy.split(" % ")
        owned = re.escape(f"| `{protocol}` | {faces} | {mean} {interval} | {f1.removesuffix(' %')} ")
        assert re.search(rf"{owned}\([\d. to]+\) \| {re.escape(error.removesuffix(' %'))} \|", text("MODEL_CARD.md"))


def test_times_are_those_of_the_page_on_performance() -> None:
    part = re.search(r"A photo of 512x512 .*?performance\]", text("README.md"))
    assert part
    figures = re.findall(r"[\d,.]+ (?:ms|s|MB)\b", part[0])
    assert len(figures) == 6
    owner = text("docs/performance.md")
    assert [figure for figure in figures if f"| {figure} |" not in owner] == []


def test_the_example_of_javascript_is_the_packages() -> None:
    """tests/web runs the package's; the page of docs/ shows the same."""
    shown = [block.text for block in blocks(ROOT / "docs" / "javascript.md") if block.language == "js"]
    package = [
        block.text for block in blocks(ROOT / "web" / "package" / "README.md") if block.language in ("js", "html")
    ]
    assert shown
    calls = {call for code in package for call in re.findall(r"await (\w+(?:\.\w+)?)\(", code)}
    for code in shown:
        assert 'import { load } from "mien-faces";' in code
        assert set(re.findall(r"await (\w+(?:\.\w+)?)\(", code)) <= calls
