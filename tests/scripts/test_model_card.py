"""The script that writes MODEL_CARD.md, on a made model and made figures, and on what the repository holds."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import mien
from mien.emotions import EMOTIONS
from mien.errors import DataError, ModelError
from mien.evaluation.metrics import evaluate, report
from mien.model_card import CARD_KEY, ModelCard
from mien.runtime.weights import find_model

pytest.importorskip("torch", reason="the card is written where the network is known: without torch it is not")

ROOT = Path(__file__).parents[2]
DATA = {
    "source": "faces.csv",
    "fingerprint": "0123456789abcdef",
    "learned": 1234,
    "held_back": 56,
    "protocol": "ferplus",
    "leaked": 0,
    "min_share": 0.5,
}
COMPACT = {"input_size": 131, "width": 0.75, "pool": 3, "hidden": [512, 512], "dropout": 0.3}


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("model_card_script", ROOT / "scripts" / "model_card.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write_model(like: Path, path: Path, **card: Any) -> Path:
    """The test's small graph, with another card."""
    import onnx

    values = {"architecture": COMPACT, "temperature": 0.75, "data": DATA, "source": "feedbeefcafe", **card}
    model = onnx.load(like)
    onnx.helper.set_model_props(model, {CARD_KEY: ModelCard("made", "3", EMOTIONS, **values).to_json()})
    onnx.save(model, path)
    return path


@pytest.fixture
def model(brightness_model: Path, tmp_path: Path) -> Path:
    return write_model(brightness_model, tmp_path / "3.onnx")


def figures(protocol: str, seed: int, n: int = 1400) -> dict[str, Any]:
    """Made predictions that are mostly right, but for fear, which is mostly called surprise; no face shows disgust."""
    rng = np.random.default_rng(seed)
    truth = rng.choice([0, 2, 3, 4, 5, 6], n)
    logits = rng.normal(size=(n, 7))
    logits[np.arange(n), np.where((truth == 2) & (rng.random(n) < 0.8), 6, truth)] += 3
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return report(evaluate(probabilities, truth, classes=EMOTIONS, resamples=50), protocol=protocol, split="validation")


LINES = [figures(name, seed) for seed, name in enumerate(("fer2013", "ferplus", "ferplus-strict"))]


def write_figures(path: Path, *lines: dict[str, Any], model: str = "made-3-float32") -> Path:
    path.write_text("".join(json.dumps({"model": model, **line}) + "\n" for line in lines), encoding="utf-8")
    return path


def rows(text: str, first: str) -> list[list[str]]:
    """The cells of all lines of tables that begin with this cell."""
    lines = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    return [line for line in lines if line[0] == first]


def test_the_figures_are_those_of_the_evaluation(script: ModuleType, model: Path, tmp_path: Path) -> None:
    text = script.write_card(write_figures(tmp_path / "e.json", *LINES), model)
    assert text.startswith("# Model card: made 3\n")
    for line in LINES:
        accuracy = f"{100 * line['accuracy']:.1f}"
        overall, certain = rows(text, f"`{line['protocol']}`")
        low, high = line["accuracy_ci95"]
        assert overall[1:3] == ["1,400", f"{accuracy} ({100 * low:.1f} to {100 * high:.1f})"]
        assert overall[4] == f"{100 * line['ece']:.1f}"
        assert certain[1] == f"{100 * line['certain']['fraction']:.1f}"
        assert certain[2].startswith(f"{100 * line['certain']['accuracy']:.1f} (")
        assert certain[3:] == [accuracy, f"{100 * line['aurc']:.1f}"]
    ferplus = LINES[1]
    for name in EMOTIONS:
        ((_, precision, recall, f1, faces),) = rows(text, name)
        assert faces == str(ferplus["support"][name])
        if name == "disgust":
            assert (precision, recall, f1) == ("0.0", "–", "–")
            continue
        low, high = ferplus["recall_ci95"][name]
        assert precision == f"{100 * ferplus['precision'][name]:.1f}"
        assert recall == f"{100 * ferplus['recall'][name]:.1f} ({100 * low:.1f} to {100 * high:.1f})"
        assert f1 == f"{100 * ferplus['f1'][name]:.1f}"
    fear = f"fear ({100 * ferplus['recall']['fear']:.1f} % of {ferplus['support']['fear']})"
    assert f"**Less than half is found of {fear}.**" in text
    assert "The worst confusions: fear for surprise (" in text
    assert not re.search(r"\$\w", text)


def test_network_and_data_are_those_of_the_models_card(
    script: ModuleType, model: Path, brightness_model: Path, tmp_path: Path
) -> None:
    evaluation = write_figures(tmp_path / "e.json", *LINES)
    text = script.write_card(evaluation, model)
    assert "`alexnet-compact`: 72-192-288-288-192 filters, 512-512-7 fully connected, at 131x131; 3.2 M" in text
    assert "0.17 G multiply-adds" in text
    assert "`faces.csv`, fingerprint `0123456789ab`" in text
    assert "without any row whose pixels\nstand in validation" in text
    assert "1,234 faces were learned from, 56 were held back. Faces of which 50.0 %" in text
    assert "temperature 0.75" in text
    assert "commit `feedbee`" in text
    assert rows(text, "quantisation") == [["quantisation", "none"]]
    assert "The network began with random weights." in text

    taught = {**DATA, "init": {"source": "first", "sha256": "a" * 64}, "teachers": [{"file": "t", "sha256": "b" * 64}]}
    other = write_model(brightness_model, tmp_path / "4.onnx", data=taught, precision="int8", source=None)
    text = script.write_card(write_figures(tmp_path / "e.json", *LINES, model="made-3-int8"), other)
    assert f"the weights of `first` (sha256 `{'a' * 12}`), and was taught by `t` (sha256 `{'b' * 12}`)" in text
    assert "static int8" in rows(text, "quantisation")[0][1]
    assert rows(text, "code") == [["code", "not recorded"]]


