"""What was found, drawn over the picture: by the style boxes, labels, covers, and a bar for each class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mien.drawing.bars import place_panels
from mien.drawing.canvas import Rounded, fill, text_width, write
from mien.drawing.colors import class_color, ink_on
from mien.drawing.covers import cover
from mien.drawing.labels import place_labels
from mien.drawing.layout import Mark, grown, in_order
from mien.drawing.style import Style
from mien.runtime.resize import fitted
from mien.types import Box, Detection, Face

_AS_EVER: Final = Style()

BLURRED_SIDE: Final = 16
"""Pixels of the longer side to which a picture is reduced that must hide whoever is in it."""

_PLATE: Final = (40, 40, 40)


def draw_faces(
    image: NDArray[np.uint8], faces: Sequence[Face], style: Style = _AS_EVER, unreported: Sequence[Detection] = ()
) -> Image.Image:
    """A copy of the picture with its faces marked, as a PIL image in RGB: what `draw_frame` draws.

    image is (H, W, 3) uint8 in BGR order.
    """
    return Image.fromarray(cv2.cvtColor(draw_frame(image, faces, style, unreported), cv2.COLOR_BGR2RGB))


def draw_hidden(image: NDArray[np.uint8], text: str) -> Image.Image:
    """A copy of the picture that is blurred until no face can be known in it, with this text in its middle, in RGB.

    image is (H, W, 3) uint8 in BGR order. The picture is reduced to BLURRED_SIDE pixels first, so its detail is gone.
    """
    height, width = image.shape[:2]
    small = cv2.GaussianBlur(fitted(image, 1, BLURRED_SIDE), (0, 0), 1.5)
    canvas = np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)
    text_height = max(6, round(max(height, width) / 24))
    while text_height > 6 and text_width(text, text_height) + 2 * text_height > width:
        text_height -= 1
    across, down = text_width(text, text_height) + 0.9 * text_height, 1.5 * text_height
    plate = Box((width - across) / 2, (height - down) / 2, across, down)
    fill(canvas, Rounded(plate, 0.28 * down), _PLATE, opacity=0.85)
    write(canvas, (plate.x + 0.45 * text_height, height / 2), text, text_height, ink_on(_PLATE))
    return Image.fromarray(cv2.cvtColor(canvas, cv2.COLOR_BGR2RGB))


def draw_frame(
    image: NDArray[np.uint8], faces: Sequence[Face], style: Style = _AS_EVER, unreported: Sequence[Detection] = ()
) -> NDArray[np.uint8]:
    """A copy of the picture with its faces marked, (H, W, 3) uint8 in BGR order as the picture is.

    Each face gets a box in the color of its emotion, or is covered: by an emoji that leans as it does, a blur or large
    pixels over the whole head. A style that covers hides unreported ones too. A label asks ("fear? 41 %") where the
    prediction is uncertain; an emoji is pale then and has a question mark. Labels neither leave the picture nor cover
    each other: where there is no place for one, it is shortened, and at last left out. A face that is large enough and
    has free space beside it gets bars with the probabilities of its classes too.
    """
    canvas = image.copy()
    size = (canvas.shape[1], canvas.shape[0])
    marks = in_order([mark for mark in (Mark.of(face, size, style) for face in faces) if mark.box.area > 0])
    labels = place_labels(marks, size, style)
    panels = place_panels(marks, [label.box for label in labels], size) if style.bars else []
    if style.covers:
        for one in unreported:
            cover(canvas, one, style.theme)
        for mark in reversed(marks):
            cover(canvas, mark.face, style.theme)
    else:
        for mark in reversed(marks):
            _draw_box(canvas, mark, arms=style.theme == "minimal")
    for panel in panels:
        panel.draw(canvas)
    for label in labels:
        label.draw(canvas)
    return canvas


def _draw_box(canvas: NDArray[np.uint8], mark: Mark, *, arms: bool) -> None:
    """The box in the emotion's color, or its corners, with a thin edge that sets it off from a picture like it."""
    color, line, short = class_color(mark.face.emotion), mark.line, min(mark.box.width, mark.box.height)
    radius = min(3 * line, mark.box.width / 3, mark.box.height / 3)
    rim = max(1.0, line / 3)
    arm = max(0.22 * short, 2 * radius) if arms else None
    edge = Rounded(grown(mark.box, rim), radius + rim, line + 2 * rim, None if arm is None else arm + rim)
    fill(canvas, edge, ink_on(color), opacity=0.45)
    fill(canvas, Rounded(mark.box, radius, line, arm), color)
