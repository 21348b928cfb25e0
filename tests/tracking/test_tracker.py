"""Faces keep their ids, and nobody gets another's."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mien.tracking.tracker import CONFIDENT_SCORE, REMEMBERED_S, SHOWN_S, Tracked, Tracker, assign
from mien.types import Box, Detection

from .films import EVERY, SCENES, Moment, box, detection_of, ids, play, shot

# Assignment


def worth(costs: NDArray[np.float64], pairs: Sequence[tuple[int, int]], limit: float) -> float:
    return sum(costs[pair] - limit for pair in pairs)


@settings(max_examples=50)
@given(st.integers(0, 4), st.integers(0, 4), st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_the_assignment_is_the_best_of_all(rows: int, columns: int, seed: int, forbidden: float) -> None:
    rng = np.random.default_rng(seed)
    costs = rng.uniform(0, 1.5, (rows, columns))
    costs[rng.random((rows, columns)) < forbidden] = np.inf
    pairs = assign(costs, 1.0)
    assert len({row for row, _ in pairs}) == len({column for _, column in pairs}) == len(pairs)
    assert all(costs[pair] <= 1 for pair in pairs)
    cells = [(row, column) for row in range(rows) for column in range(columns) if costs[row, column] <= 1]
    ways = (
        way
        for count in range(min(rows, columns) + 1)
        for way in itertools.combinations(cells, count)
        if len({row for row, _ in way}) == len({column for _, column in way}) == count
    )
    assert worth(costs, pairs, 1.0) == pytest.approx(min(worth(costs, way, 1.0) for way in ways))


@given(st.integers(1, 20), st.integers(1, 20), st.integers(0, 2**32 - 1), st.floats(0, 1), st.sampled_from([2, 9, 53]))
def test_the_assignment_costs_what_scipys_does(rows: int, columns: int, seed: int, forbidden: float, bits: int) -> None:
    """Of many faces, and where few bits make many pairs cost the same."""
    optimize = pytest.importorskip("scipy.optimize")
    rng = np.random.default_rng(seed)
    costs = np.round(rng.uniform(0, 1.5, (rows, columns)) * 2.0**bits) / 2.0**bits
    costs[rng.random((rows, columns)) < forbidden] = np.inf
    pairs = assign(costs, 1.0)
    worths = np.where(costs <= 1.0, costs - 1.0, 0.0)  # a pair that is not worth it is none
    assert worth(costs, pairs, 1.0) == pytest.approx(worths[optimize.linear_sum_assignment(worths)].sum(), abs=1e-9)
    assert len({row for row, _ in pairs}) == len({column for _, column in pairs}) == len(pairs)
    assert all(costs[pair] <= 1 for pair in pairs)


@settings(max_examples=50)
@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_the_order_of_rows_and_columns_does_not_matter(rows: int, columns: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    costs = rng.uniform(0, 2, (rows, columns))
    expected = set(assign(costs, 1.0))
    assert {(column, row) for row, column in expected} == set(assign(costs.T, 1.0))
    order, other = rng.permutation(rows), rng.permutation(columns)
    assert expected == {(int(order[row]), int(other[column])) for row, column in assign(costs[order][:, other], 1.0)}


def test_the_nearest_pair_is_not_always_taken() -> None:
    costs = np.array([[0.1, 0.2], [0.2, 0.9]])
    assert sorted(assign(costs, 1.0)) == [(0, 1), (1, 0)]


# One face


def test_a_still_face_keeps_its_id_and_place() -> None:
    place = (160.0, 120.0, 60.0)
    tracker = Tracker()
    for index in range(40):
        image = shot({0: place})
        found = [detection_of(place)] if index % EVERY == 0 else None
        tracked = tracker.followed(image, index / 30) if found is None else tracker.detected(found, image, index / 30)
        assert [one.track for one in tracked] == [1]
        assert tracked[0].detection.box.iou(box(place)) > 0.97
        assert tracked[0].detection.score == 0.9


def test_unsteady_boxes_are_steadied() -> None:
    rng, place, tracker = np.random.default_rng(0), (160.0, 120.0, 60.0), Tracker()
    off, was_off = [], []
    for index in range(60):
        jump = float(rng.normal(0, 3))
        tracked = tracker.detected([detection_of((160 + jump, 120, 60))], shot({0: place}), index / 5)
        off.append(tracked[0].detection.box.x + 30 - 160)
        was_off.append(jump)
    assert np.std(off[5:]) < 0.75 * np.std(was_off[5:])


def test_landmarks_go_with_the_box_and_the_score_stays() -> None:
    marks = ((90.0, 110.0), (110.0, 110.0), (100.0, 120.0), (92.0, 130.0), (108.0, 130.0))
    tracker = Tracker()
    tracker.detected([Detection(box((100, 120, 60)), 0.87, marks)], shot({0: (100, 120, 60)}), 0)
    (one,) = tracker.followed(shot({0: (108, 117, 66)}), 1 / 30)
    assert one.detection.score == 0.87
    assert one.detection.landmarks is not None
    for (x, y), (a, b) in zip(marks, one.detection.landmarks, strict=True):
        assert (a, b) == pytest.approx((108 + 1.1 * (x - 100), 117 + 1.1 * (y - 120)), abs=1)


@pytest.mark.parametrize("factor", [2.0, 0.5])
def test_a_face_that_grows_or_shrinks_twofold_within_a_second(factor: float) -> None:
    start = 45 if factor > 1 else 90
    moments = [Moment({0: (150, 120, start * factor ** min(index / 30, 1))}) for index in range(40)]
    assert play(Tracker(), moments) == [{0: 1}] * 40


def test_a_fast_face_is_kept() -> None:
    moments = [Moment({0: (40 + 8 * index, 120 + 20 * math.sin(index / 5), 50)}) for index in range(31)]
    assert play(Tracker(), moments) == [{0: 1}] * 31


@pytest.mark.parametrize("score", [0.9, None])
def test_five_missed_detections_do_not_matter_while_the_face_moves(score: float | None) -> None:
    moments = [
        Moment({0: (60 + 3 * index, 120 - index, 50)}, None if not 6 < index < 40 else ()) for index in range(56)
    ]
    assert play(Tracker(), moments, score=score) == [{0: 1}] * 56


def test_a_face_that_is_not_detected_any_more_is_reported_for_a_while_only() -> None:
    moments = [Moment({0: (160, 120, 60)}, None if index < 7 else ()) for index in range(60)]
    shown = [0 in frame for frame in play(Tracker(), moments)]
    assert shown == [index / 30 - 0.2 <= SHOWN_S for index in range(60)]


def test_half_a_second_behind_something_keeps_the_id() -> None:
    gone = range(10, 25)
    moments = [
        Moment({} if index in gone else {0: (60 + 4 * index, 120 + 10 * math.sin(index / 4), 50)})
        for index in range(45)
    ]
    seen = play(Tracker(), moments)
    assert ids(seen, 0) == {1}
    assert 0 in seen[-1]


@pytest.mark.parametrize(("away_s", "track"), [(REMEMBERED_S - 0.3, 1), (REMEMBERED_S + 0.3, 2)])
def test_a_face_is_remembered_for_a_while(away_s: float, track: int) -> None:
    place, away = (160.0, 120.0, 60.0), round(away_s * 30 / EVERY) * EVERY
    moments = [Moment({0: place})] * 12 + [Moment({})] * away + [Moment({0: place})] * 8
    assert play(Tracker(), moments)[-1] == {0: track}


def test_an_unsure_find_is_reported_when_it_is_confirmed() -> None:
    place, tracker = (160.0, 120.0, 60.0), Tracker()
    assert CONFIDENT_SCORE > 0.75
    unsure, image = [detection_of(place, 0.75)], shot({0: place})
    assert not tracker.is_waiting
    assert tracker.detected(unsure, image, 0) == []
    assert tracker.followed(image, 0.1) == []
    assert tracker.is_waiting
    assert [one.track for one in tracker.detected(unsure, image, 0.2)] == [1]
    assert not tracker.is_waiting
    assert len(tracker.followed(image, 0.3)) == 1


def test_a_find_that_is_not_confirmed_is_dropped_and_uses_up_no_id() -> None:
    tracker, image = Tracker(), shot({0: (160, 120, 60)})
    tracker.detected([detection_of((60, 60, 40), 0.75)], image, 0)
    assert tracker.detected([], image, 0.2) == []
    assert not tracker.is_waiting
    assert [one.track for one in tracker.detected([detection_of((160, 120, 60))], image, 0.4)] == [1]


def test_a_find_without_a_score_counts_at_once_and_is_hidden_when_it_is_not_found_again() -> None:
    place, tracker = (160.0, 120.0, 60.0), Tracker()
    image = shot({0: place})
    assert len(tracker.detected([detection_of(place, None)], image, 0)) == 1
    assert tracker.detected([], image, 0.2) == []
    assert [one.track for one in tracker.detected([detection_of(place, None)], image, 0.4)] == [1]


def test_a_sure_face_may_be_missed_at_once() -> None:
    place, tracker = (160.0, 120.0, 60.0), Tracker()
    image = shot({0: place})
    assert len(tracker.detected([detection_of(place, 0.9)], image, 0)) == 1
    assert [one.track for one in tracker.detected([], image, 0.2)] == [1]


def test_where_frames_are_far_apart_a_find_needs_no_other_one() -> None:
    tracker, empty, image = Tracker(), shot({}), shot({0: (160, 120, 60)})
    tracker.detected([], empty, 0)
    assert [one.track for one in tracker.detected([detection_of((160, 120, 60), 0.75)], image, 2.0)] == [1]
    assert [one.track for one in tracker.detected([detection_of((60, 60, 40), 0.75)], image, 2.2)] == [1]


# Several faces


@pytest.mark.parametrize("returns", [False, True])
@pytest.mark.parametrize("front", [0, 1])
def test_crossing_faces_keep_their_ids(returns: bool, front: int) -> None:
    moments = []
    for index in range(75):
        way = math.tanh((index - 37) / 10)
        x = 12 + 90 * way**2 if returns else 90 * way
        places = {0: (160 + x, 118 + 15 * way, 60.0), 1: (160 - x, 122 + 10 * way**2, 55.0)}
        overlap = abs(x) * 2 < 30
        moments.append(Moment({1 - front: places[1 - front], front: places[front]}, (front,) if overlap else None))
    seen = play(Tracker(), moments)
    apart = [frame for index, frame in enumerate(seen) if not 15 < index < 60]
    assert len(ids(apart, 0)) == len(ids(apart, 1)) == 1
    assert ids(apart, 0) != ids(apart, 1)
    assert seen[0].keys() == seen[-1].keys() == {0, 1}


def test_the_order_of_finds_does_not_matter() -> None:
    places = {person: (40.0 + 60 * person, 60.0 + 30 * (person % 2), 40.0) for person in range(5)}
    expected: list[Tracked] | None = None
    for seed in range(4):
        tracker, rng = Tracker(), np.random.default_rng(seed)
        for index in range(4):
            now = {person: (x + 3 * index, y + 5 * index, side) for person, (x, y, side) in places.items()}
            detections = [detection_of(now[int(person)]) for person in rng.permutation(5)]
            tracked = tracker.detected(detections, shot(now), index / 10)
        expected = expected or tracked
        assert tracked == expected
    assert expected is not None
    assert [one.track for one in expected] == [1, 2, 3, 4, 5]


def test_who_appears_elsewhere_is_another() -> None:
    moments = [Moment({0: (60, 80, 50)})] * 13 + [Moment({1: (250, 170, 50)})] * 13
    seen = play(Tracker(), moments)
    assert (seen[0], seen[-1]) == ({0: 1}, {1: 2})


def test_who_appears_in_the_same_place_is_another() -> None:
    moments = [Moment({0: (160, 120, 60)})] * 15 + [Moment({})] * 9 + [Moment({1: (165, 120, 60)})] * 13
    seen = play(Tracker(), moments)
    assert (seen[0], seen[-1]) == ({0: 1}, {1: 2})


def test_a_cut_begins_anew_and_back_again_is_the_same() -> None:
    one, other = Moment({0: (100, 120, 60), 1: (220, 120, 60)}), Moment({2: (100, 120, 60), 3: (220, 120, 60)}, None, 1)
    seen = play(Tracker(), [one] * 15 + [other] * 15 + [one] * 10)
    assert seen[0] == {0: 1, 1: 2}
    assert all(not set(frame.values()) & {1, 2} for frame in seen[15:30])
    assert set(seen[29].values()) == {3, 4}
    assert seen[-1] == {0: 1, 1: 2}


# Time, and what is no face


def test_times_count_not_frames() -> None:
    rng = np.random.default_rng(0)
    times = np.cumsum(rng.choice([1 / 60, 1 / 30, 1 / 10, 0.3], 60)).tolist()
    moments = [Moment({0: (160 + 90 * math.sin(time_s), 120 + 40 * math.sin(1.7 * time_s), 60)}) for time_s in times]
    seen = play(Tracker(), moments, times)
    assert ids(seen, 0) == {1}
    assert all(0 in frame for frame in seen[::EVERY])


def test_a_long_gap_does_not_lose_who_stayed() -> None:
    place, tracker = (160.0, 120.0, 60.0), Tracker()
    for time_s in (0, 10, 700):
        assert [one.track for one in tracker.detected([detection_of(place)], shot({0: place}), time_s)] == [1]
    assert [one.track for one in tracker.detected([detection_of(place)], shot({1: place}, 1), 720)] == [2]


def test_a_frame_may_be_followed_first_and_detected_then() -> None:
    tracker = Tracker()
    tracker.detected([detection_of((160, 120, 60))], shot({0: (160, 120, 60)}), 0)
    image = shot({0: (164, 120, 60), 1: (60, 60, 50)})
    first = tracker.followed(image, 1 / 30)
    assert [one.track for one in first] == [1]
    both = tracker.detected([detection_of((164, 120, 60)), detection_of((60, 60, 50))], image, 1 / 30)
    assert [one.track for one in both] == [2, 1]  # from left to right


def test_a_stream_without_faces() -> None:
    tracker = Tracker()
    for index in range(12):
        image = np.zeros((240, 320, 3), np.uint8) if index % 2 else SCENES[0]
        assert tracker.followed(image, index) == tracker.detected([], image, index + 0.5) == []


def test_black_frames_in_between() -> None:
    place, tracker = (160.0, 120.0, 60.0), Tracker()
    tracker.detected([detection_of(place)], shot({0: place}), 0)
    for index in range(1, 5):
        assert tracker.followed(np.zeros((240, 320, 3), np.uint8), index / 30) == []
    assert [one.track for one in tracker.detected([detection_of(place)], shot({0: place}), 5 / 30)] == [1]


def test_frames_may_change_size() -> None:
    place, tracker = (160.0, 120.0, 60.0), Tracker()
    image = shot({0: place})
    tracker.detected([detection_of(place)], image, 0)
    smaller = np.ascontiguousarray(image[:200, :300])
    assert tracker.followed(smaller, 1 / 30) == []
    assert [one.track for one in tracker.detected([detection_of(place)], smaller, 2 / 30)] == [1]


def test_boxes_without_area_are_no_faces() -> None:
    assert Tracker().detected([Detection(Box(10, 10, 0, 5), 0.9)], SCENES[0], 0) == []


@settings(max_examples=5)
@given(st.integers(0, 2**32 - 1))
def test_ids_are_never_given_twice(seed: int) -> None:
    rng, tracker, born = np.random.default_rng(seed), Tracker(), set[int]()
    before: set[int] = set()
    for index in range(12):
        people = rng.permutation(5)[: rng.integers(0, 4)].tolist()
        places = {person: (*rng.uniform([30, 30], [290, 210]).tolist(), 40.0) for person in people}
        image = shot(places, int(rng.integers(2)))
        tracked = tracker.detected([detection_of(place) for place in places.values()], image, 3.0 * index)
        tracks = [one.track for one in tracked]
        assert len(set(tracks)) == len(tracks) == len(places)
        new = set(tracks) - before
        assert not new & born  # who was away for three seconds is not known any more
        born |= new
        before = set(tracks)
    assert born == set(range(1, len(born) + 1))
