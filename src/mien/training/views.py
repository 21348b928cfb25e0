"""Fixed views: each face is turned, scaled and shifted in a few ways that are drawn once for the whole run.

So teachers predict once for each view, and not anew in every epoch. What a teacher sees does not depend on the seed
of the run: students of other seeds and sizes share the predictions.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from torch import Tensor

from mien.data.packed_faces import Faces, keys_of
from mien.errors import ConfigError
from mien.training.augment import Augmentation, Augmenter
from mien.training.checkpoint import save_tensors
from mien.training.distillation import Teacher
from mien.training.distributed import first
from mien.training.distributed import predictions as by_ranks
from mien.training.recipes import Recipe

_CHUNK: Final = 256
_HEADER: Final = "mien.views"


@dataclass(frozen=True)
class Views:
    """K views of N faces.

    moves        (K, N, 3, 3) float32, as `Augmenter.with_whole` takes them
    predictions  (K, N, C) float32, the teachers' mean probabilities for each view and, where the augmentation mirrors,
                 for its mirror image: one prediction serves both
    """

    moves: Tensor
    predictions: Tensor

    def of(self, rows: Tensor, epoch: int) -> tuple[Tensor, Tensor]:
        """Moves and predictions for the view of each of these faces that an epoch shows, another one in the next."""
        which = (rows + epoch) % len(self.moves)
        return self.moves[which, rows], self.predictions[which, rows]


def predict_views(
    path: Path,
    faces: Faces,
    recipe: Recipe,
    teachers: Sequence[Teacher],
    *,
    fabric: Fabric,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Views:
    """The recipe's `views` of faces (N, 48, 48) uint8, read from a file, which is written where they are not there yet.

    The file is written after each view, so that after an interruption only one is lost. progress is called with how
    many faces of how many, each view counted, this rank has the predictions for. Raises ConfigError where the file
    holds those of other faces, teachers or moves, or cannot be read or written.
    """
    strength = recipe.augmentation
    made_of = {
        "faces": hashlib.sha256(keys_of(faces).tobytes()).hexdigest(),
        "teachers": [teacher.record["sha256"] for teacher in teachers],
        **{name: getattr(strength, name) for name in ("rotation", "scale", "shift")},
        "mirrored": strength.flip > 0,
    }
    moves, predictions = first(fabric, partial(_read, path, made_of)) or ([], [])
    panel = _Panel.of(teachers, strength, fabric)
    for view in range(len(moves), recipe.views):
        moves.append(_drawn(strength, len(faces), view))
        count = partial(_count, progress, before=view * len(faces), total=recipe.views * len(faces))
        predict = partial(panel.predict, moves=moves[-1], count=count)
        predictions.append(torch.from_numpy(by_ranks(fabric, faces, predict)))
        first(fabric, partial(_write, path, moves, predictions, made_of))
    return Views(torch.stack(moves[: recipe.views]), torch.stack(predictions[: recipe.views]))


def _count(progress: Callable[[int, int], None], done: int, *, before: int, total: int) -> None:
    progress(before + done, total)


def _drawn(strength: Augmentation, count: int, view: int) -> Tensor:
    """The moves (count, 3, 3) of a view, the same on any number of ranks. The global generators stay as they were."""
    augment = Augmenter(strength, 48)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(view)
        sizes = [min(_CHUNK, count - start) for start in range(0, count, _CHUNK)]
        return torch.cat([augment.drawn_moves(torch.zeros(size, 1, 48, 48)) for size in sizes])


@dataclass(frozen=True)
class _Panel:
    """Teachers, each with what moves faces to its input size; mirrors: whether mirror images are predicted as well."""

    teachers: Sequence[tuple[Teacher, Augmenter]]
    mirrors: bool
    fabric: Fabric

    @classmethod
    def of(cls, teachers: Sequence[Teacher], strength: Augmentation, fabric: Fabric) -> _Panel:
        sized = [(teacher, Augmenter(strength, teacher.network.config.input_size)) for teacher in teachers]
        return cls(sized, strength.flip > 0, fabric)

    def predict(self, faces: Faces, rows: range, *, moves: Tensor, count: Callable[[int], None]) -> NDArray[np.float32]:
        """The mean probabilities (n, C) for faces (n, 48, 48) uint8, these rows of all; moves are of all."""
        found = []
        for start in range(0, len(faces), _CHUNK):
            shown = self.fabric.to_device(torch.from_numpy(faces[start : start + _CHUNK])[:, None])
            those = moves[rows.start + start :][: len(shown)]
            found.append(self._probabilities(shown.float() / 255, self.fabric.to_device(those)))
            count(start + len(shown))
        result: NDArray[np.float32] = torch.cat(found).cpu().numpy()
        return result

    def _probabilities(self, faces: Tensor, moves: Tensor) -> Tensor:
        found = []
        for teacher, augment in self.teachers:
            shown = augment.moved(faces, moves)
            with self.fabric.autocast():
                found.append(teacher.probabilities(shown))
                if self.mirrors:
                    found.append(teacher.probabilities(shown.flip(-1)))
        return torch.stack(found).mean(0)


def _read(path: Path, made_of: dict[str, Any]) -> tuple[list[Tensor], list[Tensor]] | None:
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            known = json.loads(file.metadata()[_HEADER])
            moves, predictions = file.get_tensor("moves"), file.get_tensor("predictions")
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"{path}: expected teachers' predictions, as `mien distill` keeps them: {error}") from error
    changed = [name for name, value in made_of.items() if known.get(name) != value]
    if changed:
        raise ConfigError(
            f"{path} holds predictions of teachers for another training, with other {', '.join(changed)}: "
            "name another file"
        )
    return list(moves), list(predictions)


def _write(path: Path, moves: Sequence[Tensor], predictions: Sequence[Tensor], made_of: dict[str, Any]) -> None:
    tensors = {"moves": torch.stack(list(moves)), "predictions": torch.stack(list(predictions))}
    save_tensors(path, tensors, {_HEADER: json.dumps(made_of)})
