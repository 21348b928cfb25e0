from __future__ import annotations

import numpy as np
import pytest

from mien.drawing.evidence import AGAINST, FOR, draw_explained, overlaid, scale_of
from mien.emotions import EMOTIONS
from mien.types import Box, ExplainedFace, Face


def explained(emotion: str = "fear", classes: tuple[str, ...] = EMOTIONS, value: float = 1.0) -> ExplainedFace:
    """A grey face of which the left half spoke for the emotion, the right half against it."""
    face = Face(Box(0, 0, 48, 48), None, dict.fromkeys(classes, 1 / len(classes)))
    values = np.full((48, 48), value, np.float32)
    values[:, 24:] *= -1
    return ExplainedFace(face, emotion, np.full((48, 48), 128, np.uint8), values)


def nearest(pixel: np.ndarray, *colors: tuple[int, int, int]) -> int:
    return int(np.argmin([np.abs(pixel.astype(int) - color).sum() for color in colors]))


def test_orange_is_for_and_blue_is_against() -> None:
    one = explained()
    tinted = overlaid(one.crop, one.map, 1.0, 96)[:, :, ::-1]
    assert nearest(tinted[48, 10], FOR, AGAINST, (128, 128, 128)) == 0
    assert nearest(tinted[48, 86], FOR, AGAINST, (128, 128, 128)) == 1


def test_what_hardly_matters_is_pale() -> None:
    faint = explained(value=0.01)
    tinted = overlaid(faint.crop, faint.map, scale_of(faint.map), 48)
    assert np.abs(tinted.astype(int) - 128).max() < 10


@pytest.mark.parametrize("count", [0, 1, 4, 5, 9])
def test_each_face_has_a_panel(count: int) -> None:
    sheet = np.asarray(draw_explained([explained()] * count))
    one = np.asarray(draw_explained([explained()]))
    columns = 1 if count <= 4 else 2
    assert sheet.shape[1] == columns * one.shape[1]
    # Each map has its own orange and blue, so their number is that of the panels.
    is_orange = (np.abs(sheet.astype(int) - (230, 138, 26)).sum(axis=2) < 60).sum()
    is_orange_of_one = (np.abs(one.astype(int) - (230, 138, 26)).sum(axis=2) < 60).sum()
    assert is_orange == count * is_orange_of_one
    assert sheet.std() > 0


def test_many_classes_and_long_names_stay_inside() -> None:
    classes = tuple(f"a class with a very long name, number {number}" for number in range(30))
    sheet = np.asarray(draw_explained([explained(classes[-1], classes)]))
    assert sheet.shape == np.asarray(draw_explained([explained()])).shape
    assert (sheet[:, -4:] == sheet[0, 0]).all()
