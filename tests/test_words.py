"""The words of a private language that must not come back: in names, comments, help, messages and docs."""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
CODE = [*ROOT.glob("src/mien/**/*.py"), *ROOT.glob("web/src/**/*.ts"), *ROOT.glob("web/src/**/*.tsx")]
CODE += ROOT.glob("web/package/**/*.ts")
DOCS = [ROOT / "README.md", ROOT / "ARCHITECTURE.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/*.md")]
DOCS += [ROOT / "web" / "README.md", ROOT / "web" / "package" / "README.md"]

EVERYWHERE = (
    "judge[sd]?|judging|judge?ments?",
    "at hand",
    "so many (?:seconds|pixels|rows|bytes|frames|pictures)",
    "work(?:s|ed|ing)? off",
    "tak(?:e|es|en|ing) along",
    "stillborn",
    "whoever dies|die[sd]? of it",
    "makes? no sense|without sense",
    "desks?",
    "lanes?",
    "steadied|steadies",
)
ALLOWED = {"src/mien/model_card.py": "licence", "src/mien/cli/info.py": "licence"}
"""The key of the model cards that are out there."""
CODE_ONLY = ("of one's own|of its own|of their own",)
NAMES_ONLY = ("deaf", "one voice", "carefully", "quickly", "doubts?", "[a-z]*colours?(?:ed)?", "licences?")
"""Words are found apart from what they are joined to by `_` or a capital letter, and over the ends of lines."""


def pattern(words: tuple[str, ...]) -> re.Pattern[str]:
    """Any of these words, as words: `lane` in `_WORKERS_PER_LANE` and `newLane`, but not in `plane`."""
    spaced = "|".join(words).replace(" ", r"(?:\s+(?:#|//|\*)?\s*|_)")
    return re.compile(rf"(?<![A-Za-z])(?:{spaced})(?![a-z])|(?<=[a-z])(?-i:(?=[A-Z]))(?:{spaced})(?![a-z])", re.I)


def names_only(path: Path, text: str) -> str:
    """The text without comments and without strings of more than one word, each blanked out in its place."""
    if path.suffix != ".py":
        blank = r"//[^\n]*|/\*.*?\*/|\"[^\"\n]*\s[^\"\n]*\"|`[^`]*`"
        return re.sub(blank, lambda found: re.sub(r"[^\n]", " ", found[0]), text, flags=re.DOTALL)
    lines = text.splitlines(keepends=True)
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        is_prose = token.type == tokenize.STRING and re.search(r"\s", token.string)
        if token.type == tokenize.COMMENT or is_prose:
            (first, start), (last, end) = token.start, token.end
            for number in range(first - 1, last):
                line = lines[number]
                left, right = start if number == first - 1 else 0, end if number == last - 1 else len(line.rstrip("\n"))
                lines[number] = line[:left] + " " * (right - left) + line[right:]
    return "".join(lines)


def found(path: Path, text: str, words: tuple[str, ...]) -> Iterator[str]:
    for hit in pattern(words).finditer(text):
        line = text.count("\n", 0, hit.start()) + 1
        yield f"{path.relative_to(ROOT)}:{line}: {' '.join(hit[0].split())}"


def left_in(path: Path) -> list[str]:
    """Each as file:line: word, in the file's order."""
    text = path.read_text(encoding="utf-8")
    hits = list(found(path, text, EVERYWHERE))
    if path in CODE:
        hits += [*found(path, text, CODE_ONLY), *found(path, names_only(path, text), NAMES_ONLY)]
    hits = [hit for hit in hits if ALLOWED.get(str(path.relative_to(ROOT).as_posix())) != hit.split(": ")[1]]
    return sorted(hits, key=lambda hit: int(hit.split(":")[1]))


def test_no_private_word_is_left() -> None:
    hits = [hit for path in sorted([*CODE, *DOCS]) if path.is_file() for hit in left_in(path)]
    assert not hits, f"{len(hits)} private words are left; see their places:\n" + "\n".join(hits)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("def _judge(x): pass", ["judge"]),
        ("PER_LANE = 4; newLane = 1; plane = airlanes = 2", ["LANE", "Lane"]),
        ("# for so many\n# seconds", ["so many # seconds"]),
        ('"""The colours of a licence, without doubt."""', []),
        ("def licence(colour): return 'a doubt of ours'", ["licence", "colour"]),
        ("card['licence'] = text_colour", ["licence", "colour"]),
        ("desktop = predict(steady)  # the judiciary", []),
        ("def _carefully(one_voice): 'quickly, carefully'", ["carefully", "one_voice"]),
    ],
)
def test_words_are_found_where_they_are_words(text: str, words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    path = ROOT / "some.py"
    monkeypatch.setattr("pathlib.Path.read_text", lambda *_, **__: text + "\n")
    monkeypatch.setitem(left_in.__globals__, "CODE", [path])
    assert [hit.split(": ")[1] for hit in left_in(path)] == words
