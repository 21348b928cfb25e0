from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mien.errors import ModelError
from mien.model_card import ModelCard

CARD = ModelCard("alexnet", "0.1", ("bored", "keen"), {"width": 0.5}, precision="int8", temperature=1.25)


def test_the_id_holds_name_version_and_precision() -> None:
    assert CARD.id == "alexnet-0.1-int8"


@given(
    st.builds(
        ModelCard,
        name=st.text(),
        version=st.text(),
        classes=st.lists(st.text(), min_size=2).map(tuple),
        architecture=st.dictionaries(st.text(), st.integers() | st.booleans() | st.text()),
        temperature=st.floats(0.1, 10),
        metrics=st.dictionaries(st.text(), st.dictionaries(st.text(), st.floats(0, 1))),
        source=st.none() | st.text(),
    )
)
def test_a_card_comes_back_from_its_json(card: ModelCard) -> None:
    text = card.to_json()
    assert "\n" not in text
    assert ModelCard.from_json(text) == card


def changed(**values: object) -> str:
    return json.dumps({**json.loads(CARD.to_json()), **values})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "damaged"),
        ("[]", "damaged"),
        ("null", "damaged"),
        ("{}", "schema"),
        (changed(schema=2), "has schema 2, this Mien reads 1"),
        (changed(surprise=1), "surprise"),
        (changed(classes=None), "damaged"),
        (changed(classes=["a", 1]), "damaged: classes are"),
        (changed(name=3), "damaged: name is 3"),
        (changed(name="\ud800"), "damaged"),
        (changed(data=[1]), "damaged: data is"),
        (changed(data={"class_frequencies": {"bored": "x"}}), "damaged: class_frequencies are"),
        (changed(temperature="warm"), "damaged: temperature is 'warm'"),
        (changed(temperature=float("nan")), "damaged: temperature is None"),
        (changed(temperature=0), "damaged: temperature is 0"),
        (changed(source=["a"]), "damaged: source is"),
        ("[" * 100_000, "damaged"),
        (replace(CARD, classes=("only",)).to_json(), "names 1 classes"),
    ],
)
def test_what_is_no_card_is_refused(text: str, words: str) -> None:
    with pytest.raises(ModelError, match=words):
        ModelCard.from_json(text)


def test_a_figure_that_is_no_number_is_missing() -> None:
    card = ModelCard.from_json(changed(metrics={"validation": {"ece": float("nan"), "accuracy": 0.9}}))
    assert card.metrics == {"validation": {"ece": None, "accuracy": 0.9}}
