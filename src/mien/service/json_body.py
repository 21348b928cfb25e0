"""Pictures in a JSON body, as base64 or data URIs. No address is fetched, and no path is opened."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic_core import from_json

from mien.errors import ImageError
from mien.images.decode import base64_bytes, data_uri_bytes
from mien.service.errors import Problem

NAMES: Final = ("image", "images", "img", "img_path")
"""What the field may be called. The last two are deepface's."""

BOXES: Final = "boxes"
"""The field that may stand beside them. All others are ignored: other services' clients send some."""

FACTOR: Final = 3
"""How many times its size a body takes while it is read: it or one picture's text, all texts, and what they hold."""

_MOST_VALUES: Final = 1_000
"""Values in a body. An empty list takes two bytes of text and thirty times as many of memory."""

_TEXT: Final = {
    "type": "string",
    "format": "byte",
    "description": "Base64 or a data URI. No address is fetched, and no path is opened.",
}
_TEXTS: Final = {"type": "array", "items": _TEXT, "minItems": 1}
_ONE_OR_SEVERAL: Final = {"oneOf": [_TEXT, _TEXTS]}

SCHEMA: Final[Mapping[str, Any]] = {
    "type": "object",
    "properties": {
        "image": _TEXT,
        "images": _TEXTS,
        "img": {**_ONE_OR_SEVERAL, "description": "As image or images, for clients of deepface."},
        "img_path": {**_ONE_OR_SEVERAL, "description": "As image or images, for clients of deepface; never a path."},
    },
    "oneOf": [{"required": [name]} for name in NAMES],
}


@dataclass(frozen=True, slots=True)
class Found:
    """What a JSON body holds: the texts of its pictures, whether they came as a list, and its boxes, as decoded."""

    texts: list[str]
    is_list: bool
    boxes: Any = None


def is_json(kind: str, content: bytes) -> bool:
    """Whether a body is JSON: its first byte says so, or its header, unless it begins as no text does."""
    first = content[:100].lstrip(b" \t\r\n\xef\xbb\xbf")[:1]
    return first == b"{" or (kind == "application/json" and not content.startswith((b"\xff\xd8", b"\x89PNG", b"RIFF")))


def texts_in(content: bytes, most: int) -> Found:
    """What a body holds, `most` pictures or fewer. Raises Problem."""
    if sum(map(content.count, (b",", b"[", b"{"))) > _MOST_VALUES:
        raise Problem(400, f"expected JSON of at most {_MOST_VALUES:,} values")
    try:
        document = from_json(content.removeprefix(b"\xef\xbb\xbf"), cache_strings=False)
    except ValueError as error:  # also of one that is too deep
        raise Problem(400, f"expected JSON: {error}") from None
    given = [name for name in NAMES if document.get(name) is not None] if isinstance(document, dict) else []
    if len(given) != 1:
        came = f"got {' and '.join(given)}" if given else "got none of them"
        raise Problem(400, f"expected a JSON object with one of {', '.join(NAMES)}, {came}")
    value = document[given[0]]
    texts = value if isinstance(value, list) else [value]
    if not 1 <= len(texts) <= most:
        raise Problem(400, f"{given[0]}: expected 1 to {most} pictures, got {len(texts)}")
    if not all(isinstance(text, str) and text for text in texts):
        raise Problem(400, f"{given[0]}: expected texts, each of them base64 or a data URI")
    return Found(texts, isinstance(value, list), document.get(BOXES))


def content_of(text: str) -> bytes:
    """The file in a picture's text. Raises Problem."""
    try:
        return data_uri_bytes(text) if text[:5].lower() == "data:" else base64_bytes(text, "the picture")
    except ImageError as error:
        hint = "expected base64 or a data URI: addresses are not fetched, and paths are not opened"
        raise Problem(400, f"{error}; {hint}") from None
