from __future__ import annotations

import contextlib
import io
import math
import pickle
import re
import sys
import threading
from collections.abc import Generator, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime as ort
import pytest
import skimage.data
from PIL import Image

import mien
from mien.analyzer import Analyzer, load
from mien.emotions import EMOTIONS
from mien.errors import ConfigError, ImageError, ImageFormatError, ImageTooLargeError, MissingExtraError, ModelError
from mien.options import AnalyzerOptions
from mien.runtime.classifier import Classifier
from mien.runtime.detectors import HaarDetector
from mien.runtime.int8_backend import Int8
from mien.types import Box, Detection, Detector


class SquaresDetector(Detector):
    """Finds the bright squares on a black picture; its score is given by the caller. It frames as "none" does."""

    name = "none"

    def __init__(self, score: float | None = None) -> None:
        self._score = score

    def detect(self, image: np.ndarray) -> list[Detection]:
        _, _, stats, _ = cv2.connectedComponentsWithStats((image[:, :, 0] > 0).astype(np.uint8))
        return [Detection(Box(*map(float, row[:4])), self._score) for row in stats[:0:-1]]


def level(emotion: str) -> int:
    """The grey that the test's model takes for this emotion; 1 is the darkest that is not background."""
    return max(1, round(255 * EMOTIONS.index(emotion) / 6))


def picture(*emotions: str, side: int = 30) -> np.ndarray:
    """Grey squares in a row on black, one for each emotion, (side + 20, N (side + 10) + 10, 3)."""
    image = np.zeros((side + 20, len(emotions) * (side + 10) + 10, 3), np.uint8)
    for number, emotion in enumerate(emotions):
        image[10 : 10 + side, 10 + number * (side + 10) :][:, :side] = level(emotion)
    return image


def encoded(image: np.ndarray, kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, kind)
    return buffer.getvalue()


@pytest.fixture(scope="session")
def squares(brightness_model: Path) -> Analyzer:
    return Analyzer(Classifier(brightness_model), SquaresDetector())


def emotions(analysis: mien.Analysis) -> list[str]:
    return [face.emotion for face in analysis.faces]


def test_faces_come_from_left_to_right_with_what_they_show(squares: Analyzer) -> None:
    image = picture(*EMOTIONS)
    result = squares.analyze(image)
    assert emotions(result) == list(EMOTIONS)
    assert [face.box.x for face in result.faces] == [10 + 40 * number for number in range(7)]
    for face in result.faces:
        assert list(face.probabilities) == list(EMOTIONS)
        assert sum(face.probabilities.values()) == pytest.approx(1, abs=1e-5)
        assert face.score is None
    assert result.model == squares.card.id == "brightness-1.0-float32"
    assert (result.width, result.height, result.source) == (290, 50, None)
    np.testing.assert_array_equal(result.image, image)


def test_all_sources_give_the_same_and_a_path_is_named(squares: Analyzer, tmp_path: Path) -> None:
    path = tmp_path / "row.png"
    image = picture("fear", "surprise")
    Image.fromarray(image[:, :, ::-1]).save(path)
    with path.open("rb") as file:
        results = [
            squares.analyze(source)
            for source in (image, str(path), path, path.read_bytes(), io.BytesIO(path.read_bytes()), file)
        ]
    assert all(result.faces == results[0].faces for result in results)
    assert results[1].source == results[2].source == str(path)
    assert results[3].source is None


def test_color_order_matters_and_can_be_told(brightness_model: Path) -> None:
    analyzer = load(brightness_model, detector="none")
    red = np.zeros((48, 48, 3), np.uint8)
    red[:, :, 0] = 255  # in RGB; its grey is 76, as blue in BGR it is 29
    assert emotions(analyzer.analyze(red, color="rgb")) == ["fear"]
    assert emotions(analyzer.analyze(red)) == ["disgust"]
    np.testing.assert_array_equal(analyzer.analyze(red, color="rgb").image[0, 0], [0, 0, 255])


def test_many_pictures_give_what_each_gives_alone(squares: Analyzer) -> None:
    rng = np.random.default_rng(1)
    pictures = [picture(*rng.choice(EMOTIONS, rng.integers(0, 12))) for _ in range(40)]
    pictures[20] = picture(*EMOTIONS * 20)  # 140 faces: more than a batch
    together = list(squares.analyze_many(pictures))
    assert len(together) == 40
    for image, result in zip(pictures, together, strict=True):
        alone = squares.analyze(image)
        assert emotions(result) == emotions(alone)
        np.testing.assert_array_equal(result.image, image)
        for one, other in zip(result.faces, alone.faces, strict=True):
            assert one.box == other.box
            assert list(one.probabilities.values()) == pytest.approx(list(other.probabilities.values()), abs=1e-5)


