"""The pipeline of one picture: read it, detect its faces, crop and classify them, return one Analysis."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final, Literal, Unpack
from warnings import warn

import numpy as np
from numpy.typing import NDArray

from mien.analysis import Analysis
from mien.detected import Detected, batched
from mien.errors import ConfigError, ImageError
from mien.images.decode import ImageSource, Picture, check_pictures, read_image, read_picture, source_name
from mien.model_card import ModelCard
from mien.options import AnalyzerOptions, OptionFields
from mien.runtime.classifier import Classifier, FaceClassifier
from mien.runtime.crops import FACE_SIZE, WHOLE_PICTURE, check_box, crop_face, read_boxes, stacked, to_grey
from mien.runtime.detectors import check_detector, found_by, load_detector
from mien.runtime.head_pose import head_pose
from mien.runtime.head_roll import face_roll
from mien.runtime.int8_backend import Int8
from mien.runtime.prior import named_prior, prior_weights, reweighted
from mien.runtime.weights import find_model
from mien.types import Box, CropRule, Detection, Detector, ExplainedFace, Face, Frame

if TYPE_CHECKING:
    from mien.explanation import Explanation

if TYPE_CHECKING:
    from mien.stream import StreamResults

DETECT_EVERY: Final = 0.2
"""Seconds from one detection to the next: a new face is found within 0.3 s."""


def load(
    model: str | os.PathLike[str] | None = None,
    *,
    detector: str | Detector = "auto",
    detector_model: str | os.PathLike[str] | None = None,
    providers: Sequence[str] | None = None,
    threads: int | None = None,
    int8: Int8 = "auto",
    **options: Unpack[OptionFields],
) -> Analyzer:
    """An analyzer, ready to use.

    model           None for the newest model that ships with Mien, the version of a shipped one, or an ONNX file
    detector        "auto" (YuNet where it is installed, else Haar), "haar", "yunet", "none" (each picture is a face),
                    or a custom detector: an object of a subclass of `mien.Detector`
    detector_model  YuNet's ONNX file, in place of the installed one
    providers       onnxruntime's execution providers, the best first; None for the CPU
    threads         CPU threads for the networks, YuNet's too; None leaves it to onnxruntime
    int8            how an int8 model runs: "auto" by the CPU's flags, or "fast", "exact" or "float" (docs/int8.md)
    options         the fields of AnalyzerOptions: min_face, min_face_score, max_faces, order, detect_mode,
                    detect_side, uncertain_below, prior, flip, reduce, max_pixels, formats

    Raises ModelError or DetectorError where one cannot be loaded, ConfigError on an option that is invalid.
    """
    checked = AnalyzerOptions().changed(options)
    if isinstance(detector, str):
        file = None if detector_model is None else Path(detector_model)
        detector = load_detector(detector, model=file, threads=threads)
    elif detector_model is not None:
        raise ConfigError(f"`detector_model=FILE` goes with YuNet, got the detector {detector.name!r}")
    classifier = Classifier(find_model(model), providers=providers, threads=threads, int8=int8)
    return Analyzer(classifier, detector, checked)


class Analyzer:
    """Reads emotions off the faces in pictures. It keeps nothing between calls, and threads may share it.

    A copy by pickle loads model and detector anew from their files, so it works in other processes:
    `ProcessPoolExecutor.map(analyzer.analyze, paths)`. Raises ConfigError on a detector that lacks a member of
    `mien.Detector`.
    """

    def __init__(self, classifier: FaceClassifier, detector: Detector, options: AnalyzerOptions | None = None) -> None:
        check_detector(detector)
        self._classifier, self._options = classifier, options or AnalyzerOptions()
        self._detector = detector.with_options(self._options.for_detector())
        # Whoever says that each picture is a face means it, however small the picture is.
        self.prior_weights: Final = prior_weights(self._options.prior, self.card.classes, self.card.class_frequencies)
        self._selected = (replace(self._options, min_face=0) if detector.whole_picture else self._options).selected

    @property
    def detector(self) -> Detector:
        """What finds the faces."""
        return self._detector

    @property
    def options(self) -> AnalyzerOptions:
        """How pictures are read, and which faces are reported."""
        return self._options

    def with_options(self, **changes: Unpack[OptionFields]) -> Analyzer:
        """The same model and detector with other options. Raises ConfigError on a value that is invalid."""
        return Analyzer(self._classifier, self._detector, self._options.changed(changes))

    def __getattr__(self, name: str) -> Any:
        if name not in OptionFields.__annotations__:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        warn(f"Analyzer.{name} is now Analyzer.options.{name}", DeprecationWarning, stacklevel=2)
        return getattr(self._options, name)

    @property
    def card(self) -> ModelCard:
        """What the model's file states."""
        return self._classifier.card

    @property
    def model_id(self) -> str:
        """What records name as their model: its id, and the prior where that is not the training data's."""
        return self.card.id + named_prior(self._options.prior, self.card.classes)

    @property
    def model_path(self) -> Path:
        """The model's ONNX file."""
        return self._classifier.path

    def sharing_batches(
        self, observe: Callable[[int], object] | None = None, *, max_concurrent_batches: int = 1
    ) -> Analyzer:
        """The same analyzer, but faces that several threads classify at the same time go through the model in one
        batch.

        At most max_concurrent_batches run at once; observe is called with the number of faces in each.
        """
        from mien.runtime.batching import SharedClassifier  # one thread does without

        shared = SharedClassifier(self._classifier, observe, max_concurrent_batches=max_concurrent_batches)
        return Analyzer(shared, self._detector, self._options)

    def analyze(self, image: ImageSource, *, color: Literal["bgr", "rgb"] = "bgr") -> Analysis:
        """The faces of one picture, in the order that `AnalyzerOptions.order` names.

        image is a path, the bytes of a file, a file object, a PIL image, or an array (H, W[, 1, 3 or 4]); color is the
        channel order of an array. With `reduce` paths and bytes may be decoded at a reduced size, others are not.
        Raises ImageError where the picture cannot be read.
        """
        return next(self.analyze_many([image], color=color))

    def analyze_boxes(
        self,
        image: ImageSource,
        boxes: Iterable[Box | Sequence[float]] | None = None,
        *,
        rule: CropRule = WHOLE_PICTURE,
        color: Literal["bgr", "rgb"] = "bgr",
    ) -> Analysis:
        """The faces in boxes of your own, in their order; None takes the whole picture as one face.

        image and color are as in `analyze`. boxes, each a Box or (x, y, width, height), are in pixels of the picture
        upright; rule says how FER2013's frame lies in them: by default they reach from above the eyebrows to the chin,
        and `analyzer.detector.crop_rule` is for boxes as that detector gives them. No face is left out by its size.
        Raises ImageError where the picture cannot be read, ConfigError on what is no box, has no size, or has its
        centre outside the picture.
        """
        began = perf_counter()
        picture = self._read(image, color, None)
        if boxes is None:
            found, rule = [Detection(Box(0.0, 0.0, float(picture.width), float(picture.height)))], WHOLE_PICTURE
        else:
            found = [Detection(box) for box in read_boxes(boxes)]
        for number, face in enumerate(found, 1):
            check_box(face.box, picture.width, picture.height, number)
        grey = to_grey(picture.image)
        crops = [crop_face(grey, face.box, rule) for face in found]
        stages = {"read": 1000 * (perf_counter() - began), "detect": 0.0}
        detected = Detected(picture, source_name(image), found, crops, stages)
        return next(analysis for analysis in self._classify([detected]) if isinstance(analysis, Analysis))

    def analyze_many(
        self, images: Iterable[ImageSource], *, color: Literal["bgr", "rgb"] = "bgr"
    ) -> Iterator[Analysis]:
        """One Analysis for each picture, in their order; faces are classified in batches across pictures.

        Pictures are read as the results are consumed, a batch ahead (at most 16 pictures). Raises ImageError at the
        first picture that cannot be read, after the results before it; `try_many` goes on instead.
        """
        for result in self.try_many(images, color=color):
            if isinstance(result, ImageError):
                raise result
            yield result

    def try_many(
        self, images: Iterable[ImageSource], *, color: Literal["bgr", "rgb"] = "bgr", overlap: bool = False
    ) -> Generator[Analysis | ImageError]:
        """As `analyze_many`, but a picture that cannot be read gives its error in its place.

        With overlap another thread reads the next batch of pictures and detects their faces while one is classified.
        The results are the same.
        """
        check_pictures(images)
        batches = batched(self._try_detect(image, color) for image in images)
        if not overlap:
            for batch in batches:
                yield from self._classify(batch)
                del batch  # its pictures are large, and the next ones are being read
            return
        from mien.concurrency import ReadAhead  # a photo does without

        with ReadAhead(batches, 1) as made:
            for batch in made:
                yield from self._classify(batch)
                del batch

    def explain(
        self, image: ImageSource, *, emotion: str | None = None, color: Literal["bgr", "rgb"] = "bgr"
    ) -> Explanation:
        """Which part of each face in one picture spoke for its emotion, or for the class `emotion`.

        image and color are as in `analyze`, and so are the faces. A face costs as much as 130 others to classify; with
        `max_faces` the largest ones are explained only. The same picture gives the same maps. Raises ImageError where
        the picture cannot be read, ConfigError on a class that the model does not have.
        """
        from mien.explanation import Explanation  # whoever only predicts does without
        from mien.runtime.evidence import evidence_map

        if emotion is not None and emotion not in self.card.classes:
            raise ConfigError(f"`emotion=CLASS` must be one of {', '.join(self.card.classes)}, got {emotion!r}")
        detected = self._detect(image, color)
        analysis = next(one for one in self._classify([detected]) if isinstance(one, Analysis))
        explained = []
        for face, crop in zip(analysis.faces, detected.crops, strict=True):
            name = emotion or face.emotion
            evidence = evidence_map(self._probabilities, crop, self.card.classes.index(name))
            explained.append(ExplainedFace(face, name, crop, evidence))
        return Explanation(analysis, tuple(explained))

    def stream(
        self,
        frames: Iterable[Frame],
        *,
        source: str | None = None,
        detect_every: float = DETECT_EVERY,
        smooth: bool = True,
        live: bool = False,
    ) -> StreamResults:
        """One Analysis for each frame of a video or a camera, as the frames come.

        frames may be any iterable of Frame, such as a VideoFile; source is the name that results carry. Faces carry a
        `track`, the same in all frames; `persons()` of what is returned joins tracks once all frames are read. They are
        detected every `detect_every` seconds of the stream's own time, at once where one is lost, and sooner where an
        uncertain detection waits to be confirmed; between, they are followed. With smooth, probabilities are smoothed.
        With live, for frames of which some are dropped, a slow detector takes half of the time at most; else results go
        by the frames alone. Raises ImageError on what is no picture, ConfigError on a time that goes back and options.
        """
        from mien.runtime.face_embedding import face_embedder  # photos do without both
        from mien.stream import FaceStream, StreamOptions, StreamResults

        embedder = face_embedder()
        stream = FaceStream(
            self._detector.with_options(self._options.for_detector(stream=True)),
            self._selected,
            lambda image, found: self._probabilities(stacked(self._crop_faces(Picture.of(image), found))),
            lambda image, found: embedder.embed(stacked(self._crop_faces(Picture.of(image), found))),
            self.card.classes,
            StreamOptions(
                uncertain_below=self._options.uncertain_below, detect_every=detect_every, smooth=smooth, live=live
            ),
        )
        results = (
            Analysis(
                tuple(self._options.ordered(faces)),
                self.model_id,
                source,
                frame.image,
                frame=frame.index,
                time_s=frame.time_s,
                classes=self.card.classes,
                stages=stages,
            )
            for frame in frames
            for faces, stages in [stream.faces(frame)]
        )
        return StreamResults(results, stream)

    def classify(self, crops: NDArray[np.uint8] | Sequence[NDArray[Any]]) -> NDArray[np.float32]:
        """Probabilities (N, C) float32 of faces that another detector found; C as in `card.classes`.

        crops is an array (N, H, W) of uint8 grey faces, or a sequence of N pictures, each (h, w) grey or (h, w, 3) BGR.
        A face fills its picture as in FER2013: square, from the forehead to the chin. What is not square is cut to
        one around its centre; what is not 48x48 is resampled. Raises ImageError on other shapes.
        """
        if isinstance(crops, np.ndarray) and (crops.ndim < 3 or (crops.ndim == 3 and crops.shape[2] in (3, 4))):
            raise ImageError(f"expected faces (N, H, W), or a list of pictures, got one array {crops.shape}")
        faces = []
        for crop in crops:
            grey = to_grey(read_image(crop))
            box = Box(0.0, 0.0, float(grey.shape[1]), float(grey.shape[0]))
            faces.append(crop_face(grey, box, WHOLE_PICTURE))
        return self._probabilities(stacked(faces))

    def _try_detect(self, source: ImageSource, color: Literal["bgr", "rgb"]) -> Detected | ImageError:
        try:
            return self._detect(source, color)
        except ImageError as error:
            return error

    def _detect(self, source: ImageSource, color: Literal["bgr", "rgb"]) -> Detected:
        """Read a picture, find its faces, and cut them out."""
        began = perf_counter()
        reduce_to = self._detector.max_side if self._options.reduce and _can_be_read_again(source) else None
        picture = self._read(source, color, reduce_to)
        if isinstance(source, np.ndarray) and np.may_share_memory(picture.image, source):
            # the caller may reuse its array before it reads the result
            picture = replace(picture, image=picture.image.copy())
        read = perf_counter()
        across, down = picture.scale
        everyone = [detection.scaled(across, down) for detection in found_by(self._detector, picture.image)]
        found = self._selected(everyone)
        unreported = self._options.unreported(everyone, found)
        detected = perf_counter()
        if max(across, down) > 1 and any(face.box.height < FACE_SIZE * down for face in found):
            picture = self._read(source, color, None)  # the smallest faces need every pixel
        reread_s = perf_counter() - detected
        crops = self._crop_faces(picture, found)
        stages = {"read": 1000 * (read - began + reread_s), "detect": 1000 * (perf_counter() - read - reread_s)}
        return Detected(picture, source_name(source), found, crops, stages, unreported)

    def _read(self, source: ImageSource, color: Literal["bgr", "rgb"], reduce_to: int | None) -> Picture:
        options = self._options
        return read_picture(
            source, color=color, max_pixels=options.max_pixels, formats=options.formats, reduce_to=reduce_to
        )

    def _crop_faces(self, picture: Picture, found: Sequence[Detection]) -> list[NDArray[np.uint8]]:
        """The faces (48, 48) that were found, boxes in pixels of the whole picture."""
        if not found:
            return []
        across, down = picture.scale
        grey, rule = to_grey(picture.image), self._detector.crop_rule
        return [
            crop_face(grey, face.box.scaled(1 / across, 1 / down), rule, face_roll(face.landmarks)) for face in found
        ]

    def _classify(self, batch: Sequence[Detected | ImageError]) -> Iterator[Analysis | ImageError]:
        """Classify the faces of several pictures together, and give each picture its own."""
        crops = [crop for detected in batch if isinstance(detected, Detected) for crop in detected.crops]
        began = perf_counter()
        rows = iter(self._probabilities(stacked(crops)).tolist())
        ms_per_face = 1000 * (perf_counter() - began) / max(1, len(crops))
        for detected in batch:
            if isinstance(detected, ImageError):
                yield detected
                continue
            faces = tuple(
                Face(
                    found.box,
                    found.score,
                    dict(zip(self.card.classes, next(rows), strict=True)),
                    found.landmarks,
                    self._options.uncertain_below,
                    pose=head_pose(found.landmarks),
                )
                for found in detected.found
            )
            picture = detected.picture
            size = None if picture.scale == (1, 1) else (picture.width, picture.height)
            stages = {**detected.stages, "classify": ms_per_face * len(faces)}
            yield Analysis(
                faces,
                self.model_id,
                detected.source,
                picture.image,
                size,
                classes=self.card.classes,
                frames=picture.frames,
                stages=stages,
                unreported=detected.unreported,
            )

    def _probabilities(self, faces: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(N, C) float32 of faces (N, 48, 48), by the prior."""
        rows = self._as_trained(faces)
        return rows if self.prior_weights is None else reweighted(rows, self.prior_weights)

    def _as_trained(self, faces: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(N, C) of faces (N, 48, 48); with flip, the mean over each and its mirror image, in one batch."""
        if not self._options.flip:
            return self._classifier.probabilities(faces)
        both = self._classifier.probabilities(np.concatenate([faces, faces[:, :, ::-1]]))
        mean: NDArray[np.float32] = both.reshape(2, len(faces), len(self.card.classes)).mean(axis=0, dtype=np.float32)
        return mean


def _can_be_read_again(source: ImageSource) -> bool:
    """Whether it can be decoded twice: bytes and files can, pipes and file objects cannot."""
    if isinstance(source, str | os.PathLike):
        return os.path.isfile(source)  # noqa: PTH113 - read_picture reports what is no path at all
    return isinstance(source, bytes | bytearray | memoryview)
