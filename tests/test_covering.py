"""What is covered before a face appears and after it is lost, by made sequences of results."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from mien.analysis import Analysis
from mien.covering import COVER_S, covered
from mien.types import Box, Detection, Face

RATE = 25
NEAR = 10  # frames in COVER_S
Place = Callable[[int], Box]


def scene(seed: int, size: tuple[int, int] = (160, 120)) -> NDArray[np.uint8]:
    rough = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    return np.asarray(cv2.resize(rough, size, interpolation=cv2.INTER_CUBIC), np.uint8)


SCENE, OTHER = scene(1), scene(2)
CARD, WHITE = np.full_like(SCENE, 40), np.full_like(SCENE, 255)


def still(number: int) -> Box:
    return Box(60, 40, 24, 30)


def film(
    length: int,
    faces: Mapping[int, tuple[Iterable[int], Place]],
    image: Callable[[int], NDArray[np.uint8]] = lambda number: SCENE,
    rate: int = RATE,
) -> list[Analysis]:
    """Results in which each track is reported in its frames; image gives each frame's picture."""
    return [
        Analysis(
            tuple(
                Face(place(number), 0.9, {"calm": 1.0}, None, track=track)
                for track, (frames, place) in faces.items()
                if number in frames
            ),
            "made",
            None,
            image(number),
            frame=number,
            time_s=number / rate,
        )
        for number in range(length)
    ]


def middle(box: Box) -> tuple[float, float]:
    return box.x + box.width / 2, box.y + box.height / 2


def holds(outer: Box, inner: Box) -> bool:
    return outer.clipped(10**6, 10**6).iou(inner) > 0 and (
        outer.x <= inner.x
        and outer.y <= inner.y
        and outer.x + outer.width >= inner.x + inner.width
        and outer.y + outer.height >= inner.y + inner.height
    )


def covered_frames(results: list[Analysis], *, live: bool = False) -> list[int]:
    return [number for number, one in enumerate(covered(results, live=live)) if one.unreported]


def test_a_face_is_covered_before_it_appears_and_after_it_is_lost() -> None:
    results = film(60, {1: (range(20, 30), still)})
    done = list(covered(results))
    assert [one.frame for one in done] == list(range(60))
    assert [one.faces for one in done] == [one.faces for one in results]
    assert [one.image is other.image for one, other in zip(done, results, strict=True)] == [True] * 60
    marked = [number for number, one in enumerate(done) if one.unreported]
    assert marked == [*range(20 - NEAR, 20), *range(30, 30 + NEAR)]
    for number in marked:
        (place,) = done[number].unreported
        assert holds(place.box, still(0))
        assert place.score == 0.9
    widths = [done[number].unreported[0].box.width for number in range(20 - NEAR, 20)]
    assert widths == sorted(widths, reverse=True)
    assert 24 < widths[-1] < widths[0] < 2 * 24


def test_a_cut_ends_it_on_both_sides() -> None:
    """A card, then a scene in which the face is reported late and lost early, then another scene."""

    def image(number: int) -> NDArray[np.uint8]:
        return CARD if number < 20 else SCENE if number < 40 else OTHER

    results = film(60, {1: (range(24, 37), still)}, image)
    assert covered_frames(results) == [*range(20, 24), *range(37, 40)]


def test_a_dissolve_is_no_cut() -> None:
    def image(number: int) -> NDArray[np.uint8]:
        seen = min(max((number - 10) / 15, 0.0), 1.0)
        return np.asarray(cv2.addWeighted(CARD, 1 - seen, SCENE, seen, 0), np.uint8)

    assert covered_frames(film(40, {1: (range(22, 40), still)}, image)) == list(range(22 - NEAR, 22))


