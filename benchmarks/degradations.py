"""What can be wrong with a face, each fault alone: (N, 48, 48) uint8 faces in, as many and as large out.

FER2013's faces have no surroundings. Where a fault asks for what lies beyond the edge, a box that is off repeats the
edge, as `crop_face` does at the edge of a picture, and a roll mirrors the face outwards, which is most like more
hair, neck and wall. What is drawn at random follows from the seed.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.runtime.crops import FACE_SIZE, WHOLE_PICTURE, crop_face
from mien.runtime.head_roll import face_roll
from mien.types import MIN_FACE_SCORE, Box, Detector

Faces = NDArray[np.uint8]

ENLARGED = 4
MARGIN = 12
"""A face's picture is enlarged ENLARGED times, with MARGIN pixels of the face on each side: 288x288."""

# YuNet sees the eyes of 400 validation faces at 18.5 pixels from the top (5th to 95th percentile 11 to 23), the tip of
# the nose at 29 and the corners of the mouth at 36.5, in the median.
LOWER_FACE = (slice(27, 48), slice(0, 48))
EYES = (slice(13, 24), slice(4, 44))
MASK_GREY = 190
GLASSES_GREY = 20


def reduced(faces: Faces, side: int) -> Faces:
    """Faces that have only side x side pixels in their picture."""
    whole = Box(0, 0, side, side)
    small = (cv2.resize(face, (side, side), interpolation=cv2.INTER_AREA) for face in faces)
    return np.stack([crop_face(np.asarray(face, np.uint8), whole, WHOLE_PICTURE) for face in small])


def blurred(faces: Faces, sigma: float) -> Faces:
    """Gaussian blur, sigma in pixels of the 48x48 face."""
    return np.stack(
        [cv2.GaussianBlur(face, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE) for face in faces], dtype=np.uint8
    )


def compressed(faces: Faces, quality: int) -> Faces:
    """JPEG and back, at 48x48; quality is OpenCV's, 0..100."""
    files = (cv2.imencode(".jpg", face, [cv2.IMWRITE_JPEG_QUALITY, quality])[1] for face in faces)
    return np.stack([np.asarray(cv2.imdecode(file, cv2.IMREAD_GRAYSCALE), np.uint8) for file in files])


def darkened(faces: Faces, gain: float = 1.0, gamma: float = 1.0) -> Faces:
    """Pixels as fractions of white to the power gamma, times the gain."""
    return _rounded(255 * gain * (faces / 255) ** gamma)


def flattened(faces: Faces, contrast: float) -> Faces:
    """Each pixel's distance from the face's mean grey, times the contrast."""
    mean = faces.mean((1, 2), keepdims=True)
    return _rounded(mean + contrast * (faces - mean))


def noised(faces: Faces, sigma: float, seed: int = 0) -> Faces:
    """Gaussian noise of standard deviation sigma, in levels of 0..255."""
    return _rounded(faces + np.random.default_rng(seed).normal(0, sigma, faces.shape))


def reframed(faces: Faces, scale: float = 1.0, x: float = 0.0, y: float = 0.0) -> Faces:
    """Cut by a box whose side is scale times the face's and whose centre is off by (x, y), in sides of the face."""
    return np.stack([crop_face(face, _box(scale, x, y), WHOLE_PICTURE) for face in faces])


def shifted(faces: Faces, fraction: float, seed: int = 0) -> Faces:
    """Cut by a box that is off by a fraction of its side, for each face in another direction."""
    angles = np.random.default_rng(seed).uniform(0, 2 * np.pi, len(faces))
    moves = zip(faces, fraction * np.cos(angles), fraction * np.sin(angles), strict=True)
    return np.stack([crop_face(face, _box(1.0, x, y), WHOLE_PICTURE) for face, x, y in moves])


def covered(faces: Faces, part: tuple[slice, slice], grey: int) -> Faces:
    """One grey over a part of each face, (rows, columns)."""
    result = faces.copy()
    result[:, part[0], part[1]] = grey
    return result


def square_covered(faces: Faces, side: int = FACE_SIZE // 2, seed: int = 0) -> Faces:
    """A square somewhere in each face, of another grey each: with half the face's side, a quarter of its area."""
    rng = np.random.default_rng(seed)
    corners = rng.integers(0, FACE_SIZE - side, (len(faces), 2), endpoint=True)
    greys = rng.integers(0, 256, len(faces))
    result = faces.copy()
    for face, (top, left), grey in zip(result, corners, greys, strict=True):
        face[top : top + side, left : left + side] = grey
    return result


def picture(face: Faces, roll: float) -> Faces:
    """The (288, 288) picture of one (48, 48) face, rolled by `roll` degrees clockwise about its centre."""
    side = (FACE_SIZE + 2 * MARGIN) * ENLARGED
    matrix = np.asarray(cv2.getRotationMatrix2D(((FACE_SIZE - 1) / 2,) * 2, -roll, ENLARGED), np.float64)
    matrix[:, 2] += (side - FACE_SIZE) / 2
    return np.asarray(
        cv2.warpAffine(face, matrix, (side, side), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101), np.uint8
    )


def rolled(faces: Faces, roll: float, back: float | NDArray[np.floating] = math.nan) -> Faces:
    """Faces cut from pictures in which they are rolled clockwise, by a frame that stays where it was.

    back  degrees by which each picture is turned counter-clockwise before the cut; NaN leaves it as it is, unresampled
    """
    frame = Box(*[MARGIN * ENLARGED] * 2, *[FACE_SIZE * ENLARGED] * 2)
    cut = []
    for face, turn in zip(faces, np.broadcast_to(back, len(faces)), strict=True):
        shown = picture(face, roll)
        if not math.isnan(turn):
            matrix = cv2.getRotationMatrix2D(((shown.shape[1] - 1) / 2, (shown.shape[0] - 1) / 2), turn, 1)
            size = (shown.shape[1], shown.shape[0])
            shown = np.asarray(cv2.warpAffine(shown, matrix, size, borderMode=cv2.BORDER_REFLECT_101), np.uint8)
        cut.append(crop_face(shown, frame, WHOLE_PICTURE))
    return np.stack(cut)


def roll_by_landmarks(shown: Faces, detector: Detector) -> float:
    """The roll of the largest confident detection in a grey picture, degrees clockwise, or NaN."""
    found = detector.detect(np.asarray(cv2.cvtColor(shown, cv2.COLOR_GRAY2BGR), np.uint8))
    confident = [one for one in found if one.landmarks and (one.score is None or one.score >= MIN_FACE_SCORE)]
    if not confident:
        return math.nan
    return face_roll(max(confident, key=lambda one: one.box.area).landmarks)


def _box(scale: float, x: float, y: float) -> Box:
    side = FACE_SIZE * scale
    return Box(FACE_SIZE * (0.5 + x) - side / 2, FACE_SIZE * (0.5 + y) - side / 2, side, side)


def _rounded(values: NDArray[np.float64]) -> Faces:
    return np.rint(values).clip(0, 255).astype(np.uint8)
