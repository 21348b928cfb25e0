"""Subtitles: true to the timeline, and what other programs that read SubRip and WebVTT take for valid."""

from __future__ import annotations

import html
import json
import re
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mien.emotions import EMOTIONS
from mien.reports.subtitles import MOST_LINES, SHORTEST_S, cues, render_subtitles, save_subtitles

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from mien.reports.timeline import Timeline

    from .conftest import Videos

EVIL = "<script>-->\r\n\r\n&amp; {\\an8} </v> 00:00:01.000 --> 00:00:02.000"


def shown(timeline: Timeline) -> list[tuple[float, float, list[str]]]:
    return [
        (cue.start_s, cue.end_s, [f"{line.label} {line.emotion}{'?' * line.uncertain}" for line in cue.lines])
        for cue in cues(timeline)
    ]


@pytest.fixture
def timeline(videos: Videos) -> Timeline:
    records = videos.moods("h" * 10 + "n" * 15, "-" * 15 + "a" * 5 + "-" * 5)
    for record in records[5:8]:
        record["faces"] = [videos.face(1, "happiness", 0.5)]
    return videos.timeline(records, {2: "Anna <3"})


def test_a_line_for_each_person_and_uncertain_ones_are_marked(timeline: Timeline) -> None:
    assert shown(timeline) == [
        (0.0, 1.0, ["Person 1 happiness"]),
        (1.0, 1.6, ["Person 1 happiness?"]),
        (1.6, 2.0, ["Person 1 happiness"]),
        (2.0, 3.0, ["Person 1 neutral"]),
        (3.0, 4.0, ["Person 1 neutral", "Anna <3 anger"]),
        (4.0, 5.0, ["Person 1 neutral"]),
    ]


def test_the_formats_as_they_are_written(timeline: Timeline) -> None:
    srt, vtt = render_subtitles(timeline, ".srt"), render_subtitles(timeline, ".vtt")
    assert srt.split("\r\n\r\n")[1] == "2\r\n00:00:01,000 --> 00:00:01,600\r\nPerson 1: happiness (uncertain)"
    assert "\r\n00:00:03,000 --> 00:00:04,000\r\nPerson 1: neutral\r\nAnna ‹3: anger\r\n\r\n" in srt
    assert "\n" not in srt.replace("\r\n", "")
    assert vtt.startswith("WEBVTT\n\n")
    assert (
        "\n\n00:00:03.000 --> 00:00:04.000\n<v Person 1>Person 1: neutral</v>\n<v Anna &lt;3>Anna &lt;3: anger</v>\n\n"
        in vtt
    )


def test_nobody_is_shown_while_unseen(videos: Videos) -> None:
    assert shown(videos.timeline(videos.moods("h" * 10 + "-" * 10 + "h" * 10))) == [
        (0.0, 2.0, ["Person 1 happiness"]),
        (4.0, 6.0, ["Person 1 happiness"]),
    ]
    nobody = videos.timeline([videos.record(0.0), videos.record(1.0)])
    assert cues(nobody) == []
    assert render_subtitles(nobody, ".srt") == ""
    assert render_subtitles(nobody, ".vtt").startswith("WEBVTT\n")


def test_a_crowd_is_too_much_for_a_picture(videos: Videos) -> None:
    crowd = videos.timeline(videos.moods("h" * 10 + "-" * 10, *["h" * 20] * MOST_LINES))
    assert [(len(cue.lines), cue.lines[0].label, cue.more) for cue in cues(crowd)] == [
        (MOST_LINES, "Person 2", 1),
        (MOST_LINES, "Person 2", 0),
    ]
    assert "Person 7: happiness\r\nand 1 more\r\n\r\n2\r\n" in render_subtitles(crowd, ".srt")
    assert "\nand 1 more\n\n" in render_subtitles(crowd, ".vtt")
    one_by_one = videos.timeline(videos.moods(*("-" * 10 * k + "h" * 10 + "-" * 10 * (9 - k) for k in range(10))))
    assert [cue.lines[0].label for cue in cues(one_by_one)] == [f"Person {k}" for k in range(1, 11)]


frames = st.lists(
    st.tuples(st.floats(0.01, 0.7), st.none() | st.tuples(st.sampled_from(EMOTIONS), st.floats(0.3, 1.0))),
    min_size=3,
    max_size=40,
)


