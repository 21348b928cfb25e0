"""A line of JSON for each request, where that is asked for: who, which route, how it went. Nothing that a client wrote
is in it but its method and its request's id: no path, no query, no key, no name of a file.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from datetime import UTC, datetime
from logging.handlers import WatchedFileHandler
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mien.errors import ConfigError, reason
from mien.service.metrics import response_status
from mien.service.request_ids import request_id
from mien.service.routes import RouteNames

STANDARD_OUTPUT: Final = "-"


_LONGEST_METHOD: Final = 16
"""A client may make one up, as long as a head."""


class Lines:
    """Where the lines go: at the end of a file, which may be moved away meanwhile (logrotate), or standard output.

    Raises ConfigError where the file cannot be written.
    """

    def __init__(self, destination: str) -> None:
        self._has_failed = False
        try:
            self._handler: logging.Handler = (
                logging.StreamHandler(sys.stdout)
                if destination == STANDARD_OUTPUT
                else WatchedFileHandler(destination, encoding="ascii")
            )
        except OSError as error:
            raise ConfigError(f"cannot write the access log {destination}: {reason(error)}") from None
        self._handler.handleError = self._report  # type: ignore[method-assign]

    def write(self, line: str) -> None:
        """Write a line. Where that fails the service goes on, and says so once."""
        self._handler.handle(logging.LogRecord("mien.access", logging.INFO, "", 0, line, None, None))

    def close(self) -> None:
        """Close the file."""
        self._handler.close()

    def _report(self, record: logging.LogRecord) -> None:
        if not self._has_failed:
            self._has_failed = True
            print(f"mien: the access log cannot be written: {reason(sys.exc_info()[1] or OSError())}", file=sys.stderr)


class AccessLog:
    """ASGI middleware that writes a line when a request has its whole response, or a stream has ended."""

    def __init__(self, app: ASGIApp, names: RouteNames, lines: Lines) -> None:
        self._app, self._names, self._lines = app, names, lines

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the app respond, and write it down."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        began, status, sent = time.perf_counter(), 0, 0

        async def watched(message: Message) -> None:
            nonlocal status, sent
            status = status or response_status(message)
            await send(message)
            sent += len(message.get("body") or message.get("bytes") or (message.get("text") or "").encode())

        try:
            await self._app(scope, receive, watched)
        finally:
            peer, method = scope.get("client"), scope.get("method", "GET")
            line = {
                "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
                "peer": peer[0] if peer else None,
                "method": method[:_LONGEST_METHOD],
                "route": self._names.of(scope),
                "status": status or None,
                "bytes": 0 if method == "HEAD" else sent,
                "ms": round(1000 * (time.perf_counter() - began), 1),
                "request_id": request_id(),
            }
            self._lines.write(json.dumps(line, separators=(",", ":")))
