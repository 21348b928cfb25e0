"""Whatever clients send, the service responds with a problem or not at all, goes on, and holds nothing of it."""

from __future__ import annotations

import asyncio
import base64
import ctypes
import gc
import json
import os
import socket
import struct
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from PIL import Image

from mien.analyzer import Analyzer
from mien.emotions import EMOTIONS
from mien.service.app import create_app
from mien.service.server import running
from mien.service.settings import Settings

MAX_BODY = 1_000_000
REQUESTS = 50
BODY_SECONDS = 1.0
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
LAST = b"Host: 127.0.0.1\r\nConnection: close\r\n"
FORM = b"multipart/form-data; boundary=b"
FILE = b'Content-Disposition: form-data; name="file"; filename="a.png"'
END = b"--b--\r\n"
STATM = Path("/proc/self/statm")


@pytest.fixture(scope="module")
def service(analyzer: Analyzer, settings: Settings, wait_until: Any) -> Iterator[str]:
    """Its tasks are at /tasks. One body fills the room for bodies: a byte that is kept would be missed at once."""
    before = set(threading.enumerate())
    limits = replace(
        settings,
        queue=8,
        max_body=MAX_BODY,
        max_buffered=MAX_BODY,
        max_pixels=1_000_000,
        max_images=4,
        max_requests=REQUESTS,
        body_seconds=BODY_SECONDS,
    )
    app = create_app(analyzer, limits)

    async def tasks() -> int:
        return len(asyncio.all_tasks())

    app.add_api_route("/tasks", tasks)
    with running(app, limits) as url:
        yield url
    wait_until(lambda: set(threading.enumerate()) <= before)


@pytest.fixture(autouse=True)
def goes_on(service: str, wait_until: Any) -> Iterator[None]:
    """After each test the service responds as before, with no task more, and no byte of a body is held."""
    before = number_of_tasks(service)
    yield
    wait_until(lambda: talk(service, b"GET /healthz HTTP/1.1\r\n" + LAST + b"\r\n").startswith(b"HTTP/1.1 200"))
    status, record = response_to(service, post(picture("PNG")))
    assert (status, record["faces"][0]["emotion"]) == (200, EMOTIONS[round(200 * 6 / 255)])
    assert response_to(service, post(bytes(MAX_BODY)))[0] == 415
    wait_until(lambda: number_of_tasks(service) <= before)


def connect(url: str) -> socket.socket:
    address = urlsplit(url)
    return socket.create_connection((address.hostname or "", address.port or 0), timeout=10)


def received_by(client: socket.socket) -> bytes:
    """What the service sends before it closes, or resets, the connection."""
    parts = []
    with suppress(ConnectionError):
        while part := client.recv(65_536):
            parts.append(part)
    return b"".join(parts)


def talk(url: str, sent: bytes) -> bytes:
    with connect(url) as client:
        with suppress(ConnectionError):  # it may have read enough
            client.sendall(sent)
        return received_by(client)


def response_to(url: str, request: bytes) -> tuple[int, Any]:
    """The status of the one response and its JSON: an error is a problem as RFC 9457 has it.

    Malformed HTTP does not reach the app. The server responds to it, in plain text.
    """
    received = talk(url, request)
    assert received.count(b"HTTP/1.1 ") == 1, received[:500]
    head, _, body = received.partition(b"\r\n\r\n")
    if b"Invalid HTTP request received." in body:
        return int(head.split()[1]), None
    status, record = int(head.split()[1]), json.loads(body)
    if status >= 400:
        assert b"content-type: application/problem+json" in head.lower()
        assert (record["type"], record["status"]) == ("about:blank", status)
        assert record["detail"]
        assert "\n" not in record["detail"]
        assert "object at" not in record["detail"]
    return status, record


def post(body: bytes, kind: bytes = b"image/png", *, length: bytes | None = None, more: bytes = b"") -> bytes:
    length = b"%d" % len(body) if length is None else length
    head = b"POST /v1/predict HTTP/1.1\r\n" + LAST + b"Content-Type: %s\r\nContent-Length: %s\r\n" % (kind, length)
    return head + more + b"\r\n" + body


def chunked(body: bytes, more: bytes = b"") -> bytes:
    head = b"POST /v1/predict HTTP/1.1\r\n" + LAST + b"Content-Type: image/png\r\nTransfer-Encoding: chunked\r\n"
    return head + more + b"\r\n" + body


