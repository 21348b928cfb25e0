"""`Analyzer.explain`: the faces of a picture, as `analyze` finds them, each with its map."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from mien.analyzer import Analyzer, load
from mien.emotions import EMOTIONS
from mien.errors import ConfigError, ImageError
from mien.explanation import Explanation
from mien.runtime.classifier import Classifier
from mien.runtime.detectors import load_detector
from mien.runtime.evidence import evidence_map


@pytest.fixture(scope="module")
def analyzer(brightness_model: Path) -> Analyzer:
    return load(brightness_model, detector="none", threads=1)


def bright_spot() -> np.ndarray:
    image = np.full((48, 48, 3), 120, np.uint8)
    image[10:20, 28:40] = 250
    return image


def test_faces_are_those_of_analyze(analyzer: Analyzer) -> None:
    explanation = analyzer.explain(bright_spot())
    analysis = analyzer.analyze(bright_spot())
    assert explanation.analysis.faces == analysis.faces == tuple(one.face for one in explanation.faces)
    [face] = explanation.faces
    assert face.emotion == analysis.faces[0].emotion
    assert face.probabilities == analysis.faces[0].probabilities
    assert np.array_equal(face.crop, bright_spot()[:, :, 0])
    assert face.map.shape == (48, 48)
    assert face.map.dtype == np.float32


class SpotClassifier(Classifier):
    """Names surprise, and else anger, the more, the brighter the face is in the place of the spot."""

    def probabilities(self, faces: NDArray[np.uint8]) -> NDArray[np.float32]:
        odds = np.exp(faces[:, 10:20, 28:40].mean((1, 2)) / 40 - 4)
        rows = np.full((len(faces), len(EMOTIONS)), 1e-4, np.float32)
        rows[:, EMOTIONS.index("surprise")] = odds / (1 + odds)
        rows[:, EMOTIONS.index("anger")] = 1 / (1 + odds)
        return rows


def test_the_class_that_is_asked_about_is_explained(brightness_model: Path) -> None:
    analyzer = Analyzer(SpotClassifier(brightness_model), load_detector("none"))
    maps = {name: analyzer.explain(bright_spot(), emotion=name).faces[0].map for name in ("surprise", "anger")}
    assert maps["surprise"][10:20, 28:40].mean() > 0.2
    assert maps["anger"][10:20, 28:40].mean() < -0.2


def test_another_class_keeps_the_prediction(analyzer: Analyzer) -> None:
    one, other = analyzer.explain(bright_spot()), analyzer.explain(bright_spot(), emotion="fear")
    assert one.analysis.faces == other.analysis.faces
    assert other.faces[0].emotion == "fear"


def test_the_prior_and_flip_count(analyzer: Analyzer) -> None:
    """A map is of the probabilities that are reported."""
    for options in ({"prior": "uniform"}, {"flip": True}):
        changed = analyzer.with_options(**options)
        [face] = changed.explain(bright_spot()).faces
        index = EMOTIONS.index(face.emotion)
        assert np.array_equal(face.map, evidence_map(changed._probabilities, face.crop, index))


def test_the_record_is_that_of_the_analysis_with_maps(analyzer: Analyzer) -> None:
    explanation = analyzer.explain(bright_spot(), emotion="fear")
    record = explanation.to_dict()
    [face] = record["faces"]
    assert face.pop("explained") == "fear"  # type: ignore[misc]
    rows: list[list[float]] = face.pop("map")  # type: ignore[misc]
    assert np.abs(np.array(rows, np.float32) - explanation.faces[0].map).max() < 1e-4
    assert record == explanation.analysis.to_dict()


def test_it_is_saved_and_shown(analyzer: Analyzer, tmp_path: Path) -> None:
    explanation = analyzer.explain(bright_spot())
    explanation.save(tmp_path / "new" / "why.png")
    with Image.open(tmp_path / "new" / "why.png") as saved:
        assert saved.size == explanation.draw().size
    assert Image.open(io.BytesIO(explanation._repr_png_())).format == "PNG"
    with pytest.raises(ConfigError, match="expected a name that ends in"):
        explanation.save(tmp_path / "why.gif")


def test_no_face_gives_none(brightness_model: Path) -> None:
    explanation = load(brightness_model, detector="haar").explain(np.zeros((80, 80, 3), np.uint8))
    assert explanation.faces == ()
    assert explanation.to_dict()["faces"] == []
    assert explanation.draw().width > 0


@pytest.mark.parametrize("emotion", ["joy", "", "FEAR"])
def test_an_unknown_class_is_refused_before_the_picture_is_read(analyzer: Analyzer, emotion: str) -> None:
    with pytest.raises(ConfigError, match="must be one of anger, disgust"):
        analyzer.explain("there is no such file.png", emotion=emotion)


@pytest.mark.parametrize("image", ["gone.png", b"no picture", np.zeros((0, 4, 3), np.uint8)])
def test_what_is_no_picture_is_an_image_error(analyzer: Analyzer, image: object) -> None:
    with pytest.raises(ImageError):
        analyzer.explain(image)  # type: ignore[arg-type]


def test_an_explanation_is_frozen(analyzer: Analyzer) -> None:
    explanation = analyzer.explain(bright_spot())
    assert isinstance(explanation, Explanation)
    with pytest.raises(AttributeError):
        explanation.faces = ()  # type: ignore[misc]
