"""Charts: that they say what the timeline says, whole or absent, and name what is missing."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from mien.emotions import EMOTION_COLORS
from mien.errors import ConfigError, MissingExtraError
from mien.reports.chart import check_chart, save_chart

if TYPE_CHECKING:
    from .conftest import Videos


def share_of(picture: Image.Image, color: tuple[int, int, int]) -> float:
    counts = {value: count for count, value in picture.getcolors(1 << 24) or []}
    return counts.get(color, 0) / (picture.width * picture.height)


def test_a_chart_shows_who_showed_what(videos: Videos, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    timeline = videos.timeline(videos.moods("h" * 30 + "a" * 10, "-" * 20 + "h" * 20))
    for name in ("new/t.png", "t.pdf"):
        save_chart(timeline, tmp_path / name)
    assert (tmp_path / "t.pdf").read_bytes().startswith(b"%PDF")
    with Image.open(tmp_path / "new" / "t.png") as picture:
        rgb = picture.convert("RGB")
    yellow, orange = (share_of(rgb, EMOTION_COLORS[name]) for name in ("happiness", "anger"))
    assert yellow > 3 * orange > 0.03
    assert not list(tmp_path.rglob("*.part"))


def test_its_words_and_times(videos: Videos, tmp_path: Path) -> None:
    matplotlib = pytest.importorskip("matplotlib")
    timeline = videos.timeline(videos.moods("h" * 300 + "_" * 100, source="a$b$ $x.mp4", classes=("happy$", "_a$nger")))
    with matplotlib.rc_context({"svg.fonttype": "none"}):
        save_chart(timeline, tmp_path / "t.svg")
    words = (tmp_path / "t.svg").read_text(encoding="utf-8")
    for said in ("a$b$ $x.mp4", "mien 0.4.0", "Person 1", "75 % happy$", "seen 1 min 20.0 s", "_a$nger", ">1:10<"):
        assert said in words


def test_a_crowd_nobody_and_long_names(videos: Videos, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    from matplotlib import rc_context

    with rc_context({"svg.fonttype": "none"}):
        save_chart(videos.timeline(videos.moods(*["h" * 10] * 14)), tmp_path / "crowd.svg")
        save_chart(videos.timeline([videos.record(0.0)]), tmp_path / "nobody.svg")
        save_chart(videos.timeline(videos.moods("h" * 20, "ff" + "-" * 18, "h" * 20)), tmp_path / "hole.svg")
        names = tuple(f"{letter}{'x' * 40}" for letter in "abcdefghij")
        save_chart(videos.timeline(videos.moods("aaaaaabbbb", classes=names)), tmp_path / "long.svg")
    crowd, nobody, long = ((tmp_path / f"{name}.svg").read_text("utf-8") for name in ("crowd", "nobody", "long"))
    assert "12 of 14 persons" in crowd
    assert "Person 2 was seen too shortly" in (tmp_path / "hole.svg").read_text("utf-8")
    assert "no face was seen" in nobody
    assert f"a{'x' * 18}…" in long


def test_what_cannot_be_drawn_is_said_at_once(videos: Videos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    timeline = videos.timeline(videos.moods("hhhhhh"))
    with pytest.raises(ConfigError, match=r"\.png.*got t\.txt"):
        save_chart(timeline, tmp_path / "t.txt")
    for name in ("matplotlib", "matplotlib.figure"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtraError, match=r"pip install 'mien\[video\]'"):
        check_chart("t.png")
    assert not list(tmp_path.iterdir())