def test_the_differences_from_2012_follow_from_the_config(script: ModuleType) -> None:
    from torch import device

    from mien.training.network import AlexNet, AlexNetConfig

    def texts(**fields: Any) -> str:
        with device("meta"):
            return "; ".join(script.differences(AlexNet(AlexNetConfig(**fields))))

    same = texts(in_channels=3, classes=1000, groups=2)
    assert same.startswith("batch normalisation")
    assert ";" not in same
    compact = texts(width=0.5, hidden=(512, 512), dropout=0.3, input_size=163)
    for words in (
        "48-128-192-192-128 filters for 96-256-384-384-256",
        "fully connected layers of 512-512 for 4096-4096",
        "one grey channel",
        "163x163 pixels for 227x227",
        "7 classes for 1000",
        "no split between two GPUs",
        "dropout 0.3 for 0.5",
    ):
        assert words in compact


def test_leaked_faces_and_original_labels_are_reported(
    script: ModuleType, brightness_model: Path, tmp_path: Path
) -> None:
    data = {**DATA, "protocol": "fer2013", "leaked": 7}
    text = script.write_card(
        write_figures(tmp_path / "e.json", *LINES), write_model(brightness_model, tmp_path / "3.onnx", data=data)
    )
    assert "with their original labels, **of which 7 stand in" in text
    assert "say contempt" not in text


def test_faces_without_labels_are_reported(script: ModuleType) -> None:
    text = script.rows({**DATA, "unlabeled": 200})
    assert "1,234 faces were learned from (200 of them by teachers alone, without labels), 56 were held back." in text


def test_notes_of_the_model_are_taken_along(script: ModuleType, model: Path, tmp_path: Path) -> None:
    evaluation = write_figures(tmp_path / "e.json", *LINES)
    (tmp_path / "made-2-float32.md").write_text("## Of another\n", encoding="utf-8")
    before = script.write_card(evaluation, model)
    assert "Of another" not in before
    (tmp_path / "made-3-float32.md").write_text("## How it was made\nBy hand.\n", encoding="utf-8")
    heads = [line for line in script.write_card(evaluation, model).splitlines() if line.startswith("## ")]
    assert heads.index("## How it was made") == heads.index("## Intended use, and limits") - 1


def test_figures_that_are_not_this_models_are_refused(
    script: ModuleType, model: Path, brightness_model: Path, tmp_path: Path
) -> None:
    path = tmp_path / "e.json"
    with pytest.raises(DataError, match=r"expected figures of made-3-float32, got those of other-1: evaluate anew"):
        script.write_card(write_figures(path, *LINES, model="other-1"), model)
    with pytest.raises(DataError, match="one whole line a protocol"):
        script.write_card(write_figures(path, LINES[1], LINES[1]), model)
    with pytest.raises(DataError, match="one whole line a protocol"):
        script.write_card(write_figures(path, {k: v for k, v in LINES[1].items() if k != "certain"}), model)
    with pytest.raises(DataError, match="expected figures by ferplus, got fer2013"):
        script.write_card(write_figures(path, LINES[0]), model)
    path.write_text("no figures", encoding="utf-8")
    with pytest.raises(DataError, match=r"e\.json: expected the lines of"):
        script.write_card(path, model)
    write_figures(path, *LINES)
    stale = {"ferplus/validation": {"accuracy": LINES[1]["accuracy"] + 0.01}}
    with pytest.raises(DataError, match="evaluate anew"):
        script.write_card(path, write_model(brightness_model, tmp_path / "stale.onnx", metrics=stale))
    with pytest.raises(
        ModelError, match="does not record fingerprint, held_back, leaked, learned, min_share, protocol, source"
    ):
        script.write_card(path, write_model(brightness_model, tmp_path / "bare.onnx", data={}))


def test_the_command_writes_the_file_or_says_why_not(
    script: ModuleType, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluation, out = write_figures(tmp_path / "e.json", *LINES), tmp_path / "CARD.md"
    monkeypatch.setattr(sys, "argv", ["model_card.py", str(evaluation), str(model), "--out", str(out)])
    assert script.main() == 0
    assert out.read_text(encoding="utf-8") == script.write_card(evaluation, model)
    assert capsys.readouterr().out == f"{out}\n"
    write_figures(evaluation, *LINES, model="other-1")
    before = out.read_bytes()
    assert script.main() == 2
    assert capsys.readouterr().err.startswith("error: ")
    assert out.read_bytes() == before


def test_the_card_in_the_repository_is_the_shipped_models(script: ModuleType) -> None:
    text = script.write_card(ROOT / "docs" / "results" / "shipped.json", find_model(mien.__version__))
    assert (ROOT / "MODEL_CARD.md").read_text(encoding="utf-8") == text
