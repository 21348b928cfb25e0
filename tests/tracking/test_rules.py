"""Each rule of the tracker, held by a short film that ends otherwise without it."""

from __future__ import annotations

import cv2
import numpy as np

from mien.tracking.tracker import Tracker

from .films import FACES, Image, Moment, embedded, ids, play


def mixed(fraction: float) -> Image:
    """A face that changes from one (fraction 0) to another (fraction 1)."""
    return np.asarray(cv2.addWeighted(FACES[0], 1 - fraction, FACES[1], fraction, 0), np.uint8)


def test_a_fast_face_that_was_hidden_is_expected_where_it_was_going() -> None:
    moments = [Moment({} if 6 <= index < 15 else {0: (40 + 10 * index, 120, 40)}) for index in range(18)]
    seen = play(Tracker(embedded), moments, every=3)
    assert ids(seen, 0) == {1}
    assert seen[15] == {0: 1}


def test_a_hidden_face_is_expected_to_slow_down() -> None:
    moments = [Moment({} if 9 <= index < 36 else {0: (30 + 10 * min(index, 12), 120, 40)}) for index in range(42)]
    seen = play(Tracker(embedded), moments, every=3)
    assert ids(seen, 0) == {1}
    assert seen[36] == {0: 1}


def test_a_face_that_is_still_half_hidden_where_one_was_lost_waits_to_be_known_again() -> None:
    """Something that is no face stands before it, and goes; it is found before it can be seen as a whole."""
    moments = []
    for index in range(48):
        before = {4: (150.0 - 9 * max(18 - index, 0) + 10 * max(index - 35, 0), 120.0, 58.0)}
        moments.append(Moment({0: (150, 120, 50), **before}, () if 13 <= index < 37 else (0,)))
    seen = play(Tracker(embedded), moments, every=2)
    assert ids(seen, 0) == {1}
    assert seen[-1] == {0: 1}


def test_while_the_face_in_front_touches_it_a_half_hidden_face_waits_on() -> None:
    """The one in front leaves slowly: for much longer than a detection elsewhere would wait."""
    moments = []
    for index in range(110):
        x = 60 + 4 * index if index < 22 else max(148, 114 + index)
        found = (0, 1) if index < 10 or index >= 50 else (1,)
        moments.append(Moment({0: (150, 120, 56), 1: (x, 120, 56)}, found))
    seen = play(Tracker(embedded), moments, every=3)
    assert ids(seen, 0) | ids(seen, 1) == {1, 2}
    assert seen[-1] == seen[0] == {0: 2, 1: 1}


def test_a_face_that_changes_slowly_stays_the_same() -> None:
    """As one that turns, or that the light wanders over: what it looks like is learnt from each detection."""
    moments = []
    for index in range(96):
        face = mixed(min(max((index - 10) / 120, 0), 0.5))
        moments.append(Moment({} if 74 <= index < 80 else {0: (150, 120, 56)}, faces={0: face}))
    seen = play(Tracker(embedded), moments)
    assert ids(seen, 0) == {1}
    assert all(0 in frame for frame in seen[:74])
    assert seen[-1] == {0: 1}


def test_what_another_face_covers_is_not_learnt() -> None:
    """One stands before a corner of a face for a second. After a cut, away and back, the face is known as it was."""
    face, other = {0: (130.0, 120.0, 60.0)}, {1: (142.0, 132.0, 36.0)}
    moments = [Moment(face)] * 7 + [Moment(face | other)] * 30 + [Moment({}, scene=1)] * 6 + [Moment(face)] * 6
    seen = play(Tracker(embedded), moments, every=2)
    assert ids(seen, 0) == {1}
    assert seen[-1] == {0: 1}


def test_a_look_that_hardly_fits_is_not_learnt() -> None:
    """A face makes another one for a second, and is found in its place. After a cut it is known as it was."""
    face = {0: (130.0, 120.0, 60.0)}
    changed = [Moment(face, faces={0: mixed(0.45)})] * 30
    seen = play(
        Tracker(embedded), [Moment(face)] * 7 + changed + [Moment({}, scene=1)] * 6 + [Moment(face)] * 6, every=2
    )
    assert ids(seen, 0) == {1}
    assert seen[-1] == {0: 1}


def test_after_a_cut_a_face_in_the_same_place_must_be_much_alike() -> None:
    face = {0: (150.0, 120.0, 56.0)}
    seen = play(Tracker(embedded), [Moment(face)] * 13 + [Moment(face, scene=1, faces={0: mixed(0.7)})] * 13)
    assert (seen[0], seen[-1]) == ({0: 1}, {0: 2})
    same = play(Tracker(embedded), [Moment(face)] * 13 + [Moment(face, faces={0: mixed(0.45)})] * 13)
    assert (same[0], same[-1]) == ({0: 1}, {0: 1})


def test_a_face_behind_something_is_not_reported_in_its_place() -> None:
    """No detector runs; what moves over the face is followed no further than it looks like it."""
    moments = [Moment({0: (150, 120, 50), 4: (30.0 + 6 * index, 120, 58)}, (0,)) for index in range(30)]
    seen = play(Tracker(embedded), moments, every=60)
    assert all(frame == {0: 1} for frame in seen[:12])
    assert not any(seen[15:])


def test_who_was_in_the_picture_with_a_face_is_never_taken_for_it() -> None:
    """Two who look the same, one of whom leaves."""
    twins = {0: FACES[2], 1: FACES[2]}
    both, one = {0: (90.0, 120.0, 60.0), 1: (230.0, 120.0, 60.0)}, {1: (230.0, 120.0, 60.0)}
    seen = play(Tracker(embedded), [Moment(both, faces=twins)] * 13 + [Moment(one, faces=twins)] * 30)
    assert ids(seen, 0) == {1}
    assert ids(seen, 1) == {2}
