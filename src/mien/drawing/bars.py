"""Panels: a bar for each class, on a dark plate beside the face."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mien.drawing.canvas import Rounded, blank, blend, fill, text_width, write
from mien.drawing.colors import INK, PAPER, class_color, on_dark
from mien.drawing.layout import SMALLEST_TEXT, Mark, corners, grown, inside, overlap
from mien.types import Box

_MOST_BARS: Final = 8


@dataclass(frozen=True, slots=True)
class Layout:
    """What of a panel stays from frame to frame: its classes, the height of its text and the bars' width in pixels."""

    names: tuple[str, ...]
    height: int
    bar_width: int

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the panel in pixels."""
        widest = max(text_width(name, self.height) for name in self.names)
        return (
            math.ceil(widest + self.bar_width + 2.0 * self.height),
            math.ceil((1.4 * len(self.names) + 1.4) * self.height),
        )

    def track(self, row: int) -> Box:
        """Where the bar of a row lies when it is full."""
        thickness = 0.5 * self.height
        left = self.size[0] - 0.7 * self.height - self.bar_width
        return Box(left, (1.4 * (row + 0.5) + 0.7) * self.height - thickness / 2, self.bar_width, thickness)


@dataclass(frozen=True, slots=True)
class Panel:
    """A layout, the classes' values 0..1, and the place that was found for it, on whole pixels."""

    layout: Layout
    values: tuple[float, ...]
    box: Box

    def draw(self, canvas: NDArray[np.uint8]) -> None:
        """Draw it on a canvas."""
        likeliest = max(range(len(self.values)), key=self.values.__getitem__)
        blend(canvas, _plate(self.layout, likeliest), round(self.box.x), round(self.box.y))
        for row, (name, value) in enumerate(zip(self.layout.names, self.values, strict=True)):
            track = self.layout.track(row)
            length = value * track.width
            bar = Box(self.box.x + track.x, self.box.y + track.y, max(track.height, length), track.height)
            color = on_dark(class_color(name))
            fill(canvas, Rounded(bar, track.height / 2), color, opacity=min(1.0, length / track.height))


@lru_cache(maxsize=64)
def _plate(layout: Layout, likeliest: int) -> NDArray[np.uint8]:
    """The panel without its bars."""
    patch = blank(*layout.size)
    fill(patch, Rounded(Box(0, 0, *layout.size), 0.6 * layout.height), INK, opacity=0.8)
    for row, name in enumerate(layout.names):
        track = layout.track(row)
        ink = PAPER if row == likeliest else (196, 196, 200)
        write(patch, (0.7 * layout.height, track.y + track.height / 2), name, layout.height, ink)
        fill(patch, Rounded(track, track.height / 2), PAPER, opacity=0.16)
    return patch


def place_panels(marks: Sequence[Mark], labels: Sequence[Box], size: tuple[int, int]) -> list[Panel]:
    """A panel for each mark that is large enough and has free space beside it, the first marks first."""
    panels: list[Panel] = []
    boxes = [mark.box for mark in marks]
    for mark in marks:
        panel = _free_panel(mark, [*boxes, *labels, *(panel.box for panel in panels)], size)
        if panel is not None:
            panels.append(panel)
    return panels


def _free_panel(mark: Mark, taken: Sequence[Box], size: tuple[int, int]) -> Panel | None:
    """The bars of one face, beside it, below or above it, where they cover nothing; None for a face too small."""
    rows = tuple(mark.face.probabilities.items())
    if len(rows) > _MOST_BARS:
        rows = tuple(sorted(rows, key=lambda row: -row[1])[:_MOST_BARS])
    names, values = zip(*rows, strict=True)
    text = max(SMALLEST_TEXT, round(0.78 * mark.text))
    box, gap = mark.box, 2.5 * mark.line
    taken_corners = corners(taken)
    for bar_width in (5 * text, 3 * text):
        layout = Layout(names, text, bar_width)
        width, height = layout.size
        if height > 1.4 * box.height:
            return None
        middle = min(max(box.x + (box.width - width) / 2, 0.0), size[0] - width)
        top = min(box.y, size[1] - height)
        for x, y in (
            (math.ceil(box.x + box.width + gap), round(top)),
            (math.floor(box.x - width - gap), round(top)),
            (round(middle), math.ceil(box.y + box.height + gap)),
            (round(middle), math.floor(box.y - height - gap)),
        ):
            place = Box(x, y, width, height)
            if inside(place, size) and overlap(grown(place, 1), taken_corners) == 0:
                return Panel(layout, values, place)
    return None
