from __future__ import annotations

import pytest

from mien.training.recipes import scratch, with_settings
from mien.training.state import MUON_AT_MOST, TrainingState

SMALL = ["network.width=0.1", "network.pool=1", "network.input_size=67"]


@pytest.mark.parametrize(("units", "muon"), [(MUON_AT_MOST, True), (MUON_AT_MOST + 1, False)])
def test_muon_leaves_the_first_layer_the_last_and_very_large_ones_to_adamw(units: int, muon: bool) -> None:
    recipe = with_settings(scratch(), [*SMALL, f"network.hidden={units},{units}"])
    state = TrainingState.begin(recipe.network, recipe)
    learned = {id(p): group["use_muon"] for group in state.optimizer.param_groups for p in group["params"]}
    weights = list(state.network.parameters())
    assert learned.keys() == {id(p) for p in weights}
    assert [learned[id(p)] for p in weights if p.ndim == 4] == [False, True, True, True, True]
    assert [learned[id(p)] for p in weights if p.ndim == 2] == [True, muon, False]  # the first has few inputs
    assert not any(learned[id(p)] for p in weights if p.ndim == 1)
