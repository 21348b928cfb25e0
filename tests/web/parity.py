"""The pictures on which what runs in JavaScript is compared with Python, and how alike both must be."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from skimage import data

from mien.runtime.crops import CropRule, crop_face, to_grey
from mien.types import Box

from .engine_tab import noise

ASTRONAUT: NDArray[np.uint8] = np.ascontiguousarray(data.astronaut()[..., ::-1])  # type: ignore[no-untyped-call]


def faces() -> NDArray[np.uint8]:
    """(96, 48, 48) uint8: noise, blurred noise, ramps, and cuts of the astronaut's face and what is around it."""
    rng = np.random.default_rng(0)
    grey = to_grey(ASTRONAUT)
    down, across = np.mgrid[:48, :48] / 47
    made = [noise(48, 48, seed=seed) for seed in range(24)]
    for size in range(3, 27):
        blurred = cv2.resize(noise(size, size, seed=size), (48, 48), interpolation=cv2.INTER_CUBIC)
        made.append(blurred.astype(np.uint8))
    for fraction, low, high in rng.uniform(0, 1, (12, 3)):
        made.append((255 * (low + (high - low) * (fraction * down + (1 - fraction) * across))).astype(np.uint8))
    for x, y, side, gain in rng.uniform((130, 30, 70, 0.5), (220, 90, 170, 1.3), (36, 4)):
        crop = crop_face(grey, Box(x, y, side, side), CropRule())
        made.append((crop * gain).clip(0, 255).astype(np.uint8))
    return np.stack(made)


def rolled(degrees: float) -> NDArray[np.uint8]:
    turn = cv2.getRotationMatrix2D((223, 118), degrees, 1)
    return np.asarray(cv2.warpAffine(ASTRONAUT, turn, (512, 512), borderMode=cv2.BORDER_REFLECT), np.uint8)


def assert_probabilities(got: NDArray[np.floating], expected: NDArray[np.floating]) -> None:
    """The classes (N, C) are the same. Sums of float32 end differently in WebAssembly, so that now and then a value is
    rounded to the next step of 8 bits: that moved 2 of `faces`, both of noise, by up to 0.026; the rest agree to 1e-6.
    """
    assert (got.argmax(axis=1) == expected.argmax(axis=1)).all()
    apart = np.abs(got - expected).max(axis=1)
    assert (apart > 0.002).sum() <= 5
    assert apart.max() <= 0.05


def assert_alike(got: dict[str, Any], expected: dict[str, Any]) -> None:
    """Both records are the same but for the last digits."""
    one, other = got["faces"], expected["faces"]
    assert {**got, "faces": len(one)} == {**expected, "faces": len(other)}
    for mine, theirs in zip(one, other, strict=True):
        assert list(mine) == list(theirs)
        assert mine["box"] == pytest.approx(theirs["box"], abs=0.2)
        assert mine["pose"] == pytest.approx(theirs["pose"], abs=0.5)
        for name, point in (theirs.get("landmarks") or {}).items():
            assert mine["landmarks"][name] == pytest.approx(point, abs=0.3)
        assert mine["score"] == pytest.approx(theirs["score"], abs=1e-3)
        assert mine["confidence"] == pytest.approx(theirs["confidence"], abs=0.02)  # about one step of int8
        assert list(mine["probabilities"]) == list(theirs["probabilities"])
        assert mine["probabilities"] == pytest.approx(theirs["probabilities"], abs=0.02)
        assert [mine[key] for key in ("emotion", "uncertain", "track")] == [
            theirs[key] for key in ("emotion", "uncertain", "track")
        ]
