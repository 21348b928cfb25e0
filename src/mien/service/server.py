"""Running the service: its socket, its log, its orderly end."""

from __future__ import annotations

import asyncio
import ctypes
import errno
import ipaddress
import logging
import os
import signal
import socket
import ssl
import sys
import threading
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from queue import SimpleQueue
from traceback import extract_tb
from typing import Final
from urllib.parse import urlsplit

import uvicorn
from fastapi import FastAPI
from uvicorn.server import HANDLED_SIGNALS

from mien.errors import ConfigError
from mien.service.connections import Bounded, Config, HttpProtocol
from mien.service.pool import is_work_left
from mien.service.settings import Settings

_LOGGER: Final = logging.getLogger("uvicorn.error")
_TICK_S: Final = 0.1
_LAST_S: Final = 1.0  # so long clients may take to hear, at the end, that they were given up
_HANDSHAKE_S: Final = 10.0
_MMAP_THRESHOLD: Final = -3  # M_MMAP_THRESHOLD of malloc.h
_LARGE: Final = 4_194_304  # bytes


def serve(
    app: FastAPI,
    settings: Settings,
    *,
    ready: Callable[[str], object] = lambda address: None,
    say: Callable[[str], object] = lambda line: None,
) -> None:
    """Serve an app of `create_app` until Ctrl-C or SIGTERM, then finish what is in flight and close streams.

    ready is told the address once it can be reached, such as "http://127.0.0.1:8000"; say, what is waited for at the
    end. A second Ctrl-C ends at once, with KeyboardInterrupt. Where threads are at pictures that were given up, the
    process ends here, with 130 or 0: it would wait for them. Raises ConfigError where the address cannot be taken, or
    the TLS files are not of use.
    """
    _return_memory()
    config = _configured(app, settings)
    with _listening(settings) as listener:
        server = _Server(config, lambda: ready(_address(settings, listener)), say)
        server.run([listener])
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
    config = _configured(app, settings)
    addresses: SimpleQueue[str | None] = SimpleQueue()
    with _listening(settings) as listener, ThreadPoolExecutor(1, "mien-service") as thread:
        server = _Server(config, lambda: addresses.put(_address(settings, listener)), lambda line: None)
        ended = thread.submit(server.run, [listener])
        ended.add_done_callback(lambda _: addresses.put(None))
        try:
            address = addresses.get()
            if address is not None:
                yield address
        finally:
            server.should_exit = True
            ended.result()


def _requests(count: int) -> str:
    return "1 request" if count == 1 else f"{count} requests"


def _return_memory() -> None:
    """Let large pictures be given back to the system: by default glibc keeps what it got for them."""
    with suppress(OSError, AttributeError, TypeError):  # other systems' C libraries
        ctypes.CDLL(None).mallopt(_MMAP_THRESHOLD, _LARGE)


