from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import mien
from mien.analyzer import Analyzer
from mien.errors import ConfigError, ImageError
from mien.options import AnalyzerOptions
from mien.runtime.classifier import Classifier
from mien.types import Box, Detection, DetectOptions, Frame

Image = NDArray[np.uint8]
SIDE = 80
TEXTURE = np.random.default_rng(0).integers(40, 90, (SIDE, SIDE, 3), np.uint8)
BACK = np.random.default_rng(1).integers(100, 180, (240, 320, 3), np.uint8)


def shown(*places: tuple[int, int], brightness: int = 0) -> Image:
    """A picture with dark, textured squares at these corners."""
    image = BACK.copy()
    for x, y in places:
        image[y : y + SIDE, x : x + SIDE] = TEXTURE + np.uint8(brightness)
    return image


@dataclass
class Finder(mien.Detector):
    """A detector that knows where the faces are in each frame, told by the frame's number in its first pixel."""

    places: Callable[[int], Sequence[tuple[int, int]]]
    name: str = "scripted"
    score: float = 0.95
    asked: list[int] = field(default_factory=list)
    sizes: set[tuple[int, ...]] = field(default_factory=set)

    def detect(self, image: Image) -> list[Detection]:
        index = int(image[0, 0, 0])
        self.asked.append(index)
        self.sizes.add(image.shape)
        return [Detection(Box(x, y, SIDE, SIDE), self.score) for x, y in self.places(index)]


def film(places: Callable[[int], Sequence[tuple[int, int]]], count: int, rate: float = 30) -> Iterator[Frame]:
    for index in range(count):
        image = shown(*places(index))
        image[0, 0] = index
        yield Frame(image, index, index / rate)


@pytest.fixture
def classifier(brightness_model: Path) -> Classifier:
    return Classifier(brightness_model, threads=1)


def still(index: int) -> list[tuple[int, int]]:
    return [(100, 60)]


@pytest.mark.parametrize(("rate", "every"), [(30, 6), (10, 2), (60, 12), (4, 1)])
def test_faces_are_detected_every_fifth_of_a_second_and_followed_between(
    classifier: Classifier, rate: float, every: int
) -> None:
    finder = Finder(still)
    results = list(Analyzer(classifier, finder).stream(film(still, 25, rate), source="v.mp4"))
    assert finder.asked == list(range(0, 25, every))
    assert [result.frame for result in results] == list(range(25))
    assert [result.time_s for result in results] == pytest.approx([index / rate for index in range(25)])
    for result in results:
        [face] = result.faces
        assert face.track == 1
        assert face.box.iou(Box(100, 60, SIDE, SIDE)) > 0.9
        assert (result.source, result.model) == ("v.mp4", classifier.card.id)
        assert set(result.stages) == (
            {"detect", "track", "classify"} if result.frame in finder.asked else {"track", "classify"}
        )
        assert all(spent >= 0 for spent in result.stages.values())


def test_a_moving_face_is_followed_where_no_detector_looks(classifier: Classifier) -> None:
    def moving(index: int) -> list[tuple[int, int]]:
        return [(20 + 5 * index, 40 + 2 * index)]

    for result in Analyzer(classifier, Finder(moving)).stream(film(moving, 30)):
        [face] = result.faces
        assert face.track == 1
        assert face.box.iou(Box(*moving(result.frame or 0)[0], SIDE, SIDE)) > 0.7


@pytest.mark.parametrize("score", [0.95, 0.82])
def test_a_face_that_appears_is_found_within_three_tenths_of_a_second(classifier: Classifier, score: float) -> None:
    for first in range(1, 13):

        def appearing(index: int, first: int = first) -> list[tuple[int, int]]:
            return [(10, 20), (200, 100)] if index >= first else [(10, 20)]

        results = list(Analyzer(classifier, Finder(appearing, score=score)).stream(film(appearing, 30)))
        seen = [len(result.faces) for result in results]
        assert seen.index(2) - first <= 0.3 * 30
        assert [face.track for face in results[-1].faces] == [1, 2]


