from __future__ import annotations

from itertools import chain, combinations, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mien.drawing.bars import Panel, place_panels
from mien.drawing.colors import INK, PAPER, class_color, ink_on, luminance
from mien.drawing.draw import draw_faces, draw_frame
from mien.drawing.labels import Label, place_labels, wordings
from mien.drawing.layout import SMALLEST_TEXT, Mark, in_order
from mien.drawing.style import COVERING, THEMES, Style
from mien.emotions import EMOTION_COLORS, EMOTIONS
from mien.errors import ConfigError
from mien.types import Box, Detection, Face

STYLES = (
    Style(),
    Style.of(emoji=True),
    Style.of("emoji"),
    Style.of("emoji", labels=True, bars=True),
    Style.of("minimal"),
    Style.of("minimal", labels=True, tracks=True),
    Style.of("minimal", emoji=False),
    Style.of("blur"),
    Style.of("pixelate", labels=True, emoji=True, tracks=True),
)
ANONYMOUS = Style.of("emoji")


def face(
    box: Box, emotion: str = "fear", classes: tuple[str, ...] = EMOTIONS, *, track: int | None = None, most: float = 0.9
) -> Face:
    rest = (1 - most) / (len(classes) - 1)
    return Face(box, None, {name: most if name == emotion else rest for name in classes}, track=track)


def placed(faces: list[Face], size: tuple[int, int], style: Style) -> tuple[list[Mark], list[Label], list[Panel]]:
    marks = in_order([mark for mark in (Mark.of(one, size, style) for one in faces) if mark.box.area > 0])
    labels = place_labels(marks, size, style)
    return marks, labels, place_panels(marks, [label.box for label in labels], size)


def canvas(height: int, width: int, grey: int = 100) -> np.ndarray:
    return np.full((height, width, 3), grey, np.uint8)


def changed(before: np.ndarray, after: np.ndarray) -> Box:
    """The smallest box around the pixels that differ."""
    rows, columns = np.nonzero((before != after).any(2))
    return Box(int(columns.min()), int(rows.min()), int(np.ptp(columns)) + 1, int(np.ptp(rows)) + 1)


def test_the_picture_is_copied_and_becomes_rgb() -> None:
    image = np.zeros((30, 40, 3), np.uint8)
    image[:, :, 0] = 200  # blue, in BGR
    image.setflags(write=False)
    drawn = draw_faces(image, [])
    assert (drawn.mode, drawn.size) == ("RGB", (40, 30))
    assert drawn.getpixel((3, 3)) == (0, 0, 200)


@pytest.mark.parametrize("emotion", EMOTIONS)
@pytest.mark.parametrize("grey", [0, 128, 255])
def test_box_and_label_have_the_emotions_color(emotion: str, grey: int) -> None:
    image = canvas(300, 400, grey)
    drawn = np.asarray(draw_faces(image, [face(Box(100, 100, 120, 140), emotion)]))
    ours = (drawn == EMOTION_COLORS[emotion]).all(2)
    assert ours[150, 98:103].any()  # the left side of the box
    assert ours[70:99, 100:200].sum() > 500  # the label above it
    np.testing.assert_array_equal(drawn[110:230, 110:210], image[110:230, 110:210])  # the face itself stays free


def test_bars_appear_where_there_is_room_and_grow_with_the_probability() -> None:
    beside = np.s_[100:260, 240:420]
    image = canvas(400, 600)
    drawn = np.asarray(draw_faces(image, [face(Box(100, 100, 130, 150), "surprise")]))
    assert (drawn[beside] != image[beside]).any()
    lengths = {
        name: int((drawn[beside] == class_color(name)).all(2).any(0).sum()) for name in ("surprise", "happiness")
    }
    assert lengths["surprise"] > 4 * lengths["happiness"]
    small = np.asarray(draw_faces(image, [face(Box(100, 100, 40, 40), "surprise")]))
    assert changed(image, small).height < 70  # a small face gets its label alone


