"""The persons' numbers: how several are written, and why some are missing.

A person has the number of the track, which is drawn in the annotated video and stands in the records. So numbers are
missing where a track was too brief to be a person, or belongs to one that has another number.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from reprlib import repr as shown
from typing import TYPE_CHECKING, Final
from unicodedata import category

from mien.errors import ConfigError

if TYPE_CHECKING:
    from mien.reports.timeline import Timeline

MOST_RANGES: Final = 12
"""The most single numbers and ranges that are written out; what is left is counted."""


LONGEST_NAME: Final = 100
"""Characters of a person's name, at most."""

_NO_TEXT: Final = frozenset({"Cc", "Cs", "Zl", "Zp"})  # controls, halves of characters, ends of lines and paragraphs


def check_name(name: str) -> str:
    """The name of a person. Raises ConfigError where it is empty, too long, or not one line of text."""
    if not name.strip() or len(name) > LONGEST_NAME:
        raise ConfigError(f"a person's name must have 1 to {LONGEST_NAME} characters, got {shown(name)}")
    if any(category(letter) in _NO_TEXT for letter in name):
        raise ConfigError(f"a person's name must be one line of text, got {shown(name)}")
    return name


def ranges(numbers: Iterable[int], prefix: str = "") -> str:
    """Whole numbers as people write them: 2, 5–7 and 12. Each has the prefix."""
    runs: list[tuple[int, int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][1] + 1:
            runs[-1] = runs[-1][0], number
        else:
            runs.append((number, number))
    return _written(runs, prefix)


def _written(runs: Sequence[tuple[int, int]], prefix: str) -> str:
    """Runs of numbers from a to b, in rising order."""
    words = []
    for a, b in runs[:MOST_RANGES]:
        words += [f"{prefix}{a}–{prefix}{b}"] if b > a + 1 else [f"{prefix}{number}" for number in range(a, b + 1)]
    if more := sum(b - a + 1 for a, b in runs[MOST_RANGES:]):
        words.append(f"{more} more")
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]])) if words else ""


def missing_numbers(timeline: Timeline) -> list[str]:
    """Why numbers are missing between those of the persons, a sentence each; names are not escaped."""
    prefix = "" if timeline.video is None else f"{timeline.video}."
    sentences = []
    if brief := timeline.brief.tracks:
        which = f"Person {prefix}{brief[0]} was" if len(brief) == 1 else f"Persons {ranges(brief, prefix)} were"
        sentences.append(f"{which} seen too shortly to be reported ({timeline.spoken(timeline.brief.seconds)} in all).")
    for person in timeline.persons:
        if len(person.tracks) > 1:
            sentences.append(f"{person.label} is persons {ranges(person.tracks, prefix)}.")
    known = sorted({0, *brief, *(track for person in timeline.persons for track in person.tracks)})
    gaps = [(a + 1, b - 1) for a, b in pairwise(known) if a >= 0 and b > a + 1]
    if gaps:
        verb = "is" if len(gaps) == 1 and gaps[0][0] == gaps[0][1] else "are"
        sentences.append(f"{_written(gaps, prefix)} {verb} not in the records.")
    return sentences
