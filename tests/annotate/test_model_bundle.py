from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mien.annotate.model_bundle import ModelBundle
from mien.annotate.plan import Options, Plan
from mien.annotate.storage import Folder
from mien.emotions import EMOTIONS
from mien.errors import ConfigError, DetectorError, ModelError, StorageError
from mien.options import AnalyzerOptions

from ..conftest import YUNET_FILE, needs_yunet

pytest.importorskip("fsspec")


@pytest.fixture
def gathered(brightness_model: Path) -> ModelBundle:
    return ModelBundle.gather(Options(model=str(brightness_model), detector="none"))


@pytest.fixture
def made(gathered: ModelBundle, plan: Callable[..., Plan]) -> Plan:
    return plan(
        Options(analyzer=AnalyzerOptions(uncertain_below=0.0)),
        model=gathered.model_record,
        detector=gathered.detector_record,
    )


def test_what_is_gathered_says_what_it_is(gathered: ModelBundle, brightness_model: Path) -> None:
    content = brightness_model.read_bytes()
    assert gathered.model == content
    assert gathered.model_record == {
        "id": "brightness-1.0-float32",
        "sha256": hashlib.sha256(content).hexdigest(),
        "classes": list(EMOTIONS),
    }
    assert gathered.detector is None
    assert gathered.detector_record == {"name": "none", "sha256": None}


@needs_yunet
def test_a_detector_with_a_file_is_gathered_with_it(brightness_model: Path) -> None:
    gathered = ModelBundle.gather(Options(model=str(brightness_model), detector="auto", detector_model=YUNET_FILE))
    assert gathered.detector
    assert gathered.detector_record == {"name": "yunet", "sha256": hashlib.sha256(gathered.detector).hexdigest()}


def test_what_is_not_there_is_told(tmp_path: Path, brightness_model: Path) -> None:
    with pytest.raises((ModelError, ConfigError)):
        ModelBundle.gather(Options(model=str(tmp_path / "gone.onnx"), detector="none"))
    with pytest.raises((DetectorError, ConfigError)):
        ModelBundle.gather(
            Options(model=str(brightness_model), detector="yunet", detector_model=tmp_path / "gone.onnx")
        )


@pytest.mark.parametrize("place", ["local", "memory"])
def test_what_is_kept_judges_elsewhere(
    place: str, gathered: ModelBundle, made: Plan, tmp_path: Path, memory: object
) -> None:
    out = Folder(str(tmp_path) if place == "local" else "memory://out")
    gathered.save(out)
    assert out.names("plan") == ["model.onnx"]
    kept = ModelBundle.saved(out, made)
    assert kept == gathered
    analyzer = kept.analyzer(made, None)
    out.remove("plan/model.onnx")
    for level in (0, 3, 6):
        result = analyzer.analyze(np.full((60, 60, 3), round(255 * level / 6), np.uint8))
        assert [face.emotion for face in result.faces] == [EMOTIONS[level]]
        assert [face.uncertain for face in result.faces] == [False]


@needs_yunet
def test_a_detector_is_kept_and_used(brightness_model: Path, plan: Callable[..., Plan], tmp_path: Path) -> None:
    gathered = ModelBundle.gather(Options(model=str(brightness_model), detector="yunet", detector_model=YUNET_FILE))
    out = Folder(str(tmp_path))
    gathered.save(out)
    made = plan(model=gathered.model_record, detector=gathered.detector_record)
    kept = ModelBundle.saved(out, made)
    assert kept == gathered
    assert kept.analyzer(made, None).detector.name == "yunet"


def test_a_detectors_file_is_held_against_the_plan(plan: Callable[..., Plan], tmp_path: Path) -> None:
    out, digests = Folder(str(tmp_path)), [hashlib.sha256(content).hexdigest() for content in (b"model", b"detector")]
    model, detector = {"id": "m", "sha256": digests[0], "classes": []}, {"name": "yunet", "sha256": digests[1]}
    made = plan(model=model, detector=detector)
    ModelBundle(b"model", b"detector", model, detector).save(out)
    assert ModelBundle.saved(out, made).detector == b"detector"
    out.write("plan/detector.onnx", b"detectos")
    with pytest.raises(StorageError, match=r"plan/detector\.onnx is missing or damaged"):
        ModelBundle.saved(out, made)


@pytest.mark.parametrize("how", ["missing", "cut", "flipped", "another"])
def test_what_is_not_as_planned_is_refused(how: str, gathered: ModelBundle, made: Plan, tmp_path: Path) -> None:
    out = Folder(str(tmp_path))
    gathered.save(out)
    content = bytearray(gathered.model)
    if how == "missing":
        out.remove("plan/model.onnx")
    else:
        content[7] ^= how == "flipped"
        out.write("plan/model.onnx", {"cut": bytes(content[:-1]), "another": b"x"}.get(how, bytes(content)))
    with pytest.raises(
        StorageError, match=r"plan/model\.onnx is missing or damaged: the same command puts it there again"
    ):
        ModelBundle.saved(out, made)
