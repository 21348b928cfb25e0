"""A timeline as one JSON document: its figures, and its schema."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mien.records import Origin, to_record
from mien.reports.aggregate import Gatherer
from mien.reports.summary import save_reports, to_report
from mien.reports.timeline import Timeline
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
        "fraction": 0.5,
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


def test_everyone_scenes_and_bins() -> None:
    gatherer = Gatherer()
    for index in range(60):  # two persons for two seconds each, one after the other; a stray at the end
        track = 1 if index < 20 else 2 if index < 40 else 0
        faces = [Face(Box(1, 1, 9, 9), None, CALM if index % 20 < 10 else GLAD, track=track)] if track else []
        if index == 59:
            faces.append(Face(Box(1, 1, 9, 9), None, CALM, track=3))
        gatherer.add(to_record(faces, Origin(None, 30, 20, frame=index, time_s=index / 10), model="m"))
    report = to_report(gatherer.timeline({2: "Anna"}), every=4)
    assert report["everyone"] == {
        "seen_s": 4.0,
        "uncertain_fraction": 0.0,
        "emotion": "happiness",
        "fractions": {"happiness": 0.5, "neutral": 0.5},
        "mean_probabilities": {"happiness": 0.425, "neutral": 0.575},
        "transitions": {"happiness": {}, "neutral": {"happiness": 2}},
    }
    assert [(one["track"], one["tracks"], one["name"]) for one in report["persons"]] == [
        (1, [1], None),
        (2, [2], "Anna"),
    ]
    assert (report["brief_tracks"], report["brief_numbers"]) == (1, [3])
    scenes = [(one["start_s"], one["end_s"], [who["name"] for who in one["persons"]]) for one in report["scenes"]]
    assert scenes == [(0.0, 2.0, [None]), (2.0, 4.0, ["Anna"])]
    bins = [(one["start_s"], one["end_s"], [who["seen_s"] for who in one["persons"]]) for one in report["bins"]]
    assert bins == [(0.0, 4.0, [2.0, 2.0]), (4.0, 6.0, [])]
    assert report["scenes"][0]["persons"][0]["emotions"]["happiness"] == {
        "seconds": 1.0,
        "fraction": 0.5,
        "mean_probability": 0.425,
        "began": 1,
    }
    assert to_report(gatherer.timeline())["bins"] == []


def test_a_line_for_each_video(tmp_path: Path) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    schemas = pytest.importorskip("mien.service.schemas")
    timelines: list[Timeline] = []
    for name in ("a.mp4", "b\udcff.mp4"):
        gatherer = Gatherer(len(timelines) + 1)
        for index in range(9):
            face = Face(Box(1, 1, 9, 9), None, CALM, track=1)
            gatherer.add(to_record([face], Origin(name, 30, 20, frame=index, time_s=index / 10), model="m"))
        timelines.append(gatherer.timeline({1: "Zoë"}))
    save_reports(timelines, tmp_path / "new" / "t.json", every=0.5)
    lines = (tmp_path / "new" / "t.json").read_text(encoding="ascii").splitlines()
    assert lines == [json.dumps(to_report(timeline, every=0.5)) for timeline in timelines]
    for line in lines:
        jsonschema.validate(json.loads(line), schemas.report_schema())