@settings(max_examples=60)
@given(frames, frames)
def test_subtitles_follow_each_other_and_what_lasts_is_shown(
    videos: Videos, first: list[tuple[float, Any]], second: list[tuple[float, Any]]
) -> None:
    records, time_s = [], 0.0
    for (lasting, one), (_, other) in zip(first, second, strict=False):
        faces = [videos.face(track, *face) for track, face in ((1, one), (2, other)) if face is not None]
        records.append(videos.record(time_s, faces))
        time_s += lasting
    timeline = videos.timeline(records)
    found = cues(timeline)
    for cue in found:
        assert cue.lines
    for cue in found[:-1]:
        assert cue.end_s - cue.start_s >= SHORTEST_S - 1e-6
    for before, after in pairwise(found):
        assert before.end_s <= after.start_s
        assert before.end_s < after.start_s or before.lines != after.lines
    for person in timeline.persons:
        for stretch in person.stretches:
            if stretch.seconds < 3 * SHORTEST_S:
                continue
            middle = (stretch.start_s + stretch.end_s) / 2
            lines = [line for cue in found if cue.start_s <= middle < cue.end_s for line in cue.lines]
            assert (person.label, stretch.emotion) in [(line.label, line.emotion) for line in lines]


@pytest.mark.parametrize(("suffix", "decoder"), [(".srt", "subrip"), (".vtt", "webvtt")])
def test_ffmpeg_reads_the_same(videos: Videos, tmp_path: Path, suffix: str, decoder: str) -> None:
    av = pytest.importorskip("av")
    classes = (f"z{EVIL}", "boredom")
    records = [
        videos.record(3595 + i / 5, [videos.face(1, classes[i >= 30], 0.9 if i < 40 else 0.55, classes=classes)])
        for i in range(60)
    ]
    timeline = videos.timeline(records, {1: "Anna --> <b>{\\an8}"})
    save_subtitles(timeline, tmp_path / f"film{suffix}")
    with av.open(str(tmp_path / f"film{suffix}")) as file:
        (stream,) = file.streams
        assert stream.codec_context.name in (decoder, "srt")
        packets = [packet for packet in file.demux(stream) if packet.size]
        read = [(round(float(p.pts * p.time_base), 3), round(float(p.duration * p.time_base), 3)) for p in packets]
        texts = [bytes(packet).decode() for packet in packets]
    assert read == [(3595.0, 6.0), (3601.0, 2.0), (3603.0, 4.0)]
    plain = [html.unescape(re.sub(r"<[^>]*>", "", text)) if suffix == ".vtt" else text for text in texts]
    assert [text.count("\n") for text in plain] == [0, 0, 0]
    name = "Anna --> <b>{\\an8}" if suffix == ".vtt" else "Anna --› ‹b›(\\an8)"
    assert plain[1:] == [f"{name}: boredom", f"{name}: boredom (uncertain)"]
    assert plain[0].startswith(f"{name}: z")


def test_a_browser_reads_the_same(chromium: Browser, videos: Videos) -> None:
    records = videos.moods("z" * 10 + "b" * 10, classes=(f"z{EVIL}", "boredom"))
    text = render_subtitles(videos.timeline(records, {1: "A&B > <v C>"}), ".vtt")
    page = chromium.new_page()
    read = page.evaluate(
        """async (text) => {
          const video = document.body.appendChild(document.createElement("video"));
          const track = document.createElement("track");
          track.kind = "subtitles"; track.src = "data:text/vtt;charset=utf-8," + encodeURIComponent(text);
          const loaded = new Promise((done, failed) => { track.onload = done; track.onerror = failed; });
          video.append(track); track.track.mode = "hidden";
          await loaded;
          return [...track.track.cues].map((cue) => {
            const tree = cue.getCueAsHTML();
            return [cue.startTime, cue.endTime, tree.textContent, tree.firstChild.title, tree.childNodes.length];
          });
        }""",
        text,
    )
    page.close()
    assert [(start, end) for start, end, *_ in read] == [(0, 2), (2, 4)]
    assert read[1][2:] == ["A&B > <v C>: boredom", "A&B > <v C>", 1]
    assert read[0][2] == "A&B > <v C>: z" + " ".join(EVIL.split())


def test_times_before_the_beginning_and_after_days(videos: Videos) -> None:
    early = videos.timeline(videos.record(-1.5 + i / 5, [videos.face(1, "fear")]) for i in range(20))
    assert "00:00:00,000 --> 00:00:02,500" in render_subtitles(early, ".srt")
    late = videos.timeline(videos.record(400_000 + i / 5, [videos.face(1, "fear")]) for i in range(20))
    assert "111:06:40.000 --> 111:06:44.000" in render_subtitles(late, ".vtt")


def test_they_are_written_whole(timeline: Timeline, tmp_path: Path) -> None:
    for suffix in (".srt", ".VTT"):
        path = tmp_path / "new" / f"film{suffix}"
        save_subtitles(timeline, path)
        assert path.read_bytes() == render_subtitles(timeline, suffix.lower()).encode()
    assert len(list((tmp_path / "new").iterdir())) == 2
    assert json.dumps(render_subtitles(timeline, ".vtt"))[1] == "W"  # no byte order mark before the signature
