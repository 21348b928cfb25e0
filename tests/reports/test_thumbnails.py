"""Thumbnails: the right face of the right moment, read in as few goes as needed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from mien.reports.thumbnails import SIDE, find_video, thumbnails
from mien.reports.timeline import Moment
from mien.types import Box, Frame

RATE = 10


class Film:
    """A minute whose frames are grey by their time, with a white square at (200, 100); remembers what was read."""

    def __init__(self) -> None:
        self.goes: list[tuple[float, float]] = []
        self.read = 0

    def frames(self, start: float, end: float) -> Iterator[Frame]:
        self.goes.append((start, end))
        for i in range(60 * RATE):
            if start <= i / RATE < end:
                self.read += 1
                image = np.full((240, 320, 3), 2 * (i // RATE), np.uint8)
                image[100:140, 200:240] = 255
                yield Frame(image, i, i / RATE)


def decoded(jpeg: bytes) -> np.ndarray:
    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return image


SQUARE = Box(200, 100, 40, 40)


def test_each_moment_has_its_face() -> None:
    film, done = Film(), []
    moments = [Moment(t, None, SQUARE) for t in (50.0, 3.000001, 3.0, 4.95, 59.9)]
    found = thumbnails(film.frames, moments, (320, 240), progress=lambda n, total: done.append((n, total)))
    assert set(found) == set(moments)
    for moment, jpeg in found.items():
        image = decoded(jpeg)
        assert image.shape == (68, 68, 3)
        assert image[34, 34, 0] > 245
        assert abs(int(image[3, 3, 0]) - 2 * int(moment.time_s + 0.05)) <= 3
    assert [round(start, 2) for start, _ in film.goes] == [3.0, 50.0, 59.9]
    assert film.read <= 23
    assert done == [(3, 5), (4, 5), (5, 5)]


def test_boxes_follow_the_size_of_the_video() -> None:
    moment = Moment(1.0, None, Box(400, 200, 80, 80))
    image = decoded(thumbnails(Film().frames, [moment], (640, 480))[moment])
    assert image.shape == (68, 68, 3)
    assert image[34, 34, 0] > 245


def test_a_square_stays_within_the_picture() -> None:
    corner, whole, odd = (
        Moment(1.0, None, box) for box in (Box(-10, -10, 60, 60), Box(0, 0, 320, 240), Box(310, 230, 0, 0))
    )
    found = thumbnails(Film().frames, [corner, whole, odd], None)
    assert decoded(found[corner]).shape == (102, 102, 3)
    assert decoded(found[whole]).shape == (SIDE, SIDE, 3)
    assert decoded(found[odd]).shape == (1, 1, 3)


def test_what_the_video_does_not_have_is_left_out() -> None:
    late, there = Moment(70.0, None, SQUARE), Moment(2.0, None, SQUARE)
    assert set(thumbnails(Film().frames, [late, there], None)) == {there}
    assert thumbnails(Film().frames, [], None) == {}

    def with_a_hole(start: float, end: float) -> Iterator[Frame]:
        return (frame for frame in Film().frames(start, end + 9) if frame.time_s > 8)

    assert thumbnails(with_a_hole, [there], None) == {}


def test_the_video_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("av")
    monkeypatch.chdir(tmp_path)
    records = tmp_path / "out" / "t.jsonl"
    (tmp_path / "out").mkdir()
    assert find_video("clips/x.mp4", records) is None
    beside = tmp_path / "out" / "x.mp4"
    beside.touch()
    assert find_video("clips/x.mp4", records) == beside
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "x.mp4").touch()
    assert find_video("clips/x.mp4", records) == Path("clips/x.mp4")
    (tmp_path / "notes.txt").touch()
    assert find_video("notes.txt", records) is None
    assert find_video(None, records) is None
