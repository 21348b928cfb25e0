"""Figures by bins and by scene: they add up to the person's, and scenes end where the faces say so."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mien.emotions import EMOTIONS
from mien.errors import ConfigError
from mien.reports.spans import MOST_CELLS, even_spans, in_spans, scenes, spans_of

if TYPE_CHECKING:
    from .conftest import Videos

LEFT, RIGHT = (10.0, 20.0, 40.0, 40.0), (250.0, 20.0, 40.0, 40.0)


def test_bins_begin_at_multiples_of_their_length(videos: Videos) -> None:
    timeline = videos.timeline(videos.record(3.0 + i / 5, [videos.face(1, "fear")]) for i in range(50))
    assert [(span.start_s, span.end_s) for span in even_spans(timeline, 4)] == [(3, 4), (4, 8), (8, 12), (12, 13)]
    assert [(span.start_s, span.end_s) for span in even_spans(timeline, 100)] == [(3, 13)]


@settings(max_examples=30)
@given(st.lists(st.sampled_from("hhsn-"), min_size=10, max_size=60), st.floats(0.05, 20))
def test_bins_add_up_to_the_person(videos: Videos, moods: list[str], every: float) -> None:
    timeline = videos.timeline(videos.moods("".join(moods) + "hhhhhh"))
    for person in timeline.persons:
        parts = in_spans(person, timeline.classes, even_spans(timeline, every))
        assert sum(part.seconds for part in parts) == pytest.approx(person.seconds)
        for k, name in enumerate(timeline.classes):
            assert sum(part.named[k] for part in parts) == pytest.approx(person.fractions[name] * person.seconds)
            own = [stretch for stretch in person.stretches if stretch.emotion == name]
            assert sum(part.began[k] for part in parts) == len(own)
        for part in parts:
            assert part.seconds <= part.span.end_s - part.span.start_s + 1e-6
            assert math.isnan(part.uncertain) == (part.seconds == 0)


def test_a_bin_has_the_figures_of_its_own_time(videos: Videos) -> None:
    records = videos.moods("h" * 12 + "s" * 6 + "-" * 12 + "n" * 10)
    for record in records[5:10]:
        record["faces"] = [videos.face(1, "happiness", 0.5)]
    timeline = videos.timeline(records)
    first, second, third, fourth = in_spans(timeline.persons[0], EMOTIONS, even_spans(timeline, 2))
    happy, startled = EMOTIONS.index("happiness"), EMOTIONS.index("surprise")
    assert (first.seconds, first.uncertain, first.mean[happy]) == (
        pytest.approx(2),
        pytest.approx(0.5),
        pytest.approx(0.7),
    )
    assert second.named[[happy, startled]] == pytest.approx([0.4, 1.2])
    assert second.began.tolist() == np.eye(7, dtype=int)[startled].tolist()
    assert (third.seconds, third.began.sum()) == (0, 0)
    assert np.isnan(third.mean).all()
    assert fourth.began[EMOTIONS.index("neutral")] == 1


def test_bins_that_are_none_or_too_many_are_refused(videos: Videos) -> None:
    timeline = videos.timeline(videos.record(100.0 * i, [videos.face(1, "fear")]) for i in range(1000))
    for seconds in (0, -1, math.nan, math.inf):
        with pytest.raises(ConfigError, match="longer than 0 seconds"):
            even_spans(timeline, seconds)
    with pytest.raises(ConfigError, match="choose longer ones"):
        even_spans(timeline, timeline.seconds / MOST_CELLS / 2)


def test_a_cut_to_others_ends_a_scene(videos: Videos) -> None:
    # as tracks come: two persons, one other person for two seconds, the first two again
    timeline = videos.timeline(
        videos.moods("h" * 20 + "-" * 10 + "n" * 10, "n" * 20 + "-" * 20, "-" * 20 + "s" * 10 + "-" * 10)
    )
    assert [(span.start_s, span.end_s) for span in scenes(timeline)] == [
        (0, pytest.approx(4)),
        (4, pytest.approx(6)),
        (6, pytest.approx(8)),
    ]
    assert spans_of(timeline, "scene") == scenes(timeline)


def test_who_stays_keeps_the_scene(videos: Videos) -> None:
    timeline = videos.timeline(videos.moods("h" * 30 + "-" * 20, "-" * 10 + "n" * 40, "-" * 35 + "s" * 15))
    assert len(scenes(timeline)) == 1


def test_a_jump_that_no_face_can_make_is_a_cut(videos: Videos) -> None:
    def film(step: float, *boxes: tuple[float, float, float, float]) -> int:
        faces = [videos.face(1, "fear", box=box) for box in boxes for _ in range(10)]
        return len(scenes(videos.timeline(videos.record(i * step, [face]) for i, face in enumerate(faces))))

    close = (60.0, 20.0, 160.0, 160.0)
    assert film(0.2, LEFT, LEFT) == 1
    assert film(0.04, LEFT, RIGHT, LEFT) == 3
    assert film(0.2, LEFT, close) == 2
    assert film(2.0, LEFT, (150.0, 20.0, 40.0, 40.0)) == 1  # 2 seconds are enough to get there


def test_a_break_in_which_nobody_is_seen(videos: Videos) -> None:
    def film(unseen: int) -> int:
        return len(scenes(videos.timeline(videos.moods("h" * 10 + "-" * unseen + "h" * 10))))

    assert film(2) == 1
    assert film(30) == 2


def test_strays_and_nobody_make_no_scene(videos: Videos) -> None:
    moods = "h" * 20 + "--" + "h" * 30
    assert len(scenes(videos.timeline(videos.moods(moods, "-" * 20 + "ff" + "-" * 30)))) == 1
    assert scenes(videos.timeline([videos.record(0.0), videos.record(1.0)])) == ()


def test_boxes_of_no_size_do_not_matter(videos: Videos) -> None:
    empty = videos.timeline(videos.record(i / 5, [videos.face(1, "fear", box=(3, 3, 0, -1))]) for i in range(10))
    assert len(scenes(empty)) == 10
