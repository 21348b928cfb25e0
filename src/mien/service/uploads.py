"""Bodies of requests, read within bounds of size, time and memory, and never saved to a disk."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from fastapi import Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header
from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from mien.service.body import Body
from mien.service.errors import Problem
from mien.service.json_body import FACTOR, content_of, is_json, texts_in
from mien.service.memory import Memory
from mien.service.settings import FORMATS, Settings

BODIES: Final = (*FORMATS.values(), "application/octet-stream")
"""The media types of a picture as the body. Its bytes say which format it is, whatever its type."""

# It would log bytes of a malformed form, which the response describes already.
logging.getLogger("python_multipart").setLevel(logging.CRITICAL)


@dataclass(frozen=True, slots=True)
class Upload:
    """A picture's file as it came: its content, and the name it was given, if any."""

    content: bytes
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Given:
    """What a body holds: pictures, whether they came as several, a form's other fields, and JSON's boxes, decoded."""

    uploads: list[Upload]
    is_list: bool = False
    fields: list[tuple[str, str]] = field(default_factory=list)
    boxes: Any = None


class BodyReader:
    """Reads bodies, of which the memory holds a limited number of bytes."""

    def __init__(self, settings: Settings, memory: Memory) -> None:
        self._settings, self._memory = settings, memory

    @asynccontextmanager
    async def given(self, request: Request) -> AsyncGenerator[Given]:
        """What the body of a request holds. Its bytes count as held until the end.

        Raises Problem on a body that is too large, too slow, malformed, or one too many.
        """
        body = Body(request, self._settings, self._memory)
        try:
            yield await self._take(request.headers, body)
        finally:
            body.free()

    async def _take(self, headers: Headers, body: Body) -> Given:
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind == "multipart/form-data":
            return await self._form(headers, body)
        content = await body.content()
        if not content:
            raise Problem(400, "the body is empty, expected a picture")
        if not is_json(kind, content):
            return Given([Upload(content)])  # what it is, its bytes say: clients are often wrong about it
        self._hold_json(len(content), body)
        found = texts_in(content, self._settings.max_images)
        kept = 0 if found.boxes is None else len(content)
        del content
        return Given(await _decoded(found.texts, body, kept), found.is_list, boxes=found.boxes)

    def _hold_json(self, size: int, body: Body) -> None:
        most = self._settings.max_buffered // FACTOR
        if size > most:
            raise Problem(413, f"the JSON body has {size:,} bytes, at most {most:,} are accepted")
        body.hold((FACTOR - 1) * size)

    async def _form(self, headers: Headers, body: Body) -> Given:
        most = self._settings.max_images
        # What else Python can decode may take forever, and hold what is no text.
        if parse_options_header(headers["content-type"])[1].get(b"charset", b"utf-8").lower() != b"utf-8":
            raise Problem(400, "expected a form in utf-8")
        limits = {"max_files": most, "max_fields": 16, "max_part_size": 16_384}
        parser = _Form(headers, body.chunks(), **limits)
        parser.spool_max_size = self._settings.max_body + 1  # more would go to a file
        try:
            form = await parser.parse()
        except (MultiPartException, FormParserError, KeyError, ValueError) as error:
            detail = getattr(error, "message", None) or str(error)
            raise Problem(400, f"expected multipart/form-data with at most {most} files: {detail}") from None
        files = [value for _, value in form.multi_items() if isinstance(value, UploadFile)]
        uploads = [Upload(await file.read(), _text(file.filename) or None) for file in files]
        await form.close()
        fields = [(name, value) for name, value in form.multi_items() if isinstance(value, str)]
        if not uploads:
            raise Problem(400, "the form holds no file, expected pictures as files; base64 goes into JSON")
        return Given(uploads, True, fields)


async def _decoded(texts: list[str], body: Body, kept: int) -> list[Upload]:
    """The files in the texts. Of the body, they count from then on, and `kept` bytes."""
    uploads = []
    while texts:
        uploads.append(Upload(content_of(texts.pop(0))))
        await asyncio.sleep(0)  # a large one takes a while, and others wait
    body.keep(kept + sum(len(upload.content) for upload in uploads))
    return uploads


class _Form(MultiPartParser):
    """As the library's, but a form that is cut off is malformed: its last file would be left out, and left open."""

    def __init__(self, headers: Headers, stream: AsyncGenerator[bytes], **limits: int) -> None:
        super().__init__(headers, self._whole(stream), **limits)
        self._has_ended = False

    def on_end(self) -> None:
        """Take note of the form's last line."""
        self._has_ended = True

    async def _whole(self, stream: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
        async for chunk in stream:
            yield chunk
        if not self._has_ended:
            raise MultiPartException("The form has no end.")


def _text(name: str | None) -> str:
    """The name without what UTF-8 cannot hold."""
    return (name or "").encode("utf-8", "replace").decode("utf-8")