@settings(max_examples=80, deadline=None)
@given(
    size=st.tuples(st.integers(1, 900), st.integers(1, 900)),
    boxes=st.lists(st.builds(Box, *[st.floats(-100, 900)] * 2, *[st.floats(0.1, 700)] * 2), max_size=12),
    tracked=st.booleans(),
    style=st.sampled_from(STYLES),
)
def test_labels_stay_in_the_picture_and_apart(
    size: tuple[int, int], boxes: list[Box], tracked: bool, style: Style
) -> None:
    faces = [face(box, track=i + 1 if tracked else None) for i, box in enumerate(boxes)]
    marks, labels, panels = placed(faces, size, style)
    plates = [label.box for label in labels] + [panel.box for panel in panels]
    for plate in plates:
        assert plate.x >= 0
        assert plate.y >= 0
        assert plate.x + plate.width <= size[0]
        assert plate.y + plate.height <= size[1]
    for one, other in combinations(plates, 2):
        assert one.iou(other) == 0
    for panel in panels:
        assert all(panel.box.iou(mark.box) == 0 for mark in marks)
    assert draw_faces(canvas(size[1], size[0]), faces, style).size == size


@pytest.mark.parametrize(("side", "least"), [(200, 11), (600, 14), (4000, 60)])
def test_text_grows_with_the_picture(side: int, least: int) -> None:
    box = Box(side * 0.3, side * 0.3, side * 0.4, side * 0.4)
    _, (label,), _ = placed([face(box)], (side, side), Style())
    assert label.wording.text == "fear 90 %"
    assert label.wording.height >= least


def test_an_uncertain_face_has_a_question_mark_however_short_its_label() -> None:
    shares = {name: 0.4 if name == "fear" else 0.1 for name in EMOTIONS}
    box = Box(60, 60, 80, 80)
    sure, unsure = Face(box, None, shares, None, 0.4), Face(box, None, shares, None, 0.5)
    texts = [
        [wording.text for wording in chain(*wordings(Mark.of(one, (200, 200), Style()), Style()))]
        for one in (sure, unsure)
    ]
    assert not any("?" in text for text in texts[0])
    assert set(texts[1]) == {"fear? 40 %", "fear?"}
    images = [np.asarray(draw_faces(canvas(200, 200), [one])) for one in (sure, unsure)]
    assert (images[0] != images[1]).any()


def test_where_boxes_overlap_each_face_has_a_label_that_can_be_read() -> None:
    boxes = [Box(2 + 100 * x, 2 + 110 * y, 100, 140) for y in range(4) for x in range(6)]
    _, labels, _ = placed([face(box) for box in boxes], (700, 580), Style())
    assert len(labels) == len(boxes)
    assert {label.wording.text for label in labels} <= {"fear 90 %", "fear"}
    assert min(label.wording.height for label in labels) > SMALLEST_TEXT


def test_a_face_that_fills_the_picture_keeps_its_label() -> None:
    for side in (64, 200, 1000):
        for track in (None, 1):
            _, (label,), _ = placed([face(Box(0, 0, side, side), track=track)], (side, side), Style())
            assert label.wording.text in ("fear 90 %", "fear")


def test_classes_of_ones_own_get_colors_of_their_own() -> None:
    names = ("bored", "focused", "confused")
    assert len({class_color(name) for name in names}) == 3
    assert class_color("bored") == class_color("bored")
    drawn = np.asarray(draw_faces(canvas(300, 400), [face(Box(100, 100, 120, 140), "bored", names)]))
    assert (drawn == class_color("bored")).all(2).sum() > 500


@given(st.text(min_size=1, max_size=8))
def test_every_name_has_a_color_that_text_can_be_read_on(name: str) -> None:
    color = class_color(name)
    assert all(0 <= part <= 255 for part in color)
    light = luminance(color)
    contrast = (light + 0.05) / (luminance(INK) + 0.05) if ink_on(color) == INK else 1.05 / (light + 0.05)
    assert ink_on(color) in (INK, PAPER)
    assert contrast >= 3.8


@pytest.mark.parametrize("style", STYLES)
def test_the_picture_of_a_video_is_that_of_a_photo_and_the_given_one_stays(style: Style) -> None:
    image = np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8)
    image.setflags(write=False)
    faces = [face(Box(40, 50, 80, 100), track=2), face(Box(190, 70, 60, 75), "anger", most=0.4, track=1)]
    frame = draw_frame(image, faces, style)
    assert frame.flags.writeable
    assert (frame != image).any()
    np.testing.assert_array_equal(np.asarray(draw_faces(image, faces, style)), frame[:, :, ::-1])
    np.testing.assert_array_equal(draw_frame(image[:, ::-1], [], style), image[:, ::-1])


