"""Persons' numbers: how they are written, and the reasons for those that are missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mien.errors import ConfigError
from mien.reports.numbers import MOST_RANGES, check_name, missing_numbers, ranges

if TYPE_CHECKING:
    from .conftest import Videos


@pytest.mark.parametrize(
    ("numbers", "written"),
    [
        ([], ""),
        ([7], "7"),
        ([2, 3], "2 and 3"),
        ([5, 2, 3, 4], "2–5"),
        ([2, 5, 6, 7, 9, 10], "2, 5–7, 9 and 10"),
        ([10**12, 1], f"1 and {10**12}"),
    ],
)
def test_numbers_are_written_as_people_do(numbers: list[int], written: str) -> None:
    assert ranges(numbers) == written


def test_the_prefix_is_that_of_every_number() -> None:
    assert ranges([2, 4, 5, 6], "3.") == "3.2 and 3.4–3.6"


@given(st.sets(st.integers(1, 300)))
def test_all_numbers_are_written_or_counted(numbers: set[int]) -> None:
    written: set[int] = set()
    more = 0
    for words in ranges(numbers).replace(" and ", ", ").split(", "):
        if words.endswith(" more"):
            more = int(words.removesuffix(" more"))
        elif words:
            first, _, last = words.partition("–")
            written |= set(range(int(first), int(last or first) + 1))
    assert written <= numbers
    assert len(written) + more == len(numbers)
    assert len(ranges(numbers)) < 10 * (2 * MOST_RANGES + 1)


def test_every_hole_between_persons_is_explained(videos: Videos) -> None:
    # 2 and 3 are brief; 4 and 5 are one person by name; 6 and 8 are not there
    moods = dict(
        enumerate(["h" * 40, "ff" + "-" * 38, "---ss" + "-" * 35, "n" * 20 + "-" * 20, "-" * 25 + "n" * 15], 1)
    )
    records = videos.moods(*moods.values())
    for i, record in enumerate(records):
        record["faces"].append(videos.face(7, "neutral"))
        if i < 30:
            record["faces"].append(videos.face(9, "neutral"))
    whole = missing_numbers(videos.timeline(records))
    assert whole == [
        "Persons 2 and 3 were seen too shortly to be reported (0.8 s in all).",
        "6 and 8 are not in the records.",
    ]
    joined = missing_numbers(videos.timeline(records, {4: "Anna", 5: "Anna"}))
    assert joined[1] == "Anna is persons 4 and 5."
    assert missing_numbers(videos.timeline(videos.moods("h" * 20, "n" * 20))) == []


def test_a_hole_may_be_wide(videos: Videos) -> None:
    far = videos.timeline(videos.record(i / 5, [videos.face(10**15, "fear")]) for i in range(20))
    assert missing_numbers(far) == [f"1–{10**15 - 1} are not in the records."]


@pytest.mark.parametrize("name", ["Anna", "Зоя", "می\u200cنا", "<b>&\"'", "x" * 100])
def test_names_may_be_any_text(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize("name", ["", "  ", "x" * 101, "a\nb", "a\x1b[31m", "\udcff", "a\u2028b"])
def test_names_are_one_line_of_text(name: str) -> None:
    with pytest.raises(ConfigError, match="a person's name must") as caught:
        check_name(name)
    assert "\n" not in str(caught.value)
