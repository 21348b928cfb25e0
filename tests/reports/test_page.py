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

from mien.reports.page import MOST_PERSONS, render_page, save_page, wanted_moments

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
    assert "1 face was seen too shortly to be shown (0.4 s in all)" in page.text
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
