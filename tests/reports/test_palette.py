"""Colours: emotions keep theirs, own classes differ from them and from each other."""

from __future__ import annotations

from mien.emotions import EMOTION_COLOURS
from mien.reports.palette import class_colours


def test_emotions_keep_their_colours() -> None:
    assert class_colours(tuple(EMOTION_COLOURS)) == EMOTION_COLOURS
    mixed = class_colours(("zeal", "happiness", "boredom"))
    assert mixed["happiness"] == EMOTION_COLOURS["happiness"]
    assert len(set(mixed.values())) == 3
    assert EMOTION_COLOURS["neutral"] not in mixed.values()


def test_own_classes_differ() -> None:
    for count in (2, 7, 12):
        assert len(set(class_colours([f"class {i}" for i in range(count)]).values())) == count
