"""Maps of what spoke for a class: honest by the tests of their trade, on the model that ships."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.data import astronaut

from mien.errors import ImageError
from mien.runtime.classifier import Classifier
from mien.runtime.crops import FACE_SIZE
from mien.runtime.evidence import BLUR, MASKS, PART, Probabilities, _seen, evidence_map
from mien.runtime.weights import find_model

Faces = NDArray[np.uint8]
FER2013 = Path(__file__).parents[3] / "shared" / "data" / "fer2013" / "trainval.parquet"
HAPPY = 3


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return Classifier(find_model(None), threads=1)


@pytest.fixture(scope="module")
def happy_face() -> Faces:
    """The astronaut's, as YuNet's box frames it: its mouth is in rows 31 to 40."""
    grey = cv2.cvtColor(astronaut(), cv2.COLOR_RGB2GRAY)[60:184, 163:287]
    return cv2.resize(grey, (FACE_SIZE, FACE_SIZE), interpolation=cv2.INTER_AREA).astype(np.uint8)


def bright_part(top: int, left: int) -> Probabilities:
    """Says class 1 the more, the brighter an 8x8 part is, and class 0 else."""

    def probabilities(faces: Faces) -> NDArray[np.float32]:
        bright = faces[:, top : top + 8, left : left + 8].mean((1, 2)) / 255
        odds = np.exp(4 * bright - 2)
        return np.stack([1 / (1 + odds), odds / (1 + odds)], 1).astype(np.float32)

    return probabilities


def areas(probabilities: Probabilities, face: Faces, evidence: NDArray[np.floating], index: int) -> tuple[float, float]:
    """The areas under the deletion and the insertion curve of Petsiuk et al.: the class's probability while the pixels
    are hidden by a blur, or shown from under it, the highest values first.
    """
    rank = np.empty(evidence.size, int)
    rank[np.argsort(-evidence.ravel(), kind="stable")] = np.arange(evidence.size)
    hidden = rank.reshape(1, FACE_SIZE, FACE_SIZE) < np.linspace(0, evidence.size, 13)[:, None, None]
    blurred = cv2.GaussianBlur(face, (0, 0), BLUR)
    deleted = probabilities(np.where(hidden, blurred, face).astype(np.uint8))[:, index]
    inserted = probabilities(np.where(hidden, face, blurred).astype(np.uint8))[:, index]
    return float(np.mean((deleted[1:] + deleted[:-1]) / 2)), float(np.mean((inserted[1:] + inserted[:-1]) / 2))


def random_map(seed: int) -> NDArray[np.float64]:
    """As smooth as a map of evidence."""
    noise = np.random.default_rng(seed).normal(size=(FACE_SIZE, FACE_SIZE))
    return np.asarray(cv2.GaussianBlur(noise, (0, 0), 3))


@pytest.mark.parametrize(("top", "left"), [(4, 8), (30, 20), (20, 36)])
def test_the_part_that_counts_is_found(top: int, left: int) -> None:
    face = np.full((FACE_SIZE, FACE_SIZE), 60, np.uint8)
    face[top : top + 8, left : left + 8] = 220
    evidence = evidence_map(bright_part(top, left), face, 1)
    assert evidence.shape == (FACE_SIZE, FACE_SIZE)
    assert evidence.dtype == np.float32
    y, x = np.unravel_index(evidence.argmax(), evidence.shape)
    assert top <= y < top + 8
    assert left <= x < left + 8
    inside = evidence[top : top + 8, left : left + 8].mean()
    assert inside > 5 * np.abs(evidence).mean()
    # Of two classes, what speaks for one speaks against the other.
    np.testing.assert_allclose(evidence_map(bright_part(top, left), face, 0), -evidence, atol=1e-4)


def test_a_value_is_what_hiding_a_part_costs() -> None:
    """Of scores that are linear in what is seen; an estimate is pulled towards 0."""
    face = np.full((FACE_SIZE, FACE_SIZE), 60, np.uint8)
    face[20:28, 20:28] = 220
    blurred = cv2.GaussianBlur(face, (0, 0), BLUR)
    true = 4 * float((face - blurred.astype(float))[20:28, 20:28].mean()) / 255  # what is lost when it is hidden
    estimated = evidence_map(bright_part(20, 20), face, 1)[20:28, 20:28].sum() / PART
    assert 0.4 * true < estimated < 1.1 * true


def test_a_face_without_detail_has_an_empty_map(classifier: Classifier) -> None:
    flat = np.full((FACE_SIZE, FACE_SIZE), 128, np.uint8)
    assert np.abs(evidence_map(classifier.probabilities, flat, HAPPY)).max() < 1e-4


def test_the_same_face_gives_the_same_map(classifier: Classifier, happy_face: Faces) -> None:
    one = evidence_map(classifier.probabilities, happy_face, HAPPY)
    _seen.cache_clear()
    assert np.array_equal(one, evidence_map(classifier.probabilities, happy_face.copy(), HAPPY))


def test_certain_predictions_stay_finite(happy_face: Faces) -> None:
    def certain(faces: Faces) -> NDArray[np.float32]:
        return np.stack([np.ones(len(faces)), np.zeros(len(faces))], 1).astype(np.float32)

    assert np.abs(evidence_map(certain, happy_face, 1)).max() < 1e-6


def test_a_batch_is_bounded(happy_face: Faces) -> None:
    sizes = []

    def counting(faces: Faces) -> NDArray[np.float32]:
        sizes.append(len(faces))
        return np.full((len(faces), 2), 0.5, np.float32)

    evidence_map(counting, happy_face, 0)
    assert sum(sizes) == MASKS
    assert max(sizes) <= 64


@pytest.mark.parametrize("shape", [(48, 47), (1, 48, 48), (48, 48, 3)])
def test_another_shape_is_refused(classifier: Classifier, shape: tuple[int, ...]) -> None:
    with pytest.raises(ImageError, match="expected faces of shape"):
        evidence_map(classifier.probabilities, np.zeros(shape, np.uint8), 0)


def test_another_type_is_refused(classifier: Classifier) -> None:
    with pytest.raises(ImageError, match="uint8"):
        evidence_map(classifier.probabilities, np.zeros((48, 48), np.float32), 0)


# Whether maps are honest


def test_the_mouth_speaks_for_a_smile(classifier: Classifier, happy_face: Faces) -> None:
    evidence = evidence_map(classifier.probabilities, happy_face, HAPPY)
    y, x = np.unravel_index(evidence.argmax(), evidence.shape)
    assert 28 <= y <= 42
    assert 12 <= x <= 36


def test_deletion_and_insertion_are_better_than_a_random_map(classifier: Classifier, happy_face: Faces) -> None:
    evidence = evidence_map(classifier.probabilities, happy_face, HAPPY)
    deletion, insertion = areas(classifier.probabilities, happy_face, evidence, HAPPY)
    others = np.array([areas(classifier.probabilities, happy_face, random_map(seed), HAPPY) for seed in range(8)])
    assert deletion < others[:, 0].min()
    assert insertion > others[:, 1].max()


def randomized(path: Path) -> bytes:
    """The model's file with the values of each weight shuffled: the same distribution, nothing learned."""
    onnx = pytest.importorskip("onnx")
    from onnx import numpy_helper

    model, draws, shuffled = onnx.load(path), np.random.default_rng(0), 0
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.ndim >= 2 and values.size > 1000:
            values = draws.permutation(values.ravel()).reshape(values.shape)
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
            shuffled += 1
    assert shuffled >= 8  # five convolutions and three full layers
    return bytes(model.SerializeToString())


