"""Who is paired with whom, one to one, at the least total cost."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def assign(costs: NDArray[np.float64], limit: float) -> list[tuple[int, int]]:
    """The pairs (row, column) of least total cost, each row and column in one at most, none dearer than the limit.

    costs is (N, M) of values from 0 on, inf where there can be no pair. A pair is worth what it is below the limit.
    Exact, by shortest augmenting paths (Jonker and Volgenant, Computing, 1987).
    """
    rows, columns = costs.shape
    if not rows or not columns:
        return []
    # Each row has an extra column that stands for no pair, so that a path always ends.
    padded = np.full((rows, columns + rows), np.inf)
    padded[:, :columns] = np.where(costs <= limit, costs - limit, np.inf)
    padded[np.arange(rows), columns + np.arange(rows)] = 0.0
    owner = np.full(columns + rows, -1)
    row_price, column_price = np.zeros(rows), np.zeros(columns + rows)
    for first in range(rows):
        distance, previous = np.full(columns + rows, np.inf), np.full(columns + rows, -1)
        done = np.zeros(columns + rows, bool)
        row, column, so_far = first, -1, 0.0
        while row >= 0:
            through = so_far + padded[row] - row_price[row] - column_price
            better = ~done & (through < distance)
            distance[better], previous[better] = through[better], column
            column = int(np.argmin(np.where(done, np.inf, distance)))
            so_far, row = float(distance[column]), int(owner[column])
            done[column] = True
        row_price[first] += so_far
        for other in np.flatnonzero(done):
            column_price[other] += distance[other] - so_far
            if owner[other] >= 0:
                row_price[owner[other]] += so_far - distance[other]
        while column >= 0:
            before = int(previous[column])
            owner[column] = owner[before] if before >= 0 else first
            column = before
    return [(int(row), column) for column, row in enumerate(owner[:columns]) if row >= 0]
