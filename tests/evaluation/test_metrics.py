"""Metrics against definitions written out by hand, and the laws that they obey."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mien.errors import DataError
from mien.evaluation.intervals import wilson
from mien.evaluation.metrics import Metrics, evaluate, report

ABC = ("a", "b", "c")


def some(seed: int, n: int = 60, skill: float = 1.0) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Probabilities and truth over three classes that agree the better the greater the skill."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 3, n)
    logits = rng.normal(size=(n, 3))
    logits[np.arange(n), truth] += skill
    probabilities = np.exp(logits)
    return (probabilities / probabilities.sum(1, keepdims=True)).astype(np.float32), truth


def answering(predictions: list[int], classes: int = 3) -> NDArray[np.float32]:
    return (
        np.full((len(predictions), classes), 0.1 / classes, np.float32)
        + 0.9 * np.eye(classes, dtype=np.float32)[predictions]
    )


def flat(metrics: Metrics) -> str:
    return json.dumps(metrics.to_dict(), allow_nan=False)


def test_a_case_worked_out_by_hand() -> None:
    truth = np.array([0, 0, 0, 1, 1, 2])
    metrics = evaluate(answering([0, 0, 1, 1, 0, 0]), truth, classes=ABC)
    assert metrics.n == 6
    assert metrics.accuracy == pytest.approx(3 / 6)
    assert metrics.confusion.tolist() == [[2, 1, 0], [1, 1, 0], [1, 0, 0]]
    assert metrics.recall == pytest.approx({"a": 2 / 3, "b": 1 / 2, "c": 0})
    assert metrics.precision["a"] == pytest.approx(2 / 4)
    assert metrics.precision["b"] == pytest.approx(1 / 2)
    assert metrics.precision["c"] is None
    assert metrics.f1 == pytest.approx({"a": 4 / 7, "b": 1 / 2, "c": 0})
    assert metrics.macro_f1 == pytest.approx((4 / 7 + 1 / 2 + 0) / 3)
    assert metrics.support == {"a": 3, "b": 2, "c": 1}
    assert metrics.ece == pytest.approx(0.9 + 0.1 / 3 - 0.5, abs=1e-6)
    assert metrics.aurc == pytest.approx(0.5)  # all rows are equally sure
    assert (metrics.certain.fraction, metrics.certain.accuracy) == (1, 0.5)
    assert metrics.recall_ci95["a"] == wilson(2, 3)
    assert metrics.recall_ci95["c"] == wilson(0, 1)


def test_a_class_without_rows_has_no_recall_and_does_not_count_in_macro_f1() -> None:
    metrics = evaluate(answering([0, 0, 1, 2]), np.array([0, 0, 1, 1]), classes=ABC)
    assert metrics.recall["c"] is None
    assert metrics.f1["c"] is None
    assert metrics.precision["c"] == 0
    assert metrics.macro_f1 == pytest.approx((1 + 2 / 3) / 2)
    assert json.loads(flat(metrics))["recall"]["c"] is None
    assert json.loads(flat(metrics))["recall_ci95"] == {"a": list(wilson(2, 2)), "b": list(wilson(1, 2)), "c": None}


@given(st.integers(0, 10_000), st.integers(1, 80), st.floats(0, 3))
def test_against_definitions_counted_row_by_row(seed: int, n: int, skill: float) -> None:
    probabilities, truth = some(seed, n, skill)
    metrics = evaluate(probabilities, truth, classes=ABC, resamples=20)
    predictions = [max(range(3), key=row.__getitem__) for row in probabilities.tolist()]
    pairs = list(zip(truth.tolist(), predictions, strict=True))
    f1 = []
    for c, name in enumerate(ABC):
        tp = sum(t == c and a == c for t, a in pairs)
        fp = sum(t != c and a == c for t, a in pairs)
        fn = sum(t == c and a != c for t, a in pairs)
        assert metrics.recall[name] == (tp / (tp + fn) if tp + fn else None)
        assert metrics.precision[name] == (tp / (tp + fp) if tp + fp else None)
        if tp + fn:
            precision, recall = tp / max(tp + fp, 1), tp / (tp + fn)
            f1.append(0 if tp == 0 else 2 * precision * recall / (precision + recall))
    assert metrics.accuracy == pytest.approx(sum(t == a for t, a in pairs) / n)
    assert metrics.macro_f1 == pytest.approx(sum(f1) / len(f1))
    assert metrics.confusion.sum() == n
    assert metrics.confusion.sum(1).tolist() == list(metrics.support.values())
    assert metrics.confusion.tolist() == [[pairs.count((t, a)) for a in range(3)] for t in range(3)]
    assert metrics.confusion.trace() == pytest.approx(n * metrics.accuracy)


@given(st.integers(0, 10_000), st.permutations(range(60)))
def test_the_order_of_the_rows_does_not_matter(seed: int, order: list[int]) -> None:
    probabilities, truth = some(seed)
    probabilities = np.round(probabilities, 1) + np.float32(0.001)  # many ties
    probabilities /= probabilities.sum(1, keepdims=True)
    one = evaluate(probabilities, truth, classes=ABC, resamples=50)
    two = evaluate(probabilities[order], truth[order], classes=ABC, resamples=50)
    assert (one.accuracy, one.accuracy_ci95, one.macro_f1_ci95) == (two.accuracy, two.accuracy_ci95, two.macro_f1_ci95)
    assert one.ece == pytest.approx(two.ece, abs=1e-9)
    assert (one.confusion == two.confusion).all()


@given(st.integers(0, 10_000), st.permutations(range(3)))
def test_the_order_of_the_classes_does_not_matter(seed: int, order: list[int]) -> None:
    probabilities, truth = some(seed)
    one = evaluate(probabilities, truth, classes=ABC, resamples=20)
    new = np.argsort(order)
    two = evaluate(probabilities[:, order], new[truth], classes=[ABC[c] for c in order], resamples=20)
    assert two.recall == one.recall
    assert two.precision == one.precision
    assert two.macro_f1 == pytest.approx(one.macro_f1)
    assert two.worst_confusions(9) == one.worst_confusions(9)


@given(st.lists(st.integers(0, 2), min_size=1, max_size=40))
def test_perfect_answers(truth: list[int]) -> None:
    metrics = evaluate(np.eye(3, dtype=np.float32)[truth], np.array(truth), classes=ABC, resamples=50)
    assert metrics.accuracy == metrics.macro_f1 == 1
    assert metrics.accuracy_ci95 == metrics.macro_f1_ci95 == (1, 1)
    assert metrics.ece == 0
    assert metrics.worst_confusions() == []


@given(st.integers(0, 10_000), st.integers(1, 80))
def test_every_share_lies_in_0_to_1_and_intervals_are_ordered(seed: int, n: int) -> None:
    metrics = evaluate(*some(seed, n), classes=ABC, resamples=100)
    fractions = [metrics.accuracy, metrics.macro_f1, metrics.ece, *metrics.accuracy_ci95, *metrics.macro_f1_ci95]
    fractions += [v for by in (metrics.recall, metrics.precision, metrics.f1) for v in by.values() if v is not None]
    assert all(0 <= fraction <= 1 for fraction in fractions)
    assert metrics.accuracy_ci95[0] <= metrics.accuracy <= metrics.accuracy_ci95[1]
    assert metrics.macro_f1_ci95[0] <= metrics.macro_f1_ci95[1]


def test_intervals_are_those_of_resampled_rows() -> None:
    probabilities, truth = some(3, n=400)
    metrics = evaluate(probabilities, truth, classes=ABC, resamples=4000)
    rng = np.random.default_rng(9)
    accuracies, f1s = [], []
    for _ in range(2000):
        rows = rng.integers(0, 400, 400)
        t, a = truth[rows], probabilities[rows].argmax(1)
        accuracies.append((t == a).mean())
        f1s.append(np.mean([2 * ((t == c) & (a == c)).sum() / ((t == c).sum() + (a == c).sum()) for c in range(3)]))
    assert metrics.accuracy_ci95 == pytest.approx(np.quantile(accuracies, [0.025, 0.975]), abs=0.006)
    assert metrics.macro_f1_ci95 == pytest.approx(np.quantile(f1s, [0.025, 0.975]), abs=0.006)


def test_the_interval_has_the_width_of_the_binomial() -> None:
    n, right = 3372, 2800
    truth = np.zeros(n, np.int64)
    metrics = evaluate(answering([0] * right + [1] * (n - right), 2), truth, classes=("a", "b"))
    p = right / n
    half = 1.96 * (p * (1 - p) / n) ** 0.5
    assert metrics.accuracy_ci95 == pytest.approx((p - half, p + half), abs=0.001)


def test_equal_seeds_give_equal_intervals_and_others_give_others() -> None:
    probabilities, truth = some(1)
    assert flat(evaluate(probabilities, truth, classes=ABC)) == flat(evaluate(probabilities, truth, classes=ABC))
    wide = [evaluate(probabilities, truth, classes=ABC, seed=s, resamples=30).macro_f1_ci95 for s in (1, 2)]
    assert wide[0] != wide[1]


def test_worst_confusions_are_sorted_by_share_of_the_true_class() -> None:
    truth = np.array([0] * 10 + [1] * 4 + [2] * 2)
    predictions = [1, 1, 1] + [0] * 7 + [0, 0, 2, 1] + [2, 2]
    worst = evaluate(answering(predictions), truth, classes=("fear", "joy", "calm")).worst_confusions(2)
    assert [str(one) for one in worst] == ["joy → fear 50 %", "fear → joy 30 %"]
    assert (worst[0].count, worst[0].fraction) == (2, 0.5)


def test_confusions_that_did_not_occur_are_not_named_and_five_are_the_usual_number() -> None:
    few = evaluate(answering([1, 0, 1]), np.array([0, 0, 1]), classes=ABC)
    assert [(one.truth, one.predicted, one.count) for one in few.worst_confusions(9)] == [(ABC[0], ABC[1], 1)]
    truth, predictions = np.divmod(np.arange(9), 3)
    assert len(evaluate(answering(predictions.tolist()), truth, classes=ABC).worst_confusions()) == 5


def test_the_report_has_the_promised_keys() -> None:
    values = report(evaluate(*some(0), classes=ABC), protocol="ferplus", split="validation")
    promised = {"protocol", "split", "n", "accuracy", "accuracy_ci95", "macro_f1", "ece", "recall", "precision"}
    assert promised | {"confusion", "recall_ci95", "aurc", "certain"} <= values.keys()
    assert values["certain"].keys() == {"threshold", "fraction", "accuracy", "accuracy_ci95"}
    again = json.loads(json.dumps(values))
    assert again == values
    assert (again["protocol"], again["split"], again["n"]) == ("ferplus", "validation", 60)
    assert set(again["recall"]) == set(ABC)


@pytest.mark.parametrize(
    ("probabilities", "truth", "said"),
    [
        (np.zeros((0, 3)), np.zeros(0, int), "no rows"),
        (np.full((2, 2), 0.5), np.array([0, 1]), r"expected \(2, 3\)"),
        (np.full((3, 3), 1 / 3), np.array([0, 1]), r"expected \(2, 3\)"),
        (np.full((2, 3), 1 / 3), np.array([0, 3]), r"0\.\.2.*0\.\.3"),
        (np.full((2, 3), 1 / 3), np.array([-1, 1]), "-1"),
        (np.full((2, 3), 1 / 3), np.array([0.0, 1.0]), "float64"),
        (np.array([[1, 0, 0], [np.nan, 0, 0]]), np.array([0, 1]), "add up to 1"),
        (np.array([[1, 0, 0], [2, -1, 0]]), np.array([0, 1]), "add up to 1"),
        (np.array([[1, 0, 0], [3, 1, 2]]), np.array([0, 1]), "add up to 1"),
    ],
)
def test_what_is_no_evaluation_is_refused(probabilities: NDArray[Any], truth: NDArray[Any], said: str) -> None:
    with pytest.raises(DataError, match=said):
        evaluate(probabilities, truth, classes=ABC)
