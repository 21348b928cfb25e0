from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mien.emotions import (
    EMOTION_COLORS,
    EMOTIONS,
    FER2013_CODES,
    FERPLUS_COLUMNS,
    SYNONYMS,
    Emotion,
    parse_emotion,
)
from mien.errors import DataError


def test_the_order_is_alphabetical() -> None:
    assert EMOTIONS == ("anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")
    assert list(EMOTIONS) == sorted(EMOTIONS)
    assert Emotion.HAPPINESS == "happiness"


def test_the_code_books_are_the_published_ones() -> None:
    assert sorted(FER2013_CODES) == sorted(EMOTIONS)
    assert [FER2013_CODES.index(name) for name in ("anger", "happiness", "sadness", "neutral")] == [0, 3, 4, 6]
    assert len(FERPLUS_COLUMNS) == 10
    assert set(FERPLUS_COLUMNS) - set(EMOTIONS) == {"contempt", "unknown", "nf"}
    assert FERPLUS_COLUMNS[:2] == ("neutral", "happiness")


@given(st.sampled_from([*EMOTIONS, *SYNONYMS]), st.sampled_from([str.lower, str.upper, str.title]), st.text(" \t\n"))
def test_names_and_synonyms_are_known_in_any_case(name: str, spelt: Callable[[str], str], space: str) -> None:
    assert parse_emotion(space + spelt(name) + space) == SYNONYMS.get(name, name)


@given(st.text())
def test_anything_else_is_refused_by_name(name: str) -> None:
    if name.strip().lower() not in {*EMOTIONS, *SYNONYMS}:
        with pytest.raises(DataError, match="unknown emotion") as caught:
            parse_emotion(name)
        assert repr(name) in str(caught.value)


def test_synonyms_lead_to_emotions_and_each_has_a_color_of_its_own() -> None:
    assert set(SYNONYMS.values()) <= set(EMOTIONS)
    assert not set(SYNONYMS) & set(EMOTIONS)
    assert set(EMOTION_COLORS) == set(EMOTIONS)
    assert len(set(EMOTION_COLORS.values())) == 7


def test_the_colors_are_those_of_okabe_and_ito() -> None:
    published = ("D55E00", "009E73", "CC79A7", "F0E442", "0072B2", "56B4E9")  # their orange and black are not used
    colors = ["".join(f"{part:02X}" for part in EMOTION_COLORS[name]) for name in EMOTIONS if name != "neutral"]
    assert sorted(colors) == sorted(published)
    red, green, blue = EMOTION_COLORS["neutral"]
    assert red == green == blue
