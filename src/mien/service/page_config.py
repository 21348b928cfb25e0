"""What the page must know: page.json, of the service or of a site of static files."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import mien
from mien.analyzer import Analyzer
from mien.emotions import EMOTION_COLORS
from mien.options import Order
from mien.runtime.detectors import BUILT_IN, YuNetDetector
from mien.runtime.search_table import TABLE, SearchTable
from mien.runtime.weights import find_yunet
from mien.service.settings import FORMATS, Settings
from mien.types import CropRule, DetectMode

if sys.version_info >= (3, 12):
    from typing import TypedDict
else:
    from typing_extensions import TypedDict


class EngineFiles(TypedDict):
    """The ONNX files that run in the browser, by their addresses relative to the page."""

    model: str
    detector: str | None
    """YuNet; null where it is not installed."""


class CropRuleRecord(TypedDict):
    """Where FER2013's frame lies relative to a detector's box (`mien.CropRule`)."""

    side: float
    x: float
    y: float


class ServiceConfig(TypedDict):
    """The service behind the page, and what it takes."""

    detector: str
    """Name of its detector."""
    key_required: bool
    formats: list[str]
    """Media types of pictures that it decodes."""
    max_body: int
    """In bytes, of one request's body."""
    max_frame: int
    """In bytes, of one frame of a stream."""
    max_pixels: int
    """Width times height of one picture."""


class PageConfig(TypedDict):
    """What the page must know: GET page.json."""

    version: str
    model: str
    """Id of the model."""
    classes: list[str]
    colors: dict[str, str]
    """#rrggbb by class; a custom class may have none."""
    uncertain_below: float
    prior_weights: list[float] | None
    """By class, the prior over that of the training data; null: the same."""
    min_face: float
    min_face_score: float
    max_faces: int | None
    """Of a picture, the largest ones; null: all."""
    order: Order
    detect_mode: DetectMode
    detect_side: int | None
    """Faces are detected in at most N pixels of a picture's longer side; null: every pixel of a photo."""
    stream_side: int
    """The same of a stream's frame, where detect_side is null."""
    search: SearchTable
    """How YuNet is used."""
    crop_rules: dict[str, CropRuleRecord]
    """By the detector's name."""
    engine: EngineFiles
    service: ServiceConfig | None
    """null where the page is a site of static files: then pictures are read in the browser only."""


def page_config(analyzer: Analyzer, engine: EngineFiles, service: ServiceConfig | None) -> PageConfig:
    """What page.json holds; `as_json` brings it into the form that `json` takes."""
    options = analyzer.options
    return {
        "version": mien.__version__,
        "model": analyzer.model_id,
        "classes": list(analyzer.card.classes),
        "colors": {name: "#{:02x}{:02x}{:02x}".format(*color) for name, color in EMOTION_COLORS.items()},
        "uncertain_below": options.uncertain_below,
        "prior_weights": None if (weights := analyzer.prior_weights) is None else weights.tolist(),
        "min_face": options.min_face,
        "min_face_score": options.min_face_score,
        "max_faces": options.max_faces,
        "order": options.order,
        "detect_mode": options.detect_mode,
        "detect_side": options.detect_side,
        "stream_side": YuNetDetector.STREAM_SIDE,
        "search": TABLE,
        "crop_rules": {name: _rule(detector.crop_rule) for name, detector in BUILT_IN.items()},
        "engine": engine,
        "service": service,
    }


def service_config(analyzer: Analyzer, settings: Settings) -> ServiceConfig:
    """What the page must know of the service that serves an analyzer."""
    return {
        "detector": analyzer.detector.name,
        "key_required": bool(settings.api_keys),
        "formats": list(FORMATS.values()),
        "max_body": settings.max_body,
        "max_frame": settings.max_frame,
        "max_pixels": settings.max_pixels,
    }


def as_json(config: PageConfig) -> dict[str, Any]:
    """The config as `json` takes it."""
    return {**config, "search": asdict(config["search"])}


def engine_yunet(analyzer: Analyzer) -> Path | None:
    """YuNet's file that runs in the browser: the analyzer's, or where it has another detector, the installed one."""
    detector = analyzer.detector
    return detector.model_file if isinstance(detector, YuNetDetector) else find_yunet()


def _rule(rule: CropRule) -> CropRuleRecord:
    return {"side": rule.side, "x": rule.x, "y": rule.y}