def number_of_tasks(url: str) -> int:
    return int(talk(url, b"GET /tasks HTTP/1.1\r\n" + LAST + b"\r\n").rpartition(b"\r\n")[2])


def resident() -> int:
    """Bytes of memory that this process has, or 0 where the system has no /proc. What is free is given back first: how
    much of it glibc holds depends on the tests before.
    """
    gc.collect()
    with suppress(OSError, AttributeError, TypeError):  # other C libraries
        ctypes.CDLL(None).malloc_trim(0)
    return int(STATM.read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE") if STATM.is_file() else 0


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@cache
def picture(kind: str) -> bytes:
    return saved(Image.new("RGB", (64, 48), (200, 200, 200)), kind)


@cache
def film(kind: str) -> bytes:
    frames = [Image.new("RGB", (64, 48), (shade, 0, 0)) for shade in range(250)]
    return saved(frames[0], kind, save_all=True, append_images=frames[1:])


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width: int, height: int, content: bytes, more: bytes = b"") -> bytes:
    """A PNG of one bit a pixel, whatever its content."""
    size = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + size + more + chunk(b"IDAT", content) + chunk(b"IEND", b"")


@cache
def zeros(count: int) -> bytes:
    return zlib.compress(bytes(count), 9)


def says_size(jpeg: bytes, width: int, height: int) -> bytes:
    """A JPEG whose header has another size."""
    at = jpeg.index(b"\xff\xc0") + 5
    return jpeg[:at] + struct.pack(">HH", height, width) + jpeg[at + 4 :]


def small_png(more: bytes) -> bytes:
    return png(64, 64, zeros(9 * 64), more)


def part(head: bytes = FILE, body: bytes | None = None, boundary: bytes = b"b") -> bytes:
    return b"--%s\r\n%s\r\n\r\n%s\r\n" % (boundary, head, picture("PNG") if body is None else body)


def field(name: bytes) -> bytes:
    return b'Content-Disposition: form-data; name="%s"' % name


