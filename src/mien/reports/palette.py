"""Colours for the classes of one timeline, which all appear in one figure and so must differ from each other."""

from __future__ import annotations

from collections.abc import Sequence

from mien.drawing.colors import Colour, class_colour
from mien.emotions import EMOTION_COLOURS


def class_colours(classes: Sequence[str]) -> dict[str, Colour]:
    """RGB 0..255 of each class: an emotion has its own; other classes take what emotions leave, grey last.

    Where that does not go round, a class has the colour that it has on a drawn face.
    """
    grey = EMOTION_COLOURS["neutral"]
    free = [colour for name, colour in EMOTION_COLOURS.items() if name not in classes]
    free.sort(key=lambda colour: colour == grey)
    colours = {}
    for name in classes:
        if name in EMOTION_COLOURS or not free:
            colours[name] = class_colour(name)
        else:
            colours[name] = free.pop(0)
    return colours
