from __future__ import annotations

import re
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import pytest

from mien.compat import FaceNotDetectedError, InvalidImageError, InvalidOptionError, common
from mien.emotions import EMOTIONS
from mien.errors import ConfigError, ImageError
from mien.model_card import ModelCard
from mien.runtime.classifier import Classifier
from mien.types import Box


def test_the_names_of_peers_cover_the_emotions_in_their_order() -> None:
    assert list(common.PEER_NAMES) == ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"]
    assert sorted(common.PEER_NAMES.values()) == list(EMOTIONS)


def test_errors_belong_to_both_worlds() -> None:
    for error, base in (
        (FaceNotDetectedError, ImageError),
        (InvalidImageError, ImageError),
        (InvalidOptionError, ConfigError),
    ):
        assert issubclass(error, base)
        assert issubclass(error, ValueError)


def test_the_import_loads_neither_model_nor_detector() -> None:
    code = """
from mien.compat import FER, DeepFace, common
print(common._classifier.cache_info().currsize, common._detector.cache_info().currsize)
FER()
print(common._classifier.cache_info().currsize, common._detector.cache_info().currsize)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["0 0", "1 1"]


def test_threads_get_one_model_that_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    class Slow:
        card = ModelCard("slow", "1", EMOTIONS, {})

        def __init__(self, path: object) -> None:
            made.append(path)
            threading.Event().wait(0.05)

    monkeypatch.setattr(common, "Classifier", Slow)
    common._classifier.cache_clear()
    try:
        with ThreadPoolExecutor(8) as pool:
            analyzers = list(pool.map(lambda size: common.analyzer_for("haar", min_face=size), range(8)))
    finally:
        common._classifier.cache_clear()
    assert len(made) == 1
    assert len({id(analyzer._classifier) for analyzer in analyzers}) == 1
    assert len({id(analyzer.detector._local) for analyzer in analyzers}) == 1  # type: ignore[attr-defined]
    assert [analyzer.options.min_face for analyzer in analyzers] == list(range(8))


def test_the_shared_model_is_the_shipped_one() -> None:
    analyzer = common.analyzer_for("none", min_face=0)
    assert isinstance(analyzer._classifier, Classifier)
    assert set(common.PEER_NAMES.values()) == set(analyzer.card.classes)


@pytest.mark.parametrize(
    ("box", "wanted"),
    [
        (Box(10.4, 20.6, 30.2, 10.0), (10, 21, 31, 10)),
        (Box(-5.0, -7.0, 20.0, 20.0), (0, 0, 15, 13)),
        (Box(90.0, 40.0, 30.0, 30.0), (90, 40, 10, 10)),
        (Box(-9.0, -9.0, 900.0, 900.0), (0, 0, 100, 50)),
    ],
)
def test_boxes_are_whole_pixels_within_the_picture(box: Box, wanted: tuple[int, ...]) -> None:
    got = common.pixel_box(box, 100, 50)
    assert got == wanted
    assert {type(value) for value in got} == {int}


def test_the_code_in_the_docs_runs(tmp_path: Path) -> None:
    page = Path(__file__).resolve().parents[2] / "docs" / "switching.md"
    if not page.is_file():
        pytest.skip("this copy of Mien comes without docs/")
    cv2.imwrite(str(tmp_path / "photo.jpg"), pytest.importorskip("skimage.data").astronaut()[:, :, ::-1])
    blocks = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 3
    for code in blocks:
        done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert "happ" in done.stdout
