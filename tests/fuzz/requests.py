"""Fuzz targets: bodies of requests, and messages of live streams. The app is called as a server calls it."""

from __future__ import annotations

import asyncio
import base64
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from .target import Run, Target

_KINDS = (
    b"image/png",
    b"application/json",
    b"multipart/form-data; boundary=b",
    b"",
    b"multipart/form-data",
    b"multipart/form-data; boundary=b; charset=utf-7",
)
_PATHS = ("/v1/predict", "/v1/classify", "/v1/explain", "/v1/videos")


@contextmanager
def _app() -> Iterator[tuple[Any, asyncio.AbstractEventLoop]]:
    """The service's app, and the loop that it runs in."""
    from mien.analyzer import load
    from mien.service.app import create_app
    from mien.service.settings import Settings

    settings = Settings(workers=1, max_body=1_000_000, max_buffered=4_000_000, max_pixels=250_000, max_video=1_000_000)
    app = create_app(load(detector="none", threads=1), settings)
    with asyncio.Runner() as runner:
        loop, lifespan = runner.get_loop(), app.router.lifespan_context(app)
        loop.run_until_complete(lifespan.__aenter__())
        try:
            yield app, loop
        finally:
            loop.run_until_complete(lifespan.__aexit__(None, None, None))


@contextmanager
def _post(_: Path) -> Iterator[Run]:
    """The first byte says where the body goes, and as what."""

    def run(data: bytes) -> None:
        choice = data[0] if data else 0
        path, kind = _PATHS[choice // len(_KINDS) % len(_PATHS)], _KINDS[choice % len(_KINDS)]
        messages = [{"type": "http.request", "body": data[1:], "more_body": False}]
        sent = _call(loop, app, _http(path, kind, len(data[1:])), messages, {"type": "http.disconnect"})
        assert sent[0]["type"] == "http.response.start"
        body = b"".join(message.get("body", b"") for message in sent[1:])
        assert sent[0]["status"] < 500, body
        if sent[0]["status"] >= 400 and sent[0]["status"] != 404:
            assert json.loads(body)["status"] == sent[0]["status"]

    with _app() as (app, loop):
        yield run


def _http(path: str, kind: bytes, length: int) -> dict[str, Any]:
    headers = [(b"host", b"127.0.0.1"), (b"content-length", b"%d" % length)]
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": headers + ([(b"content-type", kind)] if kind else []),
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8000),
    }


def _call(
    loop: asyncio.AbstractEventLoop, app: Any, scope: dict[str, Any], messages: list[Any], last: dict[str, Any]
) -> list[Any]:
    """What the app sends; it receives the messages, and when it has responded to them, the last one."""
    sent: list[Any] = []
    responded = asyncio.Event()

    async def receive() -> Any:
        if messages:
            return messages.pop(0)
        await responded.wait()
        return last

    async def send(message: Any) -> None:
        sent.append(message)
        if message["type"] in ("websocket.send", "websocket.close") or not message.get("more_body", True):
            responded.set()

    loop.run_until_complete(asyncio.wait_for(app(scope, receive, send), 60))
    return sent


@contextmanager
def _stream(_: Path) -> Iterator[Run]:
    """A frame, sent twice; where the first byte is odd, as text."""

    def run(data: bytes) -> None:
        is_text = bool(data and data[0] % 2)
        content = {"text": data[1:].decode("utf-8", "replace")} if is_text else {"bytes": data[1:]}
        messages = [{"type": "websocket.connect"}, *({"type": "websocket.receive", **content} for _ in range(2))]
        scope = _http("/v1/stream", b"", 0) | {"type": "websocket", "scheme": "ws", "subprotocols": []}
        scope["query_string"] = b"landmarks=1"
        sent = _call(loop, app, scope, messages, {"type": "websocket.disconnect", "code": 1000})
        assert sent[0]["type"] == "websocket.accept"
        records = [json.loads(message["text"]) for message in sent if message["type"] == "websocket.send"]
        closed = [message["code"] for message in sent if message["type"] == "websocket.close"]
        assert records or closed
        assert all(code in (1003, 1009) for code in closed), closed
        assert all((record["error"] is None) == (record["width"] is not None) for record in records)

    with _app() as (app, loop):
        yield run


def _png() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.arange(192, dtype=np.uint8).reshape(8, 8, 3)).save(buffer, "PNG")
    return buffer.getvalue()


def _post_seeds() -> list[bytes]:
    png = _png()
    text = base64.b64encode(png).decode()
    part = b'--b\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n'
    form = part % (b"file", b'; filename="a.png"', png)
    boxes = part % (b"boxes", b"", b"[[1, 1, 4, 4]]")
    return [
        b"\0" + png,
        b"\1" + json.dumps({"image": text}).encode(),
        b"\1" + json.dumps({"images": [f"data:image/png;base64,{text}"] * 2}).encode(),
        b"\2" + form + b"--b--\r\n",
        bytes([len(_KINDS) + 1]) + json.dumps({"image": text, "boxes": [[1, 1, 4, 4], {"x": 1}]}).encode(),
        bytes([len(_KINDS) + 2]) + form + boxes + b"--b--\r\n",
        bytes([2 * len(_KINDS)]) + png,
        bytes([3 * len(_KINDS)]) + b"video",
    ]


TARGETS = {
    "service": Target(_post, _post_seeds, needs=("fastapi", "python_multipart", "prometheus_client")),
    "stream": Target(_stream, lambda: [b"\0" + _png(), b"\1text"], needs=("fastapi", "prometheus_client")),
}
