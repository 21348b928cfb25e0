from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from mien.compat import DeepFace, FaceNotDetectedError, InvalidImageError, InvalidOptionError, common
from mien.errors import DetectorError, MienError

Picture = Callable[..., np.ndarray]
NAMES = ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"]


def check_shape(face: dict[str, Any], width: int, height: int) -> None:
    """What deepface 0.0.103 answers for a face, but for plain floats where it has numpy's."""
    assert list(face) == ["emotion", "dominant_emotion", "region", "face_confidence"]
    assert list(face["emotion"]) == NAMES
    assert {type(value) for value in face["emotion"].values()} == {float}
    assert all(0 <= value <= 100 for value in face["emotion"].values())
    assert sum(face["emotion"].values()) == pytest.approx(100, abs=1e-9)
    assert type(face["dominant_emotion"]) is str
    assert face["emotion"][face["dominant_emotion"]] == max(face["emotion"].values())
    region = face["region"]
    assert list(region) == ["x", "y", "w", "h", "left_eye", "right_eye"]
    assert {type(region[key]) for key in "xywh"} == {int}
    assert min(region["x"], region["y"]) >= 0
    assert region["x"] + region["w"] <= width
    assert region["y"] + region["h"] <= height
    assert type(face["face_confidence"]) is float
    json.dumps(face)


def test_a_face_has_deepfaces_shape(squares: Any, picture: Picture) -> None:
    image = picture("happiness", "anger", "sadness")
    faces = DeepFace.analyze(image, actions=["emotion"], align=False, silent=True)
    assert [face["dominant_emotion"] for face in faces] == ["happy", "angry", "sad"]
    for number, face in enumerate(faces):
        check_shape(face, image.shape[1], image.shape[0])
        assert face["region"] == {
            "x": 10 + 70 * number, "y": 10, "w": 60, "h": 60, "left_eye": None, "right_eye": None,
        }  # fmt: skip


def test_every_emotion_goes_by_deepfaces_name(squares: Any, picture: Picture) -> None:
    faces = DeepFace.analyze(picture(*common.PEER_NAMES.values()))
    assert [face["dominant_emotion"] for face in faces] == NAMES


@pytest.mark.parametrize(("score", "confidence"), [(None, 1.0), (0.876, 0.88), (0.99999, 1.0)])
def test_the_confidence_is_the_detectors(
    squares: Any, picture: Picture, score: float | None, confidence: float
) -> None:
    squares.score = score
    (face,) = DeepFace.analyze(picture("fear"))
    assert face["face_confidence"] == confidence


def test_eyes_are_the_persons_and_stay_within_the_picture(squares: Any, picture: Picture) -> None:
    squares.landmarks = ((20.7, 30.2), (50.1, 31.9), (35.0, 40.0), (25.0, 50.0), (45.0, 50.0))
    (face,) = DeepFace.analyze(picture("fear"))
    assert face["region"]["right_eye"] == (20, 30)
    assert face["region"]["left_eye"] == (50, 31)
    squares.landmarks = ((-0.5, 30.0), (50.0, 80.0), *squares.landmarks[2:])  # the picture is 80 by 80
    (face,) = DeepFace.analyze(picture("fear"))
    assert face["region"]["right_eye"] is face["region"]["left_eye"] is None


def test_a_box_that_reaches_over_the_edge_is_cut_off_there(squares: Any, picture: Picture) -> None:
    squares.grow = 15.5
    (face,) = DeepFace.analyze(picture("surprise"))
    check_shape(face, 80, 80)
    assert [face["region"][key] for key in "xywh"] == [0, 0, 80, 80]


def test_no_face_is_an_error_or_the_whole_picture(squares: Any, tmp_path: Path) -> None:
    black = np.zeros((30, 40, 3), np.uint8)
    with pytest.raises(FaceNotDetectedError, match=r"the picture: no face found.*enforce_detection=False"):
        DeepFace.analyze(black)
    cv2.imwrite(str(tmp_path / "black.png"), black)
    with pytest.raises(ValueError, match=r"black\.png: no face found"):
        DeepFace.analyze(str(tmp_path / "black.png"))
    (face,) = DeepFace.analyze(black, enforce_detection=False)
    check_shape(face, 40, 30)
    assert face["dominant_emotion"] == "angry"  # black, to the test's model
    assert [face["region"][key] for key in "xywh"] == [0, 0, 40, 30]
    assert face["face_confidence"] == 0


