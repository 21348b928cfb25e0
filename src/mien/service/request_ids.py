"""An id for each request: in its response, in a problem's details, and in the log."""

from __future__ import annotations

import re
from contextvars import ContextVar
from typing import Final
from uuid import uuid4

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADER: Final = "X-Request-Id"

_SANE: Final = re.compile(r"[\w.:/+=@-]{1,128}", re.ASCII)
"""What may come from outside: UUIDs, ULIDs, base64, and what proxies make. It goes into logs and headers."""

_current: ContextVar[str | None] = ContextVar("request_id", default=None)


def request_id() -> str | None:
    """The id of the request that this task works on."""
    return _current.get()


class RequestIds:
    """ASGI middleware that gives each request the id that it came with, where that is a sane one, or a new one.

    The context keeps it after the response: the server logs an error in the same task.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the app respond, with the id."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        name = _id_of(Headers(scope=scope).getlist(HEADER))
        _current.set(name)

        async def named(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.http.response.start", "websocket.accept"):
                message.setdefault("headers", [])
                MutableHeaders(scope=message)[HEADER] = name
            await send(message)

        await self._app(scope, receive, named)


def _id_of(given: list[str]) -> str:
    """The one id that was given, or a new one."""
    return given[0] if len(given) == 1 and _SANE.fullmatch(given[0]) else uuid4().hex
