from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from mien.errors import ConfigError
from mien.training.spoil import Spoiler, Spoiling, _downscale

Y, X = torch.meshgrid(torch.linspace(0, 1, 48), torch.linspace(0, 1, 48), indexing="ij")
FACES = (0.5 + 0.25 * torch.sin(9 * X + 4 * Y) + 0.1 * torch.cos(60 * X)).expand(200, 1, 48, 48)
MILD = Spoiling(chance=1.0, gain=1.0, contrast=1.0, gamma=1.0, side=48, blur=0.1, noise=0.0, quality=100)
"""Every face has every fault, in a form that is next to nothing; JPEG has a quality of 70 or more."""


def spoiled(strength: Spoiling, seed: int = 0) -> Tensor:
    torch.manual_seed(seed)
    return Spoiler(strength)(FACES)


def contrast(faces: Tensor) -> Tensor:
    return faces.flatten(1).std(1)


def detail(faces: Tensor) -> Tensor:
    """Mean difference between neighbours, per face (N,)."""
    return faces.diff(dim=-1).abs().mean((1, 2, 3))


def test_without_chance_nothing_changes() -> None:
    assert not Spoiling().spoils
    assert torch.equal(spoiled(Spoiling()), FACES)


def test_faults_in_their_mildest_form_hardly_change_faces() -> None:
    assert (spoiled(MILD) - FACES).abs().mean() < 0.015


@pytest.mark.parametrize(
    ("change", "measured", "least", "most"),
    [
        ({"gain": 0.1}, lambda faces: faces.mean((1, 2, 3)) / FACES[:1].mean(), 0.09, 1.02),
        ({"contrast": 0.1}, lambda faces: contrast(faces) / contrast(FACES), 0.09, 1.02),
        ({"blur": 3.0}, lambda faces: detail(faces) / detail(FACES), 0.1, 1.05),
        ({"side": 8}, lambda faces: detail(faces) / detail(FACES), 0.1, 1.05),
        ({"noise": 0.1}, lambda faces: (faces - FACES).std((1, 2, 3)), 0.0, 0.11),
        ({"quality": 3}, lambda faces: (faces - FACES).abs().mean((1, 2, 3)), 0.0, 0.15),
    ],
)
def test_a_fault_is_drawn_from_hardly_any_to_its_strongest_form(
    change: dict[str, Any], measured: Callable[[Tensor], Tensor], least: float, most: float
) -> None:
    values = measured(spoiled(dataclasses.replace(MILD, **change)))
    assert least <= values.min()
    assert values.max() <= most
    spread = values.quantile(0.9) - values.quantile(0.1)
    assert spread > 0.3 * (values.max() - values.min()), "all strengths occur"


def test_a_far_face_is_scaled_down_and_up_again() -> None:
    strength = Spoiling(side=12)
    (far,) = _downscale(FACES[:1], torch.ones(1, 1, 1, 1), strength)
    small = functional.interpolate(FACES[:1], size=(12, 12), mode="area")
    (expected,) = functional.interpolate(small, size=(48, 48), mode="bilinear")
    assert torch.allclose(far, expected, atol=1e-5)
    assert torch.allclose(_downscale(FACES, torch.zeros(200, 1, 1, 1), strength), FACES, atol=1e-5)


def test_gamma_goes_both_ways() -> None:
    means = spoiled(dataclasses.replace(MILD, gamma=2.0)).mean((1, 2, 3))
    assert means.min() < FACES.mean() - 0.05
    assert means.max() > FACES.mean() + 0.05


@pytest.mark.parametrize("strength", [Spoiling(chance=1.0), Spoiling(cover=1.0), Spoiling(chance=0.5, cover=0.5)])
def test_pixels_stay_in_range_and_the_seed_repeats_them(strength: Spoiling) -> None:
    once = spoiled(strength)
    assert once.shape == FACES.shape
    assert torch.isfinite(once).all()
    assert 0 <= once.min() <= once.max() <= 1
    assert torch.equal(once, spoiled(strength))
    assert not torch.equal(once, spoiled(strength, seed=1))


def test_chances_are_kept() -> None:
    """Seven faults, each with a chance of 0.1, leave 48 % of the faces as they are; a cover alone leaves 70 %."""
    for strength, expected in ((Spoiling(chance=0.1), 0.9**7), (Spoiling(cover=0.3), 0.7)):
        untouched = (spoiled(strength) == FACES).flatten(1).all(1).float().mean()
        assert untouched == pytest.approx(expected, abs=0.12)


@pytest.mark.parametrize(
    ("field", "value"), [("chance", 1.1), ("cover", -0.1), ("gain", 0.0), ("side", 3), ("quality", 0), ("jitter", 0.6)]
)
def test_bad_strengths_are_refused_by_name(field: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=rf"spoiling\.{field}"):
        Spoiling(**{field: value})
