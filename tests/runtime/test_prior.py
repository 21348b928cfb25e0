from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mien import load
from mien.emotions import EMOTIONS
from mien.errors import ConfigError, ModelError
from mien.runtime.prior import prior_weights, reweighted

SHARES = dict(zip(EMOTIONS, (0.0875, 0.0096, 0.0302, 0.2707, 0.3419, 0.1433, 0.1168), strict=True))
ROWS = arrays(np.float64, (4, 7), elements=st.floats(0.001, 1)).map(
    lambda rows: (rows / rows.sum(1, keepdims=True)).astype(np.float32)
)


def weights(prior: object) -> np.ndarray:
    found = prior_weights(prior, EMOTIONS, SHARES)  # type: ignore[arg-type]
    assert found is not None
    return found


def test_odds_change_by_the_ratio_of_the_priors() -> None:
    row = np.array([[0.8, 0.15, 0.05]], np.float32)
    factor = prior_weights("uniform", ("a", "b", "c"), {"a": 0.8, "b": 0.1, "c": 0.1})
    assert reweighted(row, factor)[0] == pytest.approx([1 / 3, 1.5 / 3, 0.5 / 3])  # type: ignore[arg-type]


def test_among_made_faces_probabilities_become_those_of_the_new_prior() -> None:
    """What the rule is for: draws by one prior, asked by another, are right as often as the probabilities say."""
    rng = np.random.default_rng(0)
    trained, wanted = np.array([0.6, 0.3, 0.1]), np.array([0.2, 0.3, 0.5])
    classes = rng.choice(3, 200_000, p=wanted)
    seen = rng.normal(classes, 0.8)  # the evidence, of which the posterior under any prior is known
    likelihood = np.exp(-((seen[:, None] - np.arange(3)) ** 2) / (2 * 0.8**2))
    posterior = likelihood * trained
    posterior /= posterior.sum(1, keepdims=True)
    names = ("a", "b", "c")
    factor = prior_weights(dict(zip(names, wanted, strict=True)), names, dict(zip(names, trained, strict=True)))
    assert factor is not None
    changed = reweighted(posterior.astype(np.float32), factor)
    assert abs(changed.max(1).mean() - (changed.argmax(1) == classes).mean()) < 0.005
    assert abs(posterior.max(1).mean() - (posterior.argmax(1) == classes).mean()) > 0.04


@given(ROWS)
def test_rows_stay_probabilities_and_the_training_prior_changes_nothing(rows: np.ndarray) -> None:
    changed = reweighted(rows, weights("uniform"))
    assert changed.dtype == np.float32
    assert (changed >= 0).all()
    np.testing.assert_allclose(changed.sum(1), 1, atol=1e-5)
    np.testing.assert_allclose(reweighted(rows, weights(SHARES)), rows, atol=1e-5)
    np.testing.assert_allclose(reweighted(rows, weights(dict.fromkeys(EMOTIONS, 40.0))), changed, atol=1e-5)


def test_even_probabilities_stay_even_and_rare_classes_gain() -> None:
    """What shows no face must not become the rarest emotion."""
    even = np.full((1, 7), 1 / 7, np.float32)
    np.testing.assert_allclose(reweighted(even, weights("uniform")), even, atol=1e-6)
    prior = np.array([list(SHARES.values())], np.float32)  # what a network predicts that learned from outliers
    np.testing.assert_allclose(reweighted(prior, weights("uniform")), even, atol=1e-3)
    face = np.array([[0.25, 0.2, 0.05, 0.05, 0.4, 0.04, 0.01]], np.float32)
    assert EMOTIONS[reweighted(face, weights("uniform")).argmax()] == "disgust"


def test_a_class_that_never_occurs_is_not_named() -> None:
    row = np.array([[0.6, 0.1, 0.05, 0.1, 0.1, 0.05, 0.0]], np.float32)
    without = {**dict.fromkeys(EMOTIONS, 1.0), "anger": 0.0}
    changed = reweighted(row, weights(without))
    assert changed[0, 0] == 0
    assert changed.sum() == pytest.approx(1)
    only = np.array([[1, 0, 0, 0, 0, 0, 0]], np.float32)
    np.testing.assert_array_equal(reweighted(only, weights(without)), only)


def test_a_prior_that_does_not_fit_the_model_is_refused(brightness_model: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"prior must name the model's classes, anger.*; got joy"):
        load(brightness_model, detector="none", prior={"joy": 1.0})
    with pytest.raises(ModelError, match="states how frequent its classes were in training"):
        prior_weights("uniform", EMOTIONS, None)
    with pytest.raises(ModelError, match="states how frequent"):
        prior_weights("uniform", EMOTIONS, {**SHARES, "fear": 0.0})
    for wrong in ("even", {"anger": -1.0}, {"anger": float("nan")}, dict.fromkeys(EMOTIONS, 0.0)):
        with pytest.raises(ConfigError, match="prior must be training, uniform, or a frequency"):
            load(brightness_model, detector="none", prior=wrong)  # type: ignore[arg-type]


def test_an_analyzer_answers_by_its_prior_and_records_name_it(brightness_model: Path) -> None:
    image = np.full((60, 60, 3), 21, np.uint8)  # between anger and disgust, a little nearer to anger
    plain = load(brightness_model, detector="none")
    asked = plain.with_options(prior="uniform")
    (face,), (changed,) = plain.analyze(image).faces, asked.analyze(image).faces
    assert (face.emotion, changed.emotion) == ("anger", "disgust")
    expected = reweighted(np.array([list(face.probabilities.values())], np.float32), asked.prior_weights)  # type: ignore[arg-type]
    assert list(changed.probabilities.values()) == pytest.approx(expected[0].tolist())
    assert asked.classify([image])[0].tolist() == pytest.approx(expected[0].tolist())
    assert plain.analyze(image).to_dict()["model"] == "brightness-1.0-float32"
    assert asked.analyze(image).to_dict()["model"] == "brightness-1.0-float32 (uniform prior)"
    mapped = plain.with_options(prior={**dict.fromkeys(EMOTIONS, 1.0), "fear": 4.0})
    assert mapped.model_id.startswith("brightness-1.0-float32 (prior anger 0.1, disgust 0.1, fear 0.4, ")
    turned = plain.with_options(prior={"fear": 4.0, **dict.fromkeys(EMOTIONS[:2] + EMOTIONS[3:], 1.0)})
    assert turned.model_id == mapped.model_id
