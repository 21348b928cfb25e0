"""What is generated from the wire format's types is what is committed, and holds for what Mien writes."""

from __future__ import annotations

import json
from pathlib import Path
from runpy import run_path
from typing import Any

import pytest

from mien.records import Origin, to_record
from mien.reports.validate import check_frame
from mien.types import Box, Face

pytest.importorskip("fastapi")
jsonschema = pytest.importorskip("jsonschema")
ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope="module")
def script() -> dict[str, Any]:
    return run_path(str(ROOT / "scripts" / "record_types.py"))


def test_the_committed_files_are_what_the_types_make(script: dict[str, Any]) -> None:
    for name in ("schema", "types", "config"):
        path, text = script[name.upper()], script[f"{name}_text"]()
        assert path.read_text(encoding="utf-8") == text, f"run python scripts/record_types.py: {path.name} differs"


def test_what_may_be_missing_may_be_missing_in_typescript(script: dict[str, Any]) -> None:
    text = script["types_text"]()
    assert "  landmarks?: Landmarks | null;" in text
    assert "  pose?: Pose | null;" in text
    assert text.count("?:") == 2


def test_records_fit_the_schema_and_reports_read_them(script: dict[str, Any]) -> None:
    schema = json.loads(script["schema_text"]())
    jsonschema.validate(schema["example"], schema)
    face = Face(Box(1, 2, 3, 4), None, {"fear": 0.75, "anger": 0.25}, track=3)
    frame = to_record([face], Origin("a.mp4", 30, 20, frame=2, time_s=0.5), model="m")
    jsonschema.validate(frame, schema)
    assert check_frame(frame).faces[0].emotion == "fear"
    points = ((1, 2), (3, 2), (2, 3), (1, 4), (3, 4))
    for landmarks in (points, None):
        face = Face(Box(1, 2, 3, 4), None, {"fear": 0.75, "anger": 0.25}, landmarks, track=3)
        detailed = to_record([face], Origin("a.mp4", 30, 20, frame=2, time_s=0.5), model="m", landmarks=True)
        jsonschema.validate(detailed, schema)
        assert check_frame(detailed) == check_frame(frame)
    jsonschema.validate(to_record([], Origin("a.jpg"), model="m", error="a.jpg: no such file"), schema)
    for name in frame:
        with pytest.raises(jsonschema.ValidationError, match=f"'{name}' is a required property"):
            jsonschema.validate({key: value for key, value in frame.items() if key != name}, schema)
