"""The extension of mkdocs.yml that shows the columns of docstrings as lists.

Mien's docstrings name arguments and fields in columns: a name, two blanks or more, what it is, over several lines if
need be. As plain Markdown they would run together.
"""

from __future__ import annotations

import re
from typing import Any, Final

from griffe import Extension

_NAMES: Final = r"[a-z_]\w*(?:, [a-z_]\w*)*"
_HEAD: Final = re.compile(rf"{_NAMES} {{2,}}\S")
_ROW: Final = re.compile(rf"({_NAMES}) +(\S.*)")


class Columns(Extension):
    """Rewrites each docstring that mkdocstrings collects."""

    def on_object(self, *, obj: Any, **_: Any) -> None:
        """Turn the columns of the object's docstring into lists."""
        if obj.docstring:
            obj.docstring.value = columns_as_lists(obj.docstring.value)


def columns_as_lists(text: str) -> str:
    """The docstring with each paragraph of columns as a Markdown list."""
    return "\n\n".join(_as_list(part) if _HEAD.match(part) else part for part in text.split("\n\n"))


def _as_list(paragraph: str) -> str:
    lines: list[str] = []
    for line in paragraph.splitlines():
        row = _ROW.fullmatch(line)
        lines.append(f"- `{row[1]}`: {row[2]}" if row else f"    {line.strip()}")
    return "\n".join(lines)
