"""A sheet of explained faces: each crop, the map over it, its legend, and the classes' probabilities."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mien.drawing.canvas import Rounded, blank, blend, fill, text_width, write
from mien.drawing.colors import INK, PAPER, Color, class_color, on_dark
from mien.types import Box, ExplainedFace

FOR: Final[Color] = (255, 140, 0)
AGAINST: Final[Color] = (45, 140, 255)
"""Orange and blue, which color-blind people tell apart too."""

LEAST_SCALE: Final = 0.5
"""A map with no larger value is drawn pale: its full color would show what hardly mattered."""

_QUIET: Final[Color] = (176, 176, 184)
_STRENGTH: Final = 0.8  # opacity of the map's largest value
_SIDE: Final = 240
_GAP: Final = 20
_TEXT: Final = 18
_SMALL: Final = 14
_HEAD: Final = 2 * _GAP
_FOOT: Final = 60
_BARS: Final = 300
_MOST_BARS: Final = 8
_PANEL: Final = (2 * _SIDE + _BARS + 4 * _GAP, _HEAD + _SIDE + _FOOT)  # width and height
_ONE_COLUMN: Final = 4


def draw_explained(faces: Sequence[ExplainedFace]) -> Image.Image:
    """The sheet, in RGB: up to four faces one below the other, more in two columns. Without a face it says so."""
    columns = 1 if len(faces) <= _ONE_COLUMN else 2
    rows = max(1, math.ceil(len(faces) / columns))
    canvas = np.empty((rows * _PANEL[1] + _GAP, columns * _PANEL[0], 3), np.uint8)
    canvas[:] = INK[::-1]
    if not faces:
        write(canvas, (_GAP, canvas.shape[0] / 2), "No face found", _TEXT, PAPER)
    for index, face in enumerate(faces):
        row, column = divmod(index, columns)
        top, left = row * _PANEL[1], column * _PANEL[0]
        number = "" if len(faces) == 1 else f"Face {index + 1}: "
        _draw_panel(canvas[top : top + _PANEL[1], left : left + _PANEL[0]], face, number)
    return Image.fromarray(cv2.cvtColor(canvas, cv2.COLOR_BGR2RGB))


def overlaid(crop: NDArray[np.uint8], evidence: NDArray[np.float32], scale: float, side: int) -> NDArray[np.uint8]:
    """A face (48, 48) with its map over it, (side, side, 3) uint8 in BGR; values of `scale` have the full color."""
    grey = cv2.resize(crop, (side, side), interpolation=cv2.INTER_CUBIC)
    values = cv2.resize(evidence, (side, side), interpolation=cv2.INTER_LINEAR) / scale
    return _tinted(np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR), np.uint8), np.asarray(values))


def scale_of(evidence: NDArray[np.float32]) -> float:
    """The value that is drawn in the full color."""
    return max(float(np.abs(evidence).max()), LEAST_SCALE)


def _tinted(picture: NDArray[np.uint8], values: NDArray[np.floating]) -> NDArray[np.uint8]:
    """The picture (H, W, 3) in BGR, in orange as far as values (H, W) are above 0, in blue below; 1 is the most."""
    colors = np.where(values[..., None] > 0, np.array(FOR[::-1]), np.array(AGAINST[::-1]))
    opacity = _STRENGTH * np.abs(values).clip(max=1)[..., None]
    return np.asarray(np.rint(picture + (colors - picture) * opacity), np.uint8)


def _draw_panel(panel: NDArray[np.uint8], face: ExplainedFace, number: str) -> None:
    scale = scale_of(face.map)
    percent = _percent(face.probabilities[face.emotion])
    title = f"{number}what spoke for {face.emotion} ({percent})"
    write(panel, (_GAP, _HEAD / 2 + 2), _shortened(title, _TEXT, _PANEL[0] - 2 * _GAP), _TEXT, PAPER)
    bottom, second = _HEAD + _SIDE, 2 * _GAP + _SIDE
    crop = cv2.resize(face.crop, (_SIDE, _SIDE), interpolation=cv2.INTER_CUBIC)
    panel[_HEAD:bottom, _GAP : _GAP + _SIDE] = crop[..., None]
    panel[_HEAD:bottom, second : second + _SIDE] = overlaid(face.crop, face.map, scale, _SIDE)
    write(panel, (_GAP, bottom + 16), "what the model saw", _SMALL, _QUIET)
    _draw_legend(panel, (second, bottom + 8), scale)
    _draw_bars(panel, (second + _SIDE + _GAP, _HEAD), face)


def _draw_legend(panel: NDArray[np.uint8], place: tuple[int, int], scale: float) -> None:
    """The colors over a middle grey, from against to for, with the values of the ends."""
    left, top = place
    ramp = np.broadcast_to(np.linspace(-1, 1, _SIDE), (12, _SIDE))
    panel[top : top + 12, left : left + _SIDE] = _tinted(np.full((12, _SIDE, 3), 110, np.uint8), ramp)
    for text, x in ((f"−{scale:.1f} against", 0.0), (f"for +{scale:.1f}", 1.0)):
        x_left = left + x * (_SIDE - text_width(text, _SMALL))
        write(panel, (x_left, top + 24), text, _SMALL, _QUIET)


def _draw_bars(panel: NDArray[np.uint8], place: tuple[int, int], face: ExplainedFace) -> None:
    """A row for each class, the explained one bright; of many classes that one and the likeliest."""
    rows = sorted(face.probabilities, key=lambda name: (name != face.emotion, -face.probabilities[name]))[:_MOST_BARS]
    names = [name for name in face.probabilities if name in rows]
    step = _SIDE / _MOST_BARS
    for index, name in enumerate(names):
        value, middle = face.probabilities[name], place[1] + (index + 0.5) * step
        ink = PAPER if name == face.emotion else _QUIET
        write(panel, (place[0], middle), _shortened(name, _SMALL, 100), _SMALL, ink)
        track = Box(place[0] + 105, middle - 5, 135, 10)
        patch = blank(round(track.width), round(track.height))
        fill(patch, Rounded(Box(0, 0, track.width, track.height), 5), PAPER, opacity=0.16)
        blend(panel, patch, round(track.x), round(track.y))
        bar = Box(track.x, track.y, max(10.0, value * track.width), track.height)
        fill(panel, Rounded(bar, 5), on_dark(class_color(name)), opacity=min(1.0, value * track.width / 10))
        write(panel, (track.x + track.width + 8, middle), _percent(value), _SMALL, ink)


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %" if 0.0005 <= value < 0.0995 else f"{100 * value:.0f} %"


def _shortened(text: str, height: int, width: float) -> str:
    """The text, or as much of it as fits into this width in pixels."""
    if text_width(text, height) <= width:
        return text
    while text and text_width(f"{text}…", height) > width:
        text = text[:-1]
    return f"{text}…"
