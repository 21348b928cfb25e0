"""A Unix socket to listen on, whose file is there as long as somebody listens."""

from __future__ import annotations

import errno
import socket
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

from mien.errors import ConfigError, reason

MODE: Final = 0o660
"""The owner and the group, such as the proxy's, may connect."""


class UnixListener(socket.socket):
    """A socket that listens at a path. Closing it removes the file, unless it is another one's by then.

    A file that is left from a service that was killed is replaced. Raises ConfigError where somebody listens there,
    where the file is no socket, and where it cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self._file: tuple[int, int] | None = None
        super().__init__(socket.AF_UNIX, socket.SOCK_STREAM)
        self._path = path
        try:
            _remove_stale(path)
            self.bind(str(path))
            self._file = _identity(path)
            path.chmod(MODE)  # nobody can connect before `listen`
            self.listen()
        except (OSError, ValueError) as error:  # a path with a zero byte, or of too many bytes
            self.close()
            raise ConfigError(f"cannot listen on {path}: {_reason(error)}") from None
        except ConfigError:
            self.close()
            raise

    def close(self) -> None:
        """Stop listening, and remove the file."""
        if self._file is not None:
            with suppress(OSError):
                if _identity(self._path) == self._file:
                    self._path.unlink()
            self._file = None
        super().close()


def _remove_stale(path: Path) -> None:
    """Remove a socket's file at which nobody listens."""
    with suppress(FileNotFoundError):
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise ConfigError(f"cannot listen on {path}: there is a file, and it is no socket")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.settimeout(1)
            try:
                client.connect(str(path))
            except ConnectionRefusedError:
                path.unlink()
                return
            except (BlockingIOError, TimeoutError):
                pass  # somebody listens who has much to do
        raise ConfigError(f"cannot listen on {path}: something else is listening there")


def _identity(path: Path) -> tuple[int, int]:
    status = path.lstat()
    return status.st_dev, status.st_ino


def _reason(error: OSError | ValueError) -> str:
    is_too_long = isinstance(error, OSError) and error.errno in (None, errno.ENAMETOOLONG)
    return "the path of a socket has at most about 100 bytes" if is_too_long else reason(error)
