"""Films of faces that are textures: they move, hide each other and change, and are detected or not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.tracking.tracker import Tracker
from mien.types import Box, Detection

Image = NDArray[np.uint8]
Place = tuple[float, float, float]  # the middle of a face and its side
EVERY = 6  # frames from one detection to the next


def texture(seed: int, width: int, height: int, sigma: float) -> Image:
    smooth = cv2.GaussianBlur(np.random.default_rng(seed).normal(0, 1, (height, width, 3)), (0, 0), sigma)
    return (128 + 45 * smooth / smooth.std()).clip(0, 255).astype(np.uint8)


SCENES = [texture(100 + seed, 320, 240, 3) for seed in range(2)]
FACES = [texture(seed, 64, 64, 6) for seed in range(5)]  # each a picture that is its own


def shot(places: Mapping[int, Place], scene: int = 0, faces: Mapping[int, Image] | None = None) -> Image:
    """A picture (240, 320, 3) of the faces at these places, the last one in front; faces are what some look like."""
    image = SCENES[scene].copy()
    for person, (x, y, side) in places.items():
        scale = side / 64
        matrix = np.array([[scale, 0, x - side / 2], [0, scale, y - side / 2]])
        face = cv2.warpAffine((faces or {}).get(person, FACES[person]), matrix, (320, 240))
        mask = cv2.warpAffine(np.ones((64, 64), np.uint8), matrix, (320, 240), flags=cv2.INTER_NEAREST)
        image[mask > 0] = face[mask > 0]
    return image


def box(place: Place) -> Box:
    x, y, side = place
    return Box(x - side / 2, y - side / 2, side, side)


def detection_of(place: Place, score: float | None = 0.9) -> Detection:
    return Detection(box(place), score)


def embedded(image: Image, found: Sequence[Detection]) -> NDArray[np.float32]:
    """Vectors (N, 144) of faces that are textures: their pixels at 12x12, less the mean, of length 1."""
    rows: list[NDArray[np.float32]] = []
    for one in found:
        matrix = np.array([[one.box.width / 12, 0, one.box.x], [0, one.box.height / 12, one.box.y]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        smooth = cv2.GaussianBlur(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), (0, 0), 3)
        patch = cv2.warpAffine(smooth, matrix, (12, 12), flags=flags, borderMode=cv2.BORDER_REPLICATE)
        row = patch.astype(np.float32).ravel() - patch.mean()
        rows.append(row / (np.linalg.norm(row) + 1e-6))
    return np.stack(rows) if rows else np.zeros((0, 144), np.float32)


@dataclass(frozen=True)
class Moment:
    """places of the faces, the last in front; found are those that a detector finds, None for all; faces are what
    some look like by now, (64, 64, 3).
    """

    places: Mapping[int, Place]
    found: Sequence[int] | None = None
    scene: int = 0
    faces: Mapping[int, Image] | None = None


def play(
    tracker: Tracker,
    moments: Sequence[Moment],
    times: Sequence[float] | None = None,
    score: float | None = 0.9,
    every: int = EVERY,
) -> list[dict[int, int]]:
    """The track of each person, by frame; a detector runs on every sixth, unless it is told otherwise."""
    seen = []
    for index, moment in enumerate(moments):
        image = shot(moment.places, moment.scene, moment.faces)
        time_s = times[index] if times is not None else index / 30
        if index % every == 0:
            found = moment.places if moment.found is None else moment.found
            tracked = tracker.detected([detection_of(moment.places[person], score) for person in found], image, time_s)
        else:
            tracked = tracker.followed(image, time_s)
        assert len({one.track for one in tracked}) == len(tracked)
        seen.append(
            {
                person: one.track
                for person, place in moment.places.items()
                for one in tracked
                if one.detection.box.iou(box(place)) >= 0.5
            }
        )
    return seen


def ids(seen: Sequence[Mapping[int, int]], person: int) -> set[int]:
    return {frame[person] for frame in seen if person in frame}
