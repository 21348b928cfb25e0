"""Running the service: its socket, its log, its orderly end."""

from __future__ import annotations

import asyncio
import ctypes
import errno
import ipaddress
import logging
import os
import re
import signal
import socket
import ssl
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from queue import SimpleQueue
from traceback import extract_tb
from typing import Final
from urllib.parse import urlsplit

import uvicorn
from fastapi import FastAPI

from mien.errors import ConfigError
from mien.service.in_flight import SlowReaderError
from mien.service.pool import is_work_left
from mien.service.request_ids import request_id
from mien.service.settings import Settings
from mien.service.tls import reload_certificate, tls_context
from mien.service.unix_socket import UnixListener

MAX_HEAD: Final = 65_536
"""Bytes of a request's head; more is malformed HTTP."""

_KEEP_ALIVE_S: Final = 20
_PING_S: Final = 10.0
_NO_ERRORS: Final = re.compile(r".*(CancelledError|without completing handshake\.)\s*|Cancel 0 running .*", re.DOTALL)
"""uvicorn logs these as errors: the end by a second Ctrl-C, that the app refused a WebSocket with a response, and that
clients without a request did not agree to the end of TLS, such as a phone that sleeps.
"""

_TICK_S: Final = 0.05
_MMAP_THRESHOLD: Final = -3  # M_MMAP_THRESHOLD of malloc.h
_LARGE: Final = 4_194_304  # bytes


def serve(
    app: FastAPI,
    settings: Settings,
    *,
    ready: Callable[[str], object] = lambda address: None,
    report: Callable[[str], object] = lambda line: None,
) -> None:
    """Serve an app of `create_app` until Ctrl-C or SIGTERM, then finish the requests in flight and close the streams.

    SIGHUP loads the certificate again; without one it ends the service too, unless it is ignored, as nohup has it.

    `ready` gets the address once it can be reached, such as "http://127.0.0.1:8000"; `report` gets a line on what is
    waited for at the end. A second Ctrl-C ends at once, with KeyboardInterrupt. Where threads still work on pictures
    that nobody waits for, the process ends here, with 130 or 0: it would wait for them. Raises ConfigError where the
    address cannot be taken, or the TLS files cannot be used.
    """
    _return_memory()
    tls = tls_context(settings)
    server = _server(app, settings, tls)

    def started() -> None:
        _handle_hangups(server, settings, tls)
        ready(_address(settings, listener))

    with listening(settings) as listener, _stopped_by_signals(server):
        asyncio.run(_serve(server, listener, started, report))
    if is_work_left():
        for stream in filter(None, (sys.stdout, sys.stderr)):
            with suppress(OSError, ValueError):  # nobody reads it any more
                stream.flush()
        os._exit(130 if server.force_exit else 0)
    if server.force_exit:
        raise KeyboardInterrupt


@contextmanager
def running(app: FastAPI, settings: Settings) -> Iterator[str]:
    """Serve an app in a thread, on a free port; gives its address. At the end it stops as on a first Ctrl-C."""
    settings = replace(settings, port=0)
    addresses: SimpleQueue[str | None] = SimpleQueue()
    server = _server(app, settings, tls_context(settings))
    with listening(settings) as listener, ThreadPoolExecutor(1, "mien-service") as thread:
        serving = _serve(server, listener, lambda: addresses.put(_address(settings, listener)), lambda line: None)
        ended = thread.submit(asyncio.run, serving)
        ended.add_done_callback(lambda _: addresses.put(None))
        try:
            address = addresses.get()
            if address is not None:
                yield address
        finally:
            server.should_exit = True
            ended.result()


async def _serve(
    server: uvicorn.Server, listener: socket.socket, ready: Callable[[], object], report: Callable[[str], object]
) -> None:
    """Run the server, and report what happens: uvicorn has attributes for it, and no events."""
    serving = asyncio.create_task(server.serve([listener]))
    while not (server.started or serving.done()):
        await asyncio.sleep(_TICK_S)
    if server.started:
        ready()
    while not (server.should_exit or serving.done()):
        await asyncio.sleep(_TICK_S)
    app, seconds = server.config.app, server.config.timeout_graceful_shutdown
    if isinstance(app, FastAPI) and (count := app.state.in_flight.requests):
        with suppress(OSError):  # its terminal may be gone: requests are finished all the same
            report(f"Waiting for {count} request{'s' if count > 1 else ''}, at most {seconds:g} s")
    while not (server.force_exit or serving.done()):
        await asyncio.sleep(_TICK_S)
    if server.force_exit:
        await _give_up(server)
    await serving
    if not server.server_state.tasks:
        _abort(server)  # what did not close in time
        await asyncio.sleep(0)


async def _give_up(server: uvicorn.Server) -> None:
    """End all requests and connections: from Python 3.12 on, uvicorn would wait until the last connection is closed."""
    if tasks := list(server.server_state.tasks):
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=1)  # they still respond
    for connection in list(server.server_state.connections):
        connection.transport.close()
    await asyncio.sleep(_TICK_S)
    _abort(server)


def _abort(server: uvicorn.Server) -> None:
    for connection in list(server.server_state.connections):
        connection.transport.abort()


