"""The page, the ONNX files that it may run itself, and the OpenAPI document's reader."""

from __future__ import annotations

import gzip
import mimetypes
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any, Final

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from mien.analyzer import Analyzer
from mien.emotions import EMOTION_COLOURS
from mien.runtime.crops import CROP_RULES
from mien.runtime.weights import find_yunet
from mien.service.problems import Problem
from mien.service.settings import FORMATS, Settings

BUILT: Final = Path(__file__).parent / "page"
"""Where `make page` builds the page. Each file is stored gzipped, as NAME.gz: in the wheel it takes a quarter."""

_UNBUILT: Final = """<!DOCTYPE html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Mien</title><link rel="icon" href="data:,">
<h1>Mien</h1>
<p>The service runs, but its page is not built in this copy of Mien: that takes Node.js 20.19 or later and, in a
checkout, <code>make page</code>. Wheels hold the page.</p>
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


def page_router(analyzer: Analyzer, settings: Settings, *, version: str) -> APIRouter:
    """The routes. What the page may run in the browser are the analyzer's model, and YuNet where it is at hand."""
    router = APIRouter(include_in_schema=False)
    yunet = getattr(analyzer.detector, "path", None) or find_yunet()
    about = _about(analyzer, settings, version, has_yunet=yunet is not None)

    @router.api_route("/", methods=["GET", "HEAD"])
    def page(request: Request) -> Response:
        return _built("index.html", request) or HTMLResponse(_UNBUILT)

    @router.api_route("/assets/{name}", methods=["GET", "HEAD"])
    def asset(name: str, request: Request) -> Response:
        response = _built(f"assets/{name}", request)
        if response is None:
            raise Problem(404, f"assets/{name}: no such file")
        response.headers["Cache-Control"] = "no-cache"
        return response

    @router.api_route("/page.json", methods=["GET", "HEAD"])
    def config() -> Response:
        return JSONResponse(about)

    @router.api_route("/engine/model.onnx", methods=["GET", "HEAD"])
    def model_file() -> Response:
        return Response(analyzer.model_path.read_bytes(), media_type="application/octet-stream")

    @router.api_route("/engine/yunet.onnx", methods=["GET", "HEAD"])
    def yunet_file() -> Response:
        if yunet is None:
            raise Problem(404, "this service has no YuNet: `mien detector yunet` fetches it")
        return Response(yunet.read_bytes(), media_type="application/octet-stream")

    @router.api_route("/docs", methods=["GET", "HEAD"])
    def docs(request: Request) -> Response:
        return HTMLResponse(_DOCS if _built("assets/swagger-ui-bundle.js", request) else _UNBUILT)

    @router.api_route("/docs.js", methods=["GET", "HEAD"])
    def docs_script() -> Response:
        return Response(_DOCS_SCRIPT, media_type="text/javascript")

    return router


def _about(analyzer: Analyzer, settings: Settings, version: str, *, has_yunet: bool) -> dict[str, Any]:
    """What the page must know: PageConfig in web/src/record.ts."""
    return {
        "version": version,
        "model": analyzer.card.id,
        "classes": list(analyzer.card.classes),
        "colours": {name: "#{:02x}{:02x}{:02x}".format(*colour) for name, colour in EMOTION_COLOURS.items()},
        "uncertain_below": analyzer.uncertain_below,
        "min_face": analyzer.min_face,
        "min_face_score": analyzer.min_face_score,
        "detector": analyzer.detector.name,
        "key_required": bool(settings.api_keys),
        "formats": list(FORMATS.values()),
        "max_body": settings.max_body,
        "max_frame": settings.max_frame,
        "max_pixels": settings.max_pixels,
        "crop_rules": {name: {"side": rule.side, "x": rule.x, "y": rule.y} for name, rule in CROP_RULES.items()},
        "engine": {"model": "engine/model.onnx", "detector": "engine/yunet.onnx" if has_yunet else None},
    }


def _built(name: str, request: Request) -> Response | None:
    """A file of the built page, gzipped where the client takes that; None where there is none."""
    content = _gzipped(name)
    if content is None:
        return None
    headers = {"Vary": "Accept-Encoding"}
    if "gzip" in request.headers.get("accept-encoding", ""):
        headers["Content-Encoding"] = "gzip"
    else:
        content = gzip.decompress(content)
    kind = "text/javascript" if name.endswith((".js", ".mjs")) else mimetypes.guess_type(name)[0]
    return Response(content, media_type=kind or "application/octet-stream", headers=headers)


@lru_cache(maxsize=64)
def _gzipped(name: str) -> bytes | None:
    if ".." in PurePosixPath(name).parts or "\\" in name or "\0" in name:
        return None
    path = BUILT / f"{name}.gz"
    return path.read_bytes() if path.is_file() else None
