from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from mien.data.dataset import FaceDataset
from mien.errors import ConfigError, DataError, ImageError
from mien.training.checkpoint import LAST, describe
from mien.training.loop import Devices, Start, train
from mien.training.outliers import Outliers, load_outliers, random_squares
from mien.training.recipes import Recipe, scratch
from mien.training.watcher import Step, Watcher

NONE = np.zeros((0, 48, 48), np.uint8)
Y, X = torch.meshgrid(torch.linspace(0, 1, 48), torch.linspace(0, 1, 48), indexing="ij")
EVEN = np.full(7, 1 / 7, np.float32)
FACES = (0.2 + 0.4 * Y + 0.2 * X).expand(400, 1, 48, 48)
"""Brighter downwards and to the right."""


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder with a dark picture and, in a subfolder, a light one: grey ramps of different sizes."""
    folder = tmp_path / "pictures"
    (folder / "more").mkdir(parents=True)
    for name, shape, low in (("dark.png", (60, 300), 0), ("more/light.png", (700, 90), 150)):
        ramp = np.add.outer(np.linspace(0, 50, shape[0]), np.linspace(0, 50, shape[1]))
        Image.fromarray((low + ramp).astype(np.uint8)).save(folder / name)
    return folder


def outlying(squares: NDArray[np.uint8], seed: int = 0) -> Tensor:
    torch.manual_seed(seed)
    faces, mask = Outliers(0.5, squares, EVEN)(FACES)
    assert torch.equal(faces[~mask], FACES[~mask])
    assert mask.float().mean() == pytest.approx(0.5, abs=0.1)
    assert faces.shape == FACES.shape
    assert 0 <= faces.min() <= faces.max() <= 1
    return faces[mask]


def test_faces_are_turned_and_plain_patches_shown() -> None:
    found = outlying(NONE)
    turns = [torch.rot90(FACES[0], quarters, (1, 2)) for quarters in (1, 2, 3)]
    counts = [int((found == turn).flatten(1).all(1).sum()) for turn in turns]
    assert all(0.05 < count / len(found) < 0.3 for count in counts)
    assert sum(counts) / len(found) == pytest.approx(0.5, abs=0.15)
    assert not (found == FACES[0]).flatten(1).all(1).any()
    assert torch.equal(found, outlying(NONE))
    assert not torch.equal(found[:20], outlying(NONE, seed=1)[:20])


def test_plain_patches_have_no_form_and_may_be_noisy() -> None:
    turned = [torch.rot90(FACES[0], quarters, (1, 2)) for quarters in (1, 2, 3)]
    plain = torch.stack([face for face in outlying(NONE) if not any(torch.equal(face, turn) for turn in turned)])
    smooth = torch.nn.functional.avg_pool2d(plain, 12)
    assert (smooth.flatten(1).max(1).values - smooth.flatten(1).min(1).values).max() < 0.5
    assert 0.1 < plain.mean((1, 2, 3)).std() < 0.5
    noise = plain.diff(dim=-1).std((1, 2, 3))
    assert noise.quantile(0.2) < 0.02
    assert noise.max() > 0.1


def test_squares_are_shown_as_often_as_the_other_kinds() -> None:
    squares = np.full((5, 48, 48), 200, np.uint8) + np.arange(5, dtype=np.uint8)[:, None, None]
    found = 255 * outlying(squares)
    levels = [float(((found - level).abs() < 1e-3).flatten(1).all(1).float().mean()) for level in range(200, 205)]
    assert all(level > 0.01 for level in levels)
    assert sum(levels) == pytest.approx(1 / 3, abs=0.12)


def test_squares_come_from_all_pictures_in_all_sizes(pictures: Path) -> None:
    squares = random_squares(pictures, 100, 3)
    assert squares.shape == (100, 48, 48)
    assert (squares[::2] < 110).all()
    assert (squares[1::2] >= 149).all()
    slopes = np.diff(squares[1::2].astype(int).mean(1)[:, [4, 44]])
    assert 1.7 < slopes.max() / slopes.min() < 2.3, "from 48 to 90 pixels"
    assert np.array_equal(squares, random_squares(pictures, 100, 3))
    assert not np.array_equal(squares, random_squares(pictures, 100, 4))


def test_small_pictures_are_enlarged(tmp_path: Path) -> None:
    Image.new("RGB", (20, 30), (90, 90, 90)).save(tmp_path / "small.png")
    assert (random_squares(tmp_path, 3, 0) == 90).all()


def test_pictures_of_a_faces_size_are_taken_whole(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (48, 48), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "square.png")
    assert (random_squares(tmp_path, 20, 0) == pixels).all()


def test_bad_folders_are_refused(tmp_path: Path) -> None:
    recipe = dataclasses.replace(scratch(), outliers=0.1)
    assert load_outliers(scratch(), None, EVEN) is None
    with pytest.raises(ConfigError, match="outliers is 0"):
        load_outliers(scratch(), tmp_path, EVEN)
    with pytest.raises(DataError, match="no pictures in this folder"):
        load_outliers(recipe, tmp_path, EVEN)
    with pytest.raises(DataError, match="no such file or folder"):
        load_outliers(recipe, tmp_path / "nowhere", EVEN)
    (tmp_path / "broken.png").write_bytes(b"no picture")
    with pytest.raises(ImageError, match=r"broken\.png"):
        load_outliers(recipe, tmp_path, EVEN)


@pytest.mark.slow
def test_a_run_with_outliers_learns_and_resumes(
    tmp_path: Path, striped: FaceDataset, tiny: Recipe, trained: Path, pictures: Path
) -> None:
    class StoppedError(Exception):
        pass

    class Stop(Watcher):
        def on_step(self, step: Step) -> None:
            if (step.epoch, step.step) == (2, 3):
                raise StoppedError

    recipe = dataclasses.replace(tiny, outliers=0.3, epochs=2, save_minutes=0.0)
    start = Start(teachers=[trained], outliers=pictures)
    devices = Devices("cpu")
    train(striped, recipe, tmp_path / "whole", start=start, devices=devices)
    with pytest.raises(StoppedError):
        train(striped, recipe, tmp_path / "cut", start=start, devices=devices, watcher=Stop())
    resumed = dataclasses.replace(start, resume=True)
    with pytest.raises(ConfigError, match="other pictures without faces"):
        train(striped, recipe, tmp_path / "cut", start=dataclasses.replace(resumed, outliers=None), devices=devices)
    train(striped, recipe, tmp_path / "cut", start=resumed, devices=devices)
    whole, cut = (describe(tmp_path / run / LAST) for run in ("whole", "cut"))
    assert [record["held_loss"] for record in whole.history] == [record["held_loss"] for record in cut.history]
    assert len(whole.data["outliers"]) == 64
    assert "outliers" not in describe(trained).data
