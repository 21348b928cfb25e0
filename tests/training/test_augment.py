from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor

from mien.errors import ConfigError
from mien.training import augment
from mien.training.augment import Augmentation, Augmenter
from mien.training.contrast import stretched
from mien.training.network import AlexNetConfig, prepare
from mien.training.spoil import Spoiling

NONE = Augmentation(
    flip=0, rotation=0, scale=0, shift=0, brightness=0, contrast=0, blur=0, noise=0, erasing=0, mixup=0, cutmix=0
)
FACES = torch.linspace(0.05, 0.95, 48 * 48).reshape(1, 1, 48, 48) * torch.linspace(0.75, 1, 16).reshape(16, 1, 1, 1)
TARGETS = torch.eye(7)[torch.arange(16) % 7]


def augmented(strength: Augmentation, seed: int = 0) -> tuple[Tensor, Tensor]:
    torch.manual_seed(seed)
    faces, targets = Augmenter(strength, 48)(FACES, TARGETS)
    return faces, targets


def test_without_strength_nothing_changes() -> None:
    faces, targets = augmented(NONE)
    assert torch.allclose(faces, FACES, atol=1e-5)
    assert torch.equal(targets, TARGETS)


def test_a_sure_flip_is_the_mirror_image() -> None:
    assert torch.allclose(augmented(dataclasses.replace(NONE, flip=1.0))[0], FACES.flip(-1), atol=1e-5)


@pytest.mark.parametrize("size", [96, 131, 227])
def test_enlarging_is_that_of_evaluation(size: int) -> None:
    config = AlexNetConfig(input_size=size, mean=0.0, std=1.0)
    torch.manual_seed(0)
    enlarged, _ = Augmenter(NONE, size)(FACES, TARGETS)
    assert torch.allclose(enlarged, prepare(FACES, config), atol=2e-3)
    flipped, _ = Augmenter(dataclasses.replace(NONE, flip=1.0), size)(FACES, TARGETS)
    assert torch.allclose(flipped, prepare(FACES.flip(-1), config), atol=2e-3)


def test_one_resampling_goes_where_two_go() -> None:
    """A smooth face, turned and enlarged at once, is near the face that is turned first and enlarged then."""
    y, x = torch.meshgrid(torch.linspace(-1, 1, 48), torch.linspace(-1, 1, 48), indexing="ij")
    smooth = (0.5 + 0.4 * torch.sin(3 * x + y)).expand(16, 1, 48, 48)
    strength = dataclasses.replace(NONE, rotation=20.0, scale=0.2, shift=0.1, flip=0.5)
    torch.manual_seed(5)
    at_once, _ = Augmenter(strength, 144)(smooth, TARGETS)
    torch.manual_seed(5)
    first, _ = Augmenter(strength, 48)(smooth, TARGETS)
    then = torch.nn.functional.interpolate(first, size=(144, 144), mode="bilinear", align_corners=False)
    inner = (..., slice(24, -24), slice(24, -24))
    assert (at_once[inner] - then[inner]).abs().max() < 0.02
    assert (then - smooth.repeat_interleave(3, -1).repeat_interleave(3, -2)).abs().max() > 0.1


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
    assert not torch.allclose(once[0], FACES, atol=1e-3)
    assert torch.equal(once[0], again[0])
    assert torch.equal(once[1], again[1])
    assert not torch.equal(once[0], other[0])
    assert once[0].shape == FACES.shape
    assert once[0].min() >= 0
    assert once[0].max() <= 1


@pytest.mark.parametrize("change", [{"mixup": 1.0}, {"cutmix": 1.0}])
def test_mixing_mixes_targets_as_it_mixes_faces(change: dict[str, float], monkeypatch: pytest.MonkeyPatch) -> None:
    """Faces that are all 0 or all 1 show their own share, which the targets must show as well."""
    monkeypatch.setattr(augment, "stretched", lambda faces: (faces, None))
    bright = torch.arange(16) % 2
    faces = bright.float()[:, None, None, None].expand(-1, 1, 48, 48).clone()
    torch.manual_seed(3)
    mixed, targets = Augmenter(dataclasses.replace(NONE, **change), 48)(faces, torch.eye(2)[bright])
    assert torch.allclose(targets.sum(1), torch.ones(16))
    assert torch.allclose(mixed.mean((1, 2, 3)), targets[:, 1], atol=1e-4)
    assert ((targets > 0.01) & (targets < 0.99)).any()


