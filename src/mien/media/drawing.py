"""What was found, drawn over the picture: a box, a label and, where there is room, a bar for each class."""

from __future__ import annotations

import colorsys
import math
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from mien.emotions import EMOTION_COLOURS
from mien.types import Box, Face

Colour: TypeAlias = tuple[int, int, int]

_FONT_FILE: Final = Path(__file__).parents[1] / "assets" / "fonts" / "DejaVuSans.ttf"
_SMALLEST_TEXT: Final = 9
_MOST_BARS: Final = 8
_INK: Final = (24, 24, 28)
_PAPER: Final = (255, 255, 255)


def draw_faces(image: NDArray[np.uint8], faces: Sequence[Face]) -> Image.Image:
    """A copy of the picture with its faces marked, as a PIL image in RGB.

    image is (H, W, 3) uint8 in BGR order. Each face gets a box in the colour of its emotion and a label, which asks
    ("fear? 41 %") where the answer is uncertain. Labels neither leave the picture nor cover each other: where there is
    no place for one, it is shortened, and at last left out. A face that is large enough and has free space beside it
    gets bars with the probabilities of its classes too.
    """
    canvas = Image.fromarray(np.ascontiguousarray(image[:, :, ::-1]))
    marks = [_Mark.of(face, canvas.size) for face in faces]
    marks = sorted((mark for mark in marks if mark.box.area > 0), key=lambda mark: -mark.box.area)
    labels = _place_labels(marks, canvas.size)
    panels = _place_panels(marks, [label.plate for label in labels], canvas.size)
    for mark in marks:
        _draw_box(canvas, mark)
    for panel in panels:
        panel.draw(canvas)
    for label in labels:
        label.draw(canvas)
    return canvas


def class_colour(name: str) -> Colour:
    """RGB 0..255 of a class: that of the emotion, or for a class of one's own one that depends on its name alone."""
    if name in EMOTION_COLOURS:
        return EMOTION_COLOURS[name]
    hue = zlib.crc32(name.encode()) / 2**32
    red, green, blue = colorsys.hls_to_rgb(hue, 0.6, 0.65)
    return round(red * 255), round(green * 255), round(blue * 255)


@dataclass(frozen=True, slots=True)
class _Mark:
    """A face as it is drawn: its visible box, the width of its lines and the height of its text, in pixels."""

    face: Face
    box: Box
    line: float
    text: int

    @classmethod
    def of(cls, face: Face, size: tuple[int, int]) -> _Mark:
        """Text and lines follow the face's size, within what suits the picture as it will be seen as a whole."""
        box = face.box.clipped(*size)
        short = min(size)
        text = min(max(0.15 * box.width, 11, 0.016 * short), max(14, 0.036 * short))
        return cls(face, box, max(1.5, text / 8), round(text))


@dataclass(frozen=True, slots=True)
class _Label:
    text: str
    height: int
    plate: Box
    colour: Colour

    def draw(self, canvas: Image.Image) -> None:
        _fill(canvas, self.plate, 0.28 * self.plate.height, self.colour)
        middle = (self.plate.x + self.plate.width / 2, self.plate.y + self.plate.height / 2)
        ink = _INK if _luminance(self.colour) > 0.22 else _PAPER
        ImageDraw.Draw(canvas).text(middle, self.text, ink, _font(self.height), anchor="mm")


def _place_labels(marks: Sequence[_Mark], size: tuple[int, int]) -> list[_Label]:
    """A label for each mark that has a place for one, the largest faces first."""
    labels: list[_Label] = []
    for number, mark in enumerate(marks):
        others = [other.box for i, other in enumerate(marks) if i != number]
        taken = [label.plate for label in labels]
        # Better a short label than one over another face; better that than none.
        label = _best_label(mark, others, taken, size, 0.05) or _best_label(mark, others, taken, size, 0.4)
        if label is not None:
            labels.append(label)
    return labels


def _best_label(
    mark: _Mark, others: Sequence[Box], taken: Sequence[Box], size: tuple[int, int], tolerance: float
) -> _Label | None:
    """The fullest label that finds a place where at most this share of it hides other faces."""
    other_boxes, taken_boxes = _corners(others), _corners(taken)
    for text, height in _wordings(mark):
        width, plate_height = _font(height).getlength(text) + 0.9 * height, 1.5 * height
        best, least = None, math.inf
        for place, dislike in _places(mark, width, plate_height):
            plate = Box(min(max(place.x, 0.0), size[0] - width), place.y, width, plate_height)
            if not _inside(plate, size) or _overlap(_grown(plate, 1), taken_boxes) > 0:
                continue
            hidden = _overlap(plate, other_boxes) / plate.area
            if hidden <= tolerance and hidden + dislike < least:
                best, least = plate, hidden + dislike
        if best is not None:
            return _Label(text, height, best, class_colour(mark.face.emotion))
    return None