def test_the_region_of_a_large_photo_is_in_its_own_pixels(squares: Any, tmp_path: Path) -> None:
    """Large JPEGs are decoded at a reduced size, and nobody needs to know."""
    squares.max_side = 1440
    cv2.imwrite(str(tmp_path / "black.jpg"), np.zeros((600, 3000, 3), np.uint8))
    (face,) = DeepFace.analyze(tmp_path / "black.jpg", enforce_detection=False)
    assert [face["region"][key] for key in "xywh"] == [0, 0, 3000, 600]


def test_skip_takes_each_picture_as_a_face_of_whatever_size(squares: Any, picture: Picture) -> None:
    for image in (np.full((9, 12, 3), 255, np.uint8), np.full((480, 640, 3), 255, np.uint8)):
        (face,) = DeepFace.analyze(image, detector_backend="skip")
        check_shape(face, image.shape[1], image.shape[0])
        assert face["dominant_emotion"] == "surprise"
        assert (face["region"]["w"], face["region"]["h"]) == (image.shape[1], image.shape[0])
        assert face["face_confidence"] == 0


def test_backends_go_by_deepfaces_names(monkeypatch: pytest.MonkeyPatch, squares: Any, picture: Picture) -> None:
    asked: list[str] = []
    monkeypatch.setattr(common, "_detector", lambda name: asked.append(name) or squares)
    for backend in ("opencv", "yunet", "skip"):
        DeepFace.analyze(picture("fear"), detector_backend=backend)
    DeepFace.analyze(picture("fear"))
    assert asked == ["haar", "yunet", "none", "haar"]


def test_several_pictures_give_a_list_each(squares: Any, picture: Picture) -> None:
    pictures = [picture("anger"), picture("happiness", "fear"), picture("neutral")]
    assert DeepFace.analyze(pictures) == [DeepFace.analyze(image) for image in pictures]
    assert DeepFace.analyze([]) == []
    stack = np.stack([pictures[0], pictures[2]])
    assert DeepFace.analyze(stack) == [DeepFace.analyze(image) for image in stack]
    black = np.zeros((30, 40, 3), np.uint8)
    with pytest.raises(FaceNotDetectedError):
        DeepFace.analyze([pictures[0], black])
    found, none = DeepFace.analyze([pictures[0], black], enforce_detection=False)
    assert (found[0]["face_confidence"], none[0]["face_confidence"]) == (1.0, 0.0)


def test_paths_files_and_data_uris_are_read(squares: Any, picture: Picture, tmp_path: Path) -> None:
    path = tmp_path / "three.png"
    image = picture("sadness", "disgust")
    cv2.imwrite(str(path), image)
    uri = "data:image/png;base64," + base64.encodebytes(path.read_bytes()).decode()  # with line breaks
    with path.open("rb") as file:
        answers = DeepFace.analyze([image, str(path), path, uri, file])
    assert all(answer == answers[0] for answer in answers)
    assert [face["dominant_emotion"] for face in answers[0]] == ["sad", "disgust"]


@pytest.mark.parametrize(
    "source",
    ["nothing.jpg", "data:image/png;base64,AAAA", "data:image/png;base64,é", "http://example.org/a.jpg", 3, None],
)
def test_a_bad_picture_is_a_value_error(squares: Any, source: Any) -> None:
    with pytest.raises(InvalidImageError) as caught:
        DeepFace.analyze(source)
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, MienError)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"actions": ("emotion", "age")}, r"emotions only.*got \('emotion', 'age'\)"),
        ({"actions": "gender"}, "emotions only"),
        ({"actions": ["race"]}, "emotions only"),
        ({"actions": ()}, "emotions only"),
        ({"detector_backend": "retinaface"}, "opencv, yunet, skip, got 'retinaface'"),
        ({"expand_percentage": 10}, "expected expand_percentage 0, got 10"),
        ({"anti_spoofing": True}, "anti_spoofing must be False"),
    ],
)
def test_what_mien_does_not_do_is_said_in_a_line(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidOptionError, match=message) as caught:
        DeepFace.analyze(np.zeros((9, 9, 3), np.uint8), **options)
    assert "\n" not in str(caught.value)


def test_a_detector_that_is_not_at_hand_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MIEN_CACHE", str(tmp_path))
    monkeypatch.setattr("mien.runtime.weights.vendored_yunet", lambda: tmp_path / "none")
    common._detector.cache_clear()
    with pytest.raises(DetectorError, match="mien detector yunet"):
        DeepFace.analyze(np.zeros((9, 9, 3), np.uint8), detector_backend="yunet")


def test_a_photo_is_read_by_the_shipped_model() -> None:
    astronaut = pytest.importorskip("skimage.data").astronaut()[:, :, ::-1]
    (face,) = DeepFace.analyze(astronaut)
    check_shape(face, 512, 512)
    assert face["dominant_emotion"] == "happy"
