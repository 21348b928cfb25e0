"""Reliability and temperature on data whose calibration is known."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mien.errors import ConfigError, DataError, MissingExtraError
from mien.evaluation.calibration import TEMPERATURES, apply_temperature, fit_temperature, reliability


def drawn(n: int, *, seed: int = 0, scale: float = 2.0) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Logits (n, 5), and labels drawn from their own softmax: calibrated by construction."""
    rng = np.random.default_rng(seed)
    logits = scale * rng.normal(size=(n, 5))
    cumulated = apply_temperature(logits, 1).astype(np.float64).cumsum(1)
    return logits, (rng.random((n, 1)) > cumulated[:, :-1]).sum(1)


def test_calibrated_answers_have_a_small_error() -> None:
    logits, truth = drawn(60_000)
    assert reliability(apply_temperature(logits, 1), truth).ece < 0.01


def test_the_error_of_an_overconfident_model_is_its_known_excess() -> None:
    truth = np.zeros(1000, np.int64)
    probabilities = np.tile([0.9, 0.1], (1000, 1))
    probabilities[:400] = [0.1, 0.9]  # sure and wrong in 40 %
    probabilities += np.linspace(-1e-8, 1e-8, 1000)[:, None]  # rounding, which tells no bins apart
    result = reliability(probabilities, truth)
    assert result.ece == pytest.approx(0.9 - 0.6)
    assert result.count.tolist() == [1000]  # all are equally sure: one bin


def test_bins_are_those_of_array_split() -> None:
    rng = np.random.default_rng(5)
    n = 1000
    probabilities = rng.dirichlet([1, 1, 1], n)
    truth = rng.integers(0, 3, n)
    confidence, right = probabilities.max(1), probabilities.argmax(1) == truth
    parts = np.array_split(np.argsort(confidence), 15)
    expected = sum(len(part) / n * abs(confidence[part].mean() - right[part].mean()) for part in parts)
    result = reliability(probabilities, truth)
    assert result.ece == pytest.approx(expected)
    assert result.count.tolist() == [len(part) for part in parts]
    assert result.confidence == pytest.approx([confidence[part].mean() for part in parts])
    assert result.accuracy == pytest.approx([right[part].mean() for part in parts])


@given(st.integers(0, 10_000), st.integers(1, 60), st.integers(1, 20), st.integers(1, 3))
def test_each_row_is_in_one_bin_and_ties_share_theirs(seed: int, n: int, bins: int, digits: int) -> None:
    rng = np.random.default_rng(seed)
    sure = np.round(rng.uniform(0.5, 1, n), digits)
    truth = rng.integers(0, 2, n)
    result = reliability(np.stack([sure, 1 - sure], 1), truth, bins)
    assert result.count.sum() == n
    assert 1 <= len(result.count) <= bins
    assert (result.count > 0).all()
    assert (np.diff(result.confidence) > 0).all()
    assert result.confidence @ result.count == pytest.approx(sure.sum())
    assert result.accuracy @ result.count == pytest.approx((np.where(sure >= 0.5, 0, 1) == truth).sum())
    lone = reliability(np.stack([sure, 1 - sure], 1), truth, 1)
    assert lone.ece <= result.ece + 1e-9  # one bin hides what several show


def test_reliability_refuses_nothing_and_no_bins() -> None:
    with pytest.raises(DataError, match="at least one"):
        reliability(np.zeros((0, 3)), np.zeros(0, int))
    with pytest.raises(ConfigError, match="bins"):
        reliability(np.ones((1, 1)), np.zeros(1, int), bins=0)


@given(st.integers(0, 1000), st.floats(0.1, 10))
def test_softmax_adds_up_and_keeps_the_order(seed: int, temperature: float) -> None:
    logits = 30 * np.random.default_rng(seed).normal(size=(4, 6))
    probabilities = apply_temperature(logits, temperature)
    assert probabilities.dtype == np.float32
    assert probabilities.sum(1) == pytest.approx(np.ones(4), abs=1e-5)
    assert (probabilities.argmax(1) == logits.argmax(1)).all()
    assert apply_temperature(np.log(probabilities + 1e-30), 1) == pytest.approx(probabilities, abs=1e-5)


