from __future__ import annotations

import numpy as np
import pytest

from mien.data.dataset import FaceDataset
from mien.emotions import EMOTIONS, FERPLUS_COLUMNS
from mien.errors import ConfigError

pytest.importorskip("skimage.data")
made = pytest.importorskip("non_faces", reason="benchmarks/ is not there")


def dataset(rejections: list[int], splits: list[str], *, votes: bool = True) -> FaceDataset:
    """Face k is all grey k, and so many of its ten voters take it for no face."""
    n = len(rejections)
    ballots = np.zeros((n, len(FERPLUS_COLUMNS)), np.float32)
    ballots[:, FERPLUS_COLUMNS.index("nf")] = rejections
    ballots[:, 0] = 10 - np.array(rejections)
    faces = np.repeat(np.arange(n, dtype=np.uint8), 48 * 48).reshape(n, 48, 48)
    rows = np.array([str(i) for i in range(n)])
    return FaceDataset("made", EMOTIONS, faces, np.zeros(n, int), ballots if votes else None, np.array(splits), rows)


def test_rows_are_no_face_by_more_than_half_of_the_votes() -> None:
    kinds = made.non_faces(dataset([6, 5, 0, 10], ["validation", "validation", "training", "training"]), count=13)
    assert kinds["FER2013, voted not a face, validation"][:, 0, 0].tolist() == [0]
    assert kinds["FER2013, voted not a face, training"][:, 0, 0].tolist() == [3]
    assert kinds["squares of pictures without a face"].shape == kinds["noise"].shape == (13, 48, 48)
    assert kinds["noise"].std() > 70
    grey = kinds["flat grey"]
    assert (grey == grey[:, :1, :1]).all()
    assert grey[:, 0, 0].tolist() == list(range(256))
    for shown in kinds.values():
        assert shown.dtype == np.uint8


def test_a_split_without_such_rows_is_left_out() -> None:
    assert not any("voted" in kind for kind in made.non_faces(dataset([0], ["validation"]), count=1))


def test_without_votes_nobody_knows() -> None:
    with pytest.raises(ConfigError, match="made has none"):
        made.non_faces(dataset([0], ["validation"], votes=False), count=1)


def test_squares_come_from_each_picture_in_turn_and_from_within_it() -> None:
    pictures = [np.full((60, 300), 10, np.uint8), np.full((300, 50), 200, np.uint8)]
    squares = made.random_squares(pictures, 5, np.random.default_rng(0))
    assert squares.shape == (5, 48, 48)
    assert squares[:, 0, 0].tolist() == [10, 200, 10, 200, 10]
    ramp = np.tile(np.arange(0, 250, dtype=np.uint8), (250, 1))
    within = made.random_squares([ramp], 40, np.random.default_rng(0)).astype(int)
    spans = within[:, 0, -1] - within[:, 0, 0]  # a square beyond the edge would repeat it, and span less than it cuts
    assert (spans >= 46).all()
    assert spans.max() > 150
