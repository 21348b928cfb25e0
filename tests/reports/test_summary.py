"""A timeline as one JSON document: its figures, and its schema."""

from __future__ import annotations

import json

import pytest

from mien.records import Origin, to_record
from mien.reports.aggregate import Gatherer
from mien.reports.summary import to_report
from mien.types import Box, Face

CALM, GLAD = {"happiness": 0.1, "neutral": 0.9}, {"happiness": 0.75, "neutral": 0.25}


def test_a_report_has_each_persons_seconds_stretches_and_probabilities() -> None:
    gatherer = Gatherer()
    for index in range(40):  # the face is away for a second in the middle
        seen = () if 15 <= index < 25 else (Face(Box(1, 1, 9, 9), None, GLAD if index < 15 else CALM, track=7),)
        gatherer.add(to_record(seen, Origin(None, 30, 20, frame=index, time_s=index / 10), model="m"))
    report = json.loads(json.dumps(to_report(gatherer.timeline(), ["the video: damaged"]), allow_nan=False))
    [person] = report["persons"]
    assert (report["frames"], report["width"], report["end_s"]) == (40, 30, 4.0)
    assert report["problems"] == ["the video: damaged"]
    assert (person["track"], person["first_s"], person["last_s"], person["seen_s"]) == (7, 0.0, 4.0, 3.0)
    assert person["stretches"] == [
        {"start_s": 0.0, "end_s": 1.5, "emotion": "happiness"},
        {"start_s": 2.5, "end_s": 4.0, "emotion": "neutral"},
    ]
    assert person["emotions"]["happiness"] == {
        "seconds": 1.5,
        "share": 0.5,
        "mean_probability": 0.425,
        "stretches": 1,
        "longest_s": 1.5,
        "peak_s": 0.0,
        "peak_probability": 0.75,
    }
    assert person["emotions"]["neutral"]["peak_s"] is None
    assert len(report["edges_s"]) == len(person["probabilities"]["neutral"]) + 1 == 41
    assert person["probabilities"]["happiness"] == pytest.approx([0.75] * 15 + [None] * 10 + [0.1] * 15, abs=1e-4)


def test_without_a_face_there_is_nobody_and_both_fit_the_schema() -> None:
    pytest.importorskip("fastapi")
    jsonschema = pytest.importorskip("jsonschema")
    from mien.service.schemas import report_schema

    schema = report_schema()
    for faces in ((), (Face(Box(1, 1, 9, 9), None, CALM, track=1),)):
        gatherer = Gatherer()
        gatherer.add(to_record(faces, Origin(None, 30, 20, frame=0, time_s=0.0), model="m"))
        report = json.loads(json.dumps(to_report(gatherer.timeline())))
        jsonschema.validate(report, schema)
        assert len(report["persons"]) == len(faces)
