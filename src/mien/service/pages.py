"""The page, the ONNX files that it may run itself, and the OpenAPI document's reader."""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
import re
from functools import partial
from io import BytesIO
from typing import Final

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse

from mien.analyzer import Analyzer
from mien.service.errors import Problem
from mien.service.memory import PIECE, SharedResponse
from mien.service.page_config import EngineFiles, as_json, engine_yunet, page_config, service_config
from mien.service.page_files import built_files
from mien.service.settings import Settings

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


def page_router(analyzer: Analyzer, settings: Settings) -> APIRouter:
    """The routes. What the page may run in the browser are the analyzer's model, and YuNet where it is installed."""
    router = APIRouter(include_in_schema=False)
    yunet = engine_yunet(analyzer)
    engine: EngineFiles = {"model": "engine/model.onnx", "detector": None if yunet is None else "engine/yunet.onnx"}
    about = as_json(page_config(analyzer, engine, service_config(analyzer, settings)))
    # All that is served is known from the beginning, so that no path is ever made of what a client says.
    files = {name: _File(path.read_bytes(), _kind(name), is_zipped=True) for name, path in built_files().items()}
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
