from __future__ import annotations

import dataclasses
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric

from mien.data.dataset import FaceDataset
from mien.emotions import EMOTIONS
from mien.errors import ConfigError
from mien.training import views as module
from mien.training.augment import Augmenter
from mien.training.checkpoint import load_network, predict_faces
from mien.training.distillation import Teacher, load_teachers
from mien.training.recipes import Recipe, with_settings
from mien.training.views import Views, predict_views

FACES = np.random.default_rng(0).integers(0, 256, (9, 48, 48), np.uint8)


@pytest.fixture(scope="module")
def fabric() -> Fabric:
    fabric = Fabric(accelerator="cpu")
    fabric.launch()
    return fabric


@pytest.fixture(scope="module")
def teachers(trained: Path) -> list[Teacher]:
    return load_teachers([trained], EMOTIONS)


@pytest.fixture
def recipe(tiny: Recipe) -> Recipe:
    return with_settings(tiny, ["views=3"])


def test_a_prediction_is_the_mean_for_a_view_and_its_mirror_image(
    tmp_path: Path, fabric: Fabric, teachers: list[Teacher], recipe: Recipe
) -> None:
    views = predict_views(tmp_path / "views", FACES, recipe, teachers * 2, fabric=fabric)
    augment = Augmenter(recipe.augmentation, teachers[0].network.config.input_size)
    faces = torch.from_numpy(FACES)[:, None].float() / 255
    for moves, predictions in zip(views.moves, views.predictions, strict=True):
        shown = augment.moved(faces, moves)
        expected = (teachers[0].probabilities(shown) + teachers[0].probabilities(shown.flip(-1))) / 2
        torch.testing.assert_close(predictions, expected)
    assert not views.moves[0].equal(views.moves[1])


def test_a_view_at_rest_is_predicted_as_the_face_itself(
    tmp_path: Path, fabric: Fabric, trained: Path, striped: FaceDataset, teachers: list[Teacher], recipe: Recipe
) -> None:
    faces = striped.faces[:9]
    still = {f"augmentation.{name}=0" for name in ("flip", "rotation", "scale", "shift")}
    recipe = with_settings(recipe, [*still, "views=1"])
    views = predict_views(tmp_path / "views", faces, recipe, teachers, fabric=fabric)
    _, expected = predict_faces(trained, faces)
    np.testing.assert_allclose(views.predictions[0], expected, atol=1e-4)


