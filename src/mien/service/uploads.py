"""Bodies of requests, read within bounds of size, time and memory, and never saved to a disk."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from fastapi import Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header
from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from mien.service.body import Body
from mien.service.errors import Problem
from mien.service.json_body import FACTOR, content_of, is_json, texts_in
from mien.service.memory import Memory
from mien.service.settings import Settings

# It would log bytes of a malformed form, which the response describes already.
logging.getLogger("python_multipart").setLevel(logging.CRITICAL)


@dataclass(frozen=True, slots=True)
class Upload:
    """A picture's file as it came: its content, and the name it was given, if any."""

    content: bytes
    name: str | None = None


class BodyReader:
    """Reads bodies, of which the memory holds a limited number of bytes."""

    def __init__(self, settings: Settings, memory: Memory) -> None:
        self._settings, self._memory = settings, memory

    @asynccontextmanager
    async def uploads(self, request: Request) -> AsyncGenerator[tuple[list[Upload], bool]]:
        """The pictures of a request, and whether they came as several; their bytes count as held until the end.

        Raises Problem on a body that is too large, too slow, malformed, or one too many.
        """
        body = Body(request, self._settings, self._memory)
        try:
            yield await self._take(request.headers, body)
        finally:
            body.free()

    async def _take(self, headers: Headers, body: Body) -> tuple[list[Upload], bool]:
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if any(encoding.lower() != "identity" for encoding in headers.getlist("content-encoding")):
            raise Problem(415, "expected a body without Content-Encoding: pictures are compressed already")
        if kind == "multipart/form-data":
            return await self._form(headers, body), True
        content = await body.content()
        if not content:
            raise Problem(400, "the body is empty, expected a picture")
        if not is_json(kind, content):
            return [Upload(content)], False  # what it is, its bytes say: clients are often wrong about it
        self._hold_json(len(content), body)
        texts, is_list = texts_in(content, self._settings.max_images)
        del content
        return await _decoded(texts, body), is_list

    def _hold_json(self, size: int, body: Body) -> None:
        most = self._settings.max_buffered // FACTOR
        if size > most:
            raise Problem(413, f"the JSON body has {size:,} bytes, at most {most:,} are accepted")
        body.hold((FACTOR - 1) * size)

    async def _form(self, headers: Headers, body: Body) -> list[Upload]:
        most = self._settings.max_images
        # What else Python can decode may take forever, and hold what is no text.
        if parse_options_header(headers["content-type"])[1].get(b"charset", b"utf-8").lower() != b"utf-8":
            raise Problem(400, "expected a form in utf-8")
        limits = {"max_files": most, "max_fields": 16, "max_part_size": 4096}
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
        if not uploads:
            raise Problem(400, "the form holds no file, expected pictures as files; base64 goes into JSON")
        return uploads


async def _decoded(texts: list[str], body: Body) -> list[Upload]:
    uploads = []
    while texts:
        uploads.append(Upload(content_of(texts.pop(0))))
        await asyncio.sleep(0)  # a large one takes a while, and others wait
    body.keep(sum(len(upload.content) for upload in uploads))
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