def _wordings(mark: _Mark) -> Iterator[tuple[str, int]]:
    """What the label may say and in which height, the fullest first."""
    doubt = "?" if mark.face.uncertain else ""
    name, percent = f"{mark.face.emotion}{doubt}", f"{100 * mark.face.confidence:.0f} %"
    small = max(_SMALLEST_TEXT, round(0.75 * mark.text))
    yield from ((f"{name} {percent}", mark.text), (f"{name} {percent}", small))
    yield from ((text, height) for height in (small, _SMALLEST_TEXT) for text in (name, f"{percent}{doubt}"))


def _places(mark: _Mark, width: float, height: float) -> Iterator[tuple[Box, float]]:
    """Where a label may stand, and how little that is liked: above, below, beside, and over the face itself."""
    box, gap = mark.box, mark.line
    left, right, middle = box.x, box.x + box.width - width, box.x + (box.width - width) / 2
    above, below = box.y - height - gap, box.y + box.height + gap
    for x in (left, right, middle):
        yield Box(x, above, width, height), 0.0
    for x in (left, right, middle):
        yield Box(x, below, width, height), 0.0
    yield Box(box.x + box.width + gap, box.y, width, height), 0.0
    yield Box(box.x - width - gap, box.y, width, height), 0.0
    yield Box(left + 2 * gap, box.y + box.height - height - 2 * gap, width, height), 0.2
    yield Box(left + 2 * gap, box.y + 2 * gap, width, height), 0.25


@dataclass(frozen=True, slots=True)
class _Panel:
    """Bars on a dark plate: a row a class."""

    rows: tuple[tuple[str, float], ...]
    height: int
    plate: Box
    name_width: float
    bar_width: float

    @property
    def pad(self) -> float:
        return 0.7 * self.height

    def draw(self, canvas: Image.Image) -> None:
        _fill(canvas, self.plate, 0.6 * self.height, _INK, opacity=0.8)
        pen, font = ImageDraw.Draw(canvas), _font(self.height)
        likeliest = max(value for _, value in self.rows)
        left = self.plate.x + self.pad + self.name_width + 0.6 * self.height
        thickness = 0.5 * self.height
        for row, (name, value) in enumerate(self.rows):
            middle = self.plate.y + self.pad + (row + 0.5) * 1.4 * self.height
            ink = _PAPER if value == likeliest else (196, 196, 200)
            pen.text((self.plate.x + self.pad, middle), name, ink, font, anchor="lm")
            track = Box(left, middle - thickness / 2, self.bar_width, thickness)
            _fill(canvas, track, thickness / 2, _PAPER, opacity=0.16)
            bar = Box(track.x, track.y, max(thickness, value * track.width), thickness)
            _fill(
                canvas,
                bar,
                thickness / 2,
                _on_dark(class_colour(name)),
                opacity=min(1.0, value * track.width / thickness),
            )


def _place_panels(marks: Sequence[_Mark], labels: Sequence[Box], size: tuple[int, int]) -> list[_Panel]:
    panels: list[_Panel] = []
    boxes = [mark.box for mark in marks]
    for mark in marks:
        taken = [*boxes, *labels, *(panel.plate for panel in panels)]
        panel = _free_panel(mark, taken, size)
        if panel is not None:
            panels.append(panel)
    return panels


