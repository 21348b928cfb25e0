"""The page, the ONNX files that it may run itself, and the OpenAPI document's reader."""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
import re
import sys
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Final

from fastapi import APIRouter, Request
from fastapi.encoders import jsonable_encoder
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse

from mien.analyzer import Analyzer
from mien.emotions import EMOTION_COLORS
from mien.options import Order
from mien.runtime.detectors import BUILT_IN, YuNetDetector
from mien.runtime.search_table import TABLE, SearchTable
from mien.runtime.weights import find_yunet
from mien.service.errors import Problem
from mien.service.memory import PIECE, SharedResponse
from mien.service.settings import FORMATS, Settings
from mien.types import CropRule, DetectMode

if sys.version_info >= (3, 12):
    from typing import TypedDict
else:
    from typing_extensions import TypedDict

BUILT: Final = Path(__file__).parent / "page"
"""Where `make page` builds the page. Each file is stored gzipped, as NAME.gz: in the wheel it takes a quarter."""

_BINARY: Final = "application/octet-stream"
_HASHED: Final = re.compile(r"-[\w-]{8}\.\w+$")

_UNBUILT: Final = """<!DOCTYPE html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Mien</title><link rel="icon" href="data:,">
<h1>Mien</h1>
<p>The service runs, but its page is not built in this copy of Mien. In a checkout, <code>make serve</code> builds and
serves it; or <code>make page</code> builds it, and <code>pip install '.[serve]'</code> then installs it along.</p>
<p>Programs need no page: <a href="openapi.json">openapi.json</a> tells what there is, such as
<code>POST v1/predict</code>.</p>
</html>
"""

_DOCS: Final = """<!DOCTYPE html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Mien: the service's interface</title>
<link rel="icon" href="assets/icon.svg">
<link rel="stylesheet" href="assets/swagger-ui.css">
<div id="docs"></div>
<script src="assets/swagger-ui-bundle.js"></script>
<script src="docs.js"></script>
</html>
"""

_DOCS_SCRIPT: Final = """SwaggerUIBundle({ url: "openapi.json", dom_id: "#docs", validatorUrl: null });
"""


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


class PageConfig(TypedDict):
    """What the page must know of the service: GET page.json."""

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
    detector: str
    """Name of the service's detector."""
    key_required: bool
    formats: list[str]
    """Media types of pictures that the service decodes."""
    max_body: int
    """In bytes, of one request's body."""
    max_frame: int
    """In bytes, of one frame of a stream."""
    max_pixels: int
    """Width times height of one picture."""
    crop_rules: dict[str, CropRuleRecord]
    """By the detector's name."""
    engine: EngineFiles


def page_router(analyzer: Analyzer, settings: Settings, *, version: str) -> APIRouter:
    """The routes. What the page may run in the browser are the analyzer's model, and YuNet where it is installed."""
    router = APIRouter(include_in_schema=False)
    detector = analyzer.detector
    yunet = detector.model_file if isinstance(detector, YuNetDetector) else find_yunet()
    about = jsonable_encoder(_about(analyzer, settings, version, has_yunet=yunet is not None))
    # All that is served is known from the beginning, so that no path is ever made of what a client says.
    files = {name: _File(path.read_bytes(), _kind(name), is_zipped=True) for name, path in _built().items()}
    files["engine/model.onnx"] = _File(analyzer.model_path.read_bytes(), _BINARY)
    if yunet is not None:
        files["engine/yunet.onnx"] = _File(yunet.read_bytes(), _BINARY)

    @router.get("/")
    async def page(request: Request) -> Response:
        return files["index.html"].response(request) if "index.html" in files else HTMLResponse(_UNBUILT)

    def found(address: str, request: Request) -> Response:
        if address not in files:
            raise Problem(404, f"{address}: there is no such file")
        return files[address].response(request)

    @router.get("/assets/{name}")
    async def asset(name: str, request: Request) -> Response:
        return found(f"assets/{name}", request)

    @router.get("/engine/{name}")
    async def network(name: str, request: Request) -> Response:
        return found(f"engine/{name}", request)

    @router.get("/page.json")
    async def config() -> Response:
        return JSONResponse(about)

    @router.get("/docs")
    async def docs() -> Response:
        return HTMLResponse(_DOCS if "assets/swagger-ui-bundle.js" in files else _UNBUILT)

    @router.get("/docs.js")
    async def docs_script() -> Response:
        return Response(_DOCS_SCRIPT, media_type="text/javascript")

    return router


def is_built() -> bool:
    """Whether this copy of Mien holds the page."""
    return "index.html" in _built()


def _about(analyzer: Analyzer, settings: Settings, version: str, *, has_yunet: bool) -> PageConfig:
    options = analyzer.options
    return {
        "version": version,
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
        "detector": analyzer.detector.name,
        "key_required": bool(settings.api_keys),
        "formats": list(FORMATS.values()),
        "max_body": settings.max_body,
        "max_frame": settings.max_frame,
        "max_pixels": settings.max_pixels,
        "crop_rules": {name: _rule(detector.crop_rule) for name, detector in BUILT_IN.items()},
        "engine": {"model": "engine/model.onnx", "detector": "engine/yunet.onnx" if has_yunet else None},
    }


def _rule(rule: CropRule) -> CropRuleRecord:
    return {"side": rule.side, "x": rule.x, "y": rule.y}


def _built() -> dict[str, Path]:
    """The files of the built page, by their addresses; none where it is not built."""
    return {path.relative_to(BUILT).as_posix().removesuffix(".gz"): path for path in BUILT.rglob("*.gz")}


def _kind(name: str) -> str:
    """The media type by the file's name, the same on every system."""
    return "text/javascript" if name.endswith((".js", ".mjs")) else mimetypes.guess_type(name)[0] or _BINARY


class _File:
    """A file that clients may keep: forever where its name holds a hash of it, else until it has changed."""

    def __init__(self, content: bytes, media_type: str, *, is_zipped: bool = False) -> None:
        self._content, self._media_type, self._is_zipped = content, media_type, is_zipped
        self._tag = f'"{hashlib.sha256(content).hexdigest()[:20]}"'

    def response(self, request: Request) -> Response:
        """The file, gzipped where it is so and the client takes that."""
        headers = {"ETag": self._tag, "Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
        if _HASHED.search(request.url.path):
            headers["Cache-Control"] = "public, max-age=31536000, immutable"
        if request.headers.get("if-none-match") == self._tag:
            return Response(status_code=304, headers=headers)
        if not self._is_zipped:
            return SharedResponse(self._content, self._media_type, headers)
        if "gzip" in request.headers.get("accept-encoding", ""):
            return SharedResponse(self._content, self._media_type, headers | {"Content-Encoding": "gzip"})
        unzipped = gzip.GzipFile(fileobj=BytesIO(self._content))
        return StreamingResponse(iter(partial(unzipped.read, PIECE), b""), 200, headers, self._media_type)
