from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mien.data.dataset import FaceDataset
from mien.emotions import EMOTIONS
from mien.errors import ConfigError
from mien.training.checkpoint import predict_faces
from mien.training.distillation import load_teachers, taught
from mien.training.splits import Examples


def test_teachers_answer_for_the_same_classes_and_do_not_learn(trained: Path) -> None:
    (teacher,) = load_teachers([trained], EMOTIONS)
    assert not any(p.requires_grad for p in teacher.network.parameters())
    assert teacher.record["file"].endswith("best.safetensors")
    assert "/" not in teacher.record["file"].removesuffix("/best.safetensors")
    with pytest.raises(ConfigError, match=r"knows anger.* not calm, glad"):
        load_teachers([trained], ("calm", "glad"))


def test_targets_take_up_what_teachers_answer(trained: Path, striped: FaceDataset) -> None:
    examples = Examples(striped.faces[:5], np.eye(7, dtype=np.float32)[:5])
    teachers = load_teachers([trained, trained], EMOTIONS)
    _, predictions = predict_faces(trained, examples.faces)
    expected = 0.25 * examples.targets + 0.75 * predictions
    assert taught(examples, teachers, 0.75).targets == pytest.approx(expected, abs=1e-5)
    assert taught(examples, [], 0.75) is examples