@pytest.mark.parametrize("again", [1, 2], ids=["as the same track", "as another one"])
def test_a_flash_uncovers_nobody(again: int) -> None:
    """A face is lost by a white frame, and reported only some frames later."""
    faces = {1: (list(range(20)), still), 2: ([], still)}
    faces[again][0].extend(range(26, 60))
    results = film(60, faces, lambda number: WHITE if number == 20 else SCENE)
    assert set(covered_frames(results)) >= set(range(21, 26))
    assert not set(covered_frames(results)) & {*range(20), *range(26, 60)}
    places = [one.unreported for one in covered(results)]
    assert all(len(places[number]) == 1 for number in range(21, 26))  # not once for before, once for after


@pytest.mark.parametrize("speed", [(0.0, 0.0), (2.0, 0.0), (-1.5, 1.0)])
def test_places_move_on_as_the_face_did(speed: tuple[float, float]) -> None:
    def place(number: int) -> Box:
        return Box(60 + speed[0] * number, 40 + speed[1] * number, 24, 30)

    done = list(covered(film(60, {1: (range(20, 30), place)})))
    for number in (*range(20 - NEAR, 20), *range(30, 30 + NEAR)):
        (found,) = done[number].unreported
        assert holds(found.box, place(number))
        assert middle(found.box) == pytest.approx(middle(place(number)))


def test_a_place_does_not_run_away() -> None:
    """The box of the second frame lies far off: that is no motion which goes on."""
    done = list(covered(film(30, {1: (range(20, 30), lambda number: Box(60 if number == 20 else 130, 40, 24, 30))})))
    for number in range(20 - NEAR, 20):
        assert abs(middle(done[number].unreported[0].box)[0] - 72) <= 1.5 * 30 + 1e-6


def test_who_gets_another_number_is_covered_once() -> None:
    results = film(40, {1: (range(20), still), 2: (range(20, 40), still)})
    assert covered_frames(results) == []
    apart = film(40, {1: (range(20), still), 2: (range(20, 40), lambda number: Box(10, 80, 24, 30))})
    assert covered_frames(apart) == list(range(20 - NEAR, 20 + NEAR))


def test_live_only_what_is_lost_is_covered_and_nothing_waits() -> None:
    results = film(60, {1: (range(20, 30), still)})
    taken = 0

    def counted() -> Iterator[Analysis]:
        nonlocal taken
        for result in results:
            taken += 1
            yield result

    for number, result in enumerate(covered(counted(), live=True), 1):
        assert taken == number
        assert bool(result.unreported) == (result.frame in range(30, 30 + NEAR))


@pytest.mark.parametrize("rate", [10, 30, 60])
def test_frames_of_half_a_second_are_held_and_no_more(rate: int) -> None:
    taken = 0

    def counted() -> Iterator[Analysis]:
        nonlocal taken
        for result in film(300, {1: (range(0, 300, 7), still)}, rate=rate):
            taken += 1
            yield result

    behind = [taken - number for number, _ in enumerate(covered(counted()), 1)]
    assert max(behind) <= round((COVER_S + 0.1) * rate)
    assert behind[-1] == 0


def test_frames_far_apart_and_none_at_all() -> None:
    """As with one frame a second: nothing is known of what lies between."""
    assert covered_frames(film(10, {1: (range(3, 5), still)}, rate=1)) == []
    assert list(covered([])) == []


def test_places_that_were_there_stay() -> None:
    other = Detection(Box(1, 2, 20, 20), 0.85)
    results = [
        Analysis(one.faces, "made", None, one.image, frame=one.frame, time_s=one.time_s, unreported=(other,))
        for one in film(5, {1: (range(3, 5), still)})
    ]
    done = list(covered(results))
    assert [len(one.unreported) for one in done] == [2, 2, 2, 1, 1]
    assert all(one.unreported[0] == other for one in done)


@pytest.mark.parametrize("size", [(1, 1), (5, 900), (33, 17)])
def test_pictures_of_any_size_and_change_of_it(size: tuple[int, int]) -> None:
    results = film(20, {1: (range(10, 20), still)}, lambda number: scene(3, size) if number < 6 else SCENE)
    assert set(covered_frames(results)) >= set(range(6, 10))
