"""Colors for the classes of one timeline, which all appear in one figure and so must differ from each other."""

from __future__ import annotations

from collections.abc import Sequence

from mien.drawing.colors import Color, class_color
from mien.emotions import EMOTION_COLORS


def class_colors(classes: Sequence[str]) -> dict[str, Color]:
    """RGB 0..255 of each class: an emotion has its own; other classes take what emotions leave, grey last.

    Where that does not go round, a class has the color that it has on a drawn face.
    """
    grey = EMOTION_COLORS["neutral"]
    free = [color for name, color in EMOTION_COLORS.items() if name not in classes]
    free.sort(key=lambda color: color == grey)
    colors = {}
    for name in classes:
        if name in EMOTION_COLORS or not free:
            colors[name] = class_color(name)
        else:
            colors[name] = free.pop(0)
    return colors
