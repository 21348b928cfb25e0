"""Records of made-up videos."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest

from mien.emotions import EMOTIONS
from mien.reports.aggregate import Gatherer
from mien.reports.timeline import Timeline

if TYPE_CHECKING:
    from playwright.sync_api import Browser

Record: TypeAlias = dict[str, Any]


class Videos:
    """Makes records as `mien predict VIDEO --json` does, and timelines of them."""

    @staticmethod
    def face(
        track: int,
        emotion: str,
        probability: float = 0.9,
        *,
        classes: Sequence[str] = EMOTIONS,
        box: tuple[float, float, float, float] = (10.0, 20.0, 30.0, 40.0),
    ) -> Record:
        rest = (1 - probability) / (len(classes) - 1)
        return {
            "box": dict(zip(("x", "y", "width", "height"), box, strict=True)),
            "score": 0.9,
            "emotion": emotion,
            "confidence": probability,
            "uncertain": probability < 0.6,
            "probabilities": {name: probability if name == emotion else rest for name in classes},
            "track": track,
        }

    @staticmethod
    def record(time_s: float, faces: Iterable[Mapping[str, Any]] = (), **changes: Any) -> Record:
        record = {
            "schema": 1,
            "model": "mien 0.4.0",
            "source": "clips/interview.mp4",
            "frame": round(time_s * 25),
            "time_s": time_s,
            "width": 320,
            "height": 240,
            "faces": list(faces),
            "error": None,
        }
        return record | changes

    def moods(self, *tracks: str, rate: float = 5.0, classes: Sequence[str] = EMOTIONS, **changes: Any) -> list[Record]:
        """A record a frame: each track is a text with a letter a frame, of which the class begins with; - is unseen."""
        initials = {name[0]: name for name in classes}
        return [
            self.record(
                i / rate,
                [
                    self.face(number, initials[letters[i]], classes=classes)
                    for number, letters in enumerate(tracks, 1)
                    if letters[i] != "-"
                ],
                **changes,
            )
            for i in range(len(tracks[0]))
        ]

    @staticmethod
    def timeline(
        records: Iterable[Mapping[str, Any]], names: Mapping[int, str] | None = None, video: int | None = None
    ) -> Timeline:
        gatherer = Gatherer(video)
        for record in records:
            gatherer.add(record)
        return gatherer.timeline(names or {})


@pytest.fixture(scope="session")
def videos() -> Videos:
    return Videos()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    playwright = pytest.importorskip("playwright.sync_api")
    path = os.environ.get("MIEN_CHROMIUM") or shutil.which("chromium")
    if path is None:
        pytest.skip("there is no chromium on the PATH, and MIEN_CHROMIUM does not name one")
    with (
        playwright.sync_playwright() as driver,
        driver.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-dev-shm-usage"]) as browser,
    ):
        yield browser