@contextmanager
def _stopped_by_signals(server: uvicorn.Server) -> Iterator[None]:
    """Let signals stop the server, and nothing more.

    uvicorn handles them itself while it runs. At its end it raises them again for the handlers that it found, and
    Python's own ones would end the process before `serve` returns.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    names = ("SIGINT", "SIGTERM", "SIGBREAK")  # the last one is Windows' Ctrl-Break
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    before = {number: signal.signal(number, lambda *_: setattr(server, "should_exit", True)) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _handle_hangups(server: uvicorn.Server, settings: Settings, tls: ssl.SSLContext | None) -> None:
    """Let SIGHUP load the certificate again, or end a service without one in order. Windows has no such signal."""
    if sys.platform == "win32" or threading.current_thread() is not threading.main_thread():
        return
    loop = asyncio.get_running_loop()
    if tls is not None:
        loop.add_signal_handler(signal.SIGHUP, reload_certificate, tls, settings)
    elif signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        loop.add_signal_handler(signal.SIGHUP, setattr, server, "should_exit", True)


def _return_memory() -> None:
    """Let large pictures be given back to the system: by default glibc keeps what it got for them."""
    with suppress(OSError, AttributeError, TypeError):  # other systems' C libraries
        ctypes.CDLL(None).mallopt(_MMAP_THRESHOLD, _LARGE)


def _server(app: FastAPI, settings: Settings, tls: ssl.SSLContext | None) -> uvicorn.Server:
    """uvicorn, by options that it documents."""
    _log_errors()
    config = uvicorn.Config(
        app,
        http="h11",  # unlike httptools it bounds a head, the fields after a body, and requests in a row
        h11_max_incomplete_event_size=MAX_HEAD,
        ws="websockets-sansio",
        ws_max_size=2 * settings.max_frame,  # past it the connection is cut; up to it, the stream closes with a reason
        ws_per_message_deflate=False,
        ws_ping_interval=_PING_S,
        ws_ping_timeout=_PING_S,  # also ends a client that sends pings and does not read: its pongs pile up here
        lifespan="on",
        root_path=settings.root_path,
        log_config=None,
        log_level="error",  # its other lines hold addresses, and so keys
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=settings.drain_seconds,
        ssl_context_factory=None if tls is None else lambda *_: tls,
    )
    return uvicorn.Server(config)


def listening(settings: Settings) -> socket.socket:
    """A socket that listens on the address; of a name that has both, the IPv4 one. Raises ConfigError.

    A Unix socket instead where the settings name one; closing it removes its file. On Linux an address's socket also
    ends connections whose client reads nothing for `body_seconds`: uvicorn waits for it to read.
    """
    if settings.uds is not None:
        return UnixListener(settings.uds)
    host, port = settings.host, settings.port
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, *_, address = min(found, key=lambda one: one[0] != socket.AF_INET)
        both = family == socket.AF_INET6 and address[0] == "::" and socket.has_dualstack_ipv6()
        listener = socket.create_server(address, family=family, dualstack_ipv6=both)
    except (OSError, UnicodeError) as error:
        raise ConfigError(f"cannot listen on {host}, port {port}: {_reason(error)}") from None
    # asyncio sets TCP_NODELAY only where the protocol is named. Else what follows a response's head waits until the
    # client has acknowledged that, about 40 ms.
    listener = socket.socket(listener.family, listener.type, socket.IPPROTO_TCP, listener.detach())
    with suppress(AttributeError, OSError):  # other systems do not have it
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(1000 * settings.body_seconds))
    return listener


def _reason(error: OSError | UnicodeError) -> str:
    if isinstance(error, socket.gaierror | UnicodeError):
        return "no such host is known"
    if isinstance(error, PermissionError):
        return "that is not permitted; ports from 1024 on are"
    match getattr(error, "errno", None):
        case errno.EADDRINUSE:
            return "something else is listening there; another port does, or 0 for a free one"
        case errno.EADDRNOTAVAIL:
            return "this computer has no such address"
    return str(error)


def _address(settings: Settings, listener: socket.socket) -> str:
    """Where the service can be reached from this computer; "unix:" and the path of a Unix socket."""
    if settings.uds is not None:
        return f"unix:{settings.uds}"
    host = settings.host
    with suppress(ValueError):
        if (ip := ipaddress.ip_address(host)).is_unspecified:
            host = "127.0.0.1" if ip.version == 4 else "::1"
    host = f"[{host}]" if ":" in host else host
    return f"{settings.scheme}://{host}:{listener.getsockname()[1]}"


def network_address(settings: Settings, url: str) -> str | None:
    """Where other devices reach a service of this address; None where they cannot, or it is in the settings."""
    if settings.uds is not None or settings.host not in ("0.0.0.0", "::"):
        return None
    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as way:
        way.connect(("192.0.2.1", 9))  # sends nothing: it only shows which of this computer's addresses leads out
        return url.replace(str(urlsplit(url).hostname), way.getsockname()[0]).replace("[", "").replace("]", "")
    return None


def _log_errors() -> None:
    for name in ("uvicorn", "mien.service"):
        logger = logging.getLogger(name)
        logger.handlers = [_Lines()]
        logger.propagate = False
    logging.getLogger("mien.service").setLevel(logging.INFO)


class _Lines(logging.Handler):
    """Writes what is logged to standard error, each in a line: of an exception its kind, text and place only."""

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, asyncio.CancelledError | SlowReaderError) or _NO_ERRORS.fullmatch(text):
            return
        if error is not None:
            places = extract_tb(error.__traceback__)
            where = f" ({places[-1].filename}:{places[-1].lineno})" if places else ""
            text = f"{text.strip()}: {type(error).__name__}: {error}{where}"
        if (name := request_id()) is not None:
            text += f" [request {name}]"
        with suppress(OSError, ValueError):  # nobody reads it any more
            print("mien:", " ".join(text.split()), file=sys.stderr)
