"""What benchmarks write: tables in Markdown, and files that are whole or absent."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mien.files import make_folder, written_aside


def markdown_table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown, with a line end."""
    return "".join("| " + " | ".join(line) + " |\n" for line in (heads, ["---"] * len(heads), *rows))


def table_of(rows: Sequence[Mapping[str, object]]) -> str:
    """The same of rows by column; a column that a row lacks is left empty."""
    heads = list(dict.fromkeys(name for row in rows for name in row))
    return markdown_table(heads, [[str(row.get(name, "")) for name in heads] for row in rows])


def write_text(path: Path, text: str) -> None:
    """Write a file, and its folder where there is none."""
    make_folder(path.parent)
    with written_aside(path) as part:
        part.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path, figures: Any) -> None:
    """Write figures as JSON."""
    write_text(path, json.dumps(figures, indent=1) + "\n")
