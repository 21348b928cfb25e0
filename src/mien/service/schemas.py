"""The OpenAPI document's schemas: those of `mien.records`, by pydantic. Responses are not made of them."""

from __future__ import annotations

from typing import Any, Final

from pydantic import BaseModel, ConfigDict, TypeAdapter

from mien.records import (
    BoxRecord,
    ExplainedFaceRecord,
    ExplanationRecord,
    FaceRecord,
    LandmarksRecord,
    PictureRecord,
    PointRecord,
    PoseRecord,
)
from mien.reports.summary import (
    EmotionSummary,
    EveryoneSummary,
    PersonSummary,
    SpanEmotion,
    SpanPerson,
    SpanSummary,
    StretchSummary,
    VideoReport,
)
from mien.runtime.search_table import SearchTable
from mien.service.page_config import CropRuleRecord, EngineFiles, PageConfig, ServiceConfig

# Descriptions are the docstrings below the fields.
_RECORDS: Final = (BoxRecord, PointRecord, LandmarksRecord, PoseRecord, FaceRecord, PictureRecord)
_EXPLANATIONS: Final = (ExplainedFaceRecord, ExplanationRecord)
_REPORTS: Final = (
    *(EmotionSummary, StretchSummary, PersonSummary, EveryoneSummary),
    *(SpanEmotion, SpanPerson, SpanSummary, VideoReport),
)
_ALL: Final = (
    *_RECORDS,
    *_EXPLANATIONS,
    *_REPORTS,
    EngineFiles,
    CropRuleRecord,
    ServiceConfig,
    SearchTable,
    PageConfig,
)
for _record in _ALL:
    setattr(_record, "__pydantic_config__", ConfigDict(use_attribute_docstrings=True))  # noqa: B010 - not declared

_EXAMPLE: Final[PictureRecord] = {
    "schema": 1,
    "model": "mien-0.4.0-int8",
    "source": "astronaut.jpg",
    "frame": None,
    "time_s": None,
    "width": 512,
    "height": 512,
    "faces": [
        {
            "box": {"x": 178.2, "y": 62.8, "width": 90.1, "height": 113.2},
            "score": 0.9301,
            "emotion": "happiness",
            "confidence": 0.999998,
            "uncertain": False,
            "probabilities": {
                "anger": 0.0,
                "disgust": 0.0,
                "fear": 0.0,
                "happiness": 0.999998,
                "neutral": 2e-06,
                "sadness": 0.0,
                "surprise": 0.0,
            },
            "track": None,
            "pose": {"yaw": 1.5, "pitch": 2.2, "roll": -0.4},
        }
    ],
    "error": None,
}


def record_schema(ref_template: str = "#/$defs/{model}") -> dict[str, Any]:
    """The JSON Schema of a PictureRecord; the schemas that it refers to are under `$defs`."""
    return {**TypeAdapter(PictureRecord).json_schema(ref_template=ref_template), "example": _EXAMPLE}


def explanation_schema(ref_template: str = "#/$defs/{model}") -> dict[str, Any]:
    """The JSON Schema of an ExplanationRecord; the schemas that it refers to are under `$defs`."""
    return TypeAdapter(ExplanationRecord).json_schema(ref_template=ref_template)


def report_schema(ref_template: str = "#/$defs/{model}") -> dict[str, Any]:
    """The JSON Schema of a VideoReport; the schemas that it refers to are under `$defs`."""
    return TypeAdapter(VideoReport).json_schema(ref_template=ref_template)


def page_schema() -> dict[str, Any]:
    """The JSON Schema of page.json, which the service's own page reads."""
    return TypeAdapter(PageConfig).json_schema()


class StatusRecord(BaseModel):
    """How the service is."""

    status: str