class _Server(uvicorn.Server):
    """uvicorn's server: it returns from signals, looks after its connections, and leaves none."""

    config: Config

    def __init__(self, config: Config, ready: Callable[[], object], say: Callable[[str], object]) -> None:
        super().__init__(config)
        self._ready, self._say = ready, say
        self._handshakes: dict[asyncio.Task[None], HttpProtocol] = {}

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup([])  # it would take in any number of connections that have not shaken hands
        self._accepting = [asyncio.create_task(self._accept(listener)) for listener in sockets or []]
        self._watch = asyncio.create_task(self._check_connections())
        self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn's, but what is given up is answered, and all of it is over in `drain_seconds` and a moment."""
        ending = [*self._accepting, *self._handshakes]
        for task in ending:
            task.cancel()
        await asyncio.wait(ending)
        for listener in sockets or []:
            listener.close()
        for connection in self._connections():
            connection.shutdown()
        seconds = self.config.settings.drain_seconds
        if self.server_state.tasks and not self.force_exit:
            self._say(f"Waiting for {_requests(len(self.server_state.tasks))}, at most {seconds:g} s")
        await self._finish(seconds, lambda: self.force_exit)
        if self.server_state.tasks and not self.force_exit:
            _LOGGER.error("gave up %s after %g s", _requests(len(self.server_state.tasks)), seconds)
        await self.lifespan.shutdown()  # who waits for the app's threads is told that it ends
        await self._finish(_LAST_S, lambda: False)
        self._watch.cancel()
        for connection in self._connections():
            connection.transport.abort()
        await asyncio.sleep(0)  # transports tell their protocols

    async def _finish(self, seconds: float, is_over: Callable[[], bool]) -> None:
        """Wait for what is in flight, at most for so long."""
        until = asyncio.get_running_loop().time() + seconds
        while (self.server_state.connections or self.server_state.tasks) and not is_over():
            if asyncio.get_running_loop().time() >= until:
                break
            await asyncio.sleep(_TICK_S / 2)

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """As uvicorn's, which afterwards raises the signals anew, and so would never return from SIGTERM."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in HANDLED_SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    async def _accept(self, listener: socket.socket) -> None:
        """Take in connections; one past twice the limit, with those that have not shaken hands, is closed at once."""
        loop, most = asyncio.get_running_loop(), 2 * self.config.settings.max_connections
        listener.setblocking(False)
        listener.listen(self.config.backlog)
        while True:
            try:
                client, _ = await loop.sock_accept(listener)
                # Else what follows an answer's head waits until the client has acknowledged that, up to 40 ms.
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            except OSError:  # it has left already, or too many files are open
                await asyncio.sleep(_TICK_S)
                continue
            if len({*self._handshakes.values(), *self.server_state.connections}) < most:
                protocol = HttpProtocol(self.config, self.server_state, self.lifespan.state)
                task = loop.create_task(self._connect(client, protocol))
                self._handshakes[task] = protocol
                task.add_done_callback(self._handshakes.pop)
            else:
                self.config.rejected.inc()
                client.close()
            await asyncio.sleep(0)  # the others' turn: where many wait, accepting them does not

    async def _connect(self, client: socket.socket, protocol: HttpProtocol) -> None:
        """Shake hands over TLS, and hand the client to its protocol."""
        context = self.config.ssl
        seconds = min(_HANDSHAKE_S, self.config.settings.body_seconds) if context else None
        with suppress(OSError):  # it speaks no TLS, is too slow, or has left
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: protocol, client, ssl=context, ssl_handshake_timeout=seconds
            )

    async def _check_connections(self) -> None:
        while True:
            now = asyncio.get_running_loop().time()
            for connection in self._connections():
                connection.check(now)
            await asyncio.sleep(_TICK_S)

    def _connections(self) -> list[Bounded]:
        return list(self.server_state.connections)  # type: ignore[arg-type] # they are those that Config names


def _configured(app: FastAPI, settings: Settings) -> Config:
    """The configuration, its TLS files read."""
    _log_errors()
    config = Config(app, settings)
    try:
        config.load()
    except (OSError, ssl.SSLError) as error:
        reason = getattr(error, "reason", None) or error.strerror
        files = f"{settings.tls_cert} and {settings.tls_key}"
        raise ConfigError(f"expected a certificate and its key as PEM files, got {files}: {reason}") from None
    return config


def _listening(settings: Settings) -> socket.socket:
    """A socket that listens on the address; of a name that has both, the IPv4 one. Raises ConfigError."""
    host, port = settings.host, settings.port
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, *_, address = min(found, key=lambda one: one[0] != socket.AF_INET)
        both = family == socket.AF_INET6 and address[0] == "::" and socket.has_dualstack_ipv6()
        return socket.create_server(address, family=family, dualstack_ipv6=both)
    except (OSError, UnicodeError) as error:
        raise ConfigError(f"cannot listen on {host}, port {port}: {_reason(error)}") from None


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
    """Where the service can be reached from this computer."""
    host = settings.host
    with suppress(ValueError):
        if (ip := ipaddress.ip_address(host)).is_unspecified:
            host = "127.0.0.1" if ip.version == 4 else "::1"
    host = f"[{host}]" if ":" in host else host
    return f"{settings.scheme}://{host}:{listener.getsockname()[1]}"


def network_address(settings: Settings, url: str) -> str | None:
    """Where other devices reach a service of this address; None where they cannot, or it is in the settings."""
    if settings.host not in ("0.0.0.0", "::"):
        return None
    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as way:
        way.connect(("192.0.2.1", 9))  # sends nothing: it only tells which of this computer's addresses leads out
        return url.replace(str(urlsplit(url).hostname), way.getsockname()[0]).replace("[", "").replace("]", "")
    return None


def _log_errors() -> None:
    """Let uvicorn tell its errors, and nothing else: its lines about requests hold their addresses, and so keys."""
    logger = logging.getLogger("uvicorn")
    logger.handlers = [_Lines()]
    logger.propagate = False
    _LOGGER.setLevel(logging.ERROR)


class _Lines(logging.Handler):
    """Writes errors to standard error, each in a line: of an exception its kind, text and place, not the way there."""

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, asyncio.CancelledError):
            return  # what is in flight after `drain_seconds` is given up, and that is told by itself
        if error is not None:
            places = extract_tb(error.__traceback__)
            where = f" ({places[-1].filename}:{places[-1].lineno})" if places else ""
            text = f"{text.strip()}: {type(error).__name__}: {error}{where}"
        print("mien:", " ".join(text.split()), file=sys.stderr)
