from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mien.data.audit import audit, drop_leaks, fingerprint, leaks
from mien.data.dataset import BadRow, FaceDataset, evaluated_rows
from mien.emotions import EMOTIONS

if TYPE_CHECKING:
    from tests.data.conftest import Forms


def planted(
    pixels: Sequence[int], splits: Sequence[str], labels: Sequence[int], votes: NDArray[np.float32] | None = None
) -> FaceDataset:
    """A dataset in which rows of equal number in `pixels` show the same pixels."""
    rng = np.random.default_rng(0)
    pool = rng.integers(0, 256, (max(pixels) + 1, 48, 48), np.uint8)
    return FaceDataset(
        source="made",
        classes=EMOTIONS,
        faces=pool[pixels],
        labels=np.array(labels),
        votes=votes,
        split=np.array(splits),
        row=np.array([f"r{i}" for i in range(len(pixels))]),
    )


TRAIN, VAL, TEST = "training", "validation", "test"


@pytest.fixture
def dataset() -> FaceDataset:
    return planted(
        [0, 0, 1, 2, 3, 1, 3, 3, 4, 2],
        [TRAIN, TRAIN, TRAIN, TRAIN, TRAIN, VAL, VAL, TEST, TEST, TRAIN],
        [0, 0, 1, 2, 3, 1, 4, 3, 5, 6],
    )


def test_planted_copies_leaks_and_conflicts(dataset: FaceDataset) -> None:
    found = audit(dataset)
    assert found.rows == 10
    assert found.copies == {TRAIN: 2, VAL: 0, TEST: 0}
    assert found.shared == {
        (TRAIN, VAL): 2,
        (VAL, TRAIN): 2,
        (TRAIN, TEST): 1,
        (TEST, TRAIN): 1,
        (VAL, TEST): 1,
        (TEST, VAL): 1,
    }
    assert found.conflicts == (("r3", "r9"), ("r4", "r6", "r7"))
    assert found.leaks == 2
    assert np.flatnonzero(leaks(dataset)).tolist() == [2, 4]
    assert found.majority is None
    assert found.labels[TRAIN] == dict(zip([*EMOTIONS, "unlabelled"], [2, 1, 1, 1, 0, 0, 1, 0], strict=True))


def test_one_pixel_makes_another_face(dataset: FaceDataset) -> None:
    faces = dataset.faces[:].copy()
    faces[2, 47, 47] ^= 1
    assert np.flatnonzero(leaks(replace(dataset, faces=faces))).tolist() == [4]


def test_drop_leaks_leaves_everything_else(dataset: FaceDataset) -> None:
    kept = drop_leaks(dataset)
    assert kept.row.tolist() == ["r0", "r1", "r3", "r5", "r6", "r7", "r8", "r9"]
    assert not leaks(kept).any()


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from([TRAIN, VAL, TEST])), min_size=1, max_size=20))
def test_leaks_as_by_definition(rows: list[tuple[int, str]]) -> None:
    pixels, splits = zip(*rows, strict=True)
    made = planted(list(pixels), list(splits), [0] * len(rows))
    judged_on = {p for p, s in rows if s != TRAIN}
    assert leaks(made).tolist() == [s == TRAIN and p in judged_on for p, s in rows]
    assert drop_leaks(made).row.tolist() == [
        f"r{i}" for i, (p, s) in enumerate(rows) if s != TRAIN or p not in judged_on
    ]


def test_majority_by_votes(forms: Forms) -> None:
    made = forms.random(7, 300)
    found = audit(made)
    truth, mask = evaluated_rows(made, "ferplus")
    assert found.majority is not None
    for split in (TRAIN, VAL, TEST):
        there = made.split == split
        assert found.majority[split]["dropped"] == int((there & ~mask).sum())
        assert sum(found.majority[split].values()) == int(there.sum())
        for i, name in enumerate(EMOTIONS):
            assert found.majority[split][name] == int((there & mask & (truth == i)).sum())


def test_conflicts_by_votes_where_there_are_no_labels() -> None:
    votes = np.zeros((4, 10), np.float32)
    votes[[0, 1, 2, 3], [0, 1, 2, 2]] = 10
    made = planted([0, 0, 1, 1], [TRAIN] * 4, [-1] * 4, votes)
    assert audit(made).conflicts == (("r0", "r1"),)
    assert audit(made).labels[TRAIN]["unlabelled"] == 4


def test_fingerprint_is_of_the_content(dataset: FaceDataset) -> None:
    own = fingerprint(dataset)
    assert own == fingerprint(
        replace(dataset, source="elsewhere", row=np.array(["x"] * 10), faces=dataset.faces[:].copy())
    )
    faces = dataset.faces[:].copy()
    faces[0, 0, 0] ^= 1
    others = [
        replace(dataset, faces=faces),
        replace(dataset, labels=np.roll(dataset.labels, 1)),
        replace(dataset, split=np.roll(dataset.split, 1)),
        replace(dataset, votes=np.zeros((10, 10), np.float32)),
        replace(dataset, classes=EMOTIONS[::-1]),
        dataset.take(np.arange(9)),
    ]
    assert len({own, *map(fingerprint, others)}) == 7


def test_fingerprint_stays_the_same_between_releases() -> None:
    made = FaceDataset(
        source="made",
        classes=EMOTIONS,
        faces=(np.arange(2 * 48 * 48) % 251).astype(np.uint8).reshape(2, 48, 48),
        labels=np.array([3, -1]),
        votes=None,
        split=np.array([TRAIN, TEST]),
        row=np.array(["0", "1"]),
    )
    assert fingerprint(made) == "c74e26dc153c47c2eaa2dd73f6929dd38eaacbd82797dc1226039cf809f71df4"


def test_to_dict_is_json(dataset: FaceDataset) -> None:
    found = audit(replace(dataset, bad=(BadRow("f.csv", "3", "short"),)))
    values = json.loads(json.dumps(found.to_dict()))
    assert values["bad"] == [{"file": "f.csv", "row": "3", "reason": "short"}]
    assert {"split": TRAIN, "with": VAL, "rows": 2} in values["shared"]
    assert values["leaks"] == 2
    assert values["fingerprint"] == fingerprint(dataset)
