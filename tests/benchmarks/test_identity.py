"""One person stays one, by YuNet, embedding and tracker as they are shipped: an astronaut in made films."""

from __future__ import annotations

from typing import Any

import pytest

from mien.runtime.detectors import load_detector

pytest.importorskip("skimage.data")
identity = pytest.importorskip("identity", reason="benchmarks/ is not there")
films = pytest.importorskip("moving_faces")
scenes = pytest.importorskip("scene_films")


@pytest.fixture(scope="module")
def portraits() -> list[Any]:
    return films.astronaut_portraits()


def tracks_of(kind: str, number: int, portraits: list[Any], every: float = 0.0) -> dict[int, set[int]]:
    """The tracks of each person, and, as person -1, those of nobody."""
    film = scenes.scene_film(kind, number, portraits)
    found: dict[int, set[int]] = {}
    detector = identity.Remembered(load_detector("yunet", threads=1))
    for _, truth, tracks in identity.ours(film, detector, every)["mien"]:
        seen = identity._countable(truth)
        for track, box in identity._counted(truth, tracks):
            person = next((one.person for one in seen if one.box.iou(box) >= identity.IOU), -1)
            found.setdefault(person, set()).add(track)
    return found


@pytest.mark.parametrize("every", [*(pytest.param(every, marks=pytest.mark.slow) for every in (0.25, 0.5, 2.0)), 1.0])
def test_one_person_alone_is_one_however_sparse_the_frames(portraits: list[Any], every: float) -> None:
    assert tracks_of("alone", 0, portraits, every) == {0: {1}}


@pytest.mark.slow
def test_a_head_that_is_tilted_to_both_sides_is_one_person(portraits: list[Any]) -> None:
    assert tracks_of("tilt", 0, portraits) == {0: {1}}


@pytest.mark.slow
def test_white_frames_change_nobody(portraits: list[Any]) -> None:
    found = tracks_of("flash", 0, portraits)
    assert sorted(map(sorted, found.values())) == [[1], [2]]
