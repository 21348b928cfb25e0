"""What the service allows, and how much of it at once."""

from __future__ import annotations

import ipaddress
import re
import socket
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from mien.cpus import usable_cpus
from mien.errors import ConfigError

FORMATS: Final = {"Jpeg": "image/jpeg", "Png": "image/png", "WebP": "image/webp"}
"""What is decoded, by the name in `images.limits.FORMATS`: what cameras and browsers write. Fewer decoders, fewer holes
in them."""


_HOST: Final = r"([a-z0-9_.-]+|\[[0-9a-f:.]+\])"


_AT_LEAST_ONE: Final = (
    *("workers", "max_body", "max_frame", "max_pixels", "max_images", "max_videos", "max_streams", "max_requests"),
    "min_rate",
)
_SECONDS: Final = (
    *("body_seconds", "max_body_seconds", "idle_seconds", "video_seconds", "keep_seconds", "drain_seconds"),
)


def is_origin(text: str) -> bool:
    """Whether pages of this origin can be let in: `null` is the origin of any page that hides its own."""
    return re.fullmatch(rf"[a-z][a-z0-9+.-]*://{_HOST}(:\d+)?", text, re.ASCII) is not None


@dataclass(frozen=True, slots=True)
class Settings:
    """How the service runs. Raises ConfigError on what is invalid, and on what would be open to others by mistake.

    host, port        the address to listen on; port 0 takes a free one
    uds               the path of a Unix socket to listen on instead of host and port; not on Windows
    api_keys          clients must know one of them; none: anyone who reaches it may use it
    insecure          whether it may listen beyond this computer without a key
    tls_cert, tls_key PEM files; both or none
    origins           pages of other hosts that may use it, such as "https://example.org"
    hosts             names by which it may be called besides the address, localhost and an IP address
    root_path         the path under which a reverse proxy shows it, such as "/mien"
    access_log        a file at whose end each request gets a line of JSON; "-" is standard output, None none
    workers           requests that are processed at once
    queue             requests that may wait for a worker; past it the response is 503
    batching          whether the faces of requests that are processed at once are classified together
    max_body          bytes of one request's body
    max_frame         bytes of one frame of a stream
    max_pixels        width times height of one picture
    max_images        pictures in one request
    max_buffered      bytes of all bodies, and of drawn pictures that wait to be fetched, at once
    max_video         bytes of one video, which is held in a temporary file; 0: none are taken
    max_videos        videos at once that arrive, wait or are processed
    max_streams       streams at once
    max_requests      requests in flight at once; past it the response is 503
    body_seconds      a body that makes no progress for this time is given up; so is a response that is not read
    min_rate          bytes per second that count as progress
    max_body_seconds  a body that takes longer to arrive is given up, whatever its progress
    idle_seconds      a stream without a frame for this time is closed
    video_seconds     a video that takes longer to arrive, or to process, is given up
    keep_seconds      a video's report can be fetched for this time
    drain_seconds     whole seconds for the requests in flight at the end
    """

    host: str = "127.0.0.1"
    port: int = 8000
    uds: Path | None = None
    api_keys: tuple[str, ...] = field(default=(), repr=False)
    insecure: bool = False
    tls_cert: Path | None = None
    tls_key: Path | None = None
    origins: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    root_path: str = ""
    access_log: str | None = None
    workers: int = field(default_factory=lambda: max(2, usable_cpus()))
    queue: int = 64
    batching: bool = True
    max_body: int = 20_000_000
    max_frame: int = 4_000_000
    max_pixels: int = 40_000_000
    max_images: int = 16
    max_buffered: int = 256_000_000
    max_video: int = 0
    max_videos: int = 4
    max_streams: int = 16
    max_requests: int = 256
    body_seconds: float = 20.0
    min_rate: int = 2_000
    max_body_seconds: float = 300.0
    idle_seconds: float = 60.0
    video_seconds: float = 3600.0
    keep_seconds: float = 3600.0
    drain_seconds: int = 10

    def __post_init__(self) -> None:
        self._check_numbers()
        if not re.fullmatch(r"(/[\w.~-]+)*", self.root_path, re.ASCII):
            raise ConfigError(f"root_path must be like /mien, without a / at its end, got {self.root_path!r}")
        for origin in self.origins:
            if not is_origin(origin):
                raise ConfigError(f"expected origins such as https://example.org, in lower case, got {origin!r}")
        for name in self.hosts:
            if not re.fullmatch(_HOST, name, re.IGNORECASE):
                raise ConfigError(f"expected names of this service without scheme and port, got {name!r}")
        if self.uds is not None and not hasattr(socket, "AF_UNIX"):
            raise ConfigError(f"this system has no Unix sockets: leave out `uds={self.uds}`")
        self._check_keys()
        self._check_tls()

    @property
    def is_local(self) -> bool:
        """Whether only this computer reaches it."""
        if self.uds is not None or self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def scheme(self) -> str:
        """http or https."""
        return "https" if self.tls_cert else "http"

    def _check_numbers(self) -> None:
        for name in _AT_LEAST_ONE:
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be 1 or more, got {getattr(self, name)}")
        if self.max_video < 0:
            raise ConfigError(f"max_video must be 0 or more, got {self.max_video}")
        for name in _SECONDS:
            if not 0 < getattr(self, name) < 86_400:
                raise ConfigError(f"{name} must be more than 0 seconds and less than a day, got {getattr(self, name)}")
        if self.queue < 0 or not 0 <= self.port <= 65_535:
            raise ConfigError(
                f"expected a queue of 0 or more and a port of 0 to 65535, got {self.queue} and {self.port}"
            )
        if self.max_buffered < self.max_body:
            raise ConfigError(f"max_buffered must hold one body of {self.max_body} bytes, got {self.max_buffered}")

    def _check_keys(self) -> None:
        for key in self.api_keys:
            if len(key) < 8 or not key.isascii() or not key.isprintable() or " " in key:
                raise ConfigError("expected API keys of 8 or more printable ASCII characters without spaces")
        if not (self.is_local or self.api_keys or self.insecure):
            raise ConfigError(
                f"{self.host} is reached from other computers: give `api_key=KEY` (or MIEN_API_KEY), or "
                "`insecure=True` to let anyone use it"
            )

    def _check_tls(self) -> None:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ConfigError("TLS needs both a certificate and its key: `tls_cert=FILE` and `tls_key=FILE`")
        for path in filter(None, (self.tls_cert, self.tls_key)):
            if not path.is_file():
                raise ConfigError(f"{path}: no such file")
