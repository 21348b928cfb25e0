from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mien.errors import ConfigError
from mien.training.network import AlexNetConfig
from mien.training.recipes import RECIPES, Recipe, named_recipe, scratch, with_settings


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_each_recipe_survives_json(name: str) -> None:
    recipe = named_recipe(name)
    assert Recipe.from_dict(json.loads(json.dumps(recipe.to_dict()))) == recipe


@given(
    epochs=st.integers(1, 1000),
    rate=st.floats(1e-6, 1),
    hidden=st.tuples(st.integers(1, 5000), st.integers(1, 5000)),
    flip=st.floats(0, 1),
    optimizer=st.sampled_from(["adamw", "sgd", "muon"]),
)
def test_settings_reach_their_fields(
    epochs: int, rate: float, hidden: tuple[int, int], flip: float, optimizer: str
) -> None:
    recipe = with_settings(
        scratch(),
        [
            f"epochs={epochs}",
            f"learning_rate = {rate!r}",
            f"network.hidden={hidden[0]},{hidden[1]}",
            f"augmentation.flip={flip!r}",
            f"optimizer={optimizer}",
        ],
    )
    assert isinstance(recipe.network, AlexNetConfig)
    assert (recipe.epochs, recipe.learning_rate, recipe.network.hidden) == (epochs, rate, hidden)
    assert (recipe.augmentation.flip, recipe.optimizer) == (flip, optimizer)
    assert recipe.augmentation.rotation == scratch().augmentation.rotation


def test_spoiling_is_set_like_the_rest_and_older_recipes_have_none() -> None:
    recipe = with_settings(scratch(), ["spoiling.chance=0.2", "spoiling.side=12"])
    assert (recipe.spoiling.chance, recipe.spoiling.side, recipe.spoiling.spoils) == (0.2, 12, True)
    assert Recipe.from_dict(json.loads(json.dumps(recipe.to_dict()))) == recipe
    older = {key: value for key, value in recipe.to_dict().items() if key != "spoiling"}
    assert not Recipe.from_dict(older).spoiling.spoils
    with pytest.raises(ConfigError, match=r"spoiling and augmentation\.mixup or cutmix exclude each other"):
        with_settings(recipe, ["augmentation.cutmix=1"])


def test_outliers_need_unmixed_targets_and_classes() -> None:
    with pytest.raises(ConfigError, match=r"outliers and augmentation\.mixup or cutmix exclude each other"):
        with_settings(scratch(), ["outliers=0.1", "augmentation.mixup=0.2"])
    with pytest.raises(ConfigError, match="outliers need the frequencies of classes"):
        with_settings(named_recipe("pretrain"), ["outliers=0.1"])


@pytest.mark.parametrize(
    ("setting", "named"),
    [
        ("epochs", "FIELD=VALUE"),
        ("epoch=3", "epoch: no such field"),
        ("network.depth=3", "network.depth: no such field"),
        ("epochs=many", "epochs must be int"),
        ("epochs=0", "epochs must be within"),
        ("learning_rate=-1", "learning_rate must be above 0"),
        ("network=alexnet", "network.width"),
        ("network.hidden=1", "hidden must be two"),
        ("epochs.more=1", "epochs.more"),
        ("optimizer=adam", "optimizer must be one of adamw, sgd, muon"),
        ("outliers=0.6", "outliers must be within"),
        ("labels=majority", "labels must be one of votes, own, none"),
        ("precision=half", "precision must be one of"),
        ("augmentation.flip=2", "augmentation.flip"),
        ("seed=-1", "seed must be within"),
        ("network.mirror=maybe", "network.mirror must be true or false, got 'maybe'"),
        ("network.std=nan", "std above 0"),
        ("network.hidden=512,999999999", "hidden must be two"),
    ],
)
def test_bad_settings_are_refused_by_name(setting: str, named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        with_settings(scratch(), [setting])


@pytest.mark.parametrize(
    ("text", "value"), [("true", True), ("Yes", True), ("1", True), ("False", False), ("no", False)]
)
def test_truth_has_several_names(text: str, value: bool) -> None:
    network = with_settings(scratch(), [f"network.mirror={text}"]).network
    assert isinstance(network, AlexNetConfig)
    assert network.mirror is value


def test_unknown_names_are_refused() -> None:
    with pytest.raises(ConfigError, match="scratch, quick"):
        named_recipe("slow")
    with pytest.raises(ConfigError, match="speed"):
        Recipe.from_dict({**scratch().to_dict(), "speed": 1})
