from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from mien.compat import FER, InvalidImageError, InvalidOptionError, common
from mien.types import Box

Picture = Callable[..., np.ndarray]
NAMES = ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"]

DESCRIBE = """
import json, sys
import numpy as np

def kind(value):
    more = [str(value.dtype), *value.shape] if isinstance(value, np.ndarray) else []
    return [type(value).__name__, *more]

reader = FER()
black = np.zeros((99, 99, 3), np.uint8)
found = reader.detect_emotions(sys.argv[1])
given = reader.detect_emotions(sys.argv[1], face_rectangles=[(170, 60, 110, 110)])
top, none = reader.top_emotion(sys.argv[1]), reader.top_emotion(black)
print("answer:" + json.dumps({
    "shape": {
        "faces": [type(found).__name__, len(found), type(found[0]).__name__, list(found[0])],
        "box": kind(found[0]["box"]),
        "emotions": [type(found[0]["emotions"]).__name__, list(found[0]["emotions"])],
        "scores": sorted({type(score).__name__ for score in found[0]["emotions"].values()}),
        "two digits": all(round(score, 2) == score for score in found[0]["emotions"].values()),
        "given": [kind(given[0]["box"]), given[0]["box"], list(given[0]["emotions"])],
        "top": [type(top).__name__, *(type(part).__name__ for part in top)],
        "no face": [reader.detect_emotions(black), type(none).__name__, none],
        "batch": [type(reader.batch_detect_emotions([black, sys.argv[1]])).__name__,
                  [len(faces) for faces in reader.batch_detect_emotions([black, sys.argv[1]])],
                  reader.batch_detect_emotions([])],
    },
    "box": [int(value) for value in found[0]["box"]],
    "top": list(top),
}))
"""
"""Prints how a class FER answers: the real one, or Mien's."""


def described(python: str, module: str, photo: Path) -> dict[str, Any]:
    code = f"from {module} import FER{DESCRIBE}"
    done = subprocess.run([python, "-c", code, str(photo)], capture_output=True, text=True, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith("answer:")]
    assert done.returncode == 0, done.stderr[-2000:]
    answer: dict[str, Any] = json.loads(lines[0].removeprefix("answer:"))
    return answer


def test_it_answers_as_the_real_fer_does(tmp_path: Path) -> None:
    python = os.environ.get("MIEN_FER_PYTHON") or (sys.executable if find_spec("fer") else None)
    if python is None:
        pytest.skip("fer is not installed here; MIEN_FER_PYTHON names the python of an environment that has it")
    photo = tmp_path / "astronaut.png"
    cv2.imwrite(str(photo), pytest.importorskip("skimage.data").astronaut()[:, :, ::-1])
    real = described(python, "fer.fer", photo)
    ours = described(sys.executable, "mien.compat", photo)
    assert ours["shape"] == real["shape"]
    assert Box(*ours["box"]).iou(Box(*real["box"])) > 0.5
    assert ours["top"][0] == real["top"][0] == "happy"


def check_shape(face: dict[str, Any]) -> None:
    assert list(face) == ["box", "emotions"]
    assert list(face["emotions"]) == NAMES
    for score in face["emotions"].values():
        assert type(score) is float
        assert 0 <= score <= 1
        assert round(score, 2) == score
    assert sum(face["emotions"].values()) == pytest.approx(1, abs=0.035)  # seven roundings


def test_a_face_has_fers_shape(squares: Any, picture: Picture) -> None:
    faces = FER().detect_emotions(picture("happiness", "anger", "sadness"))
    assert [max(face["emotions"], key=face["emotions"].get) for face in faces] == ["happy", "angry", "sad"]
    for number, face in enumerate(faces):
        check_shape(face)
        assert isinstance(face["box"], np.ndarray)
        assert face["box"].dtype == np.int32
        assert face["box"].tolist() == [10 + 70 * number, 10, 60, 60]


def test_mtcnn_is_yunet_and_gives_lists(monkeypatch: pytest.MonkeyPatch, squares: Any, picture: Picture) -> None:
    asked: list[str] = []
    monkeypatch.setattr(common, "_detector", lambda name: asked.append(name) or squares)
    faces = FER(mtcnn=True).detect_emotions(picture("neutral", "fear"))
    assert [face["box"] for face in faces] == [[10, 10, 60, 60], [80, 10, 60, 60]]
    assert {type(value) for face in faces for value in face["box"]} == {int}
    json.dumps(faces)
    FER()
    assert asked == ["yunet", "haar"]


def test_boxes_end_at_the_edge_of_the_picture(squares: Any, picture: Picture) -> None:
    squares.grow = 15.5
    (face,) = FER().detect_emotions(picture("surprise"))
    check_shape(face)
    assert face["box"].tolist() == [0, 0, 80, 80]


