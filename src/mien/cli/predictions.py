"""What `mien evaluate` and `mien errors` share: a model or a checkpoint, labelled faces, their truth, predictions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from mien.cli import console
from mien.cli.reading import check_exist, read_dataset
from mien.emotions import EMOTIONS
from mien.errors import ConfigError, DataError, MissingExtraError
from mien.model_card import CLASS_FREQUENCIES

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mien.data.dataset import FaceDataset, Protocol
    from mien.data.packed_faces import Faces

    Truth = tuple[NDArray[np.int64], NDArray[np.bool_]]
    Predict = Callable[[Faces, Callable[[int], None]], NDArray[np.float32]]

SplitChoice = Literal["training", "validation", "test"]

_BATCH = 256


@dataclass(frozen=True, slots=True)
class Opened:
    """A model's name, its classes and how frequent these were in training, and what turns faces into probabilities and
    reports each batch's size.
    """

    name: str
    classes: tuple[str, ...]
    class_frequencies: Mapping[str, float] | None
    predict: Predict


def opened_model(model: str | None, data: Path, threads: int | None) -> Opened:
    """An ONNX model or a checkpoint. Raises ModelError or DataError where a file is missing, before long work."""
    path = None if model is None else Path(model)
    checkpoint = path if path is not None and (path.is_dir() or path.suffix == ".safetensors") else None
    check_exist(data, [checkpoint] if checkpoint else [])
    return _open_checkpoint(checkpoint, threads) if checkpoint else _open_model(model, threads)


def _open_model(model: str | None, threads: int | None) -> Opened:
    """An ONNX model."""
    import numpy as np

    from mien.runtime.classifier import Classifier
    from mien.runtime.weights import find_model

    classifier = Classifier(find_model(model), threads=threads)

    def predict(faces: Faces, done: Callable[[int], None]) -> NDArray[np.float32]:
        parts = []
        for start in range(0, len(faces), _BATCH):
            parts.append(classifier.probabilities(faces[start : start + _BATCH]))
            done(len(parts[-1]))
        return np.concatenate(parts)

    return Opened(classifier.card.id, tuple(classifier.classes), classifier.card.class_frequencies, predict)


def _open_checkpoint(path: Path, threads: int | None) -> Opened:
    """A checkpoint. Raises MissingExtraError without PyTorch."""
    try:
        from mien.training.checkpoint import describe_model, predict_faces
    except ModuleNotFoundError as error:
        raise MissingExtraError("evaluating a checkpoint", "train") from error
    if threads is not None:
        raise ConfigError("--threads is for ONNX models; for a checkpoint set the environment variable OMP_NUM_THREADS")
    described = describe_model(path)

    def predict(faces: Faces, done: Callable[[int], None]) -> NDArray[np.float32]:
        return predict_faces(path, faces, progress=done)[1]

    return Opened(str(path), described.classes, described.data.get(CLASS_FREQUENCIES), predict)


def read_split(
    path: Path, split: SplitChoice, classes: tuple[str, ...], *, labels: str | None, skip_bad: bool
) -> FaceDataset:
    """The rows of the split, with the model's classes. Raises ConfigError on other classes, DataError on no rows."""
    from mien.data.dataset import SPLITS
    from mien.emotions import EMOTIONS

    dataset = read_dataset(path, skip_bad=skip_bad, own_classes=classes != EMOTIONS, labels=labels)
    if dataset.classes != classes:
        raise ConfigError(
            f"the model's classes are {', '.join(classes)}; those of {path} are {', '.join(dataset.classes)}"
        )
    chosen = dataset.of_split(split)
    if len(chosen) == 0:
        counts = ", ".join(f"{name} has {(dataset.split == name).sum()}" for name in SPLITS if name != split)
        raise DataError(f"{path} has no rows in the {split} split; {counts}: choose with --split")
    return chosen


def labels_of(protocol: str, classes: Sequence[str]) -> str:
    """What a figure was measured by: a protocol of FER2013's, or the data's own labels where its classes are others."""
    return protocol if tuple(classes) == EMOTIONS else "own labels"


def default_protocol(dataset: FaceDataset) -> Protocol:
    """The protocol where none is asked for: by the votes, if the data has some."""
    return "fer2013" if dataset.votes is None else "ferplus"


def truth_of(dataset: FaceDataset, split: SplitChoice, protocol: Protocol) -> Truth:
    """The truth (N,) of each row under a protocol and a mask (N,) of the evaluated rows. Raises DataError on none."""
    from mien.data.dataset import evaluated_rows

    truth, mask = evaluated_rows(dataset, protocol)
    if not mask.any():
        raise DataError(f"protocol {protocol} has no truth for any of the {len(mask)} rows in the {split} split")
    return truth, mask


def predicted(predict: Predict, faces: Faces, *, flip: bool) -> NDArray[np.float32]:
    """Probabilities (N, C) of all faces, with a progress bar; with flip averaged over face and mirror image."""
    import numpy as np

    from mien.data.packed_faces import chunks

    with console.progress() as bar:
        task = bar.add_task("faces", total=len(faces) * (2 if flip else 1))

        def done(count: int) -> None:
            bar.advance(task, count)

        found = predict(faces, done)
        if flip:
            mirrored = np.concatenate([predict(np.ascontiguousarray(part[:, :, ::-1]), done) for part in chunks(faces)])
            found = np.mean([found, mirrored], axis=0, dtype=np.float32)
        return found
