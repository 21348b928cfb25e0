"""What all that frames are read from has in common: it is iterated once, and closed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from mien.types import Frame


class FrameReader(ABC):
    """An iterator of frames and a context manager. A subclass sets `path` and `_frames`."""

    path: Path
    _frames: Iterator[Frame]

    @abstractmethod
    def close(self) -> None:
        """Close the file; no more frames come."""

    @property
    def name(self) -> str:
        """The path, as text."""
        return str(self.path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[Frame]:
        return self._frames
