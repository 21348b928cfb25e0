"""The OpenAPI document: what FastAPI makes of the routes, and what it cannot know."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from fastapi import FastAPI

from mien.service.errors import ProblemDetails
from mien.service.request_ids import HEADER as REQUEST_ID
from mien.service.schemas import explanation_schema, record_schema, report_schema
from mien.service.uploads import BODIES

_SCHEMAS: Final = "#/components/schemas/{model}"
BINARY: Final = {"type": "string", "format": "binary"}


def pictures_body(
    json: Mapping[str, Any], form: Mapping[str, Any], encoding: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """A body that holds pictures: bytes, JSON of this schema, or a form with these fields, `file` among them."""
    fields = {"schema": {"type": "object", "properties": form, "required": ["file"]}}
    content = {
        **{media_type: {"schema": BINARY} for media_type in BODIES},
        "application/json": {"schema": json},
        "multipart/form-data": fields if encoding is None else {**fields, "encoding": encoding},
    }
    return {"requestBody": {"required": True, "content": content}}


_KEYS: Final[dict[str, dict[str, Any]]] = {
    "key": {"type": "http", "scheme": "bearer"},
    "key_header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}

_HEADERS: Final[dict[str, dict[str, Any]]] = {
    REQUEST_ID: {
        "description": "The request's own, or a new one; the service's log has it too.",
        "schema": {"type": "string"},
    },
    "Retry-After": {
        "description": "Seconds after which another try makes sense.",
        "schema": {"type": "integer", "minimum": 1},
    },
    "WWW-Authenticate": {"description": "How the key is sent.", "schema": {"type": "string"}},
}

_OF_STATUS: Final = {"401": ("WWW-Authenticate",), "503": ("Retry-After",)}
"""Which of them come with a status, besides the request's id."""


def describe(app: FastAPI, *, has_keys: bool) -> None:
    """Let the document hold what the routes name by reference, the keys, and the fields of responses' heads.

    The keys are named whether the service asks for one or not; where it does not they are optional.
    """
    make = app.openapi

    def described() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = make()
            components = document.setdefault("components", {})
            _add_schemas(components.setdefault("schemas", {}))
            components["securitySchemes"] = _KEYS
            components["headers"] = {name: {**header, "required": True} for name, header in _HEADERS.items()}
            document["security"] = [{name: []} for name in _KEYS] if has_keys else [{}, *({name: []} for name in _KEYS)]
            for operations in document["paths"].values():
                for operation in operations.values():
                    _complete(operation)
        return app.openapi_schema or {}

    app.openapi = described  # type: ignore[method-assign]


def _add_schemas(schemas: dict[str, Any]) -> None:
    for name, schema in (
        ("PictureRecord", record_schema(_SCHEMAS)),
        ("ExplanationRecord", explanation_schema(_SCHEMAS)),
        ("VideoReport", report_schema(_SCHEMAS)),
    ):
        schemas.update(schema.pop("$defs"))
        schemas[name] = schema
    schemas["ProblemDetails"] = ProblemDetails.model_json_schema(ref_template=_SCHEMAS)
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)


def _complete(operation: dict[str, Any]) -> None:
    responses = operation["responses"]
    if "application/json" in responses.get("422", {}).get("content", {}):
        del responses["422"]  # FastAPI's own: an option of another value is 400 here
    if "401" not in responses:
        operation["security"] = []  # open to all
    for status, response in responses.items():
        for name in (REQUEST_ID, *_OF_STATUS.get(status, ())):
            response.setdefault("headers", {})[name] = {"$ref": f"#/components/headers/{name}"}
