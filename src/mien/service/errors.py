"""Errors as RFC 9457 has them: `application/problem+json` with title, status and detail."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from mien.errors import ImageError, ImageFormatError, ImageTooLargeError
from mien.service.request_ids import request_id

MEDIA_TYPE: Final = "application/problem+json"


class ProblemDetails(BaseModel):
    """What went wrong (RFC 9457)."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "type": "about:blank",
                "title": "Unsupported Media Type",
                "status": 415,
                "detail": "the picture: not a picture of a known format; known are JPEG, PNG, WEBP",
                "request_id": "0f8fad5bd9cb469fa16570867728950e",
            }
        }
    )

    type: str = Field(description="Always about:blank: the status is the kind of error.")
    title: str = Field(description="The status in words.")
    status: int = Field(description="The HTTP status.")
    detail: str = Field(description="What was expected and what came, in one line.")
    request_id: str = Field(description="As in the header X-Request-Id; the service's log has it too.")


class Problem(Exception):  # noqa: N818 - the standard's word
    """A response that is an error: its HTTP status, one line of detail, and additional headers."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers = status, detail, headers

    def response(self) -> Response:
        """The response, for a request or for a WebSocket that is denied."""
        content = {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            "request_id": request_id(),
        }
        return JSONResponse(content, self.status, self.headers, media_type=MEDIA_TYPE)


def problem_of(error: ImageError) -> Problem:
    """The problem that is the response to a picture that cannot be read."""
    match error:
        case ImageTooLargeError():
            status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
        case ImageFormatError():
            status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE
        case _:
            status = HTTPStatus.UNPROCESSABLE_ENTITY
    return Problem(status, named(error))


def named(error: ImageError, name: str = "the picture") -> str:
    """The error's line, about a picture of this name rather than about bytes."""
    text = str(error)
    return f"{name}: {text.removeprefix('the bytes: ')}" if text.startswith("the bytes: ") else text


def problem_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Responses for the OpenAPI document that are problems, by status."""
    return {
        status: {
            "description": HTTPStatus(status).phrase,
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDetails"}}},
        }
        for status in statuses
    }


def respond_with_problems(app: FastAPI) -> None:
    """Let every error of the app have a problem as its response."""

    @app.exception_handler(Problem)
    async def _(request: Request, error: Problem) -> Response:
        return error.response()

    @app.exception_handler(HTTPException)
    async def _(request: Request, error: HTTPException) -> Response:
        return Problem(error.status_code, f"{request.method} {request.url.path}", error.headers).response()

    @app.exception_handler(RequestValidationError)
    async def _(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        return Problem(400, f"{'.'.join(map(str, first['loc']))}: {first['msg']}").response()
