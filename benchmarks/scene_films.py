"""Films that put identities to the test: cuts, dissolves, tilts, exits, flashes, sparse sampling, crossings.

Each is made from pictures, with the truth of each frame: who is where. Faces are cut softly from their pictures and
pasted over a textured background that moves, as in `moving_faces.py`; a head tilts, comes and goes, or turns into
another one. The film's kind says what happens in it, its number everything else.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import cv2
import numpy as np
from moving_faces import SIZE, Curve, Image, Portrait, Truth, crossing, pasted, scenery, seen_part, view, wandering
from numpy.typing import NDArray

from mien.types import Box

RATE: Final = 30
SCENE_KINDS: Final = ("alone", "same place", "other scene", "close-up", "dissolve", "tilt", "exit", "flash", "crossing")

Angle = Callable[[float], float]
"""Seconds to the clockwise tilt of a head in degrees, or to how much of it is blended in, 0..1."""


@dataclass(frozen=True)
class Role:
    """One person in a film, from one time to another.

    person   the portrait's number; one person may have several roles
    curve    where the face is
    tilt     how its head is tilted
    opacity  how much of it is blended in; below a half it is nobody
    """

    person: int
    portrait: Portrait
    curve: Curve
    start_s: float = 0.0
    end_s: float = math.inf
    tilt: Angle = field(default=lambda time_s: 8 * math.sin(1.5 * time_s))
    opacity: Angle = field(default=lambda time_s: 1.0)


@dataclass(frozen=True)
class SceneFilm:
    """roles, the first in front; scenes, each from a time on; flashes, the numbers of white frames."""

    kind: str
    number: int
    roles: Sequence[Role]
    scenes: Sequence[tuple[float, Image]]
    seconds: float
    flashes: frozenset[int] = frozenset()

    def frames(self) -> Iterator[tuple[float, Image, list[Truth]]]:
        """The time in seconds, the picture (height, width, 3) uint8 BGR, and the truth of each frame."""
        rng = np.random.default_rng([SCENE_KINDS.index(self.kind), self.number, 1])
        width, height = SIZE
        noise = np.repeat(rng.normal(0, 3, (height + 64, width + 64, 1)).round().astype(np.int16), 3, 2)
        for index in range(round(self.seconds * RATE)):
            time_s = index / RATE
            y, x = rng.integers(0, 64, 2)
            if index in self.flashes:
                yield time_s, np.full((height, width, 3), 255, np.uint8), []
                continue
            image, truth = self._shot(time_s)
            image = np.asarray(cv2.add(image, noise[y : y + height, x : x + width], dtype=cv2.CV_8U), np.uint8)
            yield time_s, image, truth

    def _shot(self, time_s: float) -> tuple[Image, list[Truth]]:
        place = [picture for start, picture in self.scenes if start <= time_s][-1]
        image = view(place, 40 + 40 * math.sin(0.7 * time_s), 40 + 40 * math.sin(0.7 * time_s + 2), SIZE)
        owner: NDArray[np.int8] = np.full(image.shape[:2], -1, np.int8)
        there = [role for role in self.roles if role.start_s <= time_s < role.end_s]
        boxes: dict[int, Box] = {}
        for role in reversed(there):
            x, y, side = role.curve(time_s)
            tall = side * role.portrait.box.height / role.portrait.box.width
            box = Box(x - side / 2, y - tall / 2, side, tall)
            under, opacity = image.copy(), role.opacity(time_s)
            whose = owner if opacity >= 0.5 else owner.copy()
            pasted(image, whose, role.portrait, box, role.tilt(time_s), role.person)
            if opacity < 1:
                image = np.asarray(cv2.addWeighted(image, opacity, under, 1 - opacity, 0), np.uint8)
            if opacity >= 0.5:
                boxes[role.person] = box
        return image, [Truth(person, box, seen_part(owner, box, person)) for person, box in boxes.items()]


def scene_film(kind: str, number: int, portraits: Sequence[Portrait]) -> SceneFilm:
    """The film of a kind (of SCENE_KINDS) with this number."""
    rng = np.random.default_rng([SCENE_KINDS.index(kind), number, 0])
    cast = [portraits[index] for index in rng.permutation(len(portraits))[:8]]
    places = [scenery(rng, SIZE) for _ in range(3)]
    side = float(rng.uniform(70, 120))
    build = {
        "alone": _alone,
        "same place": _same_place,
        "other scene": _other_scene,
        "close-up": _close_up,
        "dissolve": _dissolve,
        "tilt": _tilt,
        "exit": _exit,
        "flash": _flash,
        "crossing": _crossing,
    }[kind]
    return build(kind, number, rng, cast, places, side)


def _wander(rng: np.random.Generator, side: float, x: float = 320, y: float = 240, speed: float = 80) -> Curve:
    return wandering(rng, side, x, y, speed=speed)


def _alone(
    kind: str, number: int, rng: np.random.Generator, cast: Sequence[Portrait], places: Sequence[Image], side: float
) -> SceneFilm:
    """One person who moves about; sampled sparsely, that person is far away each time."""
    return SceneFilm(kind, number, [Role(0, cast[0], _wander(rng, side, speed=200))], [(0, places[0])], 12.0)


def _same_place(
    kind: str, number: int, rng: np.random.Generator, cast: Sequence[Portrait], places: Sequence[Image], side: float
) -> SceneFilm:
    """Six people, cut one after the other, in the same place before one background."""
    curve = _wander(rng, side, speed=20)
    roles = [Role(person, cast[person], curve, 1.5 * person, 1.5 * person + 1.5) for person in range(6)]
    return SceneFilm(kind, number, roles, [(0, places[0])], 9.0)


def _other_scene(
    kind: str, number: int, rng: np.random.Generator, cast: Sequence[Portrait], places: Sequence[Image], side: float
) -> SceneFilm:
    """A talk of two, cut from one to the other and back before their own backgrounds."""
    curves = [_wander(rng, side, speed=30) for _ in range(2)]
    shots = [(1.5 * shot, shot % 2) for shot in range(6)]
    roles = [Role(person, cast[person], curves[person], start, start + 1.5) for start, person in shots]
    return SceneFilm(kind, number, roles, [(start, places[person]) for start, person in shots], 9.0)


def _close_up(
    kind: str, number: int, rng: np.random.Generator, cast: Sequence[Portrait], places: Sequence[Image], side: float
) -> SceneFilm:
    """Two people, then one of them near, then both again."""
    left, right = _wander(rng, side * 0.8, 190, 260, 30), _wander(rng, side * 0.8, 450, 260, 30)
    near = _wander(rng, 200, 320, 250, 30)
    roles = [
        *(Role(0, cast[0], left, start, end) for start, end in ((0, 2.5), (5, 7.5))),
        *(Role(1, cast[1], right, start, end) for start, end in ((0, 2.5), (5, 7.5))),
        Role(0, cast[0], near, 2.5, 5),
    ]
    return SceneFilm(kind, number, roles, [(0, places[0]), (2.5, places[1]), (5, places[0])], 7.5)


def _dissolve(
    kind: str, number: int, rng: np.random.Generator, cast: Sequence[Portrait], places: Sequence[Image], side: float
) -> SceneFilm:
    """Four people in one place, each dissolving into the next within a second."""
    curve = _wander(rng, side, speed=15)

    def fading(start: float) -> Angle:
        return lambda time_s: min(max(time_s - start, 0.0), 1.0) if start else 1.0

    roles = [
        Role(person, cast[person], curve, 2.5 * person, 2.5 * person + 3.5, opacity=fading(2.5 * person))
        for person in range(4)
    ]
    return SceneFilm(kind, number, [*reversed(roles)], [(0, places[0])], 10.0)


def _tilt(
    kind: str, number: int, rng: np.random.Generator, cast: Sequence[Portrait], places: Sequence[Image], side: float
) -> SceneFilm:
    """A head that is tilted to 45 degrees and back, to either side."""
    way = float(rng.choice([-1, 1]))
    role = Role(0, cast[0], _wander(rng, side, speed=40), tilt=lambda time_s: way * 45 * math.sin(1.2 * time_s))
    return SceneFilm(kind, number, [role], [(0, places[0])], 8.0)


def _exit(
    kind: str, number: int, rng: np.random.Generator, cast: Sequence[Portrait], places: Sequence[Image], side: float
) -> SceneFilm:
    """A person who leaves over the edge for 1.5 seconds and for 3.5, while another one stays."""

    def curve(time_s: float) -> tuple[float, float, float]:
        away = max(
            math.exp(-(((time_s - 3.0) / 0.9) ** 4)),
            math.exp(-(((time_s - 8.5) / 1.9) ** 4)),
        )
        return 170 - 330 * away, 220 + 20 * math.sin(time_s), side

    roles = [Role(0, cast[0], curve), Role(1, cast[1], _wander(rng, side, 460, 250, 40))]
    return SceneFilm(kind, number, roles, [(0, places[0])], 12.0)


def _flash(
    kind: str, number: int, rng: np.random.Generator, cast: Sequence[Portrait], places: Sequence[Image], side: float
) -> SceneFilm:
    """Two people, and white frames, one alone and three in a row."""
    roles = [Role(0, cast[0], _wander(rng, side, 190)), Role(1, cast[1], _wander(rng, side, 450))]
    return SceneFilm(kind, number, roles, [(0, places[0])], 6.0, frozenset({40, 100, 101, 102}))


def _crossing(
    kind: str, number: int, rng: np.random.Generator, cast: Sequence[Portrait], places: Sequence[Image], side: float
) -> SceneFilm:
    """Two people who meet and pass each other, or turn back."""
    roles = [Role(person, cast[person], curve) for person, curve in enumerate(crossing(rng, side))]
    return SceneFilm(kind, number, roles, [(0, places[0])], 3.0)
