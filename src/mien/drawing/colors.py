"""The colors of classes, and what can be read on them."""

from __future__ import annotations

import colorsys
import zlib
from typing import Final, TypeAlias

from mien.emotions import EMOTION_COLORS

Color: TypeAlias = tuple[int, int, int]
"""RGB, 0..255."""

INK: Final[Color] = (24, 24, 28)
PAPER: Final[Color] = (255, 255, 255)


def class_color(name: str) -> Color:
    """RGB 0..255 of a class: that of the emotion, or for a custom class one that depends on its name alone."""
    if name in EMOTION_COLORS:
        return EMOTION_COLORS[name]
    hue = zlib.crc32(name.encode()) / 2**32
    red, green, blue = colorsys.hls_to_rgb(hue, 0.6, 0.65)
    return round(red * 255), round(green * 255), round(blue * 255)


def luminance(color: Color) -> float:
    """Relative luminance 0..1 as in WCAG 2; black and white text are equally readable at about 0.18."""
    red, green, blue = (
        value / 12.92 if value <= 0.03928 else ((value + 0.055) / 1.055) ** 2.4 for value in (c / 255 for c in color)
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def ink_on(color: Color) -> Color:
    """Ink or paper, whichever is read better on the color."""
    return INK if luminance(color) > 0.22 else PAPER


def on_dark(color: Color) -> Color:
    """The color, lightened where it would sink into a dark plate."""
    if luminance(color) > 0.22:
        return color
    red, green, blue = ((2 * value + 255) // 3 for value in color)
    return red, green, blue