@pytest.mark.parametrize("place", [(0.4, 0.4), (-0.05, 0.3), (0.9, 0.85), (0.3, -0.1), (0.3, -0.245)])
@pytest.mark.parametrize("size", [(426, 240), (1280, 720)])
def test_the_emoji_theme_leaves_nothing_of_a_face(size: tuple[int, int], place: tuple[float, float]) -> None:
    """Two pictures that differ in their faces alone are the same when drawn."""
    width, height = size
    box = Box(place[0] * width, place[1] * height, 0.18 * height, 0.24 * height)
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    across, down = (x - box.x - box.width / 2) / box.width, (y - box.y - box.height / 2) / box.height
    head = (across / 0.66) ** 2 + (down / 0.66) ** 2 <= 1  # with forehead, ears and chin beyond the box
    in_box = (abs(across) <= 0.5) & (abs(down) <= 0.5)
    blank = canvas(height, width)
    marked = blank.copy()
    marked[head | in_box] = (20, 240, 70)
    assert (marked != blank).any()
    found = [face(box, emotion, most=most) for emotion, most in (("disgust", 0.9), ("surprise", 0.4))]
    for one in found:
        np.testing.assert_array_equal(draw_frame(marked, [one], ANONYMOUS), draw_frame(blank, [one], ANONYMOUS))
    first, second = (draw_frame(blank, [one], ANONYMOUS) for one in found)
    assert not np.array_equal(first, second)


@pytest.mark.parametrize("theme", COVERING)
def test_themes_that_cover_hide_unreported_faces_and_others_do_not(theme: str) -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (300, 400, 3), np.uint8)
    reported, other = face(Box(60, 100, 60, 80)), Detection(Box(280, 110, 40, 50))
    drawn = draw_frame(image, [reported], Style.of(theme), [other])
    for box in (reported.box, other.box):
        middle = np.s_[round(box.y) : round(box.y + box.height), round(box.x) : round(box.x + box.width)]
        assert (drawn[middle] != image[middle]).any(2).mean() > 0.95
    for style in (Style(), Style.of("minimal")):
        np.testing.assert_array_equal(
            draw_frame(image, [reported], style, [other]), draw_frame(image, [reported], style)
        )


@pytest.mark.parametrize("theme", COVERING)
def test_a_theme_that_covers_says_nothing_of_its_own(theme: str) -> None:
    style = Style.of(theme)
    assert style.covers
    assert (style.labels, style.bars, style.emoji) == (False, False, theme == "emoji")
    assert not Style().covers
    assert not Style.of("minimal").covers


def test_the_emoji_theme_says_nothing_unless_asked() -> None:
    found = [face(Box(100, 100, 60, 80))]
    _, labels, _ = placed(found, (600, 400), ANONYMOUS)
    assert labels == []
    said = Style.of("emoji", labels=True)
    (mark,), (label,), _ = placed(found, (600, 400), said)
    assert not label.wording.badge  # there is an emoji already
    assert label.box.iou(mark.box) == 0
    assert changed(canvas(400, 600), draw_frame(canvas(400, 600), found, ANONYMOUS)).iou(mark.box) > 0.9


def test_a_small_emoji_stands_before_the_label_or_alone() -> None:
    box = Box(100, 100, 120, 140)
    plain, with_emoji, alone = (
        placed([face(box)], (600, 400), style)[1][0] for style in (Style(), Style.of(emoji=True), Style.of("minimal"))
    )
    assert (plain.wording.text, plain.wording.badge) == ("fear 90 %", False)
    assert (with_emoji.wording.text, with_emoji.wording.badge) == ("fear 90 %", True)
    assert (alone.wording.text, alone.wording.badge) == ("", True)
    assert plain.box.width + alone.box.width <= with_emoji.box.width <= plain.box.width + alone.box.width + 8
    images = [draw_frame(canvas(400, 600), [face(box)], Style.of(emoji=emoji)) for emoji in (False, True)]
    left = np.s_[60:100, 100:140]
    assert len(np.unique(images[1][left].reshape(-1, 3), axis=0)) > len(
        np.unique(images[0][left].reshape(-1, 3), axis=0)
    )


def test_minimal_marks_the_corners_and_leaves_the_sides_open() -> None:
    image = canvas(400, 400)
    drawn = draw_frame(image, [face(Box(100, 100, 150, 150))], Style.of("minimal", emoji=False))
    different = (drawn != image).any(2)
    for y, x in ((100, 110), (110, 100), (249, 240), (240, 249), (100, 240), (249, 110)):
        assert different[y - 1 : y + 2, x - 1 : x + 2].any()
    assert not different[95:255, 150:200].any()
    assert not different[150:200].any()
    assert different.sum() < 0.25 * (draw_frame(image, [face(Box(100, 100, 150, 150))]) != image).any(2).sum()


