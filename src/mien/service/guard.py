"""Who may use the service."""

from __future__ import annotations

import base64
import binascii
import hmac
import ipaddress
import re
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mien.service.errors import Problem
from mien.service.settings import Settings, is_origin
from mien.service.wrong_keys import WrongKeys

KEY_PROTOCOL: Final = "mien.key."
"""A browser's WebSocket cannot send headers: it offers this subprotocol with the key in base64url after it."""

_AUTHORITY: Final = re.compile(r"([\w.~!$&'()*+,;=%-]*|\[[\da-fA-F:.]+\])(:\d{0,5})?", re.ASCII)
"""What a Host may be (RFC 9112, 3.2). The server itself refuses none, and several."""

_OPEN: Final = frozenset({"/", "/page.json", "/docs", "/docs.js", "/openapi.json", "/healthz", "/readyz"})
_OPEN_FOLDER: Final = "/assets/"
"""What needs no key: the page, which asks for it, and what shows that the service runs."""


class Guard:
    """ASGI middleware: names and origins that are known, and the key.

    Without a key, anyone who reaches the service may use it, so a page of another host must not reach it through a
    browser: it is refused by its Origin, and, where it had its own name lead here, by the Host.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app, self._settings = app, settings
        self._wrong_keys = WrongKeys()
        self._keys = [key.encode() for key in settings.api_keys]
        origins = [str(urlsplit(origin).hostname) for origin in settings.origins]
        self._hosts = {"localhost", settings.host.lower(), *map(str.lower, settings.hosts), *origins}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the app respond, or refuse."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return

        has_begun = False

        async def watched(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        problem = self._objection(scope)
        if problem is not None and problem.status == 401 and _given_keys(Headers(scope=scope)):
            is_delayed = await self._wrong_keys.delay(scope.get("client"))
            problem = _unauthorized("got another one", {} if is_delayed else {"Connection": "close"})
        try:
            await (problem.response() if problem else self._app)(scope, receive, watched)
        except Exception:
            if not has_begun and scope["type"] == "http":
                detail = "something went wrong here; the service's log has more"
                broken = Problem(500, detail, {"Connection": "close"})  # the server closes it, as it gets the error
                await broken.response()(scope, receive, watched)
            raise  # the server logs it

    def _objection(self, scope: Scope) -> Problem | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if not _AUTHORITY.fullmatch(host):
            return Problem(400, f"expected a Host such as localhost:8000, got {host}")
        if not self._keys and not self._is_own(host):
            return Problem(
                421, f"{host or 'no host'} is no name of this service: start it with `mien serve --name NAME`"
            )
        only_reads = scope["type"] == "http" and scope["method"] in ("GET", "HEAD")
        for origin in () if only_reads else headers.getlist("origin"):
            if not self._is_trusted(origin, host):
                hint = f": start it with `mien serve --origin {origin}`" if is_origin(origin) else ""
                return Problem(403, f"pages of {origin} may not use this service{hint}")
        path: str = scope["path"].removeprefix(self._settings.root_path)
        is_open = path in _OPEN or path.startswith(_OPEN_FOLDER)
        if self._keys and not is_open and not self._knows_key(headers):
            return _unauthorized("got none")
        return None

    def _is_own(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        if name in self._hosts:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True

    def _is_trusted(self, origin: str, host: str) -> bool:
        try:
            return origin in self._settings.origins or urlsplit(origin).netloc.lower() == host.lower()
        except ValueError:
            return False

    def _knows_key(self, headers: Headers) -> bool:
        """Whether one of the keys was given; each comparison takes the same time, right or wrong."""
        given = [key.encode() for key in _given_keys(headers)]
        return any([hmac.compare_digest(mine, key) for mine in self._keys for key in given])  # noqa: C419 - see above


def _unauthorized(came: str, headers: Mapping[str, str] | None = None) -> Problem:
    detail = f"expected the service's API key (Authorization: Bearer KEY), {came}"
    return Problem(401, detail, {"WWW-Authenticate": "Bearer", **(headers or {})})


def _given_keys(headers: Headers) -> Sequence[str]:
    keys = [headers["x-api-key"]] if "x-api-key" in headers else []
    scheme, _, key = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        keys.append(key.strip())
    for protocol in headers.get("sec-websocket-protocol", "").split(","):
        if protocol.strip().startswith(KEY_PROTOCOL):
            text = protocol.strip().removeprefix(KEY_PROTOCOL)
            try:
                keys.append(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode())
            except (binascii.Error, ValueError):
                continue
    return keys
