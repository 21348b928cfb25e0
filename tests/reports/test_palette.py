"""Colors: emotions keep theirs, own classes differ from them and from each other."""

from __future__ import annotations

from mien.emotions import EMOTION_COLORS
from mien.reports.palette import class_colors


def test_emotions_keep_their_colors() -> None:
    assert class_colors(tuple(EMOTION_COLORS)) == EMOTION_COLORS
    mixed = class_colors(("zeal", "happiness", "boredom"))
    assert mixed["happiness"] == EMOTION_COLORS["happiness"]
    assert len(set(mixed.values())) == 3
    assert EMOTION_COLORS["neutral"] not in mixed.values()


def test_own_classes_differ() -> None:
    for count in (2, 7, 12):
        assert len(set(class_colors([f"class {i}" for i in range(count)]).values())) == count
