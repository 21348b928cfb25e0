"""Wilson's interval against its definition and its published values."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mien.evaluation.intervals import wilson


@pytest.mark.parametrize(
    ("hits", "n", "low", "high"),
    [  # Newcombe, "Two-sided confidence intervals for the single proportion", Statistics in Medicine 17, 1998, table I
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_published_values(hits: int, n: int, low: float, high: float) -> None:
    assert wilson(hits, n) == pytest.approx((low, high), abs=6e-5)


@given(st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_its_ends_are_where_the_score_test_turns(case: tuple[int, int]) -> None:
    hits, n = case
    low, high = wilson(hits, n)
    assert 0 <= low <= hits / n <= high <= 1
    assert wilson(n - hits, n) == pytest.approx((1 - high, 1 - low))
    for end in (low, high):
        if 1e-9 < end < 1 - 1e-9:
            assert abs(hits / n - end) == pytest.approx(1.959964 * math.sqrt(end * (1 - end) / n), rel=1e-6)


def test_it_narrows_with_more_rows() -> None:
    widths = [high - low for low, high in (wilson(n // 2, n) for n in (2, 20, 200, 2000))]
    assert widths == sorted(widths, reverse=True)