def test_maps_change_when_the_weights_are_randomized(classifier: Classifier, happy_face: Faces, tmp_path: Path) -> None:
    """The sanity check of Adebayo et al. (NeurIPS 2018): a map that stays shows the picture, not the model."""
    path = tmp_path / "random.onnx"
    path.write_bytes(randomized(classifier.path))
    other = Classifier(path, threads=1)
    maps = [evidence_map(one.probabilities, happy_face, HAPPY) for one in (classifier, other)]
    assert abs(np.corrcoef(maps[0].ravel(), maps[1].ravel())[0, 1]) < 0.5


@pytest.fixture(scope="module")
def validation() -> tuple[Faces, NDArray[np.int64]]:
    """24 of FER2013's validation faces that the model is confident of."""
    if not FER2013.is_file():
        pytest.skip("FER2013 is not in ../shared/data")
    pytest.importorskip("pyarrow")
    from mien.data.readers import read_faces

    faces = read_faces(FER2013).of_split("validation").faces[:400]
    rows = Classifier(find_model(None), threads=1).probabilities(faces)
    confident = np.flatnonzero(rows.max(1) > 0.9)[:24]
    return faces[confident], rows[confident].argmax(1)


@pytest.mark.real_data
@pytest.mark.slow
def test_curves_of_real_faces(classifier: Classifier, validation: tuple[Faces, NDArray[np.int64]]) -> None:
    def mean_areas(make: Callable[[int, Faces, int], NDArray[np.floating]]) -> NDArray[np.float64]:
        return np.mean(
            [
                areas(classifier.probabilities, face, make(number, face, int(index)), int(index))
                for number, (face, index) in enumerate(zip(*validation, strict=True))
            ],
            axis=0,
        )

    deletion, insertion = mean_areas(lambda _, face, index: evidence_map(classifier.probabilities, face, index))
    random_deletion, random_insertion = mean_areas(lambda number, face, index: random_map(number))
    assert deletion < random_deletion - 0.2
    assert insertion > random_insertion + 0.1


@pytest.mark.real_data
@pytest.mark.slow
def test_a_half_that_is_covered_speaks_for_nothing(
    classifier: Classifier, validation: tuple[Faces, NDArray[np.int64]]
) -> None:
    for covered, visible in ((slice(0, 24), slice(24, 48)), (slice(24, 48), slice(0, 24))):
        found = []
        for face in validation[0]:
            half = face.copy()
            half[:, covered] = round(float(face.mean()))
            index = int(classifier.probabilities(half[None]).argmax())
            evidence = np.abs(evidence_map(classifier.probabilities, half, index))
            found.append((evidence[:, covered].mean(), evidence[:, visible].mean()))
        hidden, seen = np.mean(found, axis=0)
        assert seen > 4 * hidden


def test_a_covered_half_of_the_astronaut_speaks_for_nothing(classifier: Classifier, happy_face: Faces) -> None:
    """Whatever grey it is covered with."""
    for covered, visible in ((slice(0, 24), slice(24, 48)), (slice(24, 48), slice(0, 24))):
        for grey in (0, 128, 255):
            half = happy_face.copy()
            half[:, covered] = grey
            evidence = evidence_map(classifier.probabilities, half, HAPPY)
            assert evidence[:, visible].max() > evidence[:, covered].max()