PICTURES: dict[str, tuple[Callable[[], bytes], int]] = {
    "bomb of 20,000 x 20,000 in 50 kB": (lambda: png(20_000, 20_000, zeros(2501 * 20_000)), 413),
    "more content than the size allows": (lambda: png(64, 64, zeros(2501 * 20_000)), 200),
    "no content": (lambda: png(64, 64, b""), 422),
    "PNG with the largest size there is": (lambda: png(2**31 - 1, 2**31 - 1, zeros(9)), 413),
    "PNG of no size": (lambda: png(0, 0, zeros(9)), 422),
    "text of 100 MB": (lambda: small_png(chunk(b"zTXt", b"a\0\0" + zeros(100_000_000))), 422),
    "international text of 100 MB": (lambda: small_png(chunk(b"iTXt", b"a\0\1\0\0\0" + zeros(100_000_000))), 422),
    "color profile of 100 MB": (lambda: small_png(chunk(b"iCCP", b"a\0\0" + zeros(100_000_000))), 422),
    "80 texts of 0.9 MB": (lambda: small_png(chunk(b"zTXt", b"a\0\0" + zeros(900_000)) * 80), 422),
    "plain text of 0.9 MB": (lambda: small_png(chunk(b"tEXt", b"a\0" + b"x" * 900_000)), 200),
    "10,000 texts": (lambda: small_png(chunk(b"tEXt", b"a\0b") * 10_000), 200),
    "40,000 texts": (lambda: small_png(chunk(b"tEXt", b"a\0b") * 40_000), 422),
    "chunk of 2 GB that is not there": (lambda: picture("PNG")[:33] + b"\x7f\xff\xff\xffIDATxx", 422),
    "GIF of 250 frames": (lambda: film("GIF"), 415),
    "PNG of 250 frames": (lambda: film("PNG"), 200),
    "WebP of 250 frames": (lambda: film("WEBP"), 200),
    "JPEG of 60,000 x 100": (lambda: saved(Image.new("L", (60_000, 100)), "JPEG"), 413),
    "JPEG of 60,000 x 10": (lambda: saved(Image.new("L", (60_000, 10)), "JPEG"), 200),
    "JPEG of 1 x 60,000": (lambda: saved(Image.new("L", (1, 60_000)), "JPEG"), 200),
    "small JPEG with a size of 65,535 x 65,535": (lambda: says_size(picture("JPEG"), 65_535, 65_535), 413),
    "small JPEG with a size of 1000 x 1000": (lambda: says_size(picture("JPEG"), 1000, 1000), 200),
    "JPEG in a PNG's name": (lambda: picture("JPEG"), 200),
    **{f"{kind} in a PNG's name": (lambda kind=kind: picture(kind), 415) for kind in ("BMP", "TIFF", "PPM", "ICO")},  # type: ignore[misc]
    "PostScript": (lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", 415),
    "SVG": (lambda: b'<svg xmlns="http://www.w3.org/2000/svg"/>', 415),
}

FORMS: dict[str, tuple[bytes, Callable[[], bytes], int]] = {
    "no boundary": (b"multipart/form-data", lambda: part() + END, 400),
    "empty boundary": (b"multipart/form-data; boundary=", lambda: part() + END, 400),
    "boundary of 10,000 bytes": (FORM + b"b" * 9999, lambda: part(boundary=b"b" * 10_000), 400),
    "boundary beyond ASCII": (b'multipart/form-data; boundary="\xff\xfe"', lambda: part() + END, 400),
    "another boundary": (FORM + b"c", lambda: part() + END, 400),
    "empty": (FORM, lambda: b"", 400),
    "no part": (FORM, lambda: END, 400),
    "garbage": (FORM, lambda: bytes(range(256)) * 9, 400),
    "1,000 newlines": (FORM, lambda: b"\r\n" * 1000 + END, 400),
    "1,000 files": (FORM, lambda: part(body=b"x") * 1000 + END, 400),
    "1,000 fields": (FORM, lambda: part(field(b"a"), b"x") * 1000 + END, 400),
    "field of 0.9 MB": (FORM, lambda: part(field(b"a"), b"x" * 900_000) + END, 400),
    "header of 100,000 bytes": (FORM, lambda: part(FILE + b"\r\nX: " + b"a" * 100_000) + END, 400),
    "1,000 headers": (FORM, lambda: part(FILE + b"\r\nX: a" * 1000) + END, 400),
    "name of 100,000 bytes": (FORM, lambda: part(FILE[:-1] + b"n" * 100_000 + b'"') + END, 400),
    "no disposition": (FORM, lambda: part(b"X: y") + END, 400),
    "no name": (FORM, lambda: part(b'Content-Disposition: form-data; filename="a.png"') + END, 400),
    "fields only": (FORM, lambda: part(field(b"file")) + END, 400),
    "form in a form": (
        FORM,
        lambda: part(FILE + b"\r\nContent-Type: multipart/mixed; boundary=c", part(boundary=b"c") + b"--c--") + END,
        415,
    ),
    "no end": (FORM, part, 400),
    "no end of the second file": (FORM, lambda: part() + part()[:-20], 400),
    "ends in a header": (FORM, lambda: b"--b\r\nContent-Disp", 400),
    "empty file": (FORM, lambda: part(body=b"") + END, 422),
    "two that cannot be read": (FORM, lambda: part(body=b"x") * 2 + END, 422),
    "another charset": (FORM + b"; charset=utf-16", lambda: part() + END, 400),
    "another charset, in a field": (FORM, lambda: part(field(b"_charset_"), b"utf-77") + part() + END, 200),
    "0.9 MB after the end": (FORM, lambda: part() + END + b"x" * 900_000, 200),
    "more than is taken": (FORM, lambda: part(body=b"x" * MAX_BODY) + END, 413),
}


KINDS = [
    b"",
    b"image/jpg",
    b"image/png",
    b"image/gif",
    b"image/" + b"x" * 20_000,
    b"text/plain",
    b"application/octet-stream",
    b"application/json",
    b"application/x-www-form-urlencoded",
    b"multipart/mixed",
    b",",
]


def document(value: object, name: str = "image") -> bytes:
    return json.dumps({name: value}).encode()


def encoded(content: bytes | None = None) -> str:
    return base64.b64encode(picture("PNG") if content is None else content).decode()


DOCUMENTS: dict[str, tuple[Callable[[], bytes], int]] = {
    "nothing in it": (lambda: b"{}", 400),
    "no object": (lambda: b'["image"]', 400),
    "no JSON": (lambda: b"image", 400),
    "no end": (lambda: document(encoded())[:-2], 400),
    "something after the end": (lambda: document(encoded()) + b"}", 400),
    "no UTF-8": (lambda: b'{"image": "\xff"}', 400),
    "UTF-16": (lambda: document(encoded()).decode().encode("utf-16"), 400),
    "half a surrogate": (lambda: b'{"image": "\\ud800"}', 400),
    "100,000 lists in lists": (lambda: b'{"image":' + b"[" * 100_000 + b"]" * 100_000 + b"}", 400),
    "500 lists in lists": (lambda: b'{"image":' + b"[" * 500 + b"]" * 500 + b"}", 400),
    "500 objects in objects": (lambda: b'{"a":' * 500 + b"1" + b"}" * 500, 400),
    "a number of 100,000 digits": (lambda: b'{"image":' + b"1" * 100_000 + b"}", 400),
    "names twice": (lambda: b'{"image": "x", "image": "%s"}' % encoded().encode(), 200),
    "two names": (lambda: b'{"image": "x", "img": "x"}', 400),
    "empty list": (lambda: document([]), 400),
    "five of four pictures": (lambda: document([encoded()] * 5), 400),
    "900 fields beside it": (
        lambda: json.dumps({"image": encoded(), **dict.fromkeys(map(str, range(900)))}).encode(),
        200,
    ),
    "1,100 fields beside it": (
        lambda: json.dumps({"image": encoded(), **dict.fromkeys(map(str, range(1100)))}).encode(),
        400,
    ),
    "numbers": (lambda: document([1, 2]), 400),
    "list in a list": (lambda: document([[encoded()]]), 400),
    "object": (lambda: document({"url": "x"}), 400),
    "empty text": (lambda: document(""), 400),
    "empty data URI": (lambda: document("data:,"), 400),
    "data URI of nothing": (lambda: document("data:image/png;base64,"), 422),
    "data URI without base64": (lambda: document("data:image/png,%89PNG"), 400),
    "address": (lambda: document("http://127.0.0.1:1/a.png"), 400),
    "address of a file": (lambda: document("file:///etc/passwd"), 400),
    "path": (lambda: document("/etc/hostname.png"), 400),
    "path that is base64": (lambda: document("/etc/abc"), 415),
    "text beyond ASCII": (lambda: document("bild ü"), 400),
    "base64 cut off": (lambda: document(encoded()[:-3]), 400),
    "base64 of no picture": (lambda: document(encoded(b"no picture")), 415),
    "base64 of JSON": (lambda: document(encoded(document(encoded()))), 415),
    "bomb": (lambda: document(encoded(PICTURES["bomb of 20,000 x 20,000 in 50 kB"][0]())), 413),
    "more than there is room for": (lambda: document("A" * (MAX_BODY - 100)), 413),
    "more than is taken": (lambda: document("A" * MAX_BODY), 413),
}


@pytest.mark.parametrize("name", PICTURES)
def test_pictures(service: str, name: str) -> None:
    make, wanted = PICTURES[name]
    assert len(make()) < MAX_BODY
    assert response_to(service, post(make()))[0] == wanted


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_truncated_pictures(service: str, kind: str) -> None:
    whole = picture(kind)
    for length in {1, 2, 4, 8, 12, 16, 20, 30, *range(40, len(whole) * 3 // 4, 40)}:
        assert response_to(service, post(whole[:length]))[0] in (415, 422), length


@pytest.mark.parametrize("name", FORMS)
def test_forms(service: str, name: str) -> None:
    kind, make, wanted = FORMS[name]
    assert response_to(service, post(make(), kind))[0] == wanted


def test_a_name_is_no_path(service: str) -> None:
    evil = b"../../etc/passwd\x01<script>"
    status, records = response_to(service, post(part(FILE[:-6] + evil + b'"') + END, FORM))
    assert (status, records[0]["source"]) == (200, evil.decode())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("true_kind", ["JPEG", "PNG", "WEBP"])
def test_bytes_say_what_a_picture_is(service: str, kind: bytes, true_kind: str) -> None:
    request = post(picture(true_kind), kind)
    for asked in (request, request.replace(b"Content-Type: " + kind + b"\r\n", b"")):
        status, record = response_to(service, asked)
        assert (status, record["width"], record["error"]) == (200, 64, None)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("content", [b"no picture", b"%PDF-1.7", b"GIF89a", b"RIFF1234WAVE", b"\xff", bytes(9), b"[]"])
def test_what_is_no_picture_is_none_under_any_name(service: str, kind: bytes, content: bytes) -> None:
    assert response_to(service, post(content, kind))[0] in ((400, 415) if kind == b"application/json" else (415, 422))


@pytest.mark.parametrize("name", DOCUMENTS)
def test_json(service: str, name: str) -> None:
    make, wanted = DOCUMENTS[name]
    assert response_to(service, post(make(), b"application/json; charset=utf-8"))[0] == wanted


def test_compressed_bodies(service: str) -> None:
    for more in (b"gzip", b"identity\r\nContent-Encoding: gzip", b"identity, gzip", b"br", b""):
        request = post(zeros(100_000_000), more=b"Content-Encoding: " + more + b"\r\n")
        status, record = response_to(service, request)
        assert (status, "Content-Encoding" in record["detail"]) == (415, True)
    assert response_to(service, post(picture("PNG"), more=b"Content-Encoding: Identity\r\n"))[0] == 200


@pytest.mark.parametrize("length", [b"-1", b"abc", b"1e3", b"+5", b"0x10", b" ", b"9" * 30, b"5\r\nContent-Length: 6"])
def test_lengths_that_are_none(service: str, length: bytes) -> None:
    assert response_to(service, post(picture("PNG"), length=length))[0] == 400


def test_lengths_that_lie(service: str) -> None:
    whole = picture("PNG")
    assert response_to(service, post(whole, length=b"5"))[0] == 415
    assert response_to(service, post(whole, length=b"10000"))[0] == 408
    assert response_to(service, post(whole, length=b"%d" % 10**10))[0] == 413
    assert response_to(service, post(whole, length=b"10\r\nTransfer-Encoding: chunked"))[0] == 400


def test_chunked_bodies(service: str) -> None:
    whole = picture("PNG")
    assert response_to(service, chunked(b"%x\r\n%s\r\n0\r\n\r\n" % (len(whole), whole)))[0] == 200
    assert response_to(service, chunked(b"ffff\r\n%s\r\n" % bytes(65_535) * 16))[0] == 413
    assert response_to(service, chunked(b"5\r\nabc"))[0] == 408
    for nonsense in (b"zz\r\nabc\r\n", b"f" * 20 + b"\r\n", b"-5\r\nabcde\r\n"):
        assert b" 200 " not in talk(service, chunked(nonsense))


@pytest.mark.parametrize("path", [b"/v1/predict", b"/healthz"])
@pytest.mark.parametrize("begun", [b"0\r\nX: ", b"0\r\n", b"5;x="])
def test_floods_beside_a_chunked_body(service: str, path: bytes, begun: bytes) -> None:
    """Fields after a body, and notes on its chunks, are neither kept nor taken without end."""
    before = resident()
    with connect(service) as client:
        client.sendall(chunked(begun).replace(b"/v1/predict", path, 1))
        with suppress(ConnectionError):
            for _ in range(30):
                client.sendall(b"X: %s\r\n" % (b"a" * 26) * 32_000 if begun.endswith(b"\n") else b"a" * 1_000_000)
        assert b" 200 " not in received_by(client)
    assert resident() - before < 30_000_000


def test_slow_bodies_all_at_once(service: str) -> None:
    begun = [
        (post(b"\x89PNG", length=b"1000"), b"-"),
        (post(part()[:-20], FORM, length=b"1000"), b"-"),
        (chunked(b""), b"1\r\n-\r\n"),
    ]
    with ExitStack() as stack:
        clients = [(stack.enter_context(connect(service)), *slow) for slow in begun * 10]
        for client, first, _ in clients:
            client.sendall(first)
        began = time.monotonic()
        while time.monotonic() < began + BODY_SECONDS / 2:
            time.sleep(BODY_SECONDS / 10)
            for client, _, more in clients:
                client.sendall(more)
        statuses = Counter(received_by(client).split()[1] for client, *_ in clients)
    assert time.monotonic() < began + BODY_SECONDS + 5
    assert statuses == {b"408": len(clients)}


@pytest.mark.parametrize(
    ("head", "wanted"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (b"\0\0\0\0\r\n\r\n", 400),
        (b"get / HTTP/1.1\r\n" + LAST, 405),
        (b"GET / HTTP/99\r\n" + LAST, 400),
        (b"CONNECT 127.0.0.1:80 HTTP/1.1\r\n" + LAST, 404),
        (b"GET / HTTP/1.1\r\n folded: a\r\n" + LAST, 400),
        (b"GET / HTTP/1.1\r\nX\0Y: a\r\n" + LAST, 400),
        (b"GET /\xff\xfe HTTP/1.1\r\n" + LAST, 400),
        (b"GET / HTTP/1.1\r\nHost: \xff\xfe\r\nConnection: close\r\n", 400),
        (b"GET / HTTP/1.1\r\nConnection: close\r\n", 400),
        (b"GET / HTTP/1.0\r\n", 421),
        (b"GET /%zz%ff HTTP/1.1\r\n" + LAST, 404),
        (b"OPTIONS * HTTP/1.1\r\n" + LAST, 404),
        (b"TRACE /healthz HTTP/1.1\r\n" + LAST, 405),
        (b"PROPFIND /v1/predict HTTP/1.1\r\n" + LAST, 405),
        (b"POST /v1/predict?draw=maybe HTTP/1.1\r\n" + LAST, 400),
    ],
    ids=lambda value: repr(value[:24]) if isinstance(value, bytes) else None,
)
def test_heads(service: str, head: bytes, wanted: int) -> None:
    assert response_to(service, head + b"\r\n")[0] == wanted


def test_old_clients(service: str) -> None:
    assert response_to(service, b"GET /healthz HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n") == (200, {"status": "ok"})
    assert response_to(service, post(picture("PNG")).replace(b"HTTP/1.1", b"HTTP/1.0", 1))[0] == 200


@pytest.mark.parametrize(
    "path",
    [
        b"/assets/../../settings.py",
        b"/assets/..%2f..%2fsettings.py",
        b"/assets/%2e%2e%2fsettings.py",
        b"/assets/..%5csettings.py",
        b"/assets/%2fetc%2fpasswd",
        b"/assets/%00",
        b"/assets/..",
        b"/assets/",
        b"/assets/" + b"a" * 5000,
        b"//etc/passwd",
        b"/engine/../settings.py",
    ],
)
def test_paths_out_of_the_page(service: str, path: bytes) -> None:
    assert response_to(service, b"GET %s HTTP/1.1\r\n" % path + LAST + b"\r\n")[0] == 404


def test_requests_in_a_row(service: str) -> None:
    received = talk(service, HEALTH * 9 + post(picture("PNG")))
    assert (received.count(b"HTTP/1.1 200 OK"), received.count(b'"faces":[{')) == (10, 1)


def test_300_clients_at_once(service: str) -> None:
    """Six times as many as are accepted: each is served, refused, or cut off."""
    request = post(picture("JPEG"), length=b"100000")
    with ExitStack() as stack:
        clients = []
        for _ in range(6 * REQUESTS):
            clients.append(stack.enter_context(connect(service)))
            with suppress(ConnectionError):
                clients[-1].sendall(request)
        for client in clients:  # now that all are there
            with suppress(ConnectionError):
                client.sendall(bytes(100_000 - len(picture("JPEG"))))
        statuses = Counter(received[9:12] for received in map(received_by, clients))
    assert set(statuses) <= {b"200", b"408", b"503", b""}  # 408 where this machine is slow
    assert statuses[b"503"] > 0


@pytest.mark.parametrize("resets", [False, True])
def test_clients_that_vanish(service: str, resets: bool) -> None:
    """In mid-head, in mid-body, in mid-form, and before the response."""
    form = post(part() + part()[:60], FORM, length=b"1000")
    for sent in (post(b"")[:40], post(b"\x89PNG", length=b"1000"), form, chunked(b"5\r\nab"), post(picture("PNG"))):
        clients = [connect(service) for _ in range(8)]
        for client in clients:
            client.sendall(sent)
        time.sleep(0.02)
        for client in clients:
            if resets:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()


def bodies(of: str) -> Iterator[tuple[bytes, bytes]]:
    """Everything above, with its content type."""
    if of == "JSON":
        yield from ((make(), b"application/json") for make, _ in DOCUMENTS.values())
    else:
        yield from ((make(), b"image/png") for make, _ in PICTURES.values())
        yield from ((make(), kind) for kind, make, _ in FORMS.values())


@pytest.mark.slow
@pytest.mark.skipif(not STATM.is_file(), reason="only Linux has /proc")
@pytest.mark.parametrize("of", ["pictures and forms", "JSON"])
def test_memory_returns(service: str, of: str) -> None:
    """Everything above takes more memory at first, and at some time no more: what leaks takes more each time."""

    def grown() -> int:
        before = resident()
        for body, kind in 2 * list(bodies(of)):
            talk(service, post(body, kind))
        return resident() - before

    grown()
    assert any(grown() < 15_000_000 for _ in range(6))
