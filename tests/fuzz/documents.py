"""Fuzz targets: records, and what reports make of them; models and their cards; plans of annotations."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from mien.emotions import EMOTIONS
from mien.model_card import ModelCard

from ..brightness import save_brightness_model
from .target import Run, Target


def _records(folder: Path) -> Run:
    from mien.reports.load import read_timeline
    from mien.reports.page import save_page
    from mien.reports.subtitles import save_subtitles
    from mien.reports.summary import save_reports
    from mien.reports.tables import save_csv, table_of

    path = folder / "video.jsonl"

    def run(data: bytes) -> None:
        path.write_bytes(data)
        timeline = read_timeline(path)
        save_reports([timeline], folder / "out.jsonl")
        save_csv(table_of([timeline], 5.0), folder / "out.csv")
        save_subtitles(timeline, folder / "out.srt")
        save_page([timeline], folder / "out.html", every="scene")

    return run


def _record_seeds() -> list[bytes]:
    def line(frame: int, *tracks: int, **changes: Any) -> bytes:
        probabilities = {name: 0.7 if place == frame % 7 else 0.05 for place, name in enumerate(EMOTIONS)}
        face = {
            "box": {"x": 1.0, "y": 2.0, "width": 30.0, "height": 40.0},
            "emotion": EMOTIONS[frame % 7],
            "uncertain": False,
            "probabilities": probabilities,
        }
        record = {"schema": 1, "model": "m", "source": "a.mp4", "frame": frame, "time_s": frame / 5}
        record |= {"width": 64, "height": 48, "faces": [{**face, "track": track} for track in tracks], "error": None}
        return json.dumps(record | changes).encode() + b"\n"

    error = line(3, error="damaged")
    return [line(0, 1), line(0, 1, 2) + line(1, 1) + error + line(30, 2), line(0) + b"\n" + line(1)]


def _model_card(folder: Path) -> Run:
    """A card in an ONNX file, by all that use it: protobuf messages may be joined, and of two cards the last counts."""
    from typer.testing import CliRunner

    from mien.analyzer import load
    from mien.cli.app import app

    path, onnx = folder / "model.onnx", save_brightness_model(folder / "brightness.onnx").read_bytes()

    def run(data: bytes) -> None:
        path.write_bytes(onnx + _field(14, _field(1, b"mien.card") + _field(2, data)))
        shown = CliRunner().invoke(app, ["info", "--model", str(path), "--detector", "none"], catch_exceptions=False)
        assert shown.exit_code in (0, 1)
        analyzer = load(path, detector="none", threads=1, prior="uniform")
        json.dumps(analyzer.analyze(np.zeros((48, 48, 3), np.uint8)).to_dict())

    return run


def _field(number: int, value: bytes) -> bytes:
    """A field of bytes in a protobuf message."""
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _varint(number: int) -> bytes:
    groups = [number >> shift & 127 for shift in range(0, max(1, number.bit_length()), 7)]
    return bytes([group | 128 for group in groups[:-1]] + groups[-1:])


def _card_seeds() -> list[bytes]:
    card = ModelCard("a", "1.0", EMOTIONS, {"kind": "alexnet"}, source="abc")
    frequencies = {"class_frequencies": dict.fromkeys(EMOTIONS, 1 / 7), "rows": 3}
    return [
        each.to_json().encode()
        for each in (card, replace(card, data=frequencies, metrics={"ferplus/validation": {"accuracy": 0.5}}))
    ]


def _model(folder: Path) -> Run:
    from mien.analyzer import load

    path = folder / "model.onnx"

    def run(data: bytes) -> None:
        path.write_bytes(data)
        analyzer = load(path, detector="none", threads=1)
        json.dumps(analyzer.analyze(np.zeros((48, 48, 3), np.uint8)).to_dict())

    return run


def _model_seeds() -> list[bytes]:
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        return [save_brightness_model(Path(folder) / "model.onnx").read_bytes()]


def _yunet_file(folder: Path) -> Run:
    from mien.runtime.yunet_file import place_yunet

    path = folder / "given.onnx"

    def run(data: bytes) -> None:
        path.write_bytes(data)
        place_yunet(path, folder / "yunet.onnx")

    return run


TARGETS = {
    "records": Target(_records, _record_seeds),
    "model_card": Target(_model_card, _card_seeds, needs=("onnx",)),
    "model": Target(_model, _model_seeds, needs=("onnx",)),
    "yunet_file": Target(_yunet_file, _model_seeds, needs=("onnx",)),
}
