"""The benchmarks' README lists every script, and each page that it names quotes the script."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"

if not BENCHMARKS.is_dir():
    pytest.skip("benchmarks/ is not there", allow_module_level=True)

LINES = [line for line in (BENCHMARKS / "README.md").read_text(encoding="utf-8").splitlines() if line.startswith("| `")]


def test_every_file_is_listed() -> None:
    named = {name for line in LINES for name in re.findall(r"`([a-z0-9_]+\.py|peers/)`", line.split("|")[1])}
    assert named == {path.name for path in BENCHMARKS.glob("*.py")} | {"peers/"}


@pytest.mark.parametrize("line", [line for line in LINES if line.count("|") == 6])
def test_a_script_is_quoted_where_it_says(line: str) -> None:
    name, pages = line.split("`")[1], re.findall(r"\]\(([^)]+)\)", line)
    assert pages
    for page in pages:
        assert f"benchmarks/{name}" in (BENCHMARKS / page).read_text(encoding="utf-8")
