"""Labels: the text of each face, and where there is a place for it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from mien.drawing.canvas import Rounded, blank, blend, fill, text_width, write
from mien.drawing.colors import class_color, ink_on
from mien.drawing.emoji import draw_emoji
from mien.drawing.layout import SMALLEST_TEXT, Mark, corners, grown, inside, overlap
from mien.drawing.style import Style
from mien.types import Box


@dataclass(frozen=True, slots=True)
class Wording:
    """The content of a label: a text of this height in pixels, or none; with `badge` a small emoji stands before it."""

    text: str
    height: int
    emotion: str
    uncertain: bool
    badge: bool

    @property
    def badge_side(self) -> int:
        """Side of the emoji's square in pixels, 0 without."""
        return round(2.1 * self.height) if self.badge else 0

    @property
    def plate(self) -> Box:
        """The plate under the text, in the label."""
        gap = round(0.2 * self.height) if self.badge else 0
        width, height = math.ceil(text_width(self.text, self.height) + 0.9 * self.height), math.ceil(1.5 * self.height)
        return Box(self.badge_side + gap, max(0, self.badge_side - height) // 2, width, height)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the whole label in pixels."""
        if not self.text:
            return self.badge_side, self.badge_side
        plate = self.plate
        return round(plate.x + plate.width), max(round(plate.height), self.badge_side)


@dataclass(frozen=True, slots=True)
class Label:
    """A wording and the place that was found for it, on whole pixels."""

    wording: Wording
    box: Box

    def draw(self, canvas: NDArray[np.uint8]) -> None:
        """Draw it on a canvas."""
        blend(canvas, _patch(self.wording), round(self.box.x), round(self.box.y))


@lru_cache(maxsize=256)
def _patch(wording: Wording) -> NDArray[np.uint8]:
    patch = blank(*wording.size)
    if wording.badge:
        side = wording.badge_side
        middle = (side / 2, wording.size[1] / 2)
        draw_emoji(patch, wording.emotion, middle, side, uncertain=wording.uncertain)
    if wording.text:
        plate, color = wording.plate, class_color(wording.emotion)
        fill(patch, Rounded(plate, 0.28 * plate.height), color)
        left = plate.x + (plate.width - text_width(wording.text, wording.height)) / 2
        write(patch, (left, plate.y + plate.height / 2), wording.text, wording.height, ink_on(color))
    return patch


def place_labels(marks: Sequence[Mark], size: tuple[int, int], style: Style) -> list[Label]:
    """A label for each mark that has a place for one in a picture of this width and height, the first marks first."""
    labels: list[Label] = []
    for number, mark in enumerate(marks):
        others = corners([other.box for i, other in enumerate(marks) if i != number])
        taken = corners([label.box for label in labels])
        # Better a short label than one over another face; better that than tiny text, or none.
        readable, tiny = wordings(mark, style)
        for texts, tolerance in ((readable, 0.05), (readable, 0.4), (tiny, 0.05), (tiny, 0.4)):
            label = _best_label(mark, texts, others, taken, size, tolerance)
            if label is not None:
                labels.append(label)
                break
    return labels


def _best_label(
    mark: Mark,
    texts: Sequence[Wording],
    others: NDArray[np.float64],
    taken: NDArray[np.float64],
    size: tuple[int, int],
    tolerance: float,
) -> Label | None:
    """The fullest label that finds a place where at most this fraction of it hides other faces."""
    for wording in texts:
        width, height = wording.size
        best, least = None, math.inf
        for place, dislike in _places(mark, width, height):
            box = Box(min(max(round(place.x), 0), size[0] - width), round(place.y), width, height)
            if not inside(box, size) or overlap(grown(box, 1), taken) > 0:
                continue
            hidden = overlap(box, others) / box.area
            # By tenths, so that a label does not jump to and fro for a pixel more or less.
            if hidden <= tolerance and round(hidden, 1) + dislike < least:
                best, least = box, round(hidden, 1) + dislike
        if best is not None:
            return Label(wording, best)
    return None


def wordings(mark: Mark, style: Style) -> tuple[list[Wording], list[Wording]]:
    """What the label may say in text that is easily read, the fullest first, and what in the smallest text."""
    face = mark.face

    def worded(text: str, height: int) -> Wording:
        return Wording(text, height, face.emotion, face.uncertain, style.emoji and style.theme != "emoji")

    small = max(SMALLEST_TEXT, round(0.75 * mark.text))
    readable, tiny = [], []
    if style.labels:
        suffix = "?" if face.uncertain else ""
        name, percent = f"{face.emotion}{suffix}", f"{100 * face.confidence:.0f} %"
        if style.tracks and face.track is not None:
            name = f"{face.track} {name}"
        readable += [worded(f"{name} {percent}", mark.text), worded(f"{name} {percent}", small), worded(name, small)]
        tiny.append(worded(name, SMALLEST_TEXT))
    if worded("", 1).badge:
        readable += [worded("", mark.text), worded("", small)]
        tiny.append(worded("", SMALLEST_TEXT))
    return readable, tiny


def _places(mark: Mark, width: float, height: float) -> Iterator[tuple[Box, float]]:
    """Where a label may stand, and how little that is liked: above, below, beside, and over the face itself."""
    box, gap = mark.box, mark.line
    left, right, middle = box.x, box.x + box.width - width, box.x + (box.width - width) / 2
    above, below = box.y - height - gap, box.y + box.height + gap
    if mark.face.track is not None:
        # In a stream a label rather slides over the hair of a face at the upper edge than jump below its chin.
        yield Box(left, max(above, 0.0), width, height), 0.0
    for x in (left, right, middle):
        yield Box(x, above, width, height), 0.0
    for x in (left, right, middle):
        yield Box(x, below, width, height), 0.0
    yield Box(box.x + box.width + gap, box.y, width, height), 0.0
    yield Box(box.x - width - gap, box.y, width, height), 0.0
    yield Box(left + 2 * gap, box.y + box.height - height - 2 * gap, width, height), 0.2
    yield Box(left + 2 * gap, box.y + 2 * gap, width, height), 0.25
    # Where others overlap the face: over its chin or its forehead.
    yield Box(left + 2 * gap, box.y + 0.8 * box.height - height, width, height), 0.3
    yield Box(left + 2 * gap, box.y + 0.2 * box.height, width, height), 0.35
