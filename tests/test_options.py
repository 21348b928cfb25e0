from __future__ import annotations

from dataclasses import fields
from typing import Any, get_type_hints

import pytest

from mien.errors import ConfigError
from mien.options import AnalyzerOptions, OptionFields


def test_the_keywords_for_type_checkers_are_the_fields() -> None:
    assert get_type_hints(OptionFields) == get_type_hints(AnalyzerOptions)
    assert list(OptionFields.__annotations__) == [field.name for field in fields(AnalyzerOptions)]


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_pixels": 0},
        {"formats": ()},
        {"formats": ("Jpeg", "Psd")},
        *({name: value} for name in ("min_face_score", "uncertain_below") for value in (-0.1, 1.1, float("nan"))),
        *({"min_face": value} for value in (-1.0, float("nan"), float("inf"))),
    ],
)
def test_values_outside_their_ranges_are_refused_by_name(wrong: dict[str, Any]) -> None:
    (name,) = wrong
    with pytest.raises(ConfigError, match=f"^{name} must be "):
        AnalyzerOptions(**wrong)
