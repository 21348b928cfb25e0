"""What passes between the stages: frozen, small, and free of heavy imports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, Protocol, TypeAlias

from mien.emotions import likeliest

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

UNCERTAIN_BELOW: Final = 0.6
"""A face whose likeliest class has a lower probability counts as uncertain, unless another threshold is asked for.

The probabilities are calibrated: of predictions at 0.6, about six in ten are right.
"""

MAX_YAW: Final = 50.0
MAX_PITCH: Final = 20.0
"""Degrees beyond which a face counts as uncertain: the model has seen few such, and is right less often than it says.

docs/photos.md has the measurement on FER2013's validation faces, of which 3 % are turned so far.
"""

Prior: TypeAlias = Literal["training", "uniform"] | Mapping[str, float]
"""How frequent the classes are: as in the training data, all alike, or by a frequency for each class."""

MIN_FACE: Final = 20.0
"""Faces below this many pixels show too little of an emotion; the network itself reads 48."""

MIN_FACE_SCORE: Final = 0.8
"""From this score on a detection of YuNet counts as a face (docs/photos.md: how it was chosen)."""


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in pixels of its picture: the left top corner, width and height. It may reach over the edge."""

    x: float
    y: float
    width: float
    height: float

    @property
    def area(self) -> float:
        """Square pixels; 0 for an empty box."""
        return max(0.0, self.width) * max(0.0, self.height)

    @property
    def xyxy(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom edge in pixels."""
        return self.x, self.y, self.x + self.width, self.y + self.height

    def scaled(self, across: float, down: float) -> Box:
        """The same box in a picture `across` times as wide and `down` times as high."""
        return Box(self.x * across, self.y * down, self.width * across, self.height * down)

    def clipped(self, width: int, height: int) -> Box:
        """The part of the box that lies within a picture of this size."""
        left, top = min(max(self.x, 0.0), width), min(max(self.y, 0.0), height)
        right, bottom = min(max(self.x + self.width, 0.0), width), min(max(self.y + self.height, 0.0), height)
        return Box(left, top, right - left, bottom - top)

    def iou(self, other: Box) -> float:
        """Intersection over union with another box, 0..1."""
        across = min(self.x + self.width, other.x + other.width) - max(self.x, other.x)
        down = min(self.y + self.height, other.y + other.height) - max(self.y, other.y)
        shared = max(0.0, across) * max(0.0, down)
        union = self.area + other.area - shared
        return shared / union if union > 0 else 0.0


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture of a stream.

    image is (H, W, 3) uint8, BGR, upright; index counts the stream's frames from 0, those left out too; time_s is when
    it is shown, in seconds from the stream's beginning, and rises from frame to frame.
    """

    image: NDArray[np.uint8] = field(repr=False, compare=False)
    index: int
    time_s: float


@dataclass(frozen=True, slots=True)
class Detection:
    """One face as a detector found it.

    box is in pixels and not clipped; score is 0..1, or None where the detector has none; landmarks are (x, y) pixels:
    right eye, left eye, nose tip, right and left corner of the mouth (the person's right), or None.
    """

    box: Box
    score: float | None = None
    landmarks: tuple[tuple[float, float], ...] | None = None

    def scaled(self, across: float, down: float) -> Detection:
        """The same detection in a picture `across` times as wide and `down` times as high."""
        return self.moved(across, down)

    def moved(self, across: float, down: float, x: float = 0.0, y: float = 0.0) -> Detection:
        """The same detection with all its coordinates scaled by these factors, then shifted by (x, y) pixels."""
        box = self.box.scaled(across, down)
        landmarks = None if self.landmarks is None else tuple((a * across + x, b * down + y) for a, b in self.landmarks)
        return Detection(Box(box.x + x, box.y + y, box.width, box.height), self.score, landmarks)


@dataclass(frozen=True, slots=True)
class Pose:
    """Which way a head is turned, in degrees; all 0 where it looks into the camera.

    yaw    -90..90, positive where it looks to the picture's right
    pitch  positive where it looks up
    roll   -180..180, clockwise
    """

    yaw: float
    pitch: float
    roll: float

    @property
    def is_extreme(self) -> bool:
        """Whether the face is turned so far aside, up or down that the model is less often right."""
        return abs(self.yaw) > MAX_YAW or abs(self.pitch) > MAX_PITCH


@dataclass(frozen=True, slots=True)
class CropRule:
    """Where FER2013's frame lies relative to a detector's box.

    side  the side of the square, in heights of the box
    x, y  the centre of the square, in widths and heights of the box from its left top corner
    """

    side: float = 1.0
    x: float = 0.5
    y: float = 0.5


DetectMode = Literal["fast", "thorough"]
"""How much work a detector spends on small faces."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectOptions:
    """What a detector is asked for.

    min_face   the shorter side in pixels of the smallest face that is wanted
    min_score  0..1: faces with a lower score will not be reported
    side       use at most N pixels of a picture's longer side; None: the detector's choice
    mode       "fast", or "thorough", which finds smaller faces and takes longer
    stream     whether the pictures are frames of a stream: a detection then has less time
    """

    min_face: float = MIN_FACE
    min_score: float = MIN_FACE_SCORE
    side: int | None = None
    mode: DetectMode = "fast"
    stream: bool = False


class Detector(Protocol):
    """A face detector. One object may be used from several threads at once.

    Subclass it for a detector of another library: `name` and `detect` are needed, the other members have defaults.

    name           shown in results and messages
    crop_rule      from its boxes to FER2013's frame (hair line to chin); by default the square of the box's height
    max_side       it uses at most N pixels of a picture's longer side, so larger pictures may be decoded at a reduced
                   size; None: every pixel
    model_file     the file of its network, None where it has none
    whole_picture  whether it takes each picture as one face: a stream then runs it on every frame
    """

    name: str
    crop_rule: CropRule = CropRule()
    max_side: int | None = None
    model_file: Path | None = None
    whole_picture: bool = False

    def detect(self, image: NDArray[np.uint8]) -> list[Detection]:
        """The faces in an (H, W, 3) uint8 BGR picture: boxes in its pixels, not clipped, in no fixed order."""
        ...

    def with_options(self, options: DetectOptions) -> Detector:
        """This detector for these options. By default itself: what is found is filtered by size and score anyway."""
        return self


@dataclass(frozen=True, slots=True)
class Face:
    """One face and what it shows: where it was found, and a calibrated probability for each class.

    probabilities maps the model's classes, in the model's order, to values 0..1 that add up to 1. uncertain_below
    (0..1) is the threshold that `uncertain` goes by. track is the face's id in a stream, from 1 on, None in a photo.
    pose is by the landmarks, None without them.
    """

    box: Box
    score: float | None
    probabilities: Mapping[str, float]
    landmarks: tuple[tuple[float, float], ...] | None = None
    uncertain_below: float = UNCERTAIN_BELOW
    track: int | None = None
    pose: Pose | None = None

    @property
    def emotion(self) -> str:
        """The likeliest class; neutral where it is one of several."""
        return likeliest(self.probabilities)

    @property
    def confidence(self) -> float:
        """The probability of the likeliest class, 0..1."""
        return max(self.probabilities.values())

    @property
    def uncertain(self) -> bool:
        """Whether the likeliest class is less probable than `uncertain_below`, or the head is turned too far aside.

        A threshold of 0 marks none.
        """
        extreme = self.uncertain_below > 0 and self.pose is not None and self.pose.is_extreme
        return extreme or self.confidence < self.uncertain_below


@dataclass(frozen=True, slots=True)
class ExplainedFace:
    """What the model reacted to in one face; it does not show what the person feels.

    face     as `Analyzer.analyze` reports it
    emotion  the class that was asked about
    crop     (48, 48) uint8, grey: what the model saw
    map      (48, 48) float32 for the pixels of crop: above 0 a pixel's surroundings spoke for `emotion`, below 0
             against it. A value estimates by how much the log-odds ln(p / (1 - p)) of `emotion` would fall if an 8x8
             part of such pixels were hidden. There is no fixed bound; most lie within -10..10
    """

    face: Face
    emotion: str
    crop: NDArray[np.uint8] = field(repr=False, compare=False)
    map: NDArray[np.float32] = field(repr=False, compare=False)

    @property
    def probabilities(self) -> Mapping[str, float]:
        """Of all classes, as in `face`."""
        return self.face.probabilities
