"""Times as text, and the places of an axis's ticks."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mien.reports.clock import axis_ticks, clock_time, spoken_time


@pytest.mark.parametrize(
    ("seconds", "plain", "tenths", "spoken", "finely"),
    [
        (0, "0:00", "0:00.0", "0.0 s", "0.0 s"),
        (0.3, "0:00", "0:00.3", "0.3 s", "0.3 s"),
        (59.96, "0:59", "0:59.9", "1 min", "1 min"),
        (83.27, "1:23", "1:23.2", "1 min 23 s", "1 min 23.3 s"),
        (119.97, "1:59", "1:59.9", "2 min", "2 min"),
        (600, "10:00", "10:00.0", "10 min", "10 min"),
        (3599.97, "59:59", "59:59.9", "1 h", "1 h"),
        (3725.5, "1:02:05", "1:02:05.5", "1 h 2 min", "1 h 2 min"),
        (7200, "2:00:00", "2:00:00.0", "2 h", "2 h"),
    ],
)
def test_times_read_well(seconds: float, plain: str, tenths: str, spoken: str, finely: str) -> None:
    assert clock_time(seconds) == plain
    assert clock_time(seconds, tenths=True) == tenths
    assert spoken_time(seconds) == spoken
    assert spoken_time(seconds, tenths=True) == finely


def test_ticks_are_round() -> None:
    assert axis_ticks(0, 10) == [0, 2, 4, 6, 8, 10]
    assert axis_ticks(0, 3600) == [0, 600, 1200, 1800, 2400, 3000, 3600]
    assert axis_ticks(61, 118) == [70, 80, 90, 100, 110]
    assert axis_ticks(0, 0.4) == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])


@given(st.floats(0, 1e6), st.floats(0.04, 1e7), st.integers(4, 12))
def test_ticks_are_few_and_within(start: float, length: float, most: int) -> None:
    ticks = axis_ticks(start, start + length, most=most)
    assert len(ticks) <= most + 1
    assert all(start - 1e-3 <= tick <= start + length + 1e-3 for tick in ticks)
    assert len({round(after - before, 3) for before, after in pairwise(ticks)}) <= 1
