"""Stills of faces made to move as in a video: emotions held for some seconds, in boxes that tremble, in changing light.

How far a box trembles was measured: YuNet's, on scikit-image's astronaut moving through 640x480 with noise and JPEG,
is off by 0.5 to 1 % of the face's side across and down from frame to frame, and 1 to 1.3 % in size, and as much again
that lasts for many frames. The rest (roll, light, blur by motion) is set by hand to what a talking person may show.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.runtime.crops import FACE_SIZE

Faces = NDArray[np.uint8]
Floats = NDArray[np.float64]

HELD_S: Final = (2.0, 8.0)
"""How long an emotion is held, even between these."""

STILL_S: Final = (0.8, 2.5)
"""How long one still of it is shown where there are several."""


@dataclass(frozen=True)
class Sequence:
    """One person's video of F frames.

    faces    (F, 48, 48) uint8
    truth    (F,) int64: the emotion shown
    segment  (F,) int64: counts the emotions from 0; a new one is a true change
    """

    faces: Faces
    truth: NDArray[np.int64]
    segment: NDArray[np.int64]


def sequence(
    faces: Faces, truth: NDArray[np.int64], frames: int, rate: int, several: bool, rng: np.random.Generator
) -> Sequence:
    """A sequence of F frames from N stills (N, 48, 48) and their emotions (N,), drawn at random as often as they occur.

    rate     frames a second
    several  whether an emotion is shown by several stills, one after the other, or by one
    """
    still = np.empty(frames, np.int64)
    segment = np.empty(frames, np.int64)
    start, emotion, index = 0, -1, 0
    while start < frames:
        emotion = int(rng.choice(truth[truth != emotion]))
        end = min(frames, start + round(rng.uniform(*HELD_S) * rate))
        segment[start:end] = index
        while start < end:
            until = min(end, start + round(rng.uniform(*STILL_S) * rate)) if several else end
            still[start:until] = rng.choice(np.flatnonzero(truth == emotion))
            start = until
        index += 1
    return Sequence(_filmed(faces[still], rate, rng), truth[still], segment)


def _filmed(stills: Faces, rate: int, rng: np.random.Generator) -> Faces:
    """The stills (F, 48, 48) as a camera and a detector would give them, frame by frame."""
    frames = len(stills)

    def slow(sigma: float, seconds: float) -> Floats:
        """A value that wanders about 0: standard deviation sigma, forgotten within `seconds` seconds."""
        memory = np.exp(-1 / (seconds * rate))
        steps = rng.normal(0, sigma * np.sqrt(1 - memory**2), frames)
        values = np.empty(frames)
        value = rng.normal(0, sigma)
        for place, step in enumerate(steps):
            value = memory * value + step
            values[place] = value
        return values

    def quick(sigma: float) -> Floats:
        return rng.normal(0, sigma, frames)

    x, y = (FACE_SIZE * (slow(0.015, 0.5) + slow(0.02, 3) + quick(0.008)) for _ in range(2))
    scale = np.exp(slow(0.02, 0.5) + slow(0.03, 3) + quick(0.012))
    roll = slow(4, 1) + quick(0.5)
    gain = np.exp(slow(0.08, 2) + quick(0.01))
    blur = _motion(frames, rate, rng)
    noise, quality = rng.uniform(1, 4), int(rng.integers(60, 91))
    centre = (FACE_SIZE - 1) / 2
    result = np.empty_like(stills)
    for place, still in enumerate(stills):
        matrix = np.asarray(cv2.getRotationMatrix2D((centre, centre), roll[place], scale[place]), np.float64)
        matrix[:, 2] += x[place], y[place]
        face = cv2.warpAffine(
            still, matrix, (FACE_SIZE, FACE_SIZE), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
        )
        if blur[place] > 1:
            face = cv2.blur(face, (int(blur[place]), 1), borderType=cv2.BORDER_REPLICATE)
        shot = np.rint(face * gain[place] + rng.normal(0, noise, face.shape)).clip(0, 255).astype(np.uint8)
        file = cv2.imencode(".jpg", shot, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        result[place] = np.asarray(cv2.imdecode(file, cv2.IMREAD_GRAYSCALE))
    return result


def _motion(frames: int, rate: int, rng: np.random.Generator) -> Floats:
    """By how many pixels each frame is blurred across: once in 5 seconds, for 0.1 to 0.3 s, by up to 9 pixels of 48."""
    result = np.zeros(frames)
    for start in np.flatnonzero(rng.random(frames) < 0.2 / rate):
        length = round(rng.uniform(0.1, 0.3) * rate)
        shape = np.sin(np.pi * (np.arange(length) + 0.5) / length)
        part = result[start : start + length]
        part[:] = np.maximum(part, rng.uniform(5, 9) * shape[: len(part)])
    return result