def _free_panel(mark: _Mark, taken: Sequence[Box], size: tuple[int, int]) -> _Panel | None:
    """The bars of one face, beside it, below or above it, where they cover nothing; None for a face too small."""
    rows = tuple(mark.face.probabilities.items())
    if len(rows) > _MOST_BARS:
        rows = tuple(sorted(rows, key=lambda row: -row[1])[:_MOST_BARS])
    text = max(_SMALLEST_TEXT, round(0.78 * mark.text))
    name_width = max(_font(text).getlength(name) for name, _ in rows)
    height = (1.4 * len(rows) + 1.4) * text
    box, gap = mark.box, 2.5 * mark.line
    if height > 1.4 * box.height:
        return None
    taken_boxes = _corners(taken)
    for bar_width in (5 * text, 3 * text):
        width = name_width + bar_width + 2.0 * text
        middle = min(max(box.x + (box.width - width) / 2, 0.0), size[0] - width)
        top = min(box.y, size[1] - height)
        for x, y in (
            (box.x + box.width + gap, top),
            (box.x - width - gap, top),
            (middle, box.y + box.height + gap),
            (middle, box.y - height - gap),
        ):
            plate = Box(x, y, width, height)
            if _inside(plate, size) and _overlap(_grown(plate, 1), taken_boxes) == 0:
                return _Panel(rows, text, plate, name_width, bar_width)
    return None


def _draw_box(canvas: Image.Image, mark: _Mark) -> None:
    """The box in the emotion's colour, with a thin edge that sets it off from a picture of the same colour."""
    colour, line = class_colour(mark.face.emotion), mark.line
    radius = min(3 * line, mark.box.width / 3, mark.box.height / 3)
    edge = _INK if _luminance(colour) > 0.22 else _PAPER
    rim = max(1.0, line / 3)
    _fill(canvas, _grown(mark.box, rim), radius + rim, edge, opacity=0.45, stroke=line + 2 * rim)
    _fill(canvas, mark.box, radius, colour, stroke=line)


def _fill(
    canvas: Image.Image, box: Box, radius: float, colour: Colour, *, opacity: float = 1.0, stroke: float | None = None
) -> None:
    """Paint a rectangle with rounded corners, or only its border of this width, with smooth edges."""
    left, top = math.floor(box.x), math.floor(box.y)
    right, bottom = math.ceil(box.x + box.width), math.ceil(box.y + box.height)
    across = abs(np.arange(left, right, dtype=np.float32) + 0.5 - box.x - box.width / 2) - (box.width / 2 - radius)
    down = abs(np.arange(top, bottom, dtype=np.float32) + 0.5 - box.y - box.height / 2) - (box.height / 2 - radius)
    # How far each pixel's centre lies outside of the shape; from -0.5 to 0.5 it is covered in part.
    outside = np.hypot(np.maximum(across, 0)[None, :], np.maximum(down, 0)[:, None])
    outside += np.minimum(np.maximum(across[None, :], down[:, None]), 0) - radius
    if stroke is not None:
        outside = abs(outside + stroke / 2) - stroke / 2
    cover = np.clip(0.5 - outside, 0, 1) * (255 * opacity)
    canvas.paste(colour, (left, top, right, bottom), Image.fromarray(np.rint(cover).astype(np.uint8)))


@lru_cache(maxsize=64)
def _font(height: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(_FONT_FILE), height)


def _luminance(colour: Colour) -> float:
    """Relative luminance 0..1 as in WCAG 2; black and white text are equally readable at about 0.18."""
    red, green, blue = (
        value / 12.92 if value <= 0.03928 else ((value + 0.055) / 1.055) ** 2.4 for value in (c / 255 for c in colour)
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _on_dark(colour: Colour) -> Colour:
    """The colour, lightened where it would sink into a dark plate."""
    if _luminance(colour) > 0.22:
        return colour
    red, green, blue = ((2 * value + 255) // 3 for value in colour)
    return red, green, blue


def _corners(boxes: Sequence[Box]) -> NDArray[np.float64]:
    """(4, N): the left, top, right and bottom of N boxes."""
    rows = [(box.x, box.y, box.x + box.width, box.y + box.height) for box in boxes]
    return np.array(rows, np.float64).reshape(-1, 4).T


def _overlap(box: Box, corners: NDArray[np.float64]) -> float:
    """The area in square pixels that a box shares with others, summed."""
    left, top, right, bottom = corners
    across = np.minimum(box.x + box.width, right) - np.maximum(box.x, left)
    down = np.minimum(box.y + box.height, bottom) - np.maximum(box.y, top)
    return float((np.maximum(across, 0) * np.maximum(down, 0)).sum())


def _grown(box: Box, by: float) -> Box:
    return Box(box.x - by, box.y - by, box.width + 2 * by, box.height + 2 * by)


def _inside(box: Box, size: tuple[int, int]) -> bool:
    return box.x >= 0 and box.y >= 0 and box.x + box.width <= size[0] and box.y + box.height <= size[1]
