from __future__ import annotations

import dataclasses
from typing import Literal

import numpy as np
import pytest

from mien.data.dataset import FaceDataset
from mien.data.packed_faces import Faces
from mien.emotions import FERPLUS_COLUMNS
from mien.errors import DataError
from mien.training.recipes import Recipe
from mien.training.splits import gather


def keys(faces: Faces) -> set[bytes]:
    return {face.tobytes() for face in faces[:]}


def test_parts_are_disjoint_and_complete(striped: FaceDataset, tiny: Recipe) -> None:
    material = gather(striped, tiny)
    training = striped.of_split("training")
    assert not keys(material.learned.faces) & keys(material.held.faces)
    assert keys(material.learned.faces) | keys(material.held.faces) == keys(training.faces)
    assert keys(material.validation.faces) == keys(striped.of_split("validation").faces)
    assert 0 < len(material.held) < 0.25 * len(training)
    assert material.protocol == "ferplus"


def test_copies_of_a_face_stay_together(striped: FaceDataset, tiny: Recipe) -> None:
    doubled = striped.take(np.repeat(np.arange(len(striped)), 2))
    material = gather(doubled, dataclasses.replace(tiny, holdback=0.3))
    assert not keys(material.learned.faces) & keys(material.held.faces)


def test_rows_that_are_mostly_no_emotion_are_not_learned(striped: FaceDataset, tiny: Recipe) -> None:
    assert striped.votes is not None
    votes = striped.votes.copy()
    votes[::2] = 0
    votes[::2, -1] = 10  # not a face
    material = gather(dataclasses.replace(striped, votes=votes), tiny)
    assert len(material.learned) + len(material.held) == (striped.split[1::2] == "training").sum()


def test_own_labels_are_one_hot_and_judged_as_fer2013(striped: FaceDataset, tiny: Recipe) -> None:
    material = gather(striped, dataclasses.replace(tiny, labels="own"))
    assert material.protocol == "fer2013"
    assert set(np.unique(material.learned.targets)) == {0.0, 1.0}


def test_too_few_faces_are_refused(striped: FaceDataset, tiny: Recipe) -> None:
    with pytest.raises(DataError, match="at least one batch of 16"):
        gather(striped.take(np.arange(12)), tiny)


def test_balance_draws_rare_classes_more_often(striped: FaceDataset, tiny: Recipe) -> None:
    assert gather(striped, tiny).learned.draws is None
    rare = striped.take((striped.labels != 1) | (np.arange(len(striped)) % 5 == 0))
    for balance in (0.5, 1.0):
        learned = gather(rare, dataclasses.replace(tiny, balance=balance)).learned
        assert learned.draws is not None
        frequency = learned.targets.mean(0)
        drawn = learned.draws / learned.draws.sum() @ learned.targets
        expected = frequency ** (1 - balance)
        assert drawn == pytest.approx(expected / expected.sum(), abs=1e-4)


@pytest.mark.parametrize("labels", ["votes", "own"])
@pytest.mark.parametrize("balance", [0.0, 0.5])
def test_faces_without_labels_are_learned_where_teachers_teach(
    striped: FaceDataset, tiny: Recipe, labels: Literal["votes", "own"], balance: float
) -> None:
    others = dataclasses.replace(striped, faces=255 - striped.faces[:])
    both = striped.with_unlabeled(others)
    recipe = dataclasses.replace(tiny, labels=labels, balance=balance)
    alone, taught = gather(striped, recipe), gather(both, recipe, taught=True)
    assert keys(gather(both, recipe).learned.faces) == keys(alone.learned.faces)
    learned = taught.learned
    assert len(learned) > 1.8 * len(alone.learned)
    assert np.array_equal(learned.targets[learned.labeled], alone.learned.targets)
    assert not keys(learned.faces[~learned.labeled]) - keys(others.of_split("training").faces)
    for part in ("held", "validation"):
        assert keys(getattr(taught, part).faces) == keys(getattr(alone, part).faces)
    if learned.draws is not None:
        assert learned.draws[~learned.labeled] == pytest.approx(learned.draws[learned.labeled].mean())


def test_dropped_faces_may_be_left_to_the_teachers(striped: FaceDataset, tiny: Recipe) -> None:
    assert striped.votes is not None
    votes = striped.votes.copy()
    for first, column in ((0, "contempt"), (1, "unknown"), (2, "nf")):
        votes[first::4, FERPLUS_COLUMNS.index(column)] = 30
    mixed = dataclasses.replace(striped, votes=votes)
    recipe = dataclasses.replace(tiny, holdback=0.0, teach_dropped=True, own_share=0.2)
    for asked, taught in ((recipe, False), (dataclasses.replace(recipe, teach_dropped=False), True)):
        with pytest.raises(DataError, match="has 0 usable training faces"):
            gather(mixed, asked, taught=taught)
    learned = gather(mixed, recipe, taught=True).learned
    faces = np.isin(np.arange(len(striped)) % 4, (0, 1)) & (striped.split == "training")
    assert keys(learned.faces) == keys(striped.faces[faces])
    assert not learned.labeled.any()


def test_own_labels_can_stand_beside_votes(striped: FaceDataset, tiny: Recipe) -> None:
    other = dataclasses.replace(striped, labels=(striped.labels + 1) % len(striped.classes))
    material = gather(other, dataclasses.replace(tiny, own_share=0.25))
    assert np.sort(material.learned.targets, axis=1)[:, -2:] == pytest.approx(
        np.tile([0.25, 0.75], (len(material.learned), 1)), abs=1e-6
    )
    assert material.protocol == "ferplus"


def test_without_labels_all_training_faces_are_learned_and_none_judged(striped: FaceDataset, tiny: Recipe) -> None:
    unlabelled = dataclasses.replace(striped, labels=np.full(len(striped), -1), votes=None)
    material = gather(unlabelled, dataclasses.replace(tiny, labels="none"))
    assert len(material.learned) == (striped.split == "training").sum()
    assert len(material.held) == len(material.validation) == 0
