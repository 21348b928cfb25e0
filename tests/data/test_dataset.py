from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from mien.data.dataset import PROTOCOLS, FaceDataset, evaluated_rows
from mien.emotions import EMOTIONS, FERPLUS_COLUMNS
from mien.errors import ConfigError, DataError

VOTES = arrays(np.float32, st.tuples(st.integers(1, 12), st.just(10)), elements=st.integers(0, 10))


def dataset(votes: NDArray[np.float32] | None, labels: list[int]) -> FaceDataset:
    n = len(labels)
    return FaceDataset(
        source="made",
        classes=EMOTIONS,
        faces=np.zeros((n, 48, 48), np.uint8),
        labels=np.array(labels, np.int64),
        votes=votes,
        split=np.full(n, "validation"),
        row=np.arange(n).astype(str),
    )


def votes_for(**counts: int) -> list[int]:
    return [counts.get(name, 0) for name in FERPLUS_COLUMNS]


@pytest.mark.parametrize(
    ("counts", "ferplus", "strict"),
    [
        ({"happiness": 10}, "happiness", "happiness"),
        ({"anger": 5, "fear": 4, "unknown": 1}, "anger", None),
        ({"anger": 6, "fear": 4}, "anger", "anger"),
        ({"anger": 5, "fear": 5}, None, None),
        ({"sadness": 4, "contempt": 6}, None, None),
        ({"sadness": 3, "nf": 7}, None, None),
        ({"surprise": 4, "unknown": 4, "neutral": 2}, None, None),
        ({"neutral": 4, "sadness": 3, "unknown": 3}, "neutral", None),
        ({}, None, None),
    ],
)
def test_majority_as_the_protocols_define_it(counts: dict[str, int], ferplus: str | None, strict: str | None) -> None:
    made = dataset(np.array([votes_for(**counts)], np.float32), [0])
    for protocol, expected in (("ferplus", ferplus), ("ferplus-strict", strict)):
        truth, mask = evaluated_rows(made, protocol)  # type: ignore[arg-type]
        assert mask[0] == (expected is not None)
        assert truth[0] == (EMOTIONS.index(expected) if expected else -1)


@given(VOTES)
def test_vote_fractions_are_of_all_voters(votes: NDArray[np.float32]) -> None:
    fractions = dataset(votes, [0] * len(votes)).vote_fractions()
    assert fractions is not None
    for row, counts in zip(fractions, votes, strict=True):
        expected = counts / counts.sum() if counts.any() else np.zeros(10)
        assert row == pytest.approx(expected)
    assert dataset(None, [0]).vote_fractions() is None


@given(VOTES)
def test_majority_agrees_with_counting_by_hand(votes: NDArray[np.float32]) -> None:
    made = dataset(votes, [0] * len(votes))
    truth, mask = evaluated_rows(made, "ferplus")
    strict_truth, strict = evaluated_rows(made, "ferplus-strict")
    for i, row in enumerate(votes):
        winners = [name for name, count in zip(FERPLUS_COLUMNS, row, strict=True) if count == max(row) and count > 0]
        judges = len(winners) == 1 and winners[0] in EMOTIONS
        assert mask[i] == judges
        assert strict[i] == (judges and max(row) > sum(row) / 2)
        if judges:
            assert EMOTIONS[truth[i]] == winners[0]
    assert (strict_truth[strict] == truth[strict]).all()


@given(VOTES, st.floats(0, 0.9))
def test_soft_labels_are_shares_among_the_seven(votes: NDArray[np.float32], min_share: float) -> None:
    targets, usable = dataset(votes, [-1] * len(votes)).soft_labels(min_share=min_share)
    for i, row in enumerate(votes):
        seven = dict(zip(FERPLUS_COLUMNS, row, strict=True))
        mass = sum(seven[name] for name in EMOTIONS)
        assert usable[i] == (mass > min_share * row.sum())
        if usable[i]:
            assert targets[i] == pytest.approx([seven[name] / mass for name in EMOTIONS], abs=1e-6)


