from __future__ import annotations

import pytest
import torch

from mien.training import cover
from mien.training.cover import covered

Y, X = torch.meshgrid(torch.linspace(0, 1, 48), torch.linspace(0, 1, 48), indexing="ij")
FACES = (0.5 + 0.25 * torch.sin(9 * X + 4 * Y) + 0.1 * torch.cos(60 * X)).expand(200, 1, 48, 48)


@pytest.mark.parametrize(
    ("kind", "rows", "columns", "kept"),
    [("_mask", slice(40, 44), slice(18, 30), slice(0, 16)), ("_glasses", slice(17, 20), slice(12, 15), slice(34, 48))],
)
def test_covers_are_where_they_belong(
    monkeypatch: pytest.MonkeyPatch, kind: str, rows: slice, columns: slice, kept: slice
) -> None:
    monkeypatch.setattr(cover, "_COVERS", (getattr(cover, kind),))
    torch.manual_seed(2)
    changes = (covered(FACES) - FACES).abs()[:, 0]
    assert (changes[:, rows, columns] > 0.01).float().mean() > 0.8
    assert changes[:, kept].max() < 0.02


def test_a_hand_may_be_anywhere_and_hides_a_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cover, "_COVERS", (cover._hand,))
    torch.manual_seed(2)
    hidden = ((covered(FACES) - FACES).abs()[:, 0] > 0.02).float()
    assert hidden.mean(0).min() > 0.02
    assert 0.05 < hidden.mean() < 0.4