def test_one_picture_is_not_taken_for_many(squares: Analyzer, tmp_path: Path) -> None:
    path = tmp_path / "one.png"
    one = Image.fromarray(picture("fear"))
    one.save(path)
    grey = np.zeros((50, 60), np.uint8)
    with path.open("rb") as file:
        for source in (picture("fear"), grey, str(path), path, path.read_bytes(), one, file, None, 7):
            with pytest.raises(ConfigError, match="expected several pictures"):
                list(squares.analyze_many(source))  # type: ignore[arg-type]
    assert [emotions(result) for result in squares.analyze_many(np.stack([picture("fear")] * 2))] == [["fear"]] * 2


def test_many_pictures_are_read_as_they_are_needed(squares: Analyzer) -> None:
    read = 0

    def pictures() -> Iterator[np.ndarray]:
        nonlocal read
        for _ in range(100):
            read += 1
            yield picture("anger")

    results = squares.analyze_many(pictures())
    assert read == 0
    next(results)
    assert read == 16
    assert len(list(results)) == 99
    assert list(squares.analyze_many([])) == []


def test_a_buffer_may_be_filled_anew_between_pictures(squares: Analyzer) -> None:
    def frames() -> Iterator[np.ndarray]:
        buffer = np.zeros_like(picture("anger"))
        for emotion in EMOTIONS:
            buffer[:] = picture(emotion)
            yield buffer

    for emotion, result in zip(EMOTIONS, squares.analyze_many(frames()), strict=True):
        assert emotions(result) == [emotion]
        assert np.array_equal(result.image, picture(emotion))


def test_large_pictures_are_not_held_back(squares: Analyzer) -> None:
    read: list[int] = []
    pictures = (read.append(n) or np.zeros((6000, 6000, 3), np.uint8) for n in range(6))
    next(squares.analyze_many(pictures))
    assert len(read) == 2


class BrightDetector(Detector):
    """Finds what is brighter than a quarter, so that the traces of JPEG are no faces; notes what it was shown."""

    name = "none"

    def __init__(self, max_side: int | None = 1440) -> None:
        self.max_side = max_side
        self.shown: list[tuple[int, ...]] = []

    def detect(self, image: np.ndarray) -> list[Detection]:
        self.shown.append(image.shape)
        _, _, stats, _ = cv2.connectedComponentsWithStats((image[:, :, 0] > 64).astype(np.uint8))
        return [Detection(Box(*map(float, row[:4])), 0.9, ((row[0], row[1]),) * 5) for row in stats[1:]]


def photo(side: int, *, width: int = 3000, height: int = 600, kind: str = "JPEG") -> bytes:
    """A file of a large black picture with a square of `side` pixels, the grey of surprise, at (1000, 96)."""
    image = np.zeros((height, width, 3), np.uint8)
    image[96 : 96 + side, 1000 : 1000 + side] = level("surprise")
    file = io.BytesIO()
    Image.fromarray(image).save(file, kind, quality=95)
    return file.getvalue()


@pytest.mark.parametrize(
    ("file", "reduce", "shown", "kept"),
    [
        (photo(400), True, (300, 1500), (300, 1500)),
        (photo(400), False, (600, 3000), (600, 3000)),
        (photo(64), True, (300, 1500), (600, 3000)),  # 32 pixels of the reduced picture: too few to judge by
        (photo(400, kind="PNG"), True, (600, 3000), (600, 3000)),
        (photo(400, width=2879), True, (600, 2879), (600, 2879)),
        (photo(400, width=5760, height=2560), True, (640, 1440), (640, 1440)),
    ],
)
def test_large_jpegs_are_decoded_as_far_as_their_faces_need(
    brightness_model: Path, file: bytes, reduce: bool, shown: tuple[int, int], kept: tuple[int, int]
) -> None:
    detector = BrightDetector()
    analyzer = Analyzer(Classifier(brightness_model), detector, AnalyzerOptions(reduce=reduce))
    result = analyzer.analyze(file)
    width, height = Image.open(io.BytesIO(file)).size
    assert detector.shown == [(*shown, 3)]
    assert result.image.shape == (*kept, 3)
    assert (result.width, result.height) == (result.to_dict()["width"], result.to_dict()["height"]) == (width, height)
    (face,) = result.faces
    assert face.emotion == "surprise"
    side = 64 if file == photo(64) else 400
    assert face.box.iou(Box(1000, 96, side, side)) > 0.9
    assert face.landmarks is not None
    assert face.landmarks[0] == pytest.approx((1000, 96), abs=5)
    assert result.draw().size == kept[::-1]
    drawn = np.asarray(result.draw())
    across = kept[1] / width
    edge = drawn[round((96 + side / 2) * across), round(1000 * across) - 6 : round(1000 * across) + 6]
    assert np.ptp(edge.astype(int), axis=-1).max() > 50  # a colored box where the face is


