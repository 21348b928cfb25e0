"""The result's own drawing: a picture that was decoded at a reduced size is marked where its faces are in it."""

from __future__ import annotations

import numpy as np
import pytest

from mien.analysis import Analysis
from mien.emotions import EMOTIONS
from mien.errors import ConfigError
from mien.types import Box, Face

PROBABILITIES = {name: 0.94 if name == "anger" else 0.01 for name in EMOTIONS}
LEANING = ((210.0, 210.0), (270.0, 270.0), (210.0, 270.0), (170.0, 250.0), (230.0, 310.0))


def analysis(side: int, scale: float) -> Analysis:
    """A picture of this side, in which a face lies whose coordinates are those of one so many times as large."""
    landmarks = tuple((x * scale, y * scale) for x, y in LEANING)
    face = Face(Box(160 * scale, 180 * scale, 120 * scale, 150 * scale), 0.9, PROBABILITIES, landmarks)
    size = (round(side * scale), round(side * scale))
    return Analysis((face,), "made", None, np.full((side, side, 3), 128, np.uint8), size)


@pytest.mark.parametrize("theme", ["labels", "emoji", "minimal"])
def test_a_reduced_picture_is_drawn_as_the_whole_one(theme: str) -> None:
    whole, reduced = (np.asarray(analysis(480, scale).draw(theme=theme)) for scale in (1, 4))
    assert whole.shape == (480, 480, 3)
    assert (whole != 128).any()
    np.testing.assert_array_equal(reduced, whole)


def test_parts_of_a_theme_can_be_added_and_left_out() -> None:
    result = analysis(480, 1)
    drawn = [
        np.asarray(result.draw(**options))
        for options in ({}, {"emoji": True}, {"labels": False}, {"bars": False}, {"theme": "emoji", "labels": True})
    ]
    assert len({picture.tobytes() for picture in drawn}) == len(drawn)
    with pytest.raises(ConfigError, match="unknown theme"):
        result.draw(theme="loud")