def test_a_face_that_is_lost_is_looked_for_at_once(classifier: Classifier) -> None:
    def jumping(index: int) -> list[tuple[int, int]]:
        return [(10, 20)] if index < 8 else [(220, 140)]

    finder = Finder(jumping)
    results = list(Analyzer(classifier, finder).stream(film(jumping, 12)))
    assert 8 in finder.asked
    assert results[8].faces[0].box.iou(Box(220, 140, SIDE, SIDE)) > 0.9


def test_a_slow_detector_takes_half_of_a_live_streams_time(
    classifier: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    monkeypatch.setattr("mien.stream.perf_counter", lambda: clock[0])

    class Slow(Finder):
        def detect(self, image: Image) -> list[Detection]:
            clock[0] += 0.3
            return super().detect(image)

    for live, every in ((True, 18), (False, 6)):
        finder = Slow(still)
        list(Analyzer(classifier, finder).stream(film(still, 40), live=live))
        assert finder.asked == list(range(0, 40, every))


def test_probabilities_are_steadied_unless_one_asks_for_them_as_they_are(classifier: Classifier) -> None:
    def frames() -> Iterator[Frame]:
        for index in range(30):
            image = shown((100, 60), brightness=160 if index == 15 else 0)
            yield Frame(image, index, index / 30)

    finder = Finder(still)
    finder.detect = lambda image: [Detection(Box(100, 60, SIDE, SIDE), 0.95)]  # type: ignore[method-assign]
    steady = [r.faces[0].emotion for r in Analyzer(classifier, finder).stream(frames(), detect_every=0)]
    as_is = [r.faces[0].emotion for r in Analyzer(classifier, finder).stream(frames(), detect_every=0, smooth=False)]
    assert len(set(steady)) == 1
    assert len(set(as_is)) == 2
    for result in Analyzer(classifier, finder).stream(frames(), detect_every=0):
        assert sum(result.faces[0].probabilities.values()) == pytest.approx(1, abs=1e-5)


def test_a_stream_asks_the_detector_for_a_streams_options(classifier: Classifier) -> None:
    asked: list[DetectOptions] = []

    class Asked(Finder):
        def with_options(self, options: DetectOptions) -> mien.Detector:
            asked.append(options)
            return self

    analyzer = Analyzer(classifier, Asked(still), AnalyzerOptions(detect_side=320, min_face=30))
    list(analyzer.stream(film(still, 1)))
    expected = DetectOptions(min_face=30, side=320)
    assert asked == [expected, replace(expected, stream=True)]


def test_the_largest_faces_are_reported_in_the_wanted_order(classifier: Classifier) -> None:
    class Three(Finder):
        def detect(self, image: Image) -> list[Detection]:
            return [Detection(Box(x, 10, side, side), 0.95) for x, side in ((10, 20), (40, 60), (110, 40))]

    for options, expected in (
        (AnalyzerOptions(), [20, 60, 40]),
        (AnalyzerOptions(order="size"), [60, 40, 20]),
        (AnalyzerOptions(max_faces=2), [60, 40]),
        (AnalyzerOptions(max_faces=2, order="size"), [60, 40]),
    ):
        analyzer = Analyzer(classifier, Three(still), options)
        assert [face.box.width for face in analyzer.analyze(BACK).faces] == expected
        [result] = analyzer.stream([Frame(BACK, 0, 0.0)])
        assert [face.box.width for face in result.faces] == expected


def test_streams_have_memories_of_their_own(classifier: Classifier) -> None:
    analyzer = Analyzer(classifier, Finder(still))
    one, other = analyzer.stream(film(still, 3)), analyzer.stream(film(still, 3))
    assert [result.faces[0].track for pair in zip(one, other, strict=True) for result in pair] == [1] * 6


def test_without_faces_and_without_frames(classifier: Classifier) -> None:
    nobody: Callable[[int], list[tuple[int, int]]] = lambda index: []  # noqa: E731
    results = list(Analyzer(classifier, Finder(nobody)).stream(film(nobody, 8)))
    assert [result.faces for result in results] == [()] * 8
    assert list(Analyzer(classifier, Finder(nobody)).stream([])) == []


def test_a_stream_of_faces_that_are_cut_out_already(classifier: Classifier) -> None:
    from mien.runtime.detectors import WholeImageDetector

    frames = [Frame(np.full((60, 60, 3), 5, np.uint8), index, index / 30) for index in range(9)]
    for result in Analyzer(classifier, WholeImageDetector()).stream(frames):
        [face] = result.faces
        assert (face.track, face.box, face.emotion) == (1, Box(0, 0, 60, 60), "anger")


@pytest.mark.parametrize("index", [0, 1, 6])
@pytest.mark.parametrize("image", [None, BACK[:, :, 0], np.dstack([BACK, BACK[:, :, :1]]), BACK / 255, BACK[:0]])
def test_a_frame_that_is_no_picture_is_refused_detected_or_followed(
    classifier: Classifier, image: Image, index: int
) -> None:
    frames = [*film(still, index), Frame(image, index, index / 30)]
    results = Analyzer(classifier, Finder(still)).stream(frames)
    for _ in range(index):
        next(results)
    with pytest.raises(ImageError, match=r"expected a picture of shape \(H, W, 3\) in uint8, got"):
        next(results)


@pytest.mark.parametrize("times", [(1.0, 0.5), (0.0, float("nan")), (0.0, float("inf"))])
def test_a_time_that_falls_or_is_none_is_refused_with_and_without_faces(
    classifier: Classifier, times: Sequence[float]
) -> None:
    for finder in (Finder(still), Finder(lambda index: [])):
        frames = [Frame(shown((100, 60)), index, time_s) for index, time_s in enumerate(times)]
        results = Analyzer(classifier, finder).stream(frames, smooth=False)
        next(results)
        with pytest.raises(ConfigError, match=r"time of .* or later"):
            next(results)


def test_an_interval_that_makes_no_sense_is_refused(classifier: Classifier) -> None:
    with pytest.raises(ConfigError, match=r"detect_every must be within 0\.\.10 seconds, got -1"):
        Analyzer(classifier, Finder(still)).stream([], detect_every=-1)
    with pytest.raises(ConfigError, match=r"within 0\.\.10"):
        Analyzer(classifier, Finder(still)).stream([], detect_every=10.5)
    for allowed in (0, 10):
        assert list(Analyzer(classifier, Finder(still)).stream([], detect_every=allowed)) == []


def test_pictures_without_a_time_are_no_frames(classifier: Classifier) -> None:
    with pytest.raises(ConfigError, match=r"expected mien\.Frame\(image, index, time_s\), got ndarray"):
        list(Analyzer(classifier, Finder(still)).stream([shown()]))  # type: ignore[list-item]
    for time_s in (None, "0"):
        with pytest.raises(ConfigError, match="expected a frame's time in seconds, got"):
            list(Analyzer(classifier, Finder(still)).stream([Frame(shown(), 0, time_s)]))  # type: ignore[arg-type]


def test_in_the_end_tracks_are_persons_and_faint_ones_nobody(classifier: Classifier) -> None:
    """A face that is there all the time, and for two detections one of a low score."""

    class Faint(Finder):
        def detect(self, image: Image) -> list[Detection]:
            first, *others = super().detect(image)
            return [first, *(replace(one, score=0.82) for one in others)]

    results = Analyzer(classifier, Faint(lambda i: [(20, 20), (200, 120)] if 30 <= i < 38 else [(20, 20)])).stream(
        film(lambda i: [(20, 20)], 60)
    )
    seen = list(results)
    assert {face.track for result in seen for face in result.faces} == {1, 2}
    assert results.persons() == {1: 1, 2: None}
    assert results.persons(1) == {1: 1, 2: None}
    with pytest.raises(ConfigError, match="expected 1 person or more"):
        results.persons(0)
    renumbered = [result.renumbered(results.persons()) for result in seen]
    assert {face.track for result in renumbered for face in result.faces} == {1}
    assert any(result.unreported for result in renumbered)
