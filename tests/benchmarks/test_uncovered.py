"""The films have faces where they say so, and a face counts as bare if, and only if, its details are seen."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mien.drawing.covers import cover
from mien.drawing.style import COVERING
from mien.types import Box, Detection

pytest.importorskip("skimage.data")
films = pytest.importorskip("moving_faces", reason="benchmarks/ is not there")
uncovered = pytest.importorskip("uncovered")


@pytest.fixture(scope="module")
def portraits() -> list[Any]:
    return films.astronaut_portraits()


@pytest.mark.parametrize("theme", COVERING)
def test_a_face_is_bare_unless_it_is_covered(portraits: list[Any], theme: str) -> None:
    _, image, truth = next(uncovered.frames_of("occlusion", 0, portraits))
    found = [Detection(one.box, 0.6) for one in truth]
    beside = [Detection(Box(one.box.x + 3 * one.box.width, one.box.y, 40, 50), 0.9) for one in truth[:1]]
    finished = image.copy()
    assert uncovered.look(image, finished, truth, found) == "bare"
    assert uncovered.look(image, finished, truth, beside) == ""
    cover(finished, found[0], theme)
    assert uncovered.look(image, finished, truth, found[:1]) == "found"
    assert uncovered.look(image, finished, truth, found) == "bare"  # the other one
    assert uncovered.look(image, finished, [], found) == ""
    noisy = np.clip(image + np.random.default_rng(0).normal(0, 5, image.shape), 0, 255).astype(np.uint8)
    assert uncovered.bare_at(image, noisy, found[1].box)


@pytest.mark.parametrize("kind", uncovered.KINDS)
def test_each_film_has_frames_with_faces_and_what_its_kind_says(portraits: list[Any], kind: str) -> None:
    frames = list(uncovered.frames_of(kind, 1, portraits))
    seen = [any(one.visible >= uncovered.SEEN for one in truth) for _, _, truth in frames]
    assert len(frames) == 90
    assert sum(seen) > 30
    if kind == "flash":
        white = [index for index, (_, image, _) in enumerate(frames) if image.min() == 255]
        assert len(white) == len(uncovered.FLASHES_S)
        assert not any(seen[index] for index in white)
    if kind == "card":
        assert not any(seen[:21])
        assert seen[21]
    if kind == "edge":
        assert not seen[0]
        assert any(0 < one.visible < 0.5 for _, _, truth in frames for one in truth)
