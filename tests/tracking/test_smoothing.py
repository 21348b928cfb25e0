from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mien.errors import ConfigError
from mien.tracking.smoothing import EVIDENCE_S, FORGET_S, WINDOW_S, Smoother

Row = NDArray[np.float64]


def rows(classes: int) -> st.SearchStrategy[Row]:
    """Probabilities over so many classes, none certain and none impossible."""
    weights = st.lists(st.floats(0.01, 1), min_size=classes, max_size=classes)
    return weights.map(lambda values: np.array(values) / np.sum(values))


def sure(shown: int, probability: float = 0.9, classes: int = 7) -> Row:
    """One class with this probability, the others alike."""
    result = np.full(classes, (1 - probability) / (classes - 1))
    result[shown] = probability
    return result


def played(smoother: Smoother, seen: list[Row], step: float, start: float = 0.0, track: int = 1) -> NDArray[np.float32]:
    """What comes of frames that are so many seconds apart: (F, C)."""
    return np.stack([smoother.smooth(track, row, start + place * step) for place, row in enumerate(seen)])


videos = st.integers(2, 9).flatmap(lambda classes: st.lists(rows(classes), min_size=2, max_size=15))
steps = st.floats(1 / 120, 1.5)


@given(videos, steps)
def test_probabilities_come_of_probabilities(seen: list[Row], step: float) -> None:
    result = played(Smoother(len(seen[0])), seen, step)
    assert result.dtype == np.float32
    assert result.shape == (len(seen), len(seen[0]))
    assert result.min() >= 0
    np.testing.assert_allclose(result.sum(1), 1, atol=1e-5)


@given(rows(5), st.floats(-1e3, 1e6))
def test_the_first_probabilities_come_back_as_they_are(row: Row, time_s: float) -> None:
    smoother = Smoother(5)
    given_row = row.astype(np.float32)
    np.testing.assert_array_equal(smoother.smooth(1, given_row, time_s), given_row)


@given(
    st.integers(2, 6).flatmap(
        lambda classes: st.tuples(st.lists(rows(classes), min_size=2, max_size=12), st.permutations(range(classes)))
    ),
    steps,
)
def test_the_order_of_the_classes_does_not_matter(drawn: tuple[list[Row], list[int]], step: float) -> None:
    seen, order = drawn
    for row in seen:
        assume(len(np.unique(row.round(9))) == len(row))  # between equals the first one is taken
    straight = played(Smoother(len(order)), seen, step)
    turned = played(Smoother(len(order)), [row[order] for row in seen], step)
    np.testing.assert_allclose(turned, straight[:, order], atol=1e-5)


@given(rows(4), rows(4), st.floats(0.01, 1), st.integers(2, 6))
def test_small_steps_add_up_to_a_large_one(first: Row, then: Row, step: float, parts: int) -> None:
    lead = then.max() - then[first.argmax()]
    assume(abs(lead * step - EVIDENCE_S) > 1e-6)
    once = played(Smoother(4), [first, then], step)[-1]
    often = played(Smoother(4), [first, *[then] * parts], step / parts)[-1]
    # Only a change on the way there may part them: whether it comes at a small step or at the large one.
    if lead * step < EVIDENCE_S:
        np.testing.assert_allclose(often, once, atol=1e-5)
    else:
        assert once.argmax() == often.argmax() == then.argmax()


@given(rows(6), rows(6), st.floats(1 / 60, 0.5))
def test_what_lasts_is_what_comes_out(first: Row, then: Row, step: float) -> None:
    lead = np.sort(then)[-1] - np.sort(then)[-2]
    assume(lead > 0.05)
    seconds = max((EVIDENCE_S + step) / lead, 12 * WINDOW_S) + 2 * step
    result = played(Smoother(6), [first, *[then] * math.ceil(seconds / step)], step)
    np.testing.assert_allclose(result[-1], then, atol=1e-3)


