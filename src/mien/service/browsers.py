"""What browsers may do with responses: headers that keep them strict, and CORS for pages of listed origins."""

from __future__ import annotations

from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mien.service.errors import Problem
from mien.service.page_files import POLICY
from mien.service.settings import Settings

HEADERS: Final = {
    "Content-Security-Policy": "; ".join((*POLICY, "frame-ancestors 'none'")),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=(), display-capture=()",
}
"""What keeps browsers strict, in every response."""

METHODS: Final = ("DELETE", "GET", "HEAD", "POST")
REQUEST_HEADERS: Final = ("Authorization", "Content-Type", "X-API-Key", "X-Request-Id", "X-Requested-With")
RESPONSE_HEADERS: Final = ("Location", "Retry-After", "WWW-Authenticate", "X-Request-Id")
MAX_AGE_S: Final = 7200
"""How long a browser may go by a preflight. Chromium goes by none for longer."""


class Browsers:
    """ASGI middleware: adds the strict headers, and answers listed origins as CORS has it.

    It stands before what refuses requests: a preflight carries no key, and a page must be able to read why it was
    refused. A preflight gets its answer here, and nothing else is done.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app, self._origins = app, frozenset(settings.origins)
        self._cors = _Cors(
            app,
            allow_origins=self._origins,
            allow_methods=METHODS,
            allow_headers=REQUEST_HEADERS,
            allow_private_network=True,  # Chromium asks for it where a page of the internet calls this computer
            expose_headers=RESPONSE_HEADERS,
            max_age=MAX_AGE_S,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the app respond, or respond to a preflight."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        origins = Headers(scope=scope).getlist("origin")
        is_listed = scope["type"] == "http" and len(origins) == 1 and origins[0] in self._origins

        async def strict(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                headers = MutableHeaders(scope=message)
                headers.update(HEADERS)
                headers.setdefault("Cache-Control", "no-store")
                if is_listed:
                    headers["Cross-Origin-Resource-Policy"] = "cross-origin"
                elif self._origins:
                    headers.add_vary_header("Origin")
            await send(message)

        await (self._cors if is_listed else self._app)(scope, receive, strict)


class _Cors(CORSMiddleware):
    """As the library's, for listed origins only; a refused preflight has a problem as its response."""

    def preflight_response(self, request_headers: Headers) -> Response:
        """The response to a preflight."""
        response = super().preflight_response(request_headers)
        if response.status_code < 400:
            return response
        came = ", ".join(
            request_headers[name]
            for name in ("access-control-request-method", "access-control-request-headers")
            if name in request_headers
        )
        detail = f"pages may send {', '.join(METHODS)} with {', '.join(self.allow_headers)}, got {came}"
        problem = Problem(400, detail).response()
        for name, value in self.preflight_headers.items():
            problem.headers[name] = value
        problem.headers["Access-Control-Allow-Origin"] = request_headers["origin"]
        return problem
