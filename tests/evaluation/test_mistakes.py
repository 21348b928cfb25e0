"""Mistakes and suspected labels against their definitions, worked out row by row."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mien.errors import DataError
from mien.evaluation.metrics import evaluate
from mien.evaluation.mistakes import HARDLY_ANY, frequent_pairs, suspected_labels, wrong_rows

Case = tuple[NDArray[np.float64], NDArray[np.int64]]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Probabilities of up to five classes, with ties, and labels."""
    n, c = draw(st.integers(1, 40)), draw(st.integers(2, 5))
    weights = draw(st.lists(st.lists(st.integers(1, 9), min_size=c, max_size=c), min_size=n, max_size=n))
    truth = draw(st.lists(st.integers(0, c - 1), min_size=n, max_size=n))
    raised = np.array(weights, np.float64) ** 2
    return raised / raised.sum(1, keepdims=True), np.array(truth)


@given(cases())
def test_wrong_rows_are_all_of_them_by_falling_confidence(case: Case) -> None:
    probabilities, truth = case
    rows = wrong_rows(probabilities, truth).tolist()
    assert sorted(rows) == [i for i in range(len(truth)) if probabilities[i].argmax() != truth[i]]
    keys = [(-probabilities[i].max(), i) for i in rows]
    assert keys == sorted(keys)


@given(cases(), st.integers(0, 30))
def test_pairs_are_the_cells_of_the_confusion_matrix(case: Case, most: int) -> None:
    probabilities, truth = case
    pairs = frequent_pairs(probabilities, truth, most)
    confusion = evaluate(probabilities, truth, classes="abcde"[: probabilities.shape[1]], resamples=1).confusion
    np.fill_diagonal(confusion, 0)
    counts = sorted(confusion[confusion > 0].tolist(), reverse=True)
    assert [len(pair.rows) for pair in pairs] == counts[:most]
    order = {row: place for place, row in enumerate(wrong_rows(probabilities, truth).tolist())}
    for pair in pairs:
        assert len(pair.rows) == confusion[pair.truth, pair.predicted]
        assert (truth[pair.rows] == pair.truth).all()
        assert (probabilities[pair.rows].argmax(1) == pair.predicted).all()
        places = [order[row] for row in pair.rows.tolist()]
        assert places == sorted(places)


@given(cases())
def test_suspects_are_those_of_the_definition(case: Case) -> None:
    probabilities, truth = case
    expected = []
    for i, row in enumerate(probabilities):
        k = int(row.argmax())
        own = [probabilities[j, k] for j in range(len(truth)) if truth[j] == k]
        if k != truth[i] and own and row[k] >= sum(own) / len(own) + 1e-9:
            expected.append(i)
    found = suspected_labels(probabilities, truth)
    assert set(expected) <= set(found.tolist()) <= set(wrong_rows(probabilities, truth).tolist())
    margins = [probabilities[i, truth[i]] - probabilities[i].max() for i in found]
    assert margins == sorted(margins)


def test_labels_that_were_changed_are_found() -> None:
    rng = np.random.default_rng(0)
    real = rng.integers(0, 4, 800)
    logits = rng.normal(0, 1, (800, 4)) + 6 * np.eye(4)[real]
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    changed = rng.choice(800, 60, replace=False)
    labels = real.copy()
    labels[changed] = (real[changed] + rng.integers(1, 4, 60)) % 4
    found = suspected_labels(probabilities, labels)
    assert np.isin(changed, found).mean() > 0.9
    assert np.isin(found, changed).mean() > 0.9
    assert np.isin(found[:30], changed).all()
    assert not len(suspected_labels(np.eye(4)[real], real))


def test_votes_leave_those_that_hardly_any_voter_named_so() -> None:
    probabilities = np.array([[0.1, 0.9], [0.1, 0.9], [0.1, 0.9], [0.4, 0.6], [0.9, 0.1]])
    truth = np.array([0, 0, 0, 1, 0])
    votes = np.array([[0.9, HARDLY_ANY], [0.7, 0.3], [1.0, 0.0], [0.0, 1.0], [1.0, 0.0]], np.float32)
    assert suspected_labels(probabilities, truth).tolist() == [0, 1, 2]
    assert suspected_labels(probabilities, truth, votes=votes).tolist() == [0, 2]


def test_a_class_without_rows_suspects_nobody() -> None:
    assert suspected_labels(np.array([[0.0, 1.0], [1.0, 0.0]]), np.array([0, 0])).tolist() == []


def test_what_does_not_fit_is_refused() -> None:
    even = np.full((3, 2), 0.5)
    with pytest.raises(DataError, match="3, 2"):
        wrong_rows(even, np.zeros(2, int))
    with pytest.raises(DataError, match="votes"):
        suspected_labels(even, np.zeros(3, int), votes=np.zeros((3, 7)))
    nothing = np.zeros((0, 2)), np.zeros(0, int)
    assert len(wrong_rows(*nothing)) == len(suspected_labels(*nothing)) == len(frequent_pairs(*nothing, 5)) == 0
