"""The page: well-formed, whole in itself, inert whatever the records hold, and true to the timeline."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from mien.reports.page import MOST_PERSONS, render_page, save_page, shown_persons, wanted_moments
from mien.reports.person_section import MOST_BINS

if TYPE_CHECKING:
    from mien.reports.timeline import Timeline

    from .conftest import Videos

VOID = {"meta", "img", "path"}


class Page(HTMLParser):
    """The page's elements, text and scripts; fails on elements that do not close as they opened."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.scripts: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] == ["script"]:
            self.scripts.append(data)
        elif self.open[-1:] != ["style"]:
            self.text += data.replace("\xa0", " ")

    def all(self, tag: str, **having: str) -> list[dict[str, str | None]]:
        found = [attributes for name, attributes in self.elements if name == tag]
        return [one for one in found if having.items() <= {k.removesuffix("_"): v for k, v in one.items()}.items()]


@pytest.fixture
def timeline(videos: Videos) -> Timeline:
    return videos.timeline(videos.moods("h" * 20 + "-" * 5 + "n" * 15, "-" * 10 + "s" * 10 + "a" * 20, "ff" + "-" * 38))


def jpeg() -> bytes:
    return cv2.imencode(".jpg", np.zeros((4, 4, 3), np.uint8))[1].tobytes()


def test_it_tells_of_each_person(timeline: Timeline) -> None:
    page = Page(render_page(timeline))
    assert page.all("h1")
    assert "interview.mp4" in page.text
    for said in ("Everyone at a glance", "Person 1", "Person 2", "8.0 s", "320 × 240", "mien 0.4.0"):
        assert said in page.text
    assert re.search(
        r"Mostly happiness \(57 %\), then neutral \(43 %\)\. Seen for 7\.0 s, between 0:00\.0 and 0:08\.0", page.text
    )
    assert "Person 3 was seen too shortly to be reported (0.4 s in all)." in page.text
    assert "Regulation (EU) 2024/1689" in page.text
    assert "what a person feels does not follow" in page.text
    assert len(page.all("svg")) == 2
    assert all(svg["aria-label"] for svg in page.all("svg", role="img"))
    assert [one["href"] for one in page.all("a")] == ["#person-1", "#person-2"]
    assert {one.get("id") for one in page.all("section")} >= {"person-1", "person-2"}


def test_times_in_short_videos_have_tenths(videos: Videos) -> None:
    short = Page(render_page(videos.timeline(videos.moods("h" * 331 + "a" * 4 + "n" * 60))))  # 79 seconds
    assert "Seen for 1 min 19.0 s, between 0:00.0 and 1:19.0" in short.text
    for figure in ("1 min 6.2 s", "0.8 s", "12.0 s"):  # the seconds of each emotion
        assert figure in short.text
    assert "1:06.2 to 1:07.0: anger" in [one.get("title") for one in short.all("span")]
    long = Page(render_page(videos.timeline(videos.moods("h" * 331 + "n" * 69, rate=0.5))))  # 800 seconds
    assert "Seen for 13 min 20 s, between 0:00 and 13:20" in long.text
    assert "11:02 to 13:20: neutral" in [one.get("title") for one in long.all("span")]


def test_the_timeline_holds_the_values(timeline: Timeline) -> None:
    page = Page(render_page(timeline))
    classes, first, second = (json.loads(script) for script in [page.scripts[-2], *page.scripts[:2]])
    assert tuple(classes) == timeline.classes
    assert len(first["values"]) == len(timeline.edges) - 1
    assert first["values"][0][classes.index("happiness")] == 90
    assert first["values"][22] is None
    assert second["values"][0] is None
    assert second["values"][-1][classes.index("anger")] == 90
    happy = [
        one for one in page.all("span") if "happiness" in (one.get("title") or "") and "left" in (one["style"] or "")
    ]
    assert [one["style"] for one in happy] == ["left:0.00%;width:50.00%"]


