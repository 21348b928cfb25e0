"""Connections within bounds: uvicorn's protocols, and what they leave open to clients that are slow, mute or too many.

uvicorn waits for a request's head without end and takes one of any size; it drops what it said last where a client is
still sending, as the connection is then reset; and it keeps what a client does not fetch.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Final, Protocol

import httptools
import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState
from websockets.exceptions import InvalidMessage
from websockets.frames import Frame
from websockets.http11 import Response
from websockets.server import ServerProtocol

from mien.service.errors import Problem
from mien.service.guard import HEADERS
from mien.service.settings import Settings

MAX_HEAD: Final = 65_536
"""Bytes of a request's head, from which on it is given up."""

MAX_PIPELINED: Final = 16
"""Requests of one connection that may wait for the answer to the one before them."""

MAX_FRAGMENTS: Final = 1024
"""Parts in which one message of a stream may come."""

_HEADERS: Final = {**HEADERS, "Cache-Control": "no-store"}
_LINGER_S: Final = 1.0  # so long a client may take to read the last word, and to close the connection
_RESTARTS: Final = 1012  # the close code (IANA's registry)
_PING_S: Final = 20.0


class Bounded(Protocol):
    """A connection that looks after itself."""

    transport: asyncio.Transport

    def check(self, now: float) -> None:
        """Close where time is up, by the event loop's clock. To be called several times a second."""

    def shutdown(self) -> None:
        """Take nothing more, and close once what is in flight is answered."""


class Config(uvicorn.Config):
    """uvicorn's, as the service's settings say, and with what the protocols must know."""

    def __init__(self, app: FastAPI, settings: Settings) -> None:
        super().__init__(
            app,
            loop="asyncio",
            http=HttpProtocol,
            ws=StreamProtocol,
            ws_max_size=settings.max_frame,
            ws_ping_interval=_PING_S,
            ws_ping_timeout=_PING_S,
            ws_per_message_deflate=False,
            lifespan="on",
            root_path=settings.root_path,
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            ssl_certfile=settings.tls_cert,
            ssl_keyfile=settings.tls_key,
        )
        self.settings = settings
        self.rejected = app.state.metrics.rejected.labels("connections")


class _Backlog:
    """What was written to a client and waits to be fetched."""

    def __init__(self) -> None:
        self._size, self._since = 0, 0.0

    def is_stuck(self, transport: asyncio.Transport, now: float, seconds: float) -> bool:
        """Whether the client has fetched nothing of it for so many seconds."""
        size = transport.get_write_buffer_size()
        if size == 0 or size != self._size:
            self._size, self._since = size, now
            return False
        return now - self._since > seconds


class HttpProtocol(HttpToolsProtocol):
    """HTTP/1.1; a client past the limit is told so, and one that is mute, slow or says too much is closed."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._settings, self._rejected = config.settings, config.rejected
        self._backlog = _Backlog()
        self._refusal: Problem | None = None
        self._is_ending = self._is_in_head = False
        self._unread = 0  # bytes that came since the request began, or since its last part of the body
        self._ends_at = self._head_ends_at = math.inf

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a client in, or refuse it once it says something."""
        super().connection_made(transport)
        self._await_head()
        if len(self.connections) > self._settings.max_connections:
            self._rejected.inc()
            detail = f"all {self._settings.max_connections} connections are taken: try again"
            self._refusal = Problem(503, detail, {"Retry-After": "1"})
            self._ends_at = self.loop.time() + _LINGER_S

    def data_received(self, data: bytes) -> None:
        """Go on with a request, unless there was a last word; what comes after that is dropped."""
        if self._is_ending:
            return
        if self._refusal is not None:  # told now, as a client that is still sending may not hear it
            self._end(self._refusal)
            return
        self._unset_keepalive_if_required()
        self._unread += len(data)
        try:
            self._parse(data)
        except httptools.HttpParserError as error:
            problem = error.__context__
            self._end(problem if isinstance(problem, Problem) else Problem(400, "malformed HTTP request"))
        else:
            if self._unread > MAX_HEAD:
                self._end(_too_long())

    def _parse(self, data: bytes) -> None:
        """Read on. An offer of another protocol than WebSockets, such as curl's of HTTP/2, is ignored (RFC 9110, 7.8).

        The parser takes for the other protocol's what comes after a head with an offer, so it gets it anew, without.
        """
        while True:
            try:
                self.parser.feed_data(data)
                return
            except httptools.HttpParserUpgrade as upgrade:
                if self._should_upgrade():
                    self.handle_websocket_upgrade()
                    return
                lines = [
                    self.parser.get_method() + b" " + self.url + b" HTTP/" + self.parser.get_http_version().encode()
                ]
                lines += [name + b": " + value for name, value in self.headers if name != b"upgrade"]
                data = b"\r\n".join([*lines, b"", data[upgrade.args[0] :]])

    def on_message_begin(self) -> None:
        """Begin a head."""
        if len(self.pipeline) >= MAX_PIPELINED:
            raise Problem(400, "too many requests at once")  # httptools ends, and tells data_received
        super().on_message_begin()
        self._is_in_head, self._unread = True, 0

    def on_headers_complete(self) -> None:
        """End a head: the time of the body is the app's."""
        self._unread = 0
        if len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers) > MAX_HEAD:
            raise _too_long()
        if self.parser.get_method() == b"CONNECT":
            raise Problem(400, "CONNECT is for proxies, and this is none")
        if self.parser.should_upgrade() and not self._should_upgrade():
            return  # the head comes anew
        self._is_in_head, self._head_ends_at = False, math.inf
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take in a part of the body, whose size is the app's."""
        self._unread = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End a request, unless its head comes anew or it is a WebSocket's."""
        if not self.parser.should_upgrade():
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """Wait for another request, unless one waits already."""
        super().on_response_complete()
        if self.cycle.response_complete:
            self._await_head()

    def check(self, now: float) -> None:
        """Close where time is up, by the event loop's clock."""
        is_stuck = self._backlog.is_stuck(self.transport, now, self._settings.body_seconds)
        if is_stuck or now > self._ends_at + _LINGER_S:
            self.transport.abort()
        elif self.transport.is_closing():
            return
        elif now > self._ends_at:
            self.transport.close()
        elif now > self._head_ends_at and not self._is_ending:
            if self._is_in_head:
                self._end(Problem(408, f"the request's head took longer than {self._settings.body_seconds:g} s"))
            else:
                self.transport.close()

    def _await_head(self) -> None:
        self._head_ends_at = self.loop.time() + self._settings.body_seconds

    def _end(self, problem: Problem) -> None:
        """Tell the client, and close once it has heard: closing at once resets a connection that is still sending."""
        self._is_ending = True
        self._ends_at = self.loop.time() + _LINGER_S
        if self.cycle is not None and not self.cycle.response_complete:
            self.transport.abort()  # in the midst of an answer nothing else can be told
            return
        self.transport.write(_answer(problem, self.server_state.default_headers))
        if self.transport.can_write_eof():  # not over TLS
            self.transport.write_eof()


