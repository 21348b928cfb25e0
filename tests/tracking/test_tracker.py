"""Faces keep their ids, and nobody gets another's."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mien.tracking.joining import CONFIDENT_SCORE, join_tracks
from mien.tracking.tracked_face import CONFIRM_S
from mien.tracking.tracker import REMEMBERED_S, SHOWN_S, Tracked, Tracker
from mien.types import Box, Detection

from .films import EVERY, FACES, SCENES, Moment, box, detection_of, embedded, ids, play, shot

# One face


def test_a_still_face_keeps_its_id_and_place() -> None:
    place = (160.0, 120.0, 60.0)
    tracker = Tracker(embedded)
    for index in range(40):
        image = shot({0: place})
        found = [detection_of(place)] if index % EVERY == 0 else None
        tracked = tracker.followed(image, index / 30) if found is None else tracker.detected(found, image, index / 30)
        assert [one.track for one in tracked] == [1]
        assert tracked[0].detection.box.iou(box(place)) > 0.97
        assert tracked[0].detection.score == 0.9


def test_unsteady_boxes_are_steadied() -> None:
    rng, place, tracker = np.random.default_rng(0), (160.0, 120.0, 60.0), Tracker(embedded)
    off, was_off = [], []
    for index in range(60):
        jump = float(rng.normal(0, 3))
        tracked = tracker.detected([detection_of((160 + jump, 120, 60))], shot({0: place}), index / 5)
        off.append(tracked[0].detection.box.x + 30 - 160)
        was_off.append(jump)
    assert np.std(off[5:]) < 0.75 * np.std(was_off[5:])


def test_landmarks_go_with_the_box_and_the_score_stays() -> None:
    marks = ((90.0, 110.0), (110.0, 110.0), (100.0, 120.0), (92.0, 130.0), (108.0, 130.0))
    tracker = Tracker(embedded)
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
    assert play(Tracker(embedded), moments) == [{0: 1}] * 40


def test_a_fast_face_is_kept() -> None:
    moments = [Moment({0: (40 + 8 * index, 120 + 20 * math.sin(index / 5), 50)}) for index in range(31)]
    assert play(Tracker(embedded), moments) == [{0: 1}] * 31


@pytest.mark.parametrize("score", [0.9, None])
def test_five_missed_detections_do_not_matter_while_the_face_moves(score: float | None) -> None:
    moments = [
        Moment({0: (60 + 3 * index, 120 - index, 50)}, None if not 6 < index < 40 else ()) for index in range(56)
    ]
    assert play(Tracker(embedded), moments, score=score) == [{0: 1}] * 56


def test_a_face_that_is_not_detected_any_more_is_reported_for_a_while_only() -> None:
    moments = [Moment({0: (160, 120, 60)}, None if index < 7 else ()) for index in range(60)]
    shown = [0 in frame for frame in play(Tracker(embedded), moments)]
    assert shown == [index / 30 - 0.2 <= SHOWN_S for index in range(60)]


def test_half_a_second_behind_something_keeps_the_id() -> None:
    gone = range(10, 25)
    moments = [
        Moment({} if index in gone else {0: (60 + 4 * index, 120 + 10 * math.sin(index / 4), 50)})
        for index in range(45)
    ]
    seen = play(Tracker(embedded), moments)
    assert ids(seen, 0) == {1}
    assert 0 in seen[-1]


@pytest.mark.parametrize(("away_s", "track"), [(REMEMBERED_S - 0.3, 1), (REMEMBERED_S + 0.3, 2)])
def test_a_face_is_remembered_for_a_while(away_s: float, track: int) -> None:
    place, away = (160.0, 120.0, 60.0), round(away_s * 30 / EVERY) * EVERY
    moments = [Moment({0: place})] * 12 + [Moment({})] * away + [Moment({0: place})] * 8
    assert play(Tracker(embedded), moments)[-1] == {0: track}


def test_an_unsure_find_is_reported_when_it_is_confirmed() -> None:
    place, tracker = (160.0, 120.0, 60.0), Tracker(embedded)
    assert CONFIDENT_SCORE > 0.75
    unsure, image = [detection_of(place, 0.75)], shot({0: place})
    assert not tracker.is_waiting
    assert tracker.detected(unsure, image, 0) == []
    assert tracker.followed(image, 0.1) == []
    assert tracker.is_waiting
    assert [one.track for one in tracker.detected(unsure, image, 0.2)] == [1]
    assert not tracker.is_waiting
    assert len(tracker.followed(image, 0.3)) == 1


def test_detections_of_one_moment_do_not_confirm_each_other() -> None:
    """Where every frame is searched, the next one makes the same error."""
    place, tracker = (160.0, 120.0, 60.0), Tracker(embedded)
    unsure, image = [detection_of(place, 0.75)], shot({0: place})
    shown = [bool(tracker.detected(unsure, image, index / 30)) for index in range(5)]
    assert shown == [index / 30 >= CONFIRM_S for index in range(5)]
    assert shown[:2] == [False, False]


def test_an_unsure_face_is_reported_as_long_as_each_detection_finds_it() -> None:
    place, tracker = (160.0, 120.0, 60.0), Tracker(embedded)
    unsure, image = [detection_of(place, 0.75)], shot({0: place})
    assert tracker.detected(unsure, image, 0) == []
    assert [one.track for one in tracker.detected(unsure, image, 0.1)] == [1]
    assert tracker.detected([], image, 0.3) == []
    assert tracker.detected(unsure, image, 0.5) == []
    assert [one.track for one in tracker.detected(unsure, image, 0.6)] == [1]


def test_a_find_that_is_not_confirmed_is_dropped_and_uses_up_no_id() -> None:
    tracker, image = Tracker(embedded), shot({0: (160, 120, 60)})
    tracker.detected([detection_of((60, 60, 40), 0.75)], image, 0)
    assert tracker.detected([], image, 0.2) == []
    assert not tracker.is_waiting
    assert [one.track for one in tracker.detected([detection_of((160, 120, 60))], image, 0.4)] == [1]


def test_a_find_without_a_score_counts_at_once_and_is_hidden_when_it_is_not_found_again() -> None:
    place, tracker = (160.0, 120.0, 60.0), Tracker(embedded)
    image = shot({0: place})
    assert len(tracker.detected([detection_of(place, None)], image, 0)) == 1
    assert tracker.detected([], image, 0.2) == []
    assert [one.track for one in tracker.detected([detection_of(place, None)], image, 0.4)] == [1]


def test_a_confident_face_is_reported_at_once_and_may_be_missed_once_it_was_found_twice() -> None:
    place, tracker = (160.0, 120.0, 60.0), Tracker(embedded)
    image, found = shot({0: place}), [detection_of(place, 0.9)]
    assert [one.track for one in tracker.detected(found, image, 0)] == [1]
    assert tracker.detected([], image, 0.2) == []  # it may have been texture
    for time_s in (0.4, 0.6):
        assert [one.track for one in tracker.detected(found, image, time_s)] == [1]
    assert [one.track for one in tracker.detected([], image, 0.8)] == [1]


def test_where_frames_are_far_apart_a_find_needs_no_other_one() -> None:
    tracker, empty, image = Tracker(embedded), shot({}), shot({0: (160, 120, 60)})
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
    seen = play(Tracker(embedded), moments)
    apart = [frame for index, frame in enumerate(seen) if not 15 < index < 60]
    assert len(ids(apart, 0)) == len(ids(apart, 1)) == 1
    assert ids(apart, 0) != ids(apart, 1)
    assert seen[0].keys() == seen[-1].keys() == {0, 1}


def test_the_order_of_finds_does_not_matter() -> None:
    places = {person: (40.0 + 60 * person, 60.0 + 30 * (person % 2), 40.0) for person in range(5)}
    expected: list[Tracked] | None = None
    for seed in range(4):
        tracker, rng = Tracker(embedded), np.random.default_rng(seed)
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
    seen = play(Tracker(embedded), moments)
    assert (seen[0], seen[-1]) == ({0: 1}, {1: 2})


def test_who_appears_in_the_same_place_is_another() -> None:
    moments = [Moment({0: (160, 120, 60)})] * 15 + [Moment({})] * 9 + [Moment({1: (165, 120, 60)})] * 13
    seen = play(Tracker(embedded), moments)
    assert (seen[0], seen[-1]) == ({0: 1}, {1: 2})


def test_a_cut_begins_anew_and_back_again_is_the_same() -> None:
    one, other = Moment({0: (100, 120, 60), 1: (220, 120, 60)}), Moment({2: (100, 120, 60), 3: (220, 120, 60)}, None, 1)
    seen = play(Tracker(embedded), [one] * 15 + [other] * 15 + [one] * 10)
    assert seen[0] == {0: 1, 1: 2}
    assert all(not set(frame.values()) & {1, 2} for frame in seen[15:30])
    assert set(seen[29].values()) == {3, 4}
    assert seen[-1] == {0: 1, 1: 2}


# Time, and what is no face


def test_times_count_not_frames() -> None:
    rng = np.random.default_rng(0)
    times = np.cumsum(rng.choice([1 / 60, 1 / 30, 1 / 10, 0.3], 60)).tolist()
    moments = [Moment({0: (160 + 90 * math.sin(time_s), 120 + 40 * math.sin(1.7 * time_s), 60)}) for time_s in times]
    seen = play(Tracker(embedded), moments, times)
    assert ids(seen, 0) == {1}
    assert all(0 in frame for frame in seen[::EVERY])


def test_a_long_gap_does_not_lose_who_stayed() -> None:
    place, tracker = (160.0, 120.0, 60.0), Tracker(embedded)
    for time_s in (0, 10, 700):
        assert [one.track for one in tracker.detected([detection_of(place)], shot({0: place}), time_s)] == [1]
    assert [one.track for one in tracker.detected([detection_of(place)], shot({1: place}, 1), 720)] == [2]


def test_a_frame_may_be_followed_first_and_detected_then() -> None:
    tracker = Tracker(embedded)
    tracker.detected([detection_of((160, 120, 60))], shot({0: (160, 120, 60)}), 0)
    image = shot({0: (164, 120, 60), 1: (60, 60, 50)})
    first = tracker.followed(image, 1 / 30)
    assert [one.track for one in first] == [1]
    both = tracker.detected([detection_of((164, 120, 60)), detection_of((60, 60, 50))], image, 1 / 30)
    assert [one.track for one in both] == [2, 1]  # from left to right


def test_frames_of_one_time_are_different_frames() -> None:
    """Some clocks are coarse, and some videos give several frames the same time."""
    tracker = Tracker(embedded)
    for index in range(4):
        place = (160.0 + 4 * index, 120.0, 60.0)
        image = shot({0: place})
        (one,) = tracker.followed(image, 0.0) if index else tracker.detected([detection_of(place)], image, 0.0)
        assert one.detection.box.x == pytest.approx(box(place).x, abs=1.5)


def test_of_many_lost_faces_the_last_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mien.tracking.tracker.MAX_LOST", 2)
    tracker, place = Tracker(embedded), (160.0, 120.0, 60.0)
    found = []
    for index, person in enumerate((0, 1, 2, 3, 4, 2, 0)):
        tracked = tracker.detected([detection_of(place)], shot({person: place}, index % 2), 3.0 * index)
        found.append([one.track for one in tracked])
    assert found == [[1], [2], [3], [4], [5], [3], [6]]


def test_of_a_stream_of_many_tracks_the_last_may_still_be_joined(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mien.tracking.tracker.MAX_SUMMARIES", 3)
    monkeypatch.setattr("mien.tracking.tracker.REMEMBERED_S", 1.0)
    tracker, place = Tracker(embedded), (160.0, 120.0, 60.0)
    for index in range(6):
        tracker.detected([detection_of(place)], shot({0: place}), 10.0 * index)
        tracker.detected([], np.zeros((240, 320, 3), np.uint8), 10.0 * index + 5)
    summaries = tracker.summaries()
    assert [one.track for one in summaries] == [1, 2, 3, 4, 5, 6]
    assert [one.is_apart for one in summaries] == 3 * [True] + 3 * [False]
    assert all(one.embeddings is None and not one.together for one in summaries[:3])
    assert join_tracks(summaries) == {1: 1, 2: 2, 3: 3, 4: 4, 5: 4, 6: 4}
    assert join_tracks(summaries, 1) == join_tracks(summaries)


def test_a_stream_without_faces() -> None:
    tracker = Tracker(embedded)
    for index in range(12):
        image = np.zeros((240, 320, 3), np.uint8) if index % 2 else SCENES[0]
        assert tracker.followed(image, index) == tracker.detected([], image, index + 0.5) == []


def test_black_frames_in_between() -> None:
    place, tracker = (160.0, 120.0, 60.0), Tracker(embedded)
    tracker.detected([detection_of(place)], shot({0: place}), 0)
    for index in range(1, 5):
        assert tracker.followed(np.zeros((240, 320, 3), np.uint8), index / 30) == []
    assert [one.track for one in tracker.detected([detection_of(place)], shot({0: place}), 5 / 30)] == [1]


def test_frames_may_change_size() -> None:
    place, tracker = (160.0, 120.0, 60.0), Tracker(embedded)
    image = shot({0: place})
    tracker.detected([detection_of(place)], image, 0)
    smaller = np.ascontiguousarray(image[:200, :300])
    assert tracker.followed(smaller, 1 / 30) == []
    assert [one.track for one in tracker.detected([detection_of(place)], smaller, 2 / 30)] == [1]


def test_boxes_without_area_are_no_faces() -> None:
    assert Tracker(embedded).detected([Detection(Box(10, 10, 0, 5), 0.9)], SCENES[0], 0) == []


@settings(max_examples=5)
@given(st.integers(0, 2**32 - 1))
def test_an_id_belongs_to_one_person_wherever_that_one_turns_up(seed: int) -> None:
    rng, tracker = np.random.default_rng(seed), Tracker(embedded)
    owners: dict[int, int] = {}
    for index in range(12):
        people = rng.permutation(5)[: rng.integers(0, 4)].tolist()
        corners = rng.permutation([(60.0, 60.0), (60.0, 180.0), (250.0, 60.0), (250.0, 180.0)])
        places = {person: (*corners[number].tolist(), 60.0) for number, person in enumerate(people)}
        image = shot(places, int(rng.integers(2)))
        tracked = tracker.detected([detection_of(place) for place in places.values()], image, 3.0 * index)
        assert len(tracked) == len(places)
        for one in tracked:
            (person,) = (who for who, place in places.items() if one.detection.box.iou(box(place)) > 0.9)
            assert owners.setdefault(one.track, person) == person
    assert sorted(owners) == list(range(1, len(owners) + 1))
    assert len(set(owners.values())) == len(owners)


def test_a_cut_before_one_background_is_seen_in_its_frame() -> None:
    """What changes is the face alone: it is lost at once, and whoever is found there is another."""
    place = (160.0, 120.0, 70.0)
    tracker = Tracker(embedded)
    for index in range(7):
        image = shot({0: place})
        tracked = tracker.followed(image, index / 30) if index else tracker.detected([detection_of(place)], image, 0.0)
        assert [one.track for one in tracked] == [1]
    image = shot({1: place})
    assert tracker.followed(image, 7 / 30) == []
    assert [one.track for one in tracker.detected([detection_of(place)], image, 7 / 30)] == [2]
    assert not tracker.scene_changed


@pytest.mark.parametrize("every_s", [0.25, 0.5, 1.0, 2.0])
def test_one_person_alone_is_one_however_sparsely_the_video_is_sampled(every_s: float) -> None:
    tracker = Tracker(embedded)
    for index in range(12):
        place = (160 + 90 * math.sin(2.4 * index), 120 + 50 * math.cos(1.7 * index), 70.0)
        tracked = tracker.detected([detection_of(place)], shot({0: place}), every_s * index)
        assert [one.track for one in tracked] == [1]


def test_who_dissolves_into_another_is_another() -> None:
    place, tracker, seen = (160.0, 120.0, 70.0), Tracker(embedded), []
    for index in range(60):
        fraction = min(max((index - 15) / 30, 0.0), 1.0)
        before, after = shot({0: place}).astype(np.float32), shot({1: place}).astype(np.float32)
        image = np.rint(before + fraction * (after - before)).astype(np.uint8)
        if index % EVERY == 0:
            seen.append([one.track for one in tracker.detected([detection_of(place)], image, index / 30)])
        else:
            tracker.followed(image, index / 30)
    assert seen[0] == [1]
    assert seen[-1] == [2]


def test_a_changed_scene_is_told_and_a_moving_face_is_none() -> None:
    tracker = Tracker(embedded)
    tracker.followed(shot({}), 0.0)
    tracker.followed(shot({0: (160.0, 120.0, 60.0)}), 1 / 30)
    tracker.followed(shot({0: (150.0, 120.0, 60.0)}), 2 / 30)
    assert not tracker.scene_changed
    tracker.followed(np.full_like(SCENES[0], 255), 3 / 30)
    assert tracker.scene_changed


@pytest.mark.parametrize("away_s", [1.5, 3.5])
def test_a_brief_exit_over_the_edge_leaves_as_many_persons(away_s: float) -> None:
    moments = []
    for index in range(round((3 + away_s) * 30)):
        time_s = index / 30
        gone = min(max(time_s - 0.5, 0.0), 1.0) - min(max(time_s - 1.5 - away_s, 0.0), 1.0)
        x = 100 - 150 * gone
        moments.append(Moment({0: (x, 120.0, 60.0), 1: (230.0, 120.0, 60.0)}, None if x > 15 else (1,)))
    seen = play(Tracker(embedded), moments)
    assert ids(seen, 0) == {1}
    assert ids(seen, 1) == {2}
    assert seen[-1] == {0: 1, 1: 2}


def test_a_face_that_changes_at_once_though_hardly_asks_for_a_detection() -> None:
    place, tracker = (160.0, 120.0, 70.0), Tracker(embedded)
    tracker.detected([detection_of(place)], shot({0: place}), 0.0)
    tracker.followed(shot({0: place}), 1 / 30)
    assert not tracker.needs_detection
    other = np.asarray(cv2.addWeighted(FACES[0], 0.68, FACES[1], 0.32, 0), np.uint8)
    image = shot({0: place}, faces={0: other})
    assert [one.track for one in tracker.followed(image, 2 / 30)] == [1]
    assert tracker.needs_detection
    assert not tracker.scene_changed
    assert [one.track for one in tracker.detected([detection_of(place)], image, 2 / 30)] == [1]
    assert not tracker.needs_detection