def test_what_can_be_read_once_is_read_in_full(brightness_model: Path) -> None:
    analyzer = Analyzer(Classifier(brightness_model), BrightDetector(), AnalyzerOptions(reduce=True))
    assert analyzer.analyze(io.BytesIO(photo(400))).image.shape == (600, 3000, 3)


def test_a_detector_that_looks_at_every_pixel_gets_every_pixel(brightness_model: Path, tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(photo(400))
    classifier = Classifier(brightness_model)
    assert Analyzer(classifier, BrightDetector(None), AnalyzerOptions(reduce=True)).analyze(path).image.shape == (
        600,
        3000,
        3,
    )
    assert Analyzer(classifier, BrightDetector(), AnalyzerOptions(reduce=True)).analyze(path).image.shape == (
        300,
        1500,
        3,
    )


def test_a_bad_picture_raises_in_its_place_or_is_handed_out(squares: Analyzer) -> None:
    sources: list[Any] = [picture("fear"), b"no picture", picture("anger", "fear")]
    results = squares.analyze_many(sources)
    assert emotions(next(results)) == ["fear"]
    with pytest.raises(ImageError, match="not a picture"):
        next(results)
    first, second, third = squares.try_many(sources)
    assert isinstance(second, ImageError)
    assert isinstance(first, mien.Analysis)
    assert isinstance(third, mien.Analysis)
    assert (len(first.faces), len(third.faces)) == (1, 2)


def mixed(count: int) -> list[np.ndarray | bytes]:
    """Pictures of 0 to 9 faces, of which every seventh is none."""
    rng = np.random.default_rng(3)
    return [b"none" if n % 7 == 5 else picture(*rng.choice(EMOTIONS, rng.integers(0, 10))) for n in range(count)]


def test_overlap_changes_nothing(squares: Analyzer) -> None:
    sources = mixed(60)
    plain, overlapped = (list(squares.try_many(sources, overlap=overlap)) for overlap in (False, True))
    assert len(overlapped) == 60
    for number, (one, other) in enumerate(zip(plain, overlapped, strict=True)):
        if number % 7 == 5:
            assert isinstance(other, ImageError)
            assert str(one) == str(other)
        else:
            assert isinstance(one, mien.Analysis)
            assert isinstance(other, mien.Analysis)
            assert one.faces == other.faces
            np.testing.assert_array_equal(one.image, other.image)


def test_what_is_no_error_of_a_picture_gets_out_of_an_overlap(squares: Analyzer) -> None:
    def sources() -> Iterator[np.ndarray]:
        yield from (picture("fear"),) * 16
        raise RuntimeError("torn")

    results: Iterator[Any] = squares.try_many(sources(), overlap=True)
    assert [emotions(next(results)) for _ in range(16)] == [["fear"]] * 16
    with pytest.raises(RuntimeError, match="torn"):
        next(results)


@pytest.mark.parametrize("taken", [0, 1, 20])
def test_an_overlap_that_is_closed_early_leaves_no_thread(squares: Analyzer, taken: int) -> None:
    before = threading.active_count()
    closed: list[bool] = []

    def sources() -> Generator[np.ndarray]:
        try:
            while True:
                yield picture("fear")
        finally:
            closed.append(True)

    given = sources()
    results = squares.try_many(given, overlap=True)
    for _ in range(taken):
        next(results)
    results.close()
    given.close()
    assert threading.active_count() <= before
    assert closed or not taken


@pytest.mark.parametrize("overlap", [False, True])
def test_each_analysis_says_where_the_time_went(squares: Analyzer, overlap: bool) -> None:
    empty, faces = squares.try_many([encoded(picture(), "PNG"), encoded(picture("fear"), "PNG")], overlap=overlap)
    for result in (empty, faces):
        assert not isinstance(result, ImageError)
        assert list(result.stages) == ["read", "detect", "classify"]
        assert result.stages["read"] > 0
        assert result.stages["detect"] > 0
        assert (result.stages["classify"] > 0) == bool(result.faces)


def test_a_picture_without_faces_has_none(squares: Analyzer) -> None:
    assert squares.analyze(picture()).faces == ()
    assert squares.analyze(np.zeros((1, 1, 3), np.uint8)).faces == ()


def test_small_and_uncertain_faces_are_left_out(brightness_model: Path) -> None:
    classifier = Classifier(brightness_model)
    image = picture("fear", side=30)
    for side, found in ((30, 1), (30.5, 0), (0, 1)):
        assert (
            len(Analyzer(classifier, SquaresDetector(), AnalyzerOptions(min_face=side)).analyze(image).faces) == found
        )
    for score, least, found in ((0.5, 0.5, 1), (0.49, 0.5, 0), (None, 1.0, 1)):
        analyzer = Analyzer(classifier, SquaresDetector(score), AnalyzerOptions(min_face_score=least))
        faces = analyzer.analyze(image).faces
        assert [face.score for face in faces] == [score] * found


@pytest.mark.parametrize("changes", [{"max_faces": 1}, {"min_face": 40}])
def test_faces_that_are_not_reported_are_covered_all_the_same(squares: Analyzer, changes: dict[str, Any]) -> None:
    image = np.full((150, 300, 3), 0, np.uint8)
    image[20:80, 20:80], image[60:90, 200:230] = level("fear"), level("surprise")
    everyone, fewer = squares.analyze(image), squares.with_options(**changes).analyze(image)
    assert (len(everyone.faces), everyone.unreported) == (2, ())
    assert [face.box for face in fewer.faces] == [Box(20, 20, 60, 60)]
    assert [face.box for face in fewer.unreported] == [Box(200, 60, 30, 30)]
    assert len(fewer.to_dict()["faces"]) == 1
    for result in (everyone, fewer):
        drawn = np.asarray(result.draw(theme="blur"))
        assert drawn[66:84, 206:224].max() < 255  # softened
        assert drawn[66:84, 206:224].min() > 30
    np.testing.assert_array_equal(np.asarray(fewer.draw(bars=False))[55:95, 195:235], image[55:95, 195:235])


def test_what_does_not_count_as_a_face_is_not_covered(brightness_model: Path) -> None:
    analyzer = Analyzer(Classifier(brightness_model), SquaresDetector(0.5), AnalyzerOptions(min_face_score=0.6))
    found = analyzer.analyze(picture("fear"))
    assert (found.faces, found.unreported) == ((), ())


def test_the_threshold_of_the_analyzer_goes_with_each_face(brightness_model: Path) -> None:
    image = np.full((48, 48, 3), 64, np.uint8)  # between two levels of the test's model: it is in two minds
    (face,) = load(brightness_model, detector="none").analyze(image).faces
    assert 0.4 < face.confidence < 0.6
    assert face.uncertain
    for threshold in (0, 0.2, 0.9, 1):
        analysis = load(brightness_model, detector="none", uncertain_below=threshold).analyze(image)
        assert analysis.faces[0].uncertain_below == threshold
        assert analysis.faces[0].uncertain == analysis.to_dict()["faces"][0]["uncertain"] == (threshold > 0.5)
    for wrong in (-0.1, 1.01, float("nan")):
        with pytest.raises(ConfigError, match="uncertain_below"):
            load(brightness_model, detector="none", uncertain_below=wrong)


class LeftHalfClassifier:
    """Calls a face the more surely fear the brighter its left half is; counts the batches that it was given."""

    def __init__(self, brightness: Classifier) -> None:
        self.card = brightness.card
        self.batches: list[int] = []

    def probabilities(self, faces: np.ndarray) -> np.ndarray:
        self.batches.append(len(faces))
        left = faces[:, :, :24].mean((1, 2)) / 255
        shares = np.repeat((1 - left[:, None]) / 6, 7, axis=1)
        shares[:, EMOTIONS.index("fear")] = left
        return shares.astype(np.float32)


def test_flip_averages_over_face_and_mirror_image_in_one_batch(brightness_model: Path) -> None:
    classifier = LeftHalfClassifier(Classifier(brightness_model))
    plain, flipped = (
        Analyzer(classifier, SquaresDetector(), AnalyzerOptions(flip=flip))  # type: ignore[arg-type]
        for flip in (False, True)
    )
    face = np.full((48, 48), 51, np.uint8)
    face[:, :24] = 255
    crops = np.stack([face, face[:, ::-1], np.full((48, 48), 102, np.uint8)])
    fear = EMOTIONS.index("fear")
    assert plain.classify(crops)[:, fear] == pytest.approx([1, 0.2, 0.4])
    result = flipped.classify(crops)
    assert result.dtype == np.float32
    assert result[:, fear] == pytest.approx([0.6, 0.6, 0.4])
    np.testing.assert_allclose(result.sum(1), 1, atol=1e-6)
    assert classifier.batches == [3, 6]
    assert flipped.classify([]).shape == (0, 7)
    image = np.zeros((70, 70, 3), np.uint8)
    image[10:58, 10:58] = face[:, :, None]
    assert plain.analyze(image).faces[0].probabilities["fear"] == pytest.approx(1)
    assert flipped.analyze(image).faces[0].probabilities["fear"] == pytest.approx(0.6)


def test_threads_may_share_an_analyzer(squares: Analyzer) -> None:
    rng = np.random.default_rng(2)
    pictures = [picture(*rng.choice(EMOTIONS, rng.integers(0, 6)), side=20 + i % 13) for i in range(60)]
    wanted = [squares.analyze(image).faces for image in pictures]
    with ThreadPoolExecutor(16) as pool:
        got = list(pool.map(lambda image: squares.analyze(image).faces, pictures))
    assert got == wanted


def test_threads_that_share_batches_get_what_each_gets_alone(squares: Analyzer) -> None:
    sizes: list[int] = []
    shared = squares.sharing_batches(sizes.append)
    pictures = [picture(*EMOTIONS[first : first + 1 + first % 3]) for first in range(6)] * 5
    with ThreadPoolExecutor(6) as threads:
        analyses = list(threads.map(shared.analyze, pictures))
    assert [emotions(analysis) for analysis in analyses] == [emotions(squares.analyze(each)) for each in pictures]
    assert sum(sizes) == sum(len(analysis.faces) for analysis in analyses)
    assert shared.model_path == squares.model_path


def test_an_analyzer_keeps_to_its_formats_and_pixels(brightness_model: Path) -> None:
    png = encoded(picture("anger"), "PNG")
    narrow = load(brightness_model, detector="none", formats=("Jpeg",), max_pixels=100)
    with pytest.raises(ImageFormatError):
        narrow.analyze(png)
    with pytest.raises(ImageTooLargeError):
        narrow.analyze(encoded(picture("anger"), "JPEG"))
    for options in ({"formats": ("Jpeg", "Psd")}, {"formats": ()}, {"max_pixels": 0}):
        with pytest.raises(ConfigError, match="must be"):
            load(brightness_model, detector="none", **options)


def boxes_of(*numbers: int, side: float = 30.0) -> list[Box]:
    return [Box(10.0 + 40 * number, 10.0, side, side) for number in numbers]


def test_boxes_of_ones_own_are_classified_in_their_order(squares: Analyzer, tmp_path: Path) -> None:
    image = picture(*EMOTIONS)
    order = [3, 0, 6, 3]
    limited = squares.with_options(min_face=1000, max_faces=1, order="size")  # of what detectors find
    path = tmp_path / "row.png"
    Image.fromarray(image[:, :, ::-1]).save(path)
    for source in (image, path, path.read_bytes()):
        result = limited.analyze_boxes(source, boxes_of(*order))
        assert emotions(result) == [EMOTIONS[number] for number in order]
        assert [face.box for face in result.faces] == boxes_of(*order)
        assert (result.width, result.height, result.model) == (290, 50, squares.card.id)
    by_detector = squares.analyze(image)
    again = squares.analyze_boxes(image, [face.box for face in by_detector.faces], rule=squares.detector.crop_rule)
    assert again.faces == by_detector.faces
    assert squares.analyze_boxes(image, []).faces == ()
    rows = np.array([(box.x, box.y, box.width, box.height) for box in boxes_of(*order)])
    for given in (rows, rows.tolist(), iter(boxes_of(*order))):
        assert squares.analyze_boxes(image, given).faces == result.faces


@pytest.mark.parametrize(
    ("boxes", "words"),
    [
        (Box(0, 0, 9, 9), "expected a list of boxes, got Box"),
        (7, "expected a list of boxes, got int"),
        ([Box(10, 10, 9, 9), (1, 2, 3)], r"box 2: expected mien\.Box or \(x, y, width, height\), got \(1, 2, 3\)"),
        ((10, 10, 30, 30), "box 1: expected mien.Box"),
        (["10,10,30,30"], "box 1: expected mien.Box"),
    ],
)
def test_what_is_no_box_is_refused(squares: Analyzer, boxes: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        squares.analyze_boxes(picture("fear"), boxes)


def test_without_boxes_the_whole_picture_is_a_face(squares: Analyzer) -> None:
    result = squares.analyze_boxes(np.full((40, 30, 3), level("sadness"), np.uint8), rule=mien.CropRule(side=9))
    [face] = result.faces
    assert (face.emotion, face.box, face.score) == ("sadness", Box(0, 0, 30, 40), None)


def test_boxes_go_by_the_rule_and_are_turned_with_the_picture(squares: Analyzer) -> None:
    image = picture("fear", "surprise")
    beside = mien.CropRule(x=0.5 + 40 / 30)  # the box of the next one
    assert emotions(squares.analyze_boxes(image, boxes_of(0), rule=beside)) == ["surprise"]
    exif = Image.Exif()
    exif[0x0112] = 6  # it lies on its side
    buffer = io.BytesIO()
    Image.fromarray(np.rot90(image)[:, :, ::-1].copy()).save(buffer, "PNG", exif=exif)
    assert emotions(squares.analyze_boxes(buffer.getvalue(), boxes_of(0, 1))) == ["fear", "surprise"]


@pytest.mark.parametrize(
    ("box", "words"),
    [
        (Box(-100, 10, 30, 30), "the centre of box 2, -85, 25, is outside the picture of 90 x 50"),
        (Box(80, 10, 30, 30), "outside"),
        (Box(10, -30, 30, 30), "outside"),
        (Box(10, 36, 30, 30), "outside"),
        (Box(10, 10, 0, 30), "box 2 has no size: 0 x 30"),
        (Box(10, 10, 30, -1), "no size"),
        (Box(math.nan, 10, 30, 30), "outside"),
        (Box(10, 10, math.nan, 30), "no size"),
        (Box(-math.inf, 10, math.inf, 30), "no size"),
    ],
)
def test_boxes_that_hold_nothing_of_the_picture_are_refused(squares: Analyzer, box: Box, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        squares.analyze_boxes(picture("fear", "fear"), [*boxes_of(0), box])


def test_classify_takes_faces_in_all_their_forms(squares: Analyzer) -> None:
    levels = [level(emotion) for emotion in EMOTIONS]
    faces = np.stack([np.full((48, 48), grey, np.uint8) for grey in levels])
    forms: list[Any] = [
        faces,
        np.repeat(faces, 2, axis=1).repeat(2, axis=2),
        np.repeat(faces[..., None], 3, axis=3),
        [np.full((20 + grey % 50, 90), grey, np.uint8) for grey in levels],
        [np.full((64, 64, 3), grey, np.uint8) for grey in levels],
    ]
    for form in forms:
        probabilities = squares.classify(form)
        assert probabilities.dtype == np.float32
        assert probabilities.shape == (7, 7)
        np.testing.assert_array_equal(probabilities.argmax(1), range(7))
        np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-5)
    assert squares.classify([]).shape == (0, 7)


def test_classify_leaves_48x48_as_it_is(squares: Analyzer, brightness_model: Path) -> None:
    faces = np.random.default_rng(0).integers(0, 256, (5, 48, 48), dtype=np.uint8)
    np.testing.assert_array_equal(squares.classify(faces), Classifier(brightness_model).probabilities(faces))


@pytest.mark.parametrize("crops", [np.zeros((48, 48), np.uint8), np.zeros((48, 48, 3), np.uint8)])
def test_classify_refuses_one_picture_where_several_are_meant(squares: Analyzer, crops: np.ndarray) -> None:
    with pytest.raises(ImageError, match="a list of pictures"):
        squares.classify(crops)
    with pytest.raises(ImageError, match="got complex64"):
        squares.classify([np.zeros((48, 48), np.complex64)])


def test_load_refuses_what_makes_no_sense(brightness_model: Path) -> None:
    for options in ({"min_face": -1}, {"min_face": float("nan")}, {"min_face_score": 1.5}, {"detector": "cat"}):
        with pytest.raises(ConfigError):
            load(brightness_model, **options)
    with pytest.raises(ModelError, match=r"9\.9"):
        load("9.9", detector="none")
    assert load(str(brightness_model), detector="haar").detector.name == "haar"


def test_what_is_no_detector_is_refused_by_what_it_lacks(brightness_model: Path) -> None:
    class NoFrame:
        name = "no frame"

        def detect(self, image: np.ndarray) -> list[Detection]:
            return []

    with pytest.raises(ConfigError, match=r"a detector with crop_rule, .*, got NoFrame: subclass mien\.Detector"):
        load(brightness_model, detector=NoFrame())  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="goes with YuNet"):
        load(brightness_model, detector=SquaresDetector(), detector_model="x.onnx")


class LowerHalfDetector(mien.Detector):
    """A custom detector with its own frame: its boxes are twice as high as the face, which is their lower half."""

    name = "lower half"
    crop_rule = mien.CropRule(side=0.5, y=0.75)

    def detect(self, image: np.ndarray) -> list[Detection]:
        boxes = [detection.box for detection in SquaresDetector().detect(image)]
        return [Detection(Box(box.x, box.y - box.height, box.width, 2 * box.height), 0.9) for box in boxes]


def test_a_custom_detector_is_used_for_photos_and_streams(brightness_model: Path) -> None:
    analyzer = load(brightness_model, detector=LowerHalfDetector())
    photo = analyzer.analyze(picture("fear", "surprise"))
    assert emotions(photo) == ["fear", "surprise"]
    frames = [mien.Frame(picture("fear", "surprise"), index, index / 30) for index in range(3)]
    for result in analyzer.stream(frames):
        assert emotions(result) == ["fear", "surprise"]


def test_the_detector_of_the_docs_works(brightness_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (Path(__file__).resolve().parent.parent / "docs" / "python.md").read_text(encoding="utf-8")
    (code,) = [block for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "class MyDetector" in block]
    monkeypatch.setattr(mien, "load", partial(load, brightness_model))
    names: dict[str, Any] = {}
    exec(code, names)
    face = np.full((50, 40, 3), level("fear"), np.uint8)
    assert emotions(names["analyzer"].analyze(face)) == ["fear"]


def test_options_are_changed_in_a_copy_and_checked(squares: Analyzer) -> None:
    sure = squares.with_options(uncertain_below=0.0, min_face=25)
    assert sure.options == AnalyzerOptions(uncertain_below=0.0, min_face=25)
    assert squares.options == AnalyzerOptions()
    assert len(squares.analyze(picture("fear", side=22)).faces) == 1
    assert len(sure.analyze(picture("fear", side=22)).faces) == 0
    with pytest.raises(ConfigError, match="min_face must be"):
        sure.with_options(min_face=-1)
    with pytest.warns(DeprecationWarning, match=r"Analyzer\.options\.min_face"):
        assert sure.min_face == 25


@pytest.mark.parametrize("shared", [False, True])
def test_a_pickled_analyzer_works_in_another_process(brightness_model: Path, tmp_path: Path, shared: bool) -> None:
    analyzer = load(brightness_model, detector="none", threads=1, uncertain_below=0.9)
    analyzer = analyzer.sharing_batches(print) if shared else analyzer
    paths = [tmp_path / f"{emotion}.png" for emotion in ("fear", "surprise")]
    for path in paths:
        cv2.imwrite(str(path), np.full((48, 48, 3), level(path.stem), np.uint8))
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        results = list(pool.map(analyzer.analyze, paths))
    assert [result.to_dict() for result in results] == [analyzer.analyze(path).to_dict() for path in paths]
    assert pickle.loads(pickle.dumps(analyzer)).options == analyzer.options


def test_built_in_detectors_are_pickled() -> None:
    image = cv2.cvtColor(skimage.data.astronaut(), cv2.COLOR_RGB2BGR)
    haar = HaarDetector(max_side=400)
    copied = pickle.loads(pickle.dumps(haar))
    assert copied.max_side == 400
    assert copied.detect(image) == haar.detect(image) != []


@pytest.mark.parametrize(
    ("int8", "asked"),
    [
        ("fast", {}),
        ("exact", {"session.x64quantprecision": "1"}),
        ("float", {"session.disable_quant_qdq": "1"}),
        ("auto", None),
    ],
)
def test_load_asks_onnxruntime_for_the_int8_mode(
    brightness_model: Path, monkeypatch: pytest.MonkeyPatch, int8: Int8, asked: dict[str, str] | None
) -> None:
    """Of all modes, and of "auto" for each of those that it may come to."""
    sessions: list[dict[str, str]] = []
    real = ort.InferenceSession

    def session(model: bytes, options: ort.SessionOptions, **more: Any) -> ort.InferenceSession:
        entries = {}
        for key in ("session.x64quantprecision", "session.disable_quant_qdq"):
            with contextlib.suppress(RuntimeError):  # it has no such entry
                entries[key] = options.get_session_config_entry(key)
        sessions.append(entries)
        return real(model, options, **more)

    monkeypatch.setattr(ort, "InferenceSession", session)
    if asked is not None:
        load(brightness_model, detector="none", int8=int8)
        assert sessions == [asked]
        return
    for flags, expected in (({"neon"}, {}), ({"sse2", "avx2"}, {"session.x64quantprecision": "1"})):
        monkeypatch.setattr("mien.runtime.classifier.cpu_flags", lambda flags=flags: frozenset(flags))
        load(brightness_model, detector="none", int8=int8)
        load(brightness_model, detector="none")
        assert sessions == [expected] * 2
        sessions.clear()


@pytest.mark.parametrize("word", ["slow", "", "Fast", None])
def test_load_refuses_another_int8_mode(brightness_model: Path, word: Any) -> None:
    with pytest.raises(ConfigError, match="expected int8 to be one of auto, fast, exact, float, got"):
        load(brightness_model, detector="none", int8=word)


def test_an_analysis_can_be_looked_at(squares: Analyzer, monkeypatch: pytest.MonkeyPatch) -> None:
    result = squares.analyze(picture("fear", "anger"))
    assert [face["emotion"] for face in result.to_dict()["faces"]] == ["fear", "anger"]
    assert result.draw().size == (result.width, result.height)
    with Image.open(io.BytesIO(result._repr_png_())) as shown:
        assert shown.size == (result.width, result.height)
        assert np.asarray(shown).tobytes() == np.asarray(result.draw()).tobytes()
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingExtraError, match=r"mien\[tables\]"):
        result.to_pandas()


def test_an_animation_says_that_its_first_frame_was_read(squares: Analyzer, tmp_path: Path) -> None:
    first, *others = [Image.fromarray(picture(name)[:, :, ::-1]) for name in ("fear", "anger", "surprise")]
    first.save(tmp_path / "a.gif", save_all=True, append_images=others)
    result = squares.analyze(tmp_path / "a.gif")
    assert (result.frames, [face.emotion for face in result.faces]) == (3, ["fear"])
    assert squares.analyze(picture("fear")).frames == 1


def test_an_analysis_becomes_a_table(squares: Analyzer) -> None:
    pytest.importorskip("pandas")
    table = squares.analyze(picture("fear", "anger")).to_pandas()
    assert list(table["emotion"]) == ["fear", "anger"]
    assert table["p_fear"][0] == pytest.approx(table["confidence"][0])
    empty = squares.analyze(picture()).to_pandas()
    assert len(empty) == 0
    assert dict(empty.dtypes) == dict(table.dtypes)
    assert list(table.columns[-7:]) == [f"p_{name}" for name in EMOTIONS]


def test_an_analysis_is_saved_as_it_is_drawn(squares: Analyzer, tmp_path: Path) -> None:
    result = squares.analyze(picture("fear"))
    result.save(tmp_path / "new" / "drawn.png", theme="minimal")
    with Image.open(tmp_path / "new" / "drawn.png") as saved:
        np.testing.assert_array_equal(np.asarray(saved), np.asarray(result.draw(theme="minimal")))
    with pytest.raises(ConfigError, match=r"drawn\.gif: expected a name that ends in \.jpeg, \.jpg, \.png"):
        result.save(tmp_path / "drawn.gif")


def test_a_picture_that_is_taken_as_a_face_may_be_small(brightness_model: Path) -> None:
    analyzer = load(brightness_model, detector="none")
    small = np.full((9, 12, 3), 90, np.uint8)
    assert len(analyzer.analyze(small).faces) == 1
    [result] = analyzer.stream([mien.Frame(small, 0, 0.0)])
    assert len(result.faces) == 1
    assert len(analyzer.with_options(min_face=500).analyze(small).faces) == 1