def _too_long() -> Problem:
    return Problem(431, f"the request's head has more than {MAX_HEAD:,} bytes")


def _answer(problem: Problem, headers: Sequence[tuple[bytes, bytes]] = ()) -> bytes:
    """The last word as HTTP/1.1."""
    answer = problem.response()
    answer.headers.update(_HEADERS)
    lines = [f"HTTP/1.1 {answer.status_code} {HTTPStatus(answer.status_code).phrase}".encode()]
    lines += [name + b": " + value for name, value in [*headers, *answer.raw_headers]]
    return b"\r\n".join([*lines, b"connection: close", b"", bytes(answer.body)])


class _Handshake(ServerProtocol):
    """The library's side of a WebSocket; what it refuses is told as a problem."""

    def reject(self, status: int, text: str) -> Response:
        """The answer to what asked wrongly for a WebSocket."""
        refused, told = super().reject(status, text), Problem(int(status), text.partition("\n")[0]).response()
        for name, value in {**told.headers, **_HEADERS}.items():
            if name in refused.headers:
                del refused.headers[name]
            refused.headers[name] = value
        refused.body = bytes(told.body)
        return refused


class StreamProtocol(WebSocketsSansIOProtocol):
    """A WebSocket; the last word, a close code, is heard even by a client that is still sending."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._settings = config.settings
        self._backlog = _Backlog()
        self._is_ending = False
        self.conn = _Handshake(max_size=config.ws_max_size, logger=self.logger)

    def data_received(self, data: bytes) -> None:
        """Go on, unless there was a last word; what comes after that is dropped."""
        if not self._is_ending:
            super().data_received(data)
        if not self.handshake_initiated and not self._is_ending:  # it gets its whole head at once
            self._refuse()

    def handle_cont(self, event: Frame) -> None:
        """Take in a part of a message: empty ones would not count towards its size."""
        if self._is_ending:
            return  # it came together with what ended the stream
        if len(self.frames) >= MAX_FRAGMENTS:
            self.conn.fail(1009, f"a message has more than {MAX_FRAGMENTS} parts")
            self.handle_parser_exception()
        else:
            super().handle_cont(event)

    def handle_ping(self) -> None:
        """Answer a ping, but not of a client that fetches nothing: its answers would pile up here."""
        if self.writable.is_set() and not self._is_ending:
            super().handle_ping()
        else:
            self.conn.data_to_send()

    def handle_parser_exception(self) -> None:
        """Close a stream that breaks the protocol, or whose message is too large."""
        close = self.conn.close_sent
        if close is None:  # what asked for a WebSocket was not of its form
            self._refuse()
        else:
            self._end(close.code, close.reason)

    def shutdown(self) -> None:
        """Say that the service restarts."""
        if not self.handshake_complete or self.close_sent:
            super().shutdown()
            return
        self.conn.send_close(_RESTARTS, "the service restarts")
        self._end(_RESTARTS)

    async def send(self, message: Any) -> None:
        """Send, or raise ClientDisconnected after the last word."""
        await self.writable.wait()
        if self._is_ending:
            raise ClientDisconnected
        await super().send(message)
        if self.initial_response is not None and self.close_sent:
            self.handshake_complete = True  # a denial is an answer too; uvicorn would log that there was none

    def check(self, now: float) -> None:
        """Close where the client takes nothing, by the event loop's clock."""
        if self._backlog.is_stuck(self.transport, now, self._settings.body_seconds):
            self.transport.abort()

    def _refuse(self) -> None:
        """Refuse what asked wrongly; the library says nothing where it could not read it."""
        if isinstance(self.conn.handshake_exc, InvalidMessage):
            self.transport.write(_answer(Problem(400, "malformed HTTP request"), self.default_headers))
        self._end(1006)

    def _end(self, code: int, reason: str = "") -> None:
        """Send what the library has to say, and close once the client has heard; what it still sends is dropped."""
        self._is_ending = self.close_sent = True
        self.stop_keepalive()
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.transport.resume_reading()
        if self.transport.can_write_eof():  # not over TLS
            self.transport.write_eof()
        if self.close_timer is None:
            self.close_timer = self.loop.call_later(_LINGER_S, self.transport.close)
