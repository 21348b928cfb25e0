"""The colours of classes, and what can be read on them."""

from __future__ import annotations

import colorsys
import zlib
from typing import Final, TypeAlias

from mien.emotions import EMOTION_COLOURS

Colour: TypeAlias = tuple[int, int, int]
"""RGB, 0..255."""

INK: Final[Colour] = (24, 24, 28)
PAPER: Final[Colour] = (255, 255, 255)


def class_colour(name: str) -> Colour:
    """RGB 0..255 of a class: that of the emotion, or for a class of one's own one that depends on its name alone."""
    if name in EMOTION_COLOURS:
        return EMOTION_COLOURS[name]
    hue = zlib.crc32(name.encode()) / 2**32
    red, green, blue = colorsys.hls_to_rgb(hue, 0.6, 0.65)
    return round(red * 255), round(green * 255), round(blue * 255)


def luminance(colour: Colour) -> float:
    """Relative luminance 0..1 as in WCAG 2; black and white text are equally readable at about 0.18."""
    red, green, blue = (
        value / 12.92 if value <= 0.03928 else ((value + 0.055) / 1.055) ** 2.4 for value in (c / 255 for c in colour)
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def ink_on(colour: Colour) -> Colour:
    """Ink or paper, whichever is read better on the colour."""
    return INK if luminance(colour) > 0.22 else PAPER


def on_dark(colour: Colour) -> Colour:
    """The colour, lightened where it would sink into a dark plate."""
    if luminance(colour) > 0.22:
        return colour
    red, green, blue = ((2 * value + 255) // 3 for value in colour)
    return red, green, blue