def test_softmax_of_great_logits_does_not_overflow() -> None:
    assert apply_temperature(np.array([[5000.0, 0.0, -5000.0]]), 1).tolist() == [[1, 0, 0]]


@pytest.mark.parametrize("temperature", [0.4, 1.0, 3.0])
def test_the_temperature_that_was_put_in_is_found(temperature: float) -> None:
    pytest.importorskip("scipy")
    logits, truth = drawn(20_000, seed=1)
    found = fit_temperature(temperature * logits, truth)
    assert found == pytest.approx(temperature, rel=0.03)
    before = reliability(apply_temperature(temperature * logits, 1), truth).ece
    after = reliability(apply_temperature(temperature * logits, found), truth).ece
    assert after < 0.02
    assert temperature == 1 or after < before / 3


def test_log_probabilities_serve_as_well() -> None:
    pytest.importorskip("scipy")
    logits, truth = drawn(2000, seed=2)
    found = fit_temperature(np.log(apply_temperature(2 * logits, 1)), truth)
    assert found == pytest.approx(fit_temperature(2 * logits, truth), rel=1e-4)


@pytest.mark.parametrize("wrong", [0.0, 0.03])
def test_wrong_labels_do_not_make_it_less_confident_than_it_is_right(wrong: float) -> None:
    pytest.importorskip("scipy")
    logits, truth = drawn(20_000, seed=3, scale=4.0)
    relabelled = np.random.default_rng(0).random(len(truth)) < wrong
    truth = np.where(relabelled, (truth + 1) % 5, truth)
    probabilities = apply_temperature(logits, fit_temperature(logits, truth))
    assert probabilities.max(1).mean() == pytest.approx((logits.argmax(1) == truth).mean(), abs=1e-3)


@given(st.integers(1, 200), st.integers(2, 9), st.integers(0, 2**32 - 1))
def test_the_mean_confidence_is_the_accuracy_by_the_rule_of_succession(n: int, classes: int, seed: int) -> None:
    pytest.importorskip("scipy")
    rng = np.random.default_rng(seed)
    logits, truth = 3 * rng.normal(size=(n, classes)), rng.integers(0, classes, n)
    found = fit_temperature(logits, truth)
    accuracy = ((logits.argmax(1) == truth).sum() + 1) / (n + 2)
    confidence = apply_temperature(logits, found).max(1).mean()
    assert TEMPERATURES[0] <= found <= TEMPERATURES[1]
    if found == TEMPERATURES[0]:
        assert confidence <= accuracy
    elif found == TEMPERATURES[1]:
        assert confidence >= accuracy
    else:
        assert confidence == pytest.approx(accuracy, abs=1e-3)


def test_a_model_that_is_always_right_or_always_wrong_stays_in_range() -> None:
    pytest.importorskip("scipy")
    sure = 5 * np.eye(3)
    assert apply_temperature(sure, fit_temperature(sure, np.arange(3))).max(1) == pytest.approx(4 / 5, abs=1e-3)
    assert fit_temperature(-5 * np.eye(3), np.arange(3)) == TEMPERATURES[1]


@pytest.mark.parametrize(
    ("logits", "truth"),
    [(np.zeros((0, 3)), np.zeros(0, int)), (np.zeros((2, 3)), np.zeros(3, int)), (np.zeros((2, 3)), np.zeros((2, 3)))],
)
def test_shapes_that_do_not_fit_are_refused(logits: NDArray[Any], truth: NDArray[Any]) -> None:
    pytest.importorskip("scipy")
    with pytest.raises(DataError, match="classes"):
        fit_temperature(logits, truth)


def test_without_scipy_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy.optimize", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'mien\[train\]'"):
        fit_temperature(np.zeros((1, 2)), np.zeros(1, int))