def test_an_averages_past_fades_to_a_half_in_two_tenths_of_a_second() -> None:
    first, then = np.array([0.9, 0.1]), np.array([0.6, 0.4])
    result = played(Smoother(2), [first, then], 0.3 * math.log(2))
    np.testing.assert_allclose(result[-1], (first + then) / 2, atol=1e-6)


@given(rows(6), st.floats(1 / 60, 3), st.integers(2, 40))
def test_constant_probabilities_stay(row: Row, step: float, frames: int) -> None:
    # of classes that tie, the one shown is put ahead by a thousandth
    np.testing.assert_allclose(played(Smoother(6), [row] * frames, step), np.tile(row, (frames, 1)), atol=1.1e-3)


@pytest.mark.parametrize("rate", [10, 15, 30, 60])
def test_a_single_frame_does_not_change_the_label(rate: int) -> None:
    seen = [sure(0, 0.6)] * rate + [sure(3, 0.99)] + [sure(0, 0.6)] * rate
    assert (played(Smoother(7), seen, 1 / rate).argmax(1) == 0).all()


@pytest.mark.parametrize("rate", [10, 15, 30, 60])
@pytest.mark.parametrize("probability", [0.6, 0.75, 0.99])
def test_a_lasting_change_is_shown_within_half_a_second_at_any_rate(rate: int, probability: float) -> None:
    seen = [sure(0, 0.95)] * (2 * rate) + [sure(3, probability)] * rate
    shown = played(Smoother(7), seen, 1 / rate).argmax(1)
    changes = np.flatnonzero(np.diff(shown)) + 1
    assert len(changes) == 1
    assert shown[-1] == 3
    # The new class' first frame stands for the time since the one before.
    assert 0.1 <= (changes[0] - 2 * rate + 1) / rate <= 0.5


def test_how_soon_a_change_is_shown_hardly_depends_on_the_rate() -> None:
    delays = []
    for rate in (10, 30, 120):
        seen = [sure(0)] * rate + [sure(3, 0.8)] * rate
        delays.append((played(Smoother(7), seen, 1 / rate).argmax(1) == 3).argmax() / rate)
    assert max(delays) - min(delays) <= 0.1


def test_less_of_a_lead_takes_longer() -> None:
    delays = []
    for probability in (0.99, 0.6, 0.4):
        seen = [sure(0)] * 30 + [sure(3, probability)] * 90
        delays.append(int((played(Smoother(7), seen, 1 / 30).argmax(1) == 3).argmax()))
    assert delays[0] < delays[1] < delays[2]


