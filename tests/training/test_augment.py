from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor

from mien.errors import ConfigError
from mien.training.augment import Augmentation, Augmenter

NONE = Augmentation(
    flip=0, rotation=0, scale=0, shift=0, brightness=0, contrast=0, blur=0, noise=0, erasing=0, mixup=0, cutmix=0
)
FACES = torch.linspace(0.1, 0.9, 48 * 48).reshape(1, 1, 48, 48).repeat(16, 1, 1, 1) * torch.linspace(
    0.5, 1, 16
).reshape(16, 1, 1, 1)
TARGETS = torch.eye(7)[torch.arange(16) % 7]


def augmented(strength: Augmentation, seed: int = 0) -> tuple[Tensor, Tensor]:
    torch.manual_seed(seed)
    faces, targets = Augmenter(strength)(FACES, TARGETS)
    return faces, targets


def test_without_strength_nothing_changes() -> None:
    faces, targets = augmented(NONE)
    assert torch.equal(faces, FACES)
    assert torch.equal(targets, TARGETS)


def test_a_sure_flip_is_the_mirror_image() -> None:
    assert torch.equal(augmented(dataclasses.replace(NONE, flip=1.0))[0], FACES.flip(-1))


@pytest.mark.parametrize(
    "change",
    [
        {"flip": 0.5},
        {"rotation": 15.0},
        {"scale": 0.2},
        {"shift": 0.1},
        {"brightness": 0.2},
        {"contrast": 0.3},
        {"blur": 1.0},
        {"noise": 0.05},
        {"erasing": 1.0},
        {"mixup": 0.5},
        {"cutmix": 1.0},
    ],
)
def test_each_strength_alone_changes_faces_and_the_seed_repeats_it(change: dict[str, float]) -> None:
    strength = dataclasses.replace(NONE, **change)
    once, again, other = augmented(strength), augmented(strength), augmented(strength, seed=1)
    assert not torch.equal(once[0], FACES)
    assert torch.equal(once[0], again[0])
    assert torch.equal(once[1], again[1])
    assert not torch.equal(once[0], other[0])
    assert once[0].shape == FACES.shape
    assert once[0].min() >= 0
    assert once[0].max() <= 1


@pytest.mark.parametrize("change", [{"mixup": 1.0}, {"cutmix": 1.0}])
def test_mixing_mixes_targets_as_it_mixes_faces(change: dict[str, float]) -> None:
    """Faces that are all 0 or all 1 show their own share, which the targets must show as well."""
    bright = torch.arange(16) % 2
    faces = bright.float()[:, None, None, None].expand(-1, 1, 48, 48).clone()
    torch.manual_seed(3)
    mixed, targets = Augmenter(dataclasses.replace(NONE, **change))(faces, torch.eye(2)[bright])
    assert torch.allclose(targets.sum(1), torch.ones(16))
    assert torch.allclose(mixed.mean((1, 2, 3)), targets[:, 1], atol=1e-5)
    assert ((targets > 0.01) & (targets < 0.99)).any()


@pytest.mark.parametrize(
    ("change", "named"),
    [({"flip": 1.5}, "flip"), ({"rotation": 200.0}, "rotation"), ({"noise": -0.1}, "noise"), ({"mixup": 2.0}, "mixup"),
     ({"cutmix": -1.0}, "cutmix"), ({"mixup": 0.2, "cutmix": 1.0}, "exclude")],
)  # fmt: skip
def test_bad_strengths_are_refused_by_name(change: dict[str, float], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        dataclasses.replace(NONE, **change)
