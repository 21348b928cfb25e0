from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mien.emotions import EMOTION_COLOURS, EMOTIONS
from mien.media import drawing
from mien.media.drawing import class_colour, draw_faces
from mien.types import Box, Face


def face(box: Box, emotion: str = "fear", classes: tuple[str, ...] = EMOTIONS) -> Face:
    rest = 0.1 / (len(classes) - 1)
    return Face(box, None, {name: 0.9 if name == emotion else rest for name in classes})


def canvas(height: int, width: int, grey: int = 100) -> np.ndarray:
    return np.full((height, width, 3), grey, np.uint8)


def changed(before: np.ndarray, after: np.ndarray) -> Box:
    """The smallest box around the pixels that differ."""
    rows, columns = np.nonzero((before != after).any(2))
    return Box(columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1)


def test_the_picture_is_copied_and_becomes_rgb() -> None:
    image = np.zeros((30, 40, 3), np.uint8)
    image[:, :, 0] = 200  # blue, in BGR
    image.setflags(write=False)
    drawn = draw_faces(image, [])
    assert (drawn.mode, drawn.size) == ("RGB", (40, 30))
    assert drawn.getpixel((3, 3)) == (0, 0, 200)


@pytest.mark.parametrize("emotion", EMOTIONS)
@pytest.mark.parametrize("grey", [0, 128, 255])
def test_box_and_label_have_the_emotions_colour(emotion: str, grey: int) -> None:
    image = canvas(300, 400, grey)
    drawn = np.asarray(draw_faces(image, [face(Box(100, 100, 120, 140), emotion)]))
    ours = (drawn == EMOTION_COLOURS[emotion]).all(2)
    assert ours[150, 98:103].any()  # the left side of the box
    assert ours[70:99, 100:200].sum() > 500  # the label above it
    np.testing.assert_array_equal(drawn[110:230, 110:210], image[110:230, 110:210])  # the face itself stays free


def test_bars_appear_where_there_is_room_and_grow_with_the_probability() -> None:
    beside = np.s_[100:260, 240:420]
    image = canvas(400, 600)
    drawn = np.asarray(draw_faces(image, [face(Box(100, 100, 130, 150), "surprise")]))
    assert (drawn[beside] != image[beside]).any()
    lengths = {
        name: int((drawn[beside] == class_colour(name)).all(2).any(0).sum()) for name in ("surprise", "happiness")
    }
    assert lengths["surprise"] > 4 * lengths["happiness"]
    small = np.asarray(draw_faces(image, [face(Box(100, 100, 40, 40), "surprise")]))
    assert changed(image, small).height < 70  # a small face gets its label alone


@settings(max_examples=60, deadline=None)
@given(
    size=st.tuples(st.integers(1, 900), st.integers(1, 900)),
    boxes=st.lists(st.builds(Box, *[st.floats(-100, 900)] * 2, *[st.floats(0.1, 700)] * 2), max_size=12),
)
def test_labels_stay_in_the_picture_and_apart(size: tuple[int, int], boxes: list[Box]) -> None:
    marks = [drawing._Mark.of(face(box), size) for box in boxes]
    marks = [mark for mark in marks if mark.box.area > 0]
    plates = [label.plate for label in drawing._place_labels(marks, size)]
    panels = [panel.plate for panel in drawing._place_panels(marks, plates, size)]
    for plate in plates + panels:
        assert plate.x >= 0
        assert plate.y >= 0
        assert plate.x + plate.width <= size[0]
        assert plate.y + plate.height <= size[1]
    for one, other in combinations(plates + panels, 2):
        assert one.iou(other) == 0
    for panel in panels:
        assert all(panel.iou(mark.box) == 0 for mark in marks)
    assert draw_faces(canvas(size[1], size[0]), [face(box) for box in boxes]).size == size


@pytest.mark.parametrize(("side", "least"), [(200, 11), (600, 14), (4000, 60)])
def test_text_grows_with_the_picture(side: int, least: int) -> None:
    mark = drawing._Mark.of(face(Box(side * 0.3, side * 0.3, side * 0.4, side * 0.4)), (side, side))
    (label,) = drawing._place_labels([mark], (side, side))
    assert label.text == "fear 90 %"
    assert label.height >= least


def test_an_uncertain_face_has_a_question_mark_however_short_its_label() -> None:
    shares = {name: 0.4 if name == "fear" else 0.1 for name in EMOTIONS}
    box = Box(60, 60, 80, 80)
    sure, unsure = Face(box, None, shares, None, 0.4), Face(box, None, shares, None, 0.5)
    wordings = [[text for text, _ in drawing._wordings(drawing._Mark.of(one, (200, 200)))] for one in (sure, unsure)]
    assert not any("?" in text for text in wordings[0])
    assert set(wordings[1]) == {"fear? 40 %", "fear?", "40 %?"}
    images = [np.asarray(draw_faces(canvas(200, 200), [one])) for one in (sure, unsure)]
    assert (images[0] != images[1]).any()


def test_a_face_that_fills_the_picture_keeps_its_label() -> None:
    for side in (64, 200, 1000):
        mark = drawing._Mark.of(face(Box(0, 0, side, side)), (side, side))
        (label,) = drawing._place_labels([mark], (side, side))
        assert label.text in ("fear 90 %", "fear")


def test_classes_of_ones_own_get_colours_of_their_own() -> None:
    names = ("bored", "focused", "confused")
    assert len({class_colour(name) for name in names}) == 3
    assert class_colour("bored") == class_colour("bored")
    drawn = np.asarray(draw_faces(canvas(300, 400), [face(Box(100, 100, 120, 140), "bored", names)]))
    assert (drawn == class_colour("bored")).all(2).sum() > 500


@given(st.text(min_size=1, max_size=8))
def test_every_name_has_a_colour_that_text_can_be_read_on(name: str) -> None:
    colour = class_colour(name)
    assert all(0 <= part <= 255 for part in colour)
    luminance = drawing._luminance(colour)
    ink, paper = drawing._luminance(drawing._INK), 1.0
    contrast = (luminance + 0.05) / (ink + 0.05) if luminance > 0.22 else (paper + 0.05) / (luminance + 0.05)
    assert contrast >= 3.8
