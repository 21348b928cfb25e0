from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from mien.analysis import Analysis
from mien.errors import ConfigError
from mien.spool import Spool
from mien.types import Box, Face, Pose

CLASSES = ("calm", "glad")
WHOLE = Face(
    Box(-1 / 3, 2.25, 30, 41.7),
    0.987654321,
    {"calm": np.float32(0.1).item(), "glad": np.float32(0.9).item()},
    tuple((x / 7, x / 3) for x in range(5)),
    0.6,
    3,
    Pose(12.5, -3.25, 0.1),
)
PLAIN = replace(WHOLE, score=None, landmarks=None, pose=None, track=1)


def result(frame: int, *faces: Face) -> Analysis:
    image = np.full((48, 64, 3), frame, np.uint8)
    return Analysis(faces, "m", "v.mp4", image, frame=frame, time_s=frame / 29.97, classes=CLASSES)


def test_results_come_back_as_they_were_but_for_their_pictures() -> None:
    results = [result(0, WHOLE, PLAIN), result(1), result(2, PLAIN)]
    with Spool() as spool:
        assert list(spool) == []
        for one in results:
            spool.add(one)
        assert len(spool) == 3
        for _ in range(2):
            again = list(spool)
            assert [one.faces for one in again] == [one.faces for one in results]
            assert [one.to_dict(landmarks=True) for one in again] == [one.to_dict(landmarks=True) for one in results]
            assert all(one.image.size == 0 for one in again)


def test_a_full_disk_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*arguments: Any, **options: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tempfile.TemporaryFile", fails)
    with pytest.raises(ConfigError, match=r"the results cannot be stored in .*: No space left on device"), Spool():
        pass
