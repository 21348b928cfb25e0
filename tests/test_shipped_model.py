"""The model in the package, held to what is said of it."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest

import mien
from mien.emotions import EMOTIONS
from mien.runtime.classifier import Classifier
from mien.runtime.weights import find_model, shipped_models

SHIPPED = Path(__file__).parents[1] / "docs" / "results" / "shipped.json"
PARQUET = Path(__file__).parents[2] / "shared" / "data" / "fer2013" / "trainval.parquet"


def test_it_is_small_and_describes_itself() -> None:
    path = find_model()
    assert path.stat().st_size <= 10_000_000
    assert path == shipped_models()[mien.__version__]
    card = Classifier(path).card
    assert card.classes == EMOTIONS
    assert card.id == f"mien-{mien.__version__}-int8"
    assert card.metrics["ferplus/validation"]["accuracy"] >= 0.84
    assert b"site-packages" not in path.read_bytes()


def test_the_evaluation_in_the_repository_is_of_this_model() -> None:
    lines = [json.loads(line) for line in SHIPPED.read_text(encoding="utf-8").splitlines()]
    card = Classifier(find_model()).card
    assert {line["model"] for line in lines} == {card.id}
    assert {f"{line['protocol']}/{line['split']}" for line in lines} == set(card.metrics)
    for line in lines:
        own = card.metrics[f"{line['protocol']}/{line['split']}"]
        assert (line["n"], line["accuracy"]) == (own["n"], pytest.approx(own["accuracy"], abs=0.003))


def test_what_shows_no_face_gets_no_emotion() -> None:
    random = np.random.default_rng(0)
    noise = random.integers(0, 256, (3, 48, 48), np.uint8)
    even = np.stack([np.full((48, 48), grey, np.uint8) for grey in (0, 90, 255)])
    np.testing.assert_allclose(Classifier(find_model()).probabilities(np.concatenate([noise, even])), 1 / 7, atol=1e-6)
    for result in mien.load(detector="none").analyze_many(even):
        assert [(face.emotion, face.uncertain) for face in result.faces] == [("neutral", True)]


@pytest.mark.parametrize(("black", "white"), [(0, 127), (0, 32), (0, 10), (245, 255), (120, 140)])
def test_a_face_of_little_contrast_keeps_its_emotion(black: int, white: int) -> None:
    data = pytest.importorskip("skimage.data")
    face = cv2.resize(cv2.cvtColor(data.astronaut()[60:190, 158:288], cv2.COLOR_RGB2GRAY), (48, 48))
    faint = np.rint(black + face / 255 * (white - black)).astype(np.uint8)
    clear, stretched = Classifier(find_model()).probabilities(np.stack([face, faint]))
    assert EMOTIONS[clear.argmax()] == EMOTIONS[stretched.argmax()] == "happiness"


@pytest.mark.slow
@pytest.mark.real_data
@pytest.mark.skipif(not PARQUET.is_file(), reason="../shared/data/fer2013/trainval.parquet is not there")
def test_its_card_tells_the_truth() -> None:
    pytest.importorskip("pyarrow")
    from mien.data.dataset import evaluated_rows
    from mien.data.readers import read_faces
    from mien.evaluation.metrics import evaluate

    classifier = Classifier(find_model())
    validation = read_faces(PARQUET).of_split("validation")
    truth, mask = evaluated_rows(validation, "ferplus")
    found = evaluate(classifier.probabilities(validation.faces[mask]), truth[mask], classes=EMOTIONS, resamples=1)
    assert found.accuracy >= 0.84
    # int8 may round otherwise on another processor, but not by more than a few faces.
    assert found.accuracy == pytest.approx(classifier.card.metrics["ferplus/validation"]["accuracy"], abs=0.003)


def test_it_can_be_asked_by_another_prior() -> None:
    frequencies = Classifier(find_model()).card.class_frequencies
    assert frequencies is not None
    assert sum(frequencies.values()) == pytest.approx(1, abs=1e-3)
    assert min(frequencies, key=frequencies.__getitem__) == "disgust"
    weights = mien.load(detector="none", prior="uniform").prior_weights
    assert weights is not None
    assert EMOTIONS[weights.argmax()] == "disgust"
    assert weights == pytest.approx([1 / 7 / frequencies[name] for name in EMOTIONS])


def test_sixteen_threads_get_what_one_gets() -> None:
    analyzer = mien.load(detector="none", threads=1)
    random = np.random.default_rng(1)
    pictures = [cv2.resize(random.integers(0, 256, (3 + i % 4, 4, 3), np.uint8), (60, 70)) for i in range(64)]
    alone = [analyzer.analyze(np.asarray(picture, np.uint8)).to_dict() for picture in pictures]
    with ThreadPoolExecutor(16) as threads:
        together = list(threads.map(lambda picture: analyzer.analyze(picture).to_dict(), pictures))
    assert together == alone
    assert len({record["faces"][0]["emotion"] for record in alone}) > 1