def test_what_was_predicted_is_read_and_the_rest_made(
    tmp_path: Path, fabric: Fabric, teachers: list[Teacher], recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An interruption loses one view; a run that asks for fewer or more shares those that are there."""
    told: list[tuple[int, int]] = []
    path = tmp_path / "views"
    whole = predict_views(path, FACES, recipe, teachers, fabric=fabric, progress=lambda *done: told.append(done))
    assert told == [(9, 27), (18, 27), (27, 27)]
    told.clear()
    again = predict_views(path, FACES, recipe, teachers, fabric=fabric, progress=lambda *done: told.append(done))
    assert not told
    assert again.predictions.equal(whole.predictions)
    assert again.moves.equal(whole.moves)

    def stop(*_: object) -> None:
        if len(told) == 2:
            raise KeyboardInterrupt

    path.unlink()
    write = module._write
    monkeypatch.setattr(module, "_write", lambda *given: (stop(), write(*given)))
    with pytest.raises(KeyboardInterrupt):
        predict_views(path, FACES, recipe, teachers, fabric=fabric, progress=lambda *done: told.append(done))
    monkeypatch.undo()
    told.clear()
    resumed = predict_views(path, FACES, recipe, teachers, fabric=fabric, progress=lambda *done: told.append(done))
    assert told == [(18, 27), (27, 27)]
    assert resumed.predictions.equal(whole.predictions)
    fewer = predict_views(path, FACES, dataclasses.replace(recipe, views=2), teachers, fabric=fabric)
    assert fewer.predictions.equal(whole.predictions[:2])


def test_predictions_do_not_depend_on_the_seed(
    tmp_path: Path, fabric: Fabric, teachers: list[Teacher], recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = torch.random.get_rng_state()
    one = predict_views(tmp_path / "one", FACES, recipe, teachers, fabric=fabric)
    assert torch.random.get_rng_state().equal(before)
    torch.manual_seed(5)
    again = predict_views(tmp_path / "again", FACES, dataclasses.replace(recipe, seed=8), teachers, fabric=fabric)
    assert one.predictions.equal(again.predictions)


@pytest.mark.parametrize("other", ["faces", "teachers", "rotation", "mirrored"])
def test_predictions_for_something_else_are_refused_by_name(
    tmp_path: Path, fabric: Fabric, teachers: list[Teacher], recipe: Recipe, other: str
) -> None:
    path = tmp_path / "views"
    predict_views(path, FACES, recipe, teachers, fabric=fabric)
    faces = FACES[::-1] if other == "faces" else FACES
    asked = teachers * 2 if other == "teachers" else teachers
    setting = {"rotation": ["augmentation.rotation=3"], "mirrored": ["augmentation.flip=0"]}.get(other, [])
    with pytest.raises(ConfigError, match=f"another training, with other {other}: name another file"):
        predict_views(path, faces, with_settings(recipe, setting), asked, fabric=fabric)


@pytest.mark.parametrize("content", [b"", b"not safetensors", None])
def test_a_file_that_holds_no_predictions_is_named(
    tmp_path: Path, fabric: Fabric, trained: Path, teachers: list[Teacher], recipe: Recipe, content: bytes | None
) -> None:
    path = tmp_path / "views"
    path.write_bytes((trained / "best.safetensors").read_bytes() if content is None else content)
    with pytest.raises(ConfigError, match=r"views: expected teachers' predictions, as `mien distill` keeps them"):
        predict_views(path, FACES, recipe, teachers, fabric=fabric)


def test_every_view_of_a_face_is_shown_once_in_as_many_epochs() -> None:
    views = Views(torch.eye(3).repeat(4, 6, 1, 1), torch.arange(4.0)[:, None, None].expand(4, 6, 7))
    rows = torch.tensor([5, 0, 3])
    shown = torch.stack([views.of(rows, epoch)[1][:, 0] for epoch in range(8)])
    assert all(len(set(shown[:4, face].tolist())) == 4 for face in range(3))
    assert shown[:4].equal(shown[4:])
    assert all(not one.equal(other) for one, other in pairwise(shown))


@pytest.mark.slow
def test_a_student_of_fixed_views_resumes_bit_for_bit(
    tmp_path: Path, striped: FaceDataset, trained: Path, tiny: Recipe
) -> None:
    from mien.training.loop import Devices, Start, train
    from mien.training.watcher import Step, Watcher

    recipe = with_settings(tiny, ["views=2", "teach=0.9"])

    class Stop(Watcher):
        def on_step(self, step: Step) -> None:
            if (step.epoch, step.step) == (2, 4):
                raise KeyboardInterrupt

    begin = Start(teachers=[trained], predictions=tmp_path / "predictions")
    whole = train(striped, recipe, tmp_path / "whole", start=begin, devices=Devices("cpu"))
    with pytest.raises(KeyboardInterrupt):
        train(striped, with_settings(recipe, ["save_minutes=0"]), tmp_path / "cut", start=begin, devices=Devices("cpu"),
              watcher=Stop())  # fmt: skip
    kept = (tmp_path / "predictions").stat().st_mtime_ns
    again = dataclasses.replace(begin, resume=True)
    resumed = train(striped, with_settings(recipe, ["save_minutes=0"]), tmp_path / "cut", start=again,
                    devices=Devices("cpu"))  # fmt: skip
    assert (tmp_path / "predictions").stat().st_mtime_ns == kept
    _, network = load_network(whole)
    for one, other in zip(network.state_dict().values(), load_network(resumed)[1].state_dict().values(), strict=True):
        assert one.equal(other)
