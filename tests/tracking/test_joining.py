from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations

import numpy as np
import pytest
from numpy.typing import NDArray

from mien.errors import ConfigError
from mien.tracking.joining import CONFIDENT_SCORE, ONE_PERSON, STRAY_DETECTIONS, TrackSummary, join_tracks


def look(person: int, seed: int = 0, spread: float = 0.2) -> NDArray[np.float32]:
    """An embedding (32,) of length 1 near that of a person."""
    row = np.eye(32)[person] + spread * np.random.default_rng([person, seed]).normal(0, 1 / 32**0.5, 32)
    return np.asarray(row / np.linalg.norm(row), np.float32)


def track(number: int, looks: Iterable[NDArray[np.float32]], score: float | None = 0.95) -> TrackSummary:
    summary = TrackSummary(number)
    for row in looks:
        summary.add(score, row, learns=True)
    return summary


def together(*tracks: TrackSummary) -> None:
    for one in tracks:
        one.together |= {other.track for other in tracks if other is not one}


def made_up(seed: int) -> tuple[list[TrackSummary], dict[int, int]]:
    """Tracks of up to 30 with random gatherings, and whose each is; strays are nobody's."""
    draw = np.random.default_rng(seed)
    tracks, whose = [], {}
    for number in range(1, int(draw.integers(2, 31))):
        person = int(draw.integers(0, 6))
        looks = [look(person, int(draw.integers(0, 1000))) for _ in range(draw.integers(1, 20))]
        tracks.append(track(number, looks, 0.95))
        whose[number] = person
    for _ in range(draw.integers(0, 40)):
        one, other = draw.choice(len(tracks), 2)
        if one != other:
            together(tracks[one], tracks[other])
    draw.shuffle(tracks)
    return tracks, whose


def check_numbers(tracks: Sequence[TrackSummary], numbers: dict[int, int | None]) -> None:
    """No two who were together are joined; numbers have no holes, and rise with the first track."""
    assert set(numbers) == {one.track for one in tracks}
    for one, other in combinations(tracks, 2):
        if other.track in one.together and numbers[one.track] is not None:
            assert numbers[one.track] != numbers[other.track]
    in_order = dict.fromkeys(number for _, number in sorted(numbers.items()) if number is not None)
    assert list(in_order) == list(range(1, len(in_order) + 1))


@pytest.mark.parametrize("seed", range(40))
def test_who_is_alike_is_joined_and_who_was_together_is_not(seed: int) -> None:
    tracks, whose = made_up(seed)
    numbers = join_tracks(tracks)
    check_numbers(tracks, numbers)
    for one, other in combinations(tracks, 2):
        if numbers[one.track] == numbers[other.track]:
            assert whose[one.track] == whose[other.track]
    if not any(one.together for one in tracks):
        assert len(set(numbers.values())) == len(set(whose.values()))


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("persons", [1, 3, 8])
def test_a_number_of_persons_is_met_unless_more_are_together(seed: int, persons: int) -> None:
    tracks, _ = made_up(seed)
    numbers = join_tracks(tracks, persons)
    check_numbers(tracks, numbers)
    found = len(set(numbers.values()))
    assert found >= min(persons, len(tracks))
    if found > persons:  # each pair that is left was together
        for one, other in combinations(set(numbers.values()), 2):
            of_other = {number for number in numbers if numbers[number] == other}
            assert any(each.together & of_other for each in tracks if numbers[each.track] == one)


@pytest.mark.parametrize("seed", range(10))
def test_the_same_tracks_in_another_order_are_the_same_persons(seed: int) -> None:
    tracks, _ = made_up(seed)
    assert join_tracks(tracks) == join_tracks(tracks[::-1])


def test_it_is_average_linkage() -> None:
    """By brute force over all detections."""
    draw = np.random.default_rng(0)
    looks = {n: [look(0, 100 * n + i, spread=draw.uniform(0.1, 0.9)) for i in range(1 + n % 5)] for n in range(1, 16)}
    groups = [[number] for number in looks]

    def linkage(one: list[int], other: list[int]) -> float:
        first, second = (np.array([row for number in group for row in looks[number]]) for group in (one, other))
        return float((first @ second.T).mean())

    while len(groups) > 1:
        one, other = max(combinations(groups, 2), key=lambda pair: linkage(*pair))
        if linkage(one, other) < ONE_PERSON:
            break
        groups.remove(other)
        one += other
    numbers = join_tracks([track(number, rows) for number, rows in looks.items()])
    found = [sorted(n for n in numbers if numbers[n] == number) for number in sorted({*numbers.values()}, key=str)]
    assert 1 < len(groups) < 15
    assert sorted(found) == sorted(map(sorted, groups))


@pytest.mark.parametrize(
    ("detections", "score", "is_somebody"),
    [
        (1, CONFIDENT_SCORE - 0.01, False),
        (STRAY_DETECTIONS, CONFIDENT_SCORE - 0.01, False),
        (STRAY_DETECTIONS + 1, CONFIDENT_SCORE - 0.01, True),
        (1, CONFIDENT_SCORE, True),
        (1, None, True),
    ],
)
def test_faint_and_seldom_is_nobody(detections: int, score: float | None, is_somebody: bool) -> None:
    somebody, faint = track(1, [look(0)] * 5), track(2, [look(1)] * detections, score)
    assert join_tracks([somebody, faint]) == {1: 1, 2: 2 if is_somebody else None}
    assert join_tracks([faint, track(3, [look(0)])]) == {2: 1, 3: 2} if is_somebody else {2: None, 3: 1}


def test_who_is_faint_and_alike_belongs_to_somebody() -> None:
    assert join_tracks([track(1, [look(0)], 0.81), track(2, [look(0, 1)] * 9)]) == {1: 1, 2: 1}


def test_nobody_is_none_of_the_persons_that_are_counted() -> None:
    tracks = [track(1, [look(0)]), track(2, [look(1)], 0.8), track(3, [look(2)])]
    assert join_tracks(tracks, 2) == {1: 1, 2: None, 3: 2}
    assert join_tracks(tracks, 1) == {1: 1, 2: None, 3: 1}
    assert join_tracks([], 2) == join_tracks([]) == {}


def test_fewer_than_one_person_is_an_error() -> None:
    with pytest.raises(ConfigError, match="expected 1 person or more, got 0"):
        join_tracks([], 0)


def test_thousands_of_tracks_take_seconds() -> None:
    tracks = [track(1 + n, [look(n % 30, n)]) for n in range(2000)]
    numbers = join_tracks(tracks)
    assert set(numbers.values()) == set(range(1, 31))
