"""Timelines: that time is what counts, who is told of, and which moments stand out."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mien.emotions import EMOTIONS
from mien.errors import ConfigError, DataError
from mien.reports.aggregate import MOST_PEAKS, frame_durations

if TYPE_CHECKING:
    from .conftest import Videos

# Frames of one video: the seconds until the next one, and the class and probability of the face, or no face.
frames = st.lists(
    st.tuples(st.floats(0.02, 0.9), st.none() | st.tuples(st.sampled_from(EMOTIONS), st.floats(0.3, 1.0))),
    min_size=3,
    max_size=30,
)


def shown(videos: Videos, frames: list[tuple[float, Any]]) -> list[dict[str, Any]]:
    """The frames as records, of a face that is seen for two seconds at first, with a frame without faces at the end."""
    records, time_s = (
        [videos.record(0.0, [videos.face(1, "neutral")]), videos.record(0.8, [videos.face(1, "anger")])],
        1.6,
    )
    records.append(videos.record(time_s, [videos.face(1, "neutral")]))
    for lasting, face in [(0.4, None), *frames]:
        time_s += lasting
        records.append(videos.record(time_s, [] if face is None else [videos.face(1, *face)]))
    return [*records, videos.record(time_s + 0.5)]


@settings(max_examples=40)
@given(frames)
def test_shares_add_up_to_the_time_seen(videos: Videos, frames: list[tuple[float, Any]]) -> None:
    timeline = videos.timeline(shown(videos, frames))
    for person in timeline.persons:
        assert sum(person.fractions.values()) == pytest.approx(1)
        assert sum(person.mean.values()) == pytest.approx(1, abs=1e-5)
        assert 0 <= person.uncertain <= 1 + 1e-9
        assert sum(stretch.seconds for stretch in person.stretches) == pytest.approx(person.seconds)
        assert float(person.predictions.sum()) == pytest.approx(person.seconds, abs=1e-4)
        for name in timeline.classes:
            own = [stretch.seconds for stretch in person.stretches if stretch.emotion == name]
            assert sum(own) == pytest.approx(person.fractions[name] * person.seconds, abs=1e-6)
        for before, after in pairwise(person.stretches):
            assert before.end_s <= after.start_s + 1e-6
        seen = ~np.isnan(person.probabilities).any(1)
        assert person.probabilities[seen].sum(1) == pytest.approx(1, abs=1e-4)


@settings(max_examples=40)
@given(frames, st.data())
def test_frames_shown_twice_change_nothing(
    videos: Videos, frames: list[tuple[float, Any]], data: st.DataObject
) -> None:
    records = shown(videos, frames)
    doubled = []
    for record, after in pairwise(records):
        doubled.append(record)
        if data.draw(st.booleans()):
            between = data.draw(st.floats(0.1, 0.9))
            doubled.append(record | {"time_s": record["time_s"] + between * (after["time_s"] - record["time_s"])})
    once, twice = videos.timeline(records), videos.timeline([*doubled, records[-1]])
    for one, two in zip(once.persons, twice.persons, strict=True):
        assert two.seconds == pytest.approx(one.seconds)
        assert two.fractions == pytest.approx(one.fractions)
        assert two.mean == pytest.approx(one.mean, abs=1e-5)
        assert two.uncertain == pytest.approx(one.uncertain, abs=1e-9)
        assert [s.emotion for s in two.stretches] == [s.emotion for s in one.stretches]


def test_a_frame_lasts_until_the_next_one(videos: Videos) -> None:
    times, moods = (0.0, 0.1, 0.2, 1.0, 1.1, 1.2), ("anger", "anger", "fear", "anger", "anger", "anger")
    (person,) = videos.timeline(
        videos.record(t, [videos.face(4, m)]) for t, m in zip(times, moods, strict=True)
    ).persons
    assert (person.track, person.frames, person.first_s) == (4, 6, 0.0)
    assert person.seconds == pytest.approx(1.3)
    assert person.last_s == pytest.approx(1.3)
    assert person.fractions["fear"] == pytest.approx(0.8 / 1.3)
    assert person.emotion == "fear"
    spans = [(stretch.start_s, stretch.end_s, stretch.emotion) for stretch in person.stretches]
    assert spans == [
        (0.0, 0.2, "anger"),
        (0.2, 1.0, "fear"),
        (1.0, pytest.approx(1.3), "anger"),
    ]


def test_a_gap_does_not_count_and_sparse_frames_are_no_gaps() -> None:
    assert frame_durations(np.array([0.0, 0.1, 0.2, 5.2, 5.3])) == pytest.approx([0.1, 0.1, 0.1, 0.1, 0.1])
    assert frame_durations(np.array([0.0, 2.0, 4.0, 20.0, 22.0])) == pytest.approx([2, 2, 2, 2, 2])
    assert frame_durations(np.array([0.0, 0.0, 0.5])) == pytest.approx([0, 0.5, 0.5])
    assert frame_durations(np.array([3.0])).tolist() == frame_durations(np.array([3.0, 3.0]))[1:].tolist()
    assert frame_durations(np.array([3.0]))[0] > 0


def test_bins_hold_means_over_time_and_nothing_where_none_was_seen(videos: Videos) -> None:
    records = [videos.record(i / 10, [videos.face(1, "fear" if i < 25 else "anger", 1.0)]) for i in range(30)]
    for i in (10, 11, 12):
        records[i]["faces"] = []
    timeline = videos.timeline(records)
    (person,) = timeline.persons
    assert timeline.edges == pytest.approx(np.linspace(0, 3, 31))
    assert np.flatnonzero(np.isnan(person.probabilities).any(1)).tolist() == [10, 11, 12]
    fear, anger = EMOTIONS.index("fear"), EMOTIONS.index("anger")
    assert person.probabilities[[0, 9, 13, 24], fear] == pytest.approx(1, abs=1e-5)
    assert person.probabilities[25:, anger] == pytest.approx(1, abs=1e-5)
    assert [stretch.emotion for stretch in person.stretches] == ["fear", "fear", "anger"]
    assert person.seconds == pytest.approx(2.7)


def test_long_videos_have_no_more_bins(videos: Videos) -> None:
    timeline = videos.timeline(videos.record(2.0 * i, [videos.face(1, "fear")]) for i in range(1000))
    assert timeline.persons[0].probabilities.shape == (400, 7)
    assert not np.isnan(timeline.persons[0].probabilities).any()
    assert timeline.seconds == 2000


def test_brief_tracks_are_gathered(videos: Videos) -> None:
    timeline = videos.timeline(videos.moods("-" * 10 + "hhhhhhhhhh", "nnn" + "-" * 17, "--aaaaaa" + "-" * 12))
    assert [(person.track, person.first_s) for person in timeline.persons] == [(3, 0.4), (1, 2.0)]
    assert (timeline.brief.tracks, timeline.brief.seconds) == ((2,), pytest.approx(0.6))
    assert [person.track for person in timeline.longest_seen(1)] == [1]
    assert [person.track for person in timeline.longest_seen(9)] == [3, 1]
    short = videos.timeline(videos.moods("hhh", "h--", rate=25))
    assert [person.track for person in short.persons] == [1, 2]


def test_peaks_are_the_strongest_moments_of_certain_stretches(videos: Videos) -> None:
    moods = [("happiness", 0.7)] * 10 + [("neutral", 0.99)] * 30 + [("happiness", 0.8)] * 10
    moods += [("fear", 0.55)] * 10 + [("happiness", 0.9)] * 10 + [("surprise", 0.65)] * 2
    moods[4], moods[44] = ("happiness", 0.95), ("happiness", 0.97)
    (person,) = videos.timeline(
        videos.record(i / 5, [videos.face(1, name, value, box=(i, 0, 10 + (i == 3), 10))])
        for i, (name, value) in enumerate(moods)
    ).persons
    found = [(peak.emotion, peak.moment.time_s, round(peak.probability, 2)) for peak in person.peaks]
    # Not the third of happiness, nor neutral, nor the uncertain fear.
    assert found == [("happiness", 0.8, 0.95), ("happiness", 8.8, 0.97), ("surprise", 14.0, 0.65)]
    assert person.peaks[1].moment.box.x == 44
    assert person.peaks[1].moment.frame == 220
    assert person.portrait.time_s == 0.6


def test_peaks_of_one_emotion_are_apart_and_few(videos: Videos) -> None:
    near = "hhhhhnnnnnhhhhh" + "n" * 30
    (person,) = videos.timeline(videos.moods(near)).persons
    assert [peak.emotion for peak in person.peaks] == ["happiness"]
    (person,) = videos.timeline(videos.moods("".join(f"{c * 5}{'n' * 25}" for c in "adfhs" * 2))).persons
    assert len(person.peaks) == MOST_PEAKS
    assert {peak.emotion for peak in person.peaks} >= {"anger", "disgust", "fear", "happiness"}


def test_own_classes_keep_the_order_of_the_records(videos: Videos) -> None:
    classes = ("zeal", "boredom")
    timeline = videos.timeline(videos.moods("zzzzzzb", classes=classes))
    assert timeline.classes == classes
    assert list(timeline.persons[0].fractions) == list(classes)
    assert timeline.persons[0].fractions["zeal"] == pytest.approx(6 / 7)


def test_what_a_timeline_says_of_its_video(videos: Videos) -> None:
    records = videos.moods("hhhhhhhhhh")
    records.insert(5, videos.record(1.0) | {"error": "damaged", "time_s": None})
    timeline = videos.timeline(records)
    assert (timeline.source, timeline.model, timeline.size) == ("clips/interview.mp4", "mien 0.4.0", (320, 240))
    assert (timeline.frames, timeline.unread, timeline.start_s, timeline.end_s) == (10, 1, 0.0, pytest.approx(2.0))
    nobody = videos.timeline([videos.record(0.0), videos.record(0.5)])
    assert (nobody.classes, nobody.persons, nobody.brief.tracks) == ((), (), ())


def test_records_that_do_not_go_together_are_refused(videos: Videos) -> None:
    first = videos.record(1.0, [videos.face(1, "fear")])
    for changes, words in (
        ({"source": "other.mp4"}, "another video, 'other.mp4'"),
        ({"model": "mien 9"}, "another model, 'mien 9'"),
        ({"time_s": 0.5}, "goes back, from 1 to 0.5"),
        ({"faces": [videos.face(1, "a", classes="ab")]}, r"has the classes \['a', 'b'\]"),
        ({"faces": [videos.face(2, "fear"), videos.face(2, "fear")]}, "track 2 twice"),
    ):
        with pytest.raises(DataError, match=words):
            videos.timeline([first, first | {"time_s": 2.0} | changes])
    with pytest.raises(DataError, match="no records"):
        videos.timeline([])
    with pytest.raises(DataError, match="no frame that could be read"):
        videos.timeline([videos.record(0.0, error="gone")])
    assert math.isclose(videos.timeline([first, first]).seconds, 0.04)


def test_tracks_of_one_name_are_one_person(videos: Videos) -> None:
    records = videos.moods("h" * 10 + "-" * 20, "-" * 15 + "n" * 15, "f" * 30)
    timeline = videos.timeline(records, {1: "Anna", 2: "Anna", 3: "Bob"})
    anna, bob = timeline.persons
    assert [(one.label, one.number, one.tracks, one.frames) for one in (anna, bob)] == [
        ("Anna", "1", (1, 2), 25),
        ("Bob", "3", (3,), 30),
    ]
    assert anna.seconds == pytest.approx(5)
    assert anna.fractions["neutral"] == pytest.approx(0.6)
    assert [(stretch.start_s, stretch.emotion) for stretch in anna.stretches] == [(0, "happiness"), (3, "neutral")]
    one_by_one = videos.timeline(records).persons
    assert [one.label for one in one_by_one] == ["Person 1", "Person 3", "Person 2"]
    assert anna.seconds == pytest.approx(one_by_one[0].seconds + one_by_one[2].seconds)


def test_a_person_with_a_name_is_never_too_brief(videos: Videos) -> None:
    records = videos.moods("h" * 30, "ff" + "-" * 28)
    assert [one.label for one in videos.timeline(records).persons] == ["Person 1"]
    named = videos.timeline(records, {2: "Anna"})
    assert [one.label for one in named.persons] == ["Person 1", "Anna"]
    assert named.brief.tracks == ()


def test_names_that_cannot_be_given_are_refused(videos: Videos) -> None:
    records = videos.moods("h" * 10, "-" * 6 + "n" * 4)
    for names, words in (
        ({5: "Anna"}, "there is no person 5: those there are 1 and 2"),
        ({1: "Anna", 2: "Anna"}, "persons 1 and 2 cannot all be 'Anna': two of them are in the picture at 1.2 s"),
        ({1: "a\nb"}, "one line of text"),
    ):
        with pytest.raises(ConfigError, match=words):
            videos.timeline(records, names)
    with pytest.raises(ConfigError, match="there is no person 1: there is none"):
        videos.timeline([videos.record(0.0)], {1: "Anna"})


def test_persons_of_several_videos_have_numbers_of_their_video(videos: Videos) -> None:
    (person,) = videos.timeline(videos.moods("h" * 10), video=3).persons
    assert (person.number, person.label, person.portrait.video) == ("3.1", "Person 3.1", 3)