def test_it_asks_nothing_of_a_network(timeline: Timeline) -> None:
    thumbnails = dict.fromkeys(wanted_moments(timeline), jpeg())
    html = render_page(timeline, thumbnails=thumbnails)
    page = Page(html)
    addresses = [
        one[key] for _, one in page.elements for key in ("src", "href", "srcset", "data", "action") if key in one
    ]
    assert all(address and address.startswith(("#", "data:image/jpeg;base64,")) for address in addresses)
    assert all(url.startswith('"data:') for url in re.findall(r"url\(([^)]*)", html))
    assert "://" not in re.sub(r"base64,[^\"]*", "", html)
    assert not page.all("link")
    policy = next(one["content"] for one in page.all("meta") if one.get("http-equiv") == "Content-Security-Policy")
    digest = base64.b64encode(hashlib.sha256(page.scripts[-1].encode()).digest()).decode()
    assert policy == (f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'")


def test_thumbnails_are_inside_where_there_are_some(timeline: Timeline) -> None:
    moments = wanted_moments(timeline)
    assert {moment.time_s for moment in moments} == {0, 2, 4}
    page = Page(render_page(timeline, thumbnails=dict.fromkeys(moments, jpeg())))
    pictures = page.all("img")
    assert len(pictures) == 2 + 2 + 3  # in the overview, of person 1 and of person 2
    assert all(one["alt"] for one in pictures)
    assert "Person 2 at 0:04.0: anger" in {one["alt"] for one in pictures}
    assert Page(render_page(timeline, thumbnails={moments[0]: jpeg()})).all("img")
    assert not Page(render_page(timeline)).all("img")


def test_names_are_inert(videos: Videos) -> None:
    evil = "<script>alert(1)</script>"
    classes = (f"z{evil}", "\"b' onload=x $name")
    records = [
        videos.record(
            i / 5,
            [videos.face(1, classes[i > 8], classes=classes)],
            source=f"a/{evil}\udcff$.mp4".replace("</", "<|"),
            model=f"{evil}&amp;",
        )
        for i in range(15)
    ]
    timeline = videos.timeline(records)
    plain = render_page(timeline)
    page = Page(plain)
    assert len(re.findall("<script", plain)) == len(page.scripts) == 3
    assert "alert" not in page.scripts[-1]
    assert tuple(json.loads(page.scripts[1])) == classes
    assert not [one for _, one in page.elements if any(key.startswith("on") for key in one)]
    for shown in (classes[0], classes[1], "<script>alert(1)<|script>?$.mp4", f"{evil}&amp;"):
        assert shown in page.text
    plain.encode("utf-8")


def test_own_classes_have_colors_and_no_emoji(videos: Videos) -> None:
    html = render_page(videos.timeline(videos.moods("zzzzzzbbbb", classes=("zeal", "boredom"))))
    assert ".c1 { --fill: #" in html
    assert "image/svg+xml" not in html
    assert not Page(html).all("i", class_="emoji c0")


def test_crowds_and_empty_videos(videos: Videos) -> None:
    crowd = Page(render_page(videos.timeline(videos.moods(*["h" * 10] * (MOST_PERSONS + 3)))))
    assert len(crowd.all("svg")) == MOST_PERSONS
    assert "30 persons who were seen longest are shown; 3 more" in crowd.text
    nobody = Page(render_page(videos.timeline([videos.record(0.0), videos.record(1.0, error="damaged")])))
    assert "No face was seen for long enough" in nobody.text
    assert "1 frame could not be read" in nobody.text
    alone = Page(render_page(videos.timeline(videos.moods("hhhhhh", source=None))))
    assert "Everyone at a glance" not in alone.text
    assert "video" in alone.text


def test_it_is_written_whole(timeline: Timeline, tmp_path: Path) -> None:
    path = tmp_path / "new" / "report.html"
    save_page(timeline, path)
    assert path.read_bytes() == render_page(timeline).encode()
    assert [entry.name for entry in path.parent.iterdir()] == ["report.html"]


def test_what_all_persons_showed_together(videos: Videos) -> None:
    # one person for two seconds, then two others; 3 is a stray
    moods = ("hhhhhnnnnn" + "-" * 20, "-" * 10 + "n" * 20, "-" * 10 + "a" + "-" * 19, "-" * 10 + "nnnnnnnnnnhhhhhnnnnn")
    page = Page(render_page(videos.timeline(videos.moods(*moods))))
    assert "All 3 persons" in page.text
    assert "happiness····2··2" in page.text  # in the row of happiness, under neutral, and in all
    assert "neutral···1···1" in page.text
    assert "Scene by scene" in page.text
    assert re.search(r"1 0:00\.0–0:02\.0.*Person 12\.0 s2 0:02\.0–0:06\.0.*Person 2, Person 4", page.text)
    assert "Person 3 was seen too shortly to be reported (0.2 s in all)." in page.text
    calm = Page(render_page(videos.timeline(videos.moods("n" * 20))))
    assert "From one emotion" not in calm.text
    assert "Scene by scene" not in calm.text


def test_bins_are_shown_where_they_are_asked_for(videos: Videos) -> None:
    timeline = videos.timeline(videos.moods("h" * 10 + "-" * 10 + "hhn" * 5))
    page = Page(render_page(timeline, every=2))
    assert "Every 2 s" in page.text
    rows = re.findall(r"(0:\d\d\.0)(\d\.\d s)", page.text.split("Every 2 s")[1])
    assert rows == [("0:00.0", "2.0 s"), ("0:04.0", "2.0 s"), ("0:06.0", "1.0 s")]
    assert "Scene 2 · 0:04.0" not in page.text
    films = videos.timeline(videos.moods("h" * 10 + "-" * 30 + "n" * 10))
    assert "Scene 2 · 0:08.0" in Page(render_page(films, every="scene")).text
    assert "Every" not in Page(render_page(timeline)).text.replace("Everyone", "")
    long = videos.timeline(videos.moods("h" * 700))
    assert f"{140 - MOST_BINS} more are in the tables" in Page(render_page(long, every=1)).text


def test_several_videos_on_one_page(videos: Videos) -> None:
    name = "Anna <img src=x onerror=alert(1)> & \"'"
    films = [
        videos.timeline(videos.moods("h" * 20, "n" * 20), {2: name}, video=1),
        videos.timeline(videos.moods("-" * 10 + "n" * 20, "ff" + "-" * 28, source="b/second.mp4"), {1: name}, video=2),
    ]
    html = render_page(films, thumbnails={films[1].persons[0].portrait: jpeg()})
    page = Page(html)
    assert "interview.mp4 and 1 more" in page.text
    for said in (
        "videos2",
        "persons2",
        "length10.0 s",
        "1. interview.mp4",
        "2. second.mp4",
        "Person 1.1",
        "All 2 persons",
    ):
        assert said in page.text
    assert "Person 2.2 was seen too shortly" in page.text
    assert [one["href"] for one in page.all("a")] == ["#person-1.1", "#person-1.2"]
    assert {one.get("id") for one in page.all("section")} >= {"person-1.1", "person-1.2", "person-2.1"}
    overview = page.text[page.text.index("Everyone") : page.text.index("1. interview.mp4")]
    assert re.search(rf"{re.escape(name)}.*neutral 100 %.*8\.0 s", overview)  # 4 seconds in each video
    assert len(page.all("svg")) == 3
    assert [one["alt"] for one in page.all("img")] == [name, f"{name} at 0:02.0"]
    assert not [one for one in page.all("img") if "onerror" in one]


def test_each_video_has_faces_of_its_own(videos: Videos) -> None:
    first, second = (videos.timeline(videos.moods("h" * 20), video=video) for video in (1, 2))
    moments = [moment for film in (first, second) for moment in wanted_moments(film)]
    assert len(set(moments)) == 2 * len(set(wanted_moments(first)))


def test_a_page_of_several_videos_has_room_for_those_seen_longest(videos: Videos) -> None:
    films = [
        videos.timeline(videos.moods(*["h" * 20] * (MOST_PERSONS - 1)), video=1),
        videos.timeline(videos.moods("h" * 30, "n" * 15 + "-" * 15, source="b.mp4"), video=2),
    ]
    page = Page(render_page(films))
    assert len(page.all("svg")) == MOST_PERSONS
    assert "30 persons who were seen longest are shown; 1 more are in the tables" in page.text
    assert "person-2.1" in {one.get("id") for one in page.all("section")}
    assert wanted_moments(films[1], shown_persons(films)) == wanted_moments(films[1], films[1].persons[:1])
