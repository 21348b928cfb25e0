from __future__ import annotations

import pytest
import torch
from pytorch_optimizer.optimizer.utils import zero_power_via_newton_schulz_5
from torch import Tensor, nn

from mien.training.muon import Muon
from mien.training.precision import faster_in_bf16, precision_of
from mien.training.recipes import scratch, with_settings


def give_processor(monkeypatch: pytest.MonkeyPatch, *instructions: str) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: dict.fromkeys(instructions, True))


def muon_step(gradients: list[Tensor]) -> list[Tensor]:
    """What Muon's first step at a rate of 1 moves weights by, given their gradients."""
    weights = [nn.Parameter(torch.zeros_like(gradient)) for gradient in gradients]
    for weight, gradient in zip(weights, gradients, strict=True):
        weight.grad = gradient.clone()
    Muon([{"params": weights, "use_muon": True, "lr": 1.0}], use_adjusted_lr=True).step()
    return [-weight.detach() for weight in weights]


def test_bf16_is_for_processors_that_are_faster_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    give_processor(monkeypatch, "avx512_bf16", "amx_bf16")
    assert faster_in_bf16("cpu")
    assert precision_of(scratch(), "cpu") == "bf16-mixed"


@pytest.mark.parametrize("instruction", ["avx2", "avx512_bf16"])
def test_elsewhere_a_run_is_in_float32(monkeypatch: pytest.MonkeyPatch, instruction: str) -> None:
    give_processor(monkeypatch, instruction)
    assert not faster_in_bf16("cpu")
    assert precision_of(scratch(), "cpu") == "32-true"
    assert precision_of(with_settings(scratch(), ["precision=bf16-mixed"]), "cpu") == "bf16-mixed"


@pytest.mark.parametrize(("instructions", "least", "most"), [(["avx512_bf16"], 0, 1e-4), (["amx_bf16"], 1e-3, 0.05)])
def test_muon_computes_its_steps_in_what_the_processor_is_faster_in(
    monkeypatch: pytest.MonkeyPatch, instructions: list[str], least: float, most: float
) -> None:
    """Against float64: float32 hardly errs, bf16 visibly."""
    torch.manual_seed(0)
    gradients = [torch.randn(16, 8, 3, 3), torch.randn(24, 16), torch.randn(8, 16, 3, 3)]
    give_processor(monkeypatch, *instructions)
    for step, gradient in zip(muon_step(gradients), gradients, strict=True):
        matrix = gradient.flatten(1)
        expected = zero_power_via_newton_schulz_5(matrix, dtype=torch.float64) * 0.2 * max(matrix.shape) ** 0.5
        error = (step.flatten(1) - expected).norm() / expected.norm()
        assert least <= error < most
