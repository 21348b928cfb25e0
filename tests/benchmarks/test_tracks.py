"""The films hold what their names promise, ids survive them, and the scorer counts as CLEAR MOT does."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from mien.tracking.tracker import Tracked
from mien.types import Box, Detection

pytest.importorskip("skimage.data")
films = pytest.importorskip("moving_faces", reason="benchmarks/ is not there")
tracks = pytest.importorskip("tracks")

NUMBERS = (1, 2)  # of occlusions one by a board, one by the edge


@pytest.fixture(scope="module")
def portraits() -> list[Any]:
    return films.astronaut_portraits()


@pytest.fixture(scope="module")
def shown(portraits: list[Any]) -> dict[tuple[str, int], Any]:
    """Two films of each kind, each as the list of its frames."""
    return {
        (kind, number): list(films.film(kind, number, portraits).frames()) for kind in films.KINDS for number in NUMBERS
    }


@pytest.mark.parametrize("number", NUMBERS)
def test_crossing_faces_share_more_than_half_of_a_box(shown: dict[tuple[str, int], Any], number: int) -> None:
    fractions = []
    for _, _, (one, other) in shown["crossing", number]:
        iou, areas = one.box.iou(other.box), (one.box.area, other.box.area)
        fractions.append(iou * sum(areas) / (1 + iou) / min(areas))
    assert max(fractions) > 0.5
    assert fractions[0] == fractions[-1] == 0
    assert min(truth[1].visible for _, _, truth in shown["crossing", number]) < 0.5  # the second is behind
    assert all(truth[0].visible > 0.9 for _, _, truth in shown["crossing", number])


@pytest.mark.parametrize("number", NUMBERS)
def test_an_occlusion_lasts_half_a_second(shown: dict[tuple[str, int], Any], number: int) -> None:
    visible = np.array([truth[0].visible for _, _, truth in shown["occlusion", number]])
    assert 12 <= (visible < 0.5).sum() <= 18
    assert visible.min() < 0.3
    assert min(visible[0], visible[-1]) > 0.9


@pytest.mark.parametrize("number", NUMBERS)
def test_a_face_doubles_or_halves(shown: dict[tuple[str, int], Any], number: int) -> None:
    widths = [truth[0].box.width for _, _, truth in shown["size", number]]
    ratio = widths[-1] / widths[0]
    assert max(ratio, 1 / ratio) == pytest.approx(2)
    assert len({round(width, 6) for width in widths}) <= 32  # it takes a second


def test_the_true_detector_finds_what_is_visible_a_little_off(portraits: list[Any]) -> None:
    film = films.film("dropped", 0, portraits)
    detector = films.TrueDetector(film)
    truth = [films.Truth(0, Box(100, 100, 80, 80), 1.0), films.Truth(1, Box(300, 100, 80, 80), 0.2)]
    found = [detector.detect(truth, 0.0) for _ in range(200)]
    assert {len(one) for one in found} == {1}
    assert np.std([one[0].box.x + one[0].box.width / 2 for one in found]) == pytest.approx(0.03 * 80, rel=0.2)
    assert detector.detect(truth, films.EVENT_S + 0.5) == []
    assert detector.detect(truth, films.EVENT_S + 1.1) != []


def test_films_come_out_the_same_each_time(shown: dict[tuple[str, int], Any], portraits: list[Any]) -> None:
    again = next(iter(films.film("size", NUMBERS[0], portraits).frames()))
    np.testing.assert_array_equal(again[1], shown["size", NUMBERS[0]][0][1])
    assert again[1].shape == (480, 640, 3)


@pytest.mark.parametrize("kind", ["crossing", "occlusion", "dropped", "size"])
def test_ids_survive(shown: dict[tuple[str, int], Any], portraits: list[Any], kind: str) -> None:
    counts = tracks.Counts()
    for number in NUMBERS:
        film = films.film(kind, number, portraits)
        tracks.run(shown[kind, number], tracks.detection("truth", film, None), counts)
    assert counts.switches == 0
    assert counts.missed <= 0.05 * counts.faces
    assert (counts.films, counts.frames) == (2, 180)


def seen(*boxes: tuple[int, Box]) -> list[Tracked]:
    return [Tracked(track, Detection(box)) for track, box in boxes]


def test_the_scorer() -> None:
    left, right = Box(0, 0, 10, 10), Box(50, 0, 10, 10)
    truth = [films.Truth(0, left, 1.0), films.Truth(1, right, 1.0)]
    counts = tracks.Counts()
    scorer = tracks.Scorer(counts)
    scorer.see(truth, seen((1, left), (2, right)))
    assert (counts.switches, counts.missed, counts.false) == (0, 0, 0)
    scorer.see(truth, seen((1, left), (3, Box(200, 0, 10, 10))))
    assert (counts.switches, counts.missed, counts.false) == (0, 1, 1)
    scorer.see(truth, seen((2, left), (1, right)))
    assert (counts.switches, counts.missed, counts.false) == (2, 1, 1)
    scorer.see([replace(truth[0], visible=0.1), truth[1]], seen((1, right)))
    assert (counts.switches, counts.missed, counts.faces, counts.frames) == (2, 1, 7, 4)
    near = [films.Truth(0, left, 1.0), films.Truth(1, Box(1, 0, 10, 10), 1.0)]
    scorer.see(near, seen((1, left), (2, Box(1, 0, 10, 10))))  # the pairs of before stay, though others are nearer
    assert counts.switches == 2
