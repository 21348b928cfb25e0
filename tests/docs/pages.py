"""What README.md and the pages of docs/ tell to type: code blocks, the commands in them, and code within sentences."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [
    path
    for path in (
        *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "MODEL_CARD.md", "SECURITY.md")),
        *(ROOT / "web" / "README.md", ROOT / "web" / "package" / "README.md", ROOT / "benchmarks" / "README.md"),
        *sorted((ROOT / "docs").glob("*.md")),
    )
    if path.is_file()
]

_BLOCK = re.compile(r"^```(\w*)\n((?:(?!```).*\n)*)```$|((?:^ {4}.*\n)+)", re.MULTILINE)
_SHELLS = {"", "sh", "console"}
_OPERATORS = {"&&", "|", ";", "||"}


@dataclass(frozen=True)
class Block:
    """One block of code: its page, language ("" where none is named, or where it is indented) and text."""

    page: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT).as_posix()}:{self.line}"


@dataclass(frozen=True)
class Command:
    """One command of a block: its words, and the file that a `cat` before a pipe reads into it."""

    words: tuple[str, ...]
    stdin: str | None = None


def blocks(page: Path) -> Iterator[Block]:
    text = page.read_text(encoding="utf-8")
    for found in _BLOCK.finditer(text):
        code = found[2] if found[3] is None else re.sub(r"^ {4}", "", found[3], flags=re.MULTILINE)
        yield Block(page, text.count("\n", 0, found.start()) + 1, found[1] or "", code)


def commands(block: Block) -> list[Command]:
    """The commands of a shell's block, in order; of other blocks, none. Variables before a command are left out."""
    if block.language not in _SHELLS:
        return []
    found = []
    for line in block.text.replace("\\\n", " ").splitlines():
        before: list[str] = []
        for operator, words in _pipeline(line.removeprefix("$ ")):
            reads = before[1] if operator == "|" and before[:1] == ["cat"] and len(before) == 2 else None
            found.append(Command(tuple(words), reads))
            before = words
    return found


def _pipeline(line: str) -> Iterator[tuple[str, list[str]]]:
    """The commands of a line, each with the operator before it. A line that no shell reads has none."""
    try:
        words = shlex.split(line, comments=True)
    except ValueError:
        return
    operator = ""
    current: list[str] = []
    for word in [*words, ";"]:
        if word in _OPERATORS:
            while current and re.fullmatch(r"[A-Z_]+=.*", current[0]):
                current.pop(0)
            if current:
                yield operator, current
            operator, current = word, []
        else:
            current.append(word)


def inline_code(page: Path) -> list[str]:
    """What stands between single backquotes, over line ends too."""
    text = _BLOCK.sub("", page.read_text(encoding="utf-8"))
    return [" ".join(code.split()) for code in re.findall(r"`([^`]+)`", text)]