def test_two_classes_that_take_turns_leave_the_label_alone() -> None:
    seen = [sure(0, 0.55) if place // 3 % 2 else sure(1, 0.55) for place in range(300)]
    assert len(set(played(Smoother(7), seen, 1 / 30).argmax(1).tolist())) == 1


def test_the_class_shown_shares_with_those_that_are_ahead_of_it() -> None:
    first, then = np.array([0.6, 0.1, 0.1, 0.2]), np.array([0.1, 0.45, 0.43, 0.02])
    smoother = Smoother(4, evidence_s=10)
    result = played(smoother, [first, then], 1.5)[-1]
    keep = math.exp(-1.5 / WINDOW_S)
    average = keep * first + (1 - keep) * then
    level = average[:3].mean()
    assert result.argmax() == 0
    np.testing.assert_allclose(result, [level, level, level, average[3]], atol=1e-3)


def test_after_a_change_evidence_is_gathered_anew() -> None:
    """The third class nearly made it before the second did; when it leads a little, that does not count any more."""
    seen = [np.array([1.0, 0, 0])] * 3 + [np.array([0.1, 0.47, 0.43])] * 20 + [np.array([0.1, 0.4, 0.5])] * 20
    shown = played(Smoother(3, evidence_s=0.2), seen, 1 / 30).argmax(1)
    assert shown[22] == 1
    assert (shown[22:] == 1).all()


def test_seconds_without_a_face_are_forgotten() -> None:
    smoother, other = Smoother(7), sure(4, 0.3).astype(np.float32)
    played(smoother, [sure(0)] * 30, 1 / 30)
    np.testing.assert_array_equal(smoother.smooth(1, other, 1 + FORGET_S), other)


def test_a_track_begins_anew_after_just_as_long_as_it_is_remembered() -> None:
    smoother, other = Smoother(7, forget_s=2.0), sure(4, 0.3).astype(np.float32)
    smoother.smooth(2, sure(0), 0.0)
    smoother.smooth(1, sure(0), 0.5)
    smoother.smooth(2, sure(0), 2.0)
    np.testing.assert_array_equal(smoother.smooth(1, other, 2.5), other)
    assert len(smoother) == 2


def test_a_track_that_is_not_seen_any_more_leaves_the_memory() -> None:
    smoother = Smoother(7, forget_s=2.0)
    smoother.smooth(1, sure(0), 0.0)
    smoother.smooth(2, sure(0), 2.0)
    assert len(smoother) == 1


def test_a_face_out_of_sight_for_a_moment_keeps_its_label() -> None:
    smoother = Smoother(7)
    played(smoother, [sure(0)] * 30, 1 / 30)
    assert smoother.smooth(1, sure(4, 0.3), 1.3).argmax() == 0


def test_tracks_do_not_mix() -> None:
    smoother = Smoother(7)
    for place in range(30):
        one = smoother.smooth(1, sure(0), place / 30)
        two = smoother.smooth(2, sure(5), place / 30)
        assert (one.argmax(), two.argmax()) == (0, 5)


def test_memory_is_bounded() -> None:
    smoother = Smoother(3)
    most = 0
    for track in range(5000):
        smoother.smooth(track, np.array([0.5, 0.3, 0.2]), track / 30)
        most = max(most, len(smoother))
    assert most <= 2 * FORGET_S * 30 + 1


def test_a_frame_at_the_same_time_adds_nothing() -> None:
    smoother = Smoother(7)
    smoother.smooth(1, sure(0), 1.0)
    np.testing.assert_allclose(smoother.smooth(1, sure(4), 1.0), sure(0), atol=1e-6)


def test_a_class_may_be_impossible() -> None:
    np.testing.assert_array_equal(Smoother(3).smooth(1, np.array([0.0, 1.0, 0.0]), 0.0), [0, 1, 0])


def test_what_is_given_is_left_alone() -> None:
    smoother, row = Smoother(7), sure(0)
    smoother.smooth(1, row, 0.0)
    row[:] = sure(5)
    assert smoother.smooth(1, sure(0), 0.1).argmax() == 0
    result = smoother.smooth(1, sure(0), 0.2)
    result[:] = 0
    np.testing.assert_allclose(smoother.smooth(1, sure(0), 0.3), sure(0), atol=1e-6)


@pytest.mark.parametrize("time_s", [0.9, -1.0, math.nan, math.inf])
def test_a_time_that_falls_or_is_none_is_refused(time_s: float) -> None:
    smoother = Smoother(7)
    smoother.smooth(1, sure(0), 1.0)
    with pytest.raises(ConfigError, match="1 seconds or later"):
        smoother.smooth(2, sure(0), time_s)
    assert smoother.smooth(1, sure(0), 1.1).argmax() == 0


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (np.ones(6) / 6, r"shape \(7,\)"),
        (np.ones((1, 7)) / 7, r"shape \(7,\)"),
        (np.ones(7), "a sum of 7"),
        (np.array([1.5, -0.5, 0, 0, 0, 0, 0]), "least one of -0.5"),
        (np.array([math.nan, 1, 0, 0, 0, 0, 0]), "sum of nan"),
    ],
)
def test_what_are_no_probabilities_is_refused(row: Row, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        Smoother(7).smooth(1, row, 0.0)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["evidence_s", "window_s", "forget_s"])
@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf])
def test_settings_that_make_no_sense_are_refused(name: str, value: float) -> None:
    with pytest.raises(ConfigError, match=name):
        Smoother(7, **{name: value})


def test_one_class_is_refused() -> None:
    with pytest.raises(ConfigError, match="at least 2 classes"):
        Smoother(1)
