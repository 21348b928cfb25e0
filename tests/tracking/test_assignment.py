"""Pairs of least total cost."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mien.tracking.assignment import assign


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