def test_outlier_votes_are_left_out_unless_there_are_no_others() -> None:
    rows = np.array([votes_for(fear=8, anger=1, unknown=1), votes_for(fear=1, anger=1)], np.float32)
    targets, usable = dataset(rows, [-1, -1]).soft_labels(outlier_votes=1)
    assert usable.all()
    assert targets[0, EMOTIONS.index("fear")] == 1
    assert targets[1, EMOTIONS.index("fear")] == targets[1, EMOTIONS.index("anger")] == 0.5


def test_sharpness_leans_to_the_majority() -> None:
    rows = np.array([votes_for(fear=6, anger=3)], np.float32)
    targets, _ = dataset(rows, [-1]).soft_labels(sharpness=2)
    assert targets[0, EMOTIONS.index("fear")] == pytest.approx(36 / 45)
    assert targets.sum() == pytest.approx(1)


def test_other_votes_can_be_spread_as_uncertainty() -> None:
    rows = np.array([votes_for(fear=5, unknown=5), votes_for(**{"nf": 10}), votes_for()], np.float32)
    targets, usable = dataset(rows, [-1, -1, -1]).soft_labels(spread_others=True)
    assert usable.tolist() == [True, True, False]
    assert targets[0, EMOTIONS.index("fear")] == pytest.approx(0.5 + 0.5 / 7)
    assert targets[1] == pytest.approx(np.full(7, 1 / 7))


def test_rows_without_votes_fall_back_on_their_label() -> None:
    votes = np.array([votes_for(), votes_for(), votes_for(fear=10)], np.float32)
    targets, usable = dataset(votes, [3, -1, 0]).soft_labels()
    assert usable.tolist() == [True, False, True]
    assert targets.argmax(1)[[0, 2]].tolist() == [3, EMOTIONS.index("fear")]


def test_original_labels_judge_all_rows_that_have_one() -> None:
    truth, mask = evaluated_rows(dataset(None, [2, -1, 6]), "fer2013")
    assert truth[mask].tolist() == [2, 6]


def test_protocols_that_cannot_judge_say_so() -> None:
    with pytest.raises(ConfigError, match="needs FER\\+ votes"):
        evaluated_rows(dataset(None, [1]), "ferplus")
    with pytest.raises(ConfigError, match=", ".join(PROTOCOLS)):
        evaluated_rows(dataset(None, [1]), "ferminus")  # type: ignore[arg-type]


def test_take_and_of_split_keep_rows_together() -> None:
    made = dataset(np.eye(10, dtype=np.float32)[:4], [0, 1, 2, 3])
    made = dataclasses.replace(made, split=np.array(["training", "validation", "training", "test"]))
    part = made.of_split("training")
    assert part.labels.tolist() == [0, 2]
    assert part.row.tolist() == ["0", "2"]
    assert part.votes is not None
    assert part.votes.argmax(1).tolist() == [0, 2]
    assert made.take(np.array([3, 0])).labels.tolist() == [3, 0]


@pytest.mark.parametrize("votes", [None, np.eye(10, dtype=np.float32)[:2]])
def test_training_rows_of_another_dataset_come_without_labels(votes: NDArray[np.float32] | None) -> None:
    other = dataset(np.ones((3, 10), np.float32), [4, 5, 6])
    other = dataclasses.replace(other, split=np.array(["training", "test", "training"]), faces=other.faces[:] + 9)
    both = dataset(votes, [1, 0]).with_unlabeled(other)
    assert both.labels.tolist() == [1, 0, -1, -1]
    assert both.split.tolist() == ["validation", "validation", "training", "training"]
    assert both.row.tolist() == ["0", "1", "0", "2"]
    assert both.faces[:].mean((1, 2)).tolist() == [0, 0, 9, 9]
    assert (both.votes is None) == (votes is None)
    if both.votes is not None:
        assert both.votes.sum(1).tolist() == [1, 1, 0, 0]
    assert not both.soft_labels()[1][2:].any()


def test_shapes_that_do_not_fit_are_refused() -> None:
    good = dataset(None, [0, 1])
    for change in (
        {"faces": np.zeros((2, 47, 48), np.uint8)},
        {"faces": np.zeros((2, 48, 48), np.float32)},
        {"labels": np.zeros(3, np.int64)},
        {"votes": np.zeros((2, 7), np.float32)},
    ):
        with pytest.raises(DataError, match="must be"):
            dataclasses.replace(good, **change)
