"""Temporary files that are gone when the service is, however it ends."""

from __future__ import annotations

import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, cast


class TemporaryVideo:
    """A file that others open by its path as long as it is not closed.

    On Linux it has no name in any folder, so that even a service that is killed leaves nothing; elsewhere it is removed
    when it is closed.
    """

    def __init__(self) -> None:
        self._named: Path | None = None
        if sys.platform == "linux" and Path("/proc/self/fd").is_dir():
            self.file = cast("BinaryIO", tempfile.TemporaryFile())  # noqa: SIM115 - `close` does
            self.path = Path(f"/proc/self/fd/{self.file.fileno()}")
            return
        named = tempfile.NamedTemporaryFile(prefix="mien-", suffix=".video", delete=False)  # noqa: SIM115 - as above
        self.file = cast("BinaryIO", named)
        self.path = self._named = Path(named.name)

    def close(self) -> None:
        """Remove the file."""
        with suppress(OSError):  # what was not written yet may not fit on a disk that is full
            self.file.close()
        if self._named is not None:
            with suppress(OSError):
                self._named.unlink()
            self._named = None
