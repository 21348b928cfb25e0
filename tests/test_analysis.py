"""The result's own drawing: a picture that was decoded at a reduced size is marked where its faces are in it."""

from __future__ import annotations

import numpy as np
import pytest

from mien.analysis import Analysis
from mien.drawing.style import COVERING, THEMES
from mien.emotions import EMOTIONS
from mien.errors import ConfigError
from mien.types import Box, Detection, Face

PROBABILITIES = {name: 0.94 if name == "anger" else 0.01 for name in EMOTIONS}
LEANING = ((210.0, 210.0), (270.0, 270.0), (210.0, 270.0), (170.0, 250.0), (230.0, 310.0))


def analysis(side: int, scale: float) -> Analysis:
    """A picture of this side, in which a face lies whose coordinates are those of one so many times as large."""
    landmarks = tuple((x * scale, y * scale) for x, y in LEANING)
    face = Face(Box(160 * scale, 180 * scale, 120 * scale, 150 * scale), 0.9, PROBABILITIES, landmarks)
    size = (round(side * scale), round(side * scale))
    picture = np.full((side, side, 3), 128, np.uint8)
    picture[:, side // 2 :] = 60
    return Analysis((face,), "made", None, picture, size)


@pytest.mark.parametrize("theme", THEMES)
def test_a_reduced_picture_is_drawn_as_the_whole_one(theme: str) -> None:
    whole, reduced = (np.asarray(analysis(480, scale).draw(theme=theme)) for scale in (1, 4))
    assert whole.shape == (480, 480, 3)
    assert (whole != analysis(480, 1).image).any()
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


@pytest.mark.parametrize("theme", COVERING)
def test_a_photo_in_which_nothing_was_found_is_covered(theme: str) -> None:
    """A face that the detector missed must not look covered: nothing of the photo but its rough shades stays."""
    photo = np.random.default_rng(0).integers(0, 256, (120, 200, 3), np.uint8)
    photo[:, :100] //= 2
    found = Analysis((), "made", None, photo)
    drawn = np.asarray(found.draw(theme=theme))[:, :, ::-1].astype(int)
    assert drawn.shape == photo.shape
    text = np.zeros((120, 200), bool)
    text[45:75, 40:160] = True
    steps = np.abs(np.diff(drawn, axis=1)).max(2)[~text[:, 1:]]
    assert steps.max() < 25
    assert drawn[:30, :80].mean() < drawn[:30, 120:].mean() - 30
    np.testing.assert_array_equal(np.asarray(found.draw())[:, :, ::-1], photo)


@pytest.mark.parametrize("theme", COVERING)
def test_who_is_not_reported_is_covered_too(theme: str) -> None:
    """Even where nobody is reported; the photo is not blurred as a whole then."""
    photo = np.random.default_rng(0).integers(0, 256, (200, 300, 3), np.uint8)
    found = Analysis((), "made", None, photo, (600, 400), unreported=(Detection(Box(200, 160, 80, 100), 0.9),))
    drawn = np.asarray(found.draw(theme=theme))[:, :, ::-1]
    assert (drawn[80:130, 100:140] != photo[80:130, 100:140]).any(2).mean() > 0.95
    np.testing.assert_array_equal(drawn[:, 200:], photo[:, 200:])
    np.testing.assert_array_equal(np.asarray(found.draw())[:, :, ::-1], photo)


def test_frames_without_faces_stay_as_they_are() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
    drawn = Analysis((), "made", None, frame, frame=3, time_s=0.1).draw(theme="emoji")
    np.testing.assert_array_equal(np.asarray(drawn)[:, :, ::-1], frame)


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (20, 10)])
def test_any_size_can_be_blurred(size: tuple[int, int]) -> None:
    drawn = Analysis((), "made", None, np.full((*size, 3), 90, np.uint8)).draw(theme="emoji")
    assert drawn.size == size[::-1]


def test_persons_take_the_place_of_tracks_and_nobody_is_unreported() -> None:
    faces = [Face(Box(10.0 * n, 0, 8, 8), 0.9, {"calm": 1.0}, track=n) for n in (3, 5, 8)]
    photo = Face(Box(90, 0, 8, 8), 0.9, {"calm": 1.0})
    before = Detection(Box(70, 0, 8, 8))
    image = np.zeros((20, 99, 3), np.uint8)
    result = Analysis((*faces, photo), "m", None, image, unreported=(before,))
    after = result.renumbered({3: 2, 5: None, 8: 1})
    assert [face.track for face in after.faces] == [2, 1, None]
    assert after.unreported == (before, Detection(faces[1].box, 0.9))
    assert result.faces == (*faces, photo)
    with pytest.raises(ConfigError, match="track 8 has no number"):
        result.renumbered({3: 1, 5: 2})