def test_faces_below_the_least_size_are_left_out_for_haar_alone(squares: Any, picture: Picture) -> None:
    small = picture("fear", side=49)
    assert FER().detect_emotions(small) == []
    assert len(FER(min_face_size=49).detect_emotions(small)) == 1
    assert FER(min_face_size=61).detect_emotions(picture("fear")) == []
    assert len(FER(mtcnn=True).detect_emotions(small)) == 1


def test_the_top_emotion_is_the_largest_faces(squares: Any, picture: Picture) -> None:
    reader = FER()
    small, large = picture("disgust"), picture("happiness")
    image = np.zeros((200, 300, 3), np.uint8)
    image[: small.shape[0], : small.shape[1]] = small
    larger = cv2.resize(large, None, fx=1.5, fy=1.5, interpolation=cv2.INTER_NEAREST)
    image[: larger.shape[0], 150 : 150 + larger.shape[1]] = larger
    name, score = reader.top_emotion(image)
    assert (name, type(score)) == ("happy", float)
    assert score == reader.detect_emotions(image)[1]["emotions"]["happy"]
    assert reader.top_emotion(np.zeros((60, 60, 3), np.uint8)) == (None, None)
    assert reader.detect_emotions(np.zeros((60, 60, 3), np.uint8)) == []


def test_given_rectangles_are_judged_in_their_order(squares: Any, picture: Picture) -> None:
    image = picture("happiness", "anger")
    given: list[Any] = [(85, 15, 50, 50), np.array([15, 15, 50, 50], np.int32), [-200.0, 5.0, 20.0, 20.0]]
    faces = FER().detect_emotions(image, face_rectangles=given)
    assert [max(face["emotions"], key=face["emotions"].get) for face in faces] == ["angry", "happy", "angry"]
    for face, rectangle in zip(faces, given, strict=True):
        check_shape(face)
        assert face["box"] is rectangle
    assert FER().detect_emotions(image, face_rectangles=np.array([[15, 15, 50, 50]]))[0]["emotions"]["happy"] > 0.9
    assert FER().detect_emotions(image, face_rectangles=[]) == []
    bad: Any
    for bad in ((1, 2, 3), "abcd", 7, (1, 2, 0, 5), (1, 2, 5, float("nan")), "1234", (0, 0, float("inf"), 5)):
        with pytest.raises(InvalidOptionError, match="face rectangle"):
            FER().detect_emotions(image, face_rectangles=[bad])
    with pytest.raises(InvalidImageError, match="no such file"):
        FER().detect_emotions("nothing.jpg", face_rectangles=given)


def test_a_batch_gives_what_each_gives_alone(squares: Any, picture: Picture, tmp_path: Path) -> None:
    reader = FER()
    path = tmp_path / "two.png"
    cv2.imwrite(str(path), picture("sadness", "neutral"))
    batch = reader.batch_detect_emotions([picture("anger"), str(path), np.zeros((60, 60, 3), np.uint8)])
    assert [len(faces) for faces in batch] == [1, 2, 0]
    assert batch[1][1]["emotions"] == reader.detect_emotions(path)[1]["emotions"]
    assert reader.batch_detect_emotions([]) == []


@pytest.mark.parametrize("source", ["nothing.jpg", "https://example.org/a.jpg", None, 3])
def test_a_bad_picture_is_told_in_a_line(squares: Any, source: Any) -> None:
    for call in (FER().detect_emotions, FER().top_emotion, lambda image: FER().batch_detect_emotions([image])):
        with pytest.raises(InvalidImageError) as caught:
            call(source)
        assert "\n" not in str(caught.value)


def test_options_are_taken_or_refused(squares: Any, picture: Picture) -> None:
    image = picture("fear")
    tuned = FER(use_tflite=False, scale_factor=1.3, min_neighbors=3, offsets=(0, 0)).detect_emotions(image)
    assert tuned[0]["emotions"] == FER().detect_emotions(image)[0]["emotions"]
    for options, message in (
        ({"cascade_file": "my.xml"}, "cascade_file None, got 'my.xml'"),
        ({"tfserving": True}, "tfserving must be False"),
        ({"min_face_size": 0}, "min_face_size must be 1 pixel or more, got 0"),
    ):
        with pytest.raises(InvalidOptionError, match=message):
            FER(**options)


def test_a_photo_is_read_by_the_shipped_model() -> None:
    astronaut = pytest.importorskip("skimage.data").astronaut()[:, :, ::-1]
    assert FER().top_emotion(astronaut)[0] == "happy"
