from __future__ import annotations

from dataclasses import fields
from typing import Any, get_type_hints

import numpy as np
import pytest

from mien.errors import ConfigError
from mien.options import AnalyzerOptions, OptionFields
from mien.types import Box, Detection, DetectOptions


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
        {"max_faces": 0},
        {"order": "right"},
        {"detect_mode": "slow"},
        {"detect_side": 63},
        *({"min_face": value} for value in (-1.0, float("nan"), float("inf"), "20", None, True)),
        *({name: value} for name in ("max_faces", "detect_side") for value in (100.5, "100", True)),
        {"max_pixels": None},
        {"uncertain_below": "0.5"},
        {"flip": "no"},
        {"reduce": 3},
        *({"prior": value} for value in (None, 1, {"fear": "much"})),
    ],
)
def test_values_outside_their_ranges_are_refused_by_name(wrong: dict[str, Any]) -> None:
    (name,) = wrong
    with pytest.raises(ConfigError, match=f"^{name} must be "):
        AnalyzerOptions(**wrong)


def test_an_unknown_name_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(ConfigError, match=r"^unknown option max_face: did you mean max_faces"):
        AnalyzerOptions().changed({"max_face": 1})
    with pytest.raises(ConfigError, match=r"^unknown option device: there are min_face, min_face_score, "):
        AnalyzerOptions().changed({"device": "cuda"})


def test_numbers_of_numpy_are_numbers() -> None:
    options = AnalyzerOptions(min_face=np.float32(20), max_faces=np.int64(3), flip=np.bool_(True))  # type: ignore[arg-type]
    assert (options.min_face, options.max_faces, bool(options.flip)) == (20, 3, True)


def face(x: float, width: float, score: float | None = 0.9) -> Detection:
    return Detection(Box(x, 0, width, width), score)


def test_small_faces_and_low_scores_are_left_out() -> None:
    options = AnalyzerOptions(min_face=20, min_face_score=0.75)
    faces = [face(0, 20), face(30, 19.9), face(60, 40, 0.74), face(90, 40, None), Detection(Box(0, 0, 50, 0))]
    assert options.selected(faces) == [faces[0], faces[3]]


def test_the_detector_is_asked_for_what_will_be_reported() -> None:
    options = AnalyzerOptions(min_face=50, min_face_score=0.5, detect_mode="thorough", detect_side=900)
    expected = DetectOptions(min_face=50, min_score=0.5, mode="thorough", side=900)
    assert options.for_detector() == expected
    assert options.for_detector(stream=True).stream