@pytest.mark.parametrize(
    ("change", "named"),
    [({"flip": 1.5}, "flip"), ({"rotation": 200.0}, "rotation"), ({"noise": -0.1}, "noise"), ({"mixup": 2.0}, "mixup"),
     ({"cutmix": -1.0}, "cutmix"), ({"mixup": 0.2, "cutmix": 1.0}, "exclude")],
)  # fmt: skip
def test_bad_strengths_are_refused_by_name(change: dict[str, float], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        dataclasses.replace(NONE, **change)


def test_teachers_see_whole_faces_where_the_student_sees_spoiled_ones() -> None:
    """Moved alike, so that both are the same face, but for what spoils the student's."""
    moved = dataclasses.replace(NONE, flip=0.5, rotation=15.0, shift=0.1)
    torch.manual_seed(3)
    alone, _ = Augmenter(moved, 96)(FACES, TARGETS)
    augmenter = Augmenter(dataclasses.replace(moved, noise=0.0), 96, Spoiling(cover=1.0))
    torch.manual_seed(3)
    seen, targets, whole = augmenter.with_whole(FACES, TARGETS)
    torch.testing.assert_close(whole, alone)
    assert torch.equal(targets, TARGETS)
    changed = ((seen - whole).abs() > 1e-3).float().mean((1, 2, 3))
    assert 0.02 < changed.mean() < 0.6
    torch.manual_seed(3)
    assert torch.equal(augmenter(FACES, TARGETS)[0], seen)


def test_light_is_varied_for_the_student_only_where_faces_are_spoiled() -> None:
    dark = dataclasses.replace(NONE, brightness=0.3)
    seen, _, whole = Augmenter(dark, 48).with_whole(FACES, TARGETS)
    assert seen is whole
    seen, _, whole = Augmenter(dark, 48, Spoiling(chance=0.01)).with_whole(FACES, TARGETS)
    assert torch.allclose(whole, FACES, atol=1e-5)
    assert not torch.allclose(seen, FACES, atol=0.05)


@pytest.mark.parametrize("spoiling", [Spoiling(roll=15.0), Spoiling(jitter=0.1)])
def test_the_student_may_be_shown_another_frame(spoiling: Spoiling) -> None:
    torch.manual_seed(0)
    seen, _, whole = Augmenter(NONE, 48, spoiling).with_whole(FACES, TARGETS)
    assert torch.allclose(whole, FACES, atol=1e-5)
    assert ((seen - whole).abs().mean((1, 2, 3)) > 1e-3).float().mean() > 0.8


def test_faces_of_little_contrast_are_shown_as_in_use() -> None:
    faded = 0.5 + 0.1 * (FACES - 0.5)
    shown, _ = Augmenter(NONE, 48)(faded, TARGETS)
    expected = stretched((faded * 255).round())[0] / 255
    assert torch.allclose(shown, expected, atol=0.02)
    assert shown.std((1, 2, 3)).min() > 0.15
    seen, _, whole = Augmenter(NONE, 48, Spoiling(chance=1.0, contrast=0.1)).with_whole(FACES, TARGETS)
    assert torch.allclose(whole, FACES, atol=1e-5)
    assert seen.std((1, 2, 3)).min() > 0.12


def test_fixed_moves_are_shown_as_they_are_or_mirrored() -> None:
    varied = Augmenter(dataclasses.replace(NONE, flip=0.5, rotation=20.0, scale=0.2, shift=0.1), 64)
    torch.manual_seed(0)
    moves = varied.drawn_moves(FACES)
    shown, _, whole = varied.with_whole(FACES, TARGETS, moves=moves)
    still, mirrored = varied.moved(FACES, moves), varied.moved(FACES, moves).flip(-1)
    same, turned = ((shown - one).abs().amax((1, 2, 3)) < 1e-4 for one in (still, mirrored))
    assert (same ^ turned).all()
    assert same.any()
    assert turned.any()
    assert whole is shown