def test_bars_labels_and_tracks_are_options() -> None:
    image, found = canvas(400, 600), [face(Box(100, 100, 130, 150), track=7)]
    nothing = draw_frame(image, found, Style.of(labels=False, bars=False))
    assert changed(image, nothing).iou(Box(100, 100, 130, 150)) > 0.9
    assert changed(image, draw_frame(image, found, Style.of(labels=False))).width > 200
    assert changed(image, draw_frame(image, found, Style.of(bars=False))).y < 90
    texts = [placed(found, (600, 400), Style.of(tracks=tracks))[1][0].wording.text for tracks in (False, True)]
    assert texts == ["fear 90 %", "7 fear 90 %"]
    assert placed([face(Box(100, 100, 130, 150))], (600, 400), Style.of(tracks=True))[1][0].wording.text == "fear 90 %"


def test_styles_that_make_no_sense_are_refused() -> None:
    assert {Style.of(theme).theme for theme in THEMES} == set(THEMES)
    with pytest.raises(ConfigError, match="unknown theme 'loud'; known are labels, emoji, blur, pixelate, minimal"):
        Style.of("loud")
    with pytest.raises(ConfigError, match="draws emoji"):
        Style.of("emoji", emoji=False)


@pytest.mark.parametrize("style", STYLES)
def test_faces_of_any_size_and_number_are_drawn(style: Style) -> None:
    rng = np.random.default_rng(0)
    crowd = [
        face(Box(*rng.uniform(-20, 620, 2), *rng.uniform(4, 60, 2)), EMOTIONS[i % 7], track=i + 1) for i in range(200)
    ]
    assert draw_frame(canvas(480, 640), crowd, style).shape == (480, 640, 3)
    for box in (Box(10, 10, 4, 4), Box(-3, -3, 4, 4), Box(-1e5, -1e5, 2e5, 2e5), Box(30, 30, 0.01, 0.01)):
        assert draw_frame(canvas(40, 50), [face(box)], style).shape == (40, 50, 3)
    outside = canvas(40, 50)
    np.testing.assert_array_equal(draw_frame(outside, [face(Box(60, 60, 9, 9))], style), outside)


@pytest.mark.parametrize("height", [240, 2160])
@pytest.mark.parametrize("grey", [0, 255])
def test_text_can_be_read_from_240_lines_to_4k_on_any_ground(height: int, grey: int) -> None:
    size = (height * 16 // 9, height)
    found = [face(Box(0.4 * size[0], 0.4 * height, 0.15 * height, 0.2 * height), "sadness")]
    _, (label,), _ = placed(found, size, Style())
    assert label.wording.height >= max(11, 0.016 * height)
    drawn = draw_frame(canvas(height, size[0], grey), found)
    x, y = round(label.box.x), round(label.box.y)
    plate = drawn[y : y + round(label.box.height), x : x + round(label.box.width)]
    assert (plate == class_color("sadness")[::-1]).all(2).mean() > 0.4  # solid, whatever is behind
    assert (plate.min(2) > 230).mean() > 0.03  # white letters


def test_in_a_stream_labels_move_with_their_faces() -> None:
    """Faces that tremble by a pixel: a label that moves by more than it grows has jumped."""
    rng = np.random.default_rng(3)
    jumps = steps = 0
    for _ in range(12):
        boxes = rng.uniform((0, 0, 60, 75), (1100, 560, 240, 300), (4, 4))
        before: dict[int, Box] = {}
        for _ in range(12):
            shaken = boxes + rng.uniform(-0.7, 0.7, boxes.shape)
            faces = [face(Box(*map(float, box)), EMOTIONS[i], track=i + 1) for i, box in enumerate(shaken)]
            marks, labels, _ = placed(faces, (1280, 720), Style())
            now = {EMOTIONS.index(label.wording.emotion): label.box for label in labels}
            for number, box in now.items():
                old = before.get(number, box)
                steps += 1
                jumps += max(abs(box.x - old.x), abs(box.y - old.y)) > 8
            jumps += len(before.keys() - now.keys())
            before = now
            assert [mark.face.track for mark in marks] == sorted(mark.face.track or 0 for mark in marks)
    assert steps > 400
    assert jumps / steps < 0.02


def test_a_tracked_face_that_rises_to_the_edge_keeps_its_label_above() -> None:
    tops = [
        placed([face(Box(300, y, 160, 200), track=1)], (1280, 720), Style())[1][0].box.y for y in range(80, -40, -1)
    ]
    assert max(abs(one - other) for one, other in pairwise(tops)) <= 1
    assert tops[-1] == 0
