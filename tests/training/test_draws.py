from __future__ import annotations

import torch

from mien.training.draws import drawn_kinds, drawn_rows

ROWS = torch.zeros(2000, 1)


def test_rows_are_drawn_as_often_as_their_chance_says() -> None:
    torch.manual_seed(0)
    rows = drawn_rows(ROWS, 0.25)
    assert len(rows) == len(set(rows.tolist()))
    assert 400 < len(rows) < 600
    assert len(drawn_rows(ROWS, 0.0)) == 0
    assert len(drawn_rows(ROWS, 1.0)) == 2000


def test_each_row_has_one_kind_and_kinds_are_as_likely() -> None:
    torch.manual_seed(0)
    kinds = drawn_kinds(ROWS, 4)
    assert sorted(torch.cat(kinds).tolist()) == list(range(2000))
    assert all(400 < len(rows) < 600 for rows in kinds)
