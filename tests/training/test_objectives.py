from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from torch.nn import functional

from mien.training.augment import Augmentation, Augmenter
from mien.training.batches import Batch
from mien.training.distillation import Teacher
from mien.training.network import AlexNet, AlexNetConfig
from mien.training.objectives import Supervised, barlow_twins
from mien.training.outliers import Outliers
from mien.training.spoil import Spoiling

STILL = Augmentation(flip=0, rotation=0, scale=0, shift=0, brightness=0, contrast=0, blur=0, noise=0, erasing=0)
SHARES = np.linspace(0.02, 0.26, 7, dtype=np.float32)
CONFIG = AlexNetConfig(input_size=67, width=0.1, hidden=(8, 8), dropout=0.0)


def network(seed: int) -> AlexNet:
    torch.manual_seed(seed)
    return AlexNet(CONFIG).eval()


def test_teachers_answers_are_mixed_into_the_targets() -> None:
    student, *teachers = (network(seed) for seed in range(3))
    torch.nn.init.normal_(teachers[0].last.weight)
    faces, labels = torch.rand(4, 1, 48, 48), torch.eye(7)[:4]
    taught_by = [Teacher(one, temperature, {}) for one, temperature in zip(teachers, (1.0, 2.0), strict=True)]
    augment = Augmenter(STILL, 67)
    seen = (augment(faces, labels)[0] - CONFIG.mean) / CONFIG.std
    with torch.no_grad():
        predictions = (teachers[0](seen).softmax(1) + (teachers[1](seen) / 2).softmax(1)) / 2
        expected = functional.cross_entropy(student(seen), 0.25 * labels + 0.75 * predictions)
        loss = Supervised(CONFIG, augment, teachers=taught_by, teach=0.75)(student, Batch(faces, labels))
    assert float(loss) == pytest.approx(float(expected), abs=1e-5)
    assert float(loss) != pytest.approx(
        float(Supervised(CONFIG, augment)(student, Batch(faces, labels)).detach()), abs=1e-5
    )


@pytest.mark.parametrize("mixed", [0.0, 0.4])
def test_without_a_label_the_target_is_the_teachers(mixed: float) -> None:
    """Labels of 0 are none; MixUp of a face with a label and one without leaves a fraction of the label."""
    student, teacher = network(0), network(1)
    torch.nn.init.normal_(teacher.last.weight)
    faces, labels = torch.rand(4, 1, 48, 48), mixed * torch.eye(7)[:4]
    augment = Augmenter(STILL, 67)
    seen = (augment(faces, labels)[0] - CONFIG.mean) / CONFIG.std
    with torch.no_grad():
        target = 0.25 * labels + (1 - 0.25 * mixed) * teacher(seen).softmax(1)
        expected = functional.cross_entropy(student(seen), target)
        loss = Supervised(CONFIG, augment, teachers=[Teacher(teacher, 1.0, {})], teach=0.75)(
            student, Batch(faces, labels)
        )
    assert float(loss) == pytest.approx(float(expected), abs=1e-5)


def test_outliers_have_their_own_target_whatever_teachers_say() -> None:
    student, teacher = network(0), network(1)
    for one in (student, teacher):
        torch.nn.init.normal_(one.last.weight)
    faces, labels = torch.rand(8, 1, 48, 48), torch.eye(7)[torch.arange(8) % 7]
    outliers, augment = Outliers(0.5, np.zeros((0, 48, 48), np.uint8), SHARES), Augmenter(STILL, 67)
    torch.manual_seed(2)
    shown, mask = outliers(faces)
    assert mask.any()
    assert not mask.all()
    seen = (augment(shown, labels)[0] - CONFIG.mean) / CONFIG.std
    with torch.no_grad():
        target = 0.25 * labels + 0.75 * teacher(seen).softmax(1)
        target[mask] = torch.from_numpy(SHARES)
        torch.manual_seed(2)
        taught_by = [Teacher(teacher, 1.0, {})]
        objective = Supervised(CONFIG, augment, teachers=taught_by, teach=0.75, outliers=outliers)
        loss = objective(student, Batch(faces, labels))
        assert float(loss) == pytest.approx(float(functional.cross_entropy(student(seen), target)), abs=1e-5)


def test_teachers_are_not_shown_what_spoils_a_face() -> None:
    """A teacher that is the student itself would otherwise return the student's own predictions."""
    student = network(0)
    torch.nn.init.normal_(student.last.weight)
    faces, labels = torch.rand(4, 1, 48, 48), torch.eye(7)[:4]
    augment = Augmenter(STILL, 67, Spoiling(chance=0.5, cover=1.0))
    torch.manual_seed(1)
    seen, _, whole = augment.with_whole(faces, labels)
    with torch.no_grad():
        taught, spoiled = (student((shown - CONFIG.mean) / CONFIG.std) for shown in (whole, seen))
        torch.manual_seed(1)
        loss = Supervised(CONFIG, augment, teachers=[Teacher(student, 1.0, {})], teach=1.0)(
            student, Batch(faces, labels)
        )
    assert float(loss) == pytest.approx(float(functional.cross_entropy(spoiled, taught.softmax(1))), abs=1e-5)


def test_barlow_twins_is_least_where_outputs_agree_and_differ_from_each_other() -> None:
    assert float(barlow_twins(torch.eye(5))) == 0
    assert float(barlow_twins(torch.zeros(5, 5))) == pytest.approx(5)
    assert float(barlow_twins(torch.ones(5, 5))) == pytest.approx(0.005 * 20)


def test_predictions_of_a_fixed_view_are_for_the_very_view_that_is_shown() -> None:
    """Teachers that were asked before are not asked again; the label keeps its part."""
    student = network(0)
    torch.nn.init.normal_(student.last.weight)
    faces, labels = torch.rand(4, 1, 48, 48), torch.eye(7)[:4]
    varied = Augmenter(dataclasses.replace(STILL, rotation=20.0, shift=0.1), 67)
    moves, predictions = varied.drawn_moves(faces), torch.rand(4, 7).softmax(1)
    seen = (varied.moved(faces, moves) - CONFIG.mean) / CONFIG.std
    with torch.no_grad():
        expected = functional.cross_entropy(student(seen), 0.25 * labels + 0.75 * predictions)
        loss = Supervised(CONFIG, varied, teachers=[], teach=0.75)(student, Batch(faces, labels, moves, predictions))
    assert float(loss) == pytest.approx(float(expected), abs=1e-5)
