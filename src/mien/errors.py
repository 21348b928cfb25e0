"""The error tree. Everything that Mien raises on purpose is a MienError whose text is one clear line.

MienError
├── ConfigError        an option, recipe or argument is wrong
│   └── MissingExtraError  an optional part is not installed
├── ImageError         a picture cannot be read, or is refused
│   ├── ImageFormatError   it is of no format that is decoded
│   └── ImageTooLargeError it has more pixels than are decoded
├── DataError          a dataset, or one row of it, is malformed
├── StorageError       files cannot be listed, read or written
├── ModelError         weights, a checkpoint or a model card cannot be used
└── DetectorError      a face detector cannot be loaded

A message names an argument as `argument=VALUE`, in backticks; the command line shows it as its own option.
"""

from __future__ import annotations

import re
from typing import Final

_LONGEST: Final = 300
"""Characters of a word, such as a path, that a message shows in full."""

_LONGEST_LINE: Final = 4000
"""Characters of a whole message."""

_LONG: Final = re.compile(rf"\S{{{_LONGEST + 1},}}")


def one_line(text: object) -> str:
    """The text of a message, on one line: what cannot be printed is escaped, a long word keeps its two ends. An error
    without text gives its type.
    """
    words = " ".join(str(text).split()) or type(text).__name__ if isinstance(text, BaseException) else str(text)
    plain = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in words)
    shortened = _LONG.sub(lambda word: _ends(word[0], _LONGEST), plain)
    return _ends(shortened, _LONGEST_LINE)


def _ends(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most // 2]}...{text[-most // 2 :]}"


def reason(error: BaseException) -> str:
    """What went wrong, in a few words on one line: the system's words, else the error's text, else its type."""
    return one_line(getattr(error, "strerror", None) or error)


class MienError(Exception):
    """The base of all errors that Mien raises on purpose."""

    def __init__(self, message: object = "") -> None:
        super().__init__(one_line(message))


class ConfigError(MienError):
    """An option, a recipe's field or an argument has a value that cannot be used."""


class MissingExtraError(ConfigError):
    """A part of Mien that was asked for is not installed; the message holds the command that installs it."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs an optional part of Mien: pip install 'mien[{extra}]'")
        self.what, self.extra = what, extra

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.what, self.extra)


class ImageError(MienError):
    """A picture cannot be found, decoded or accepted."""


class ImageFormatError(ImageError):
    """A file is no picture, or of a format that is not decoded."""


class ImageTooLargeError(ImageError):
    """A picture has more pixels than are decoded."""


class DataError(MienError):
    """A dataset, or one row of it, is malformed; the message names file, row and reason."""


class StorageError(MienError):
    """Files cannot be listed, read or written: on a disk, a network share, an object store."""


class ModelError(MienError):
    """Weights, a checkpoint or a model card cannot be used."""


class DetectorError(MienError):
    """A face detector cannot be loaded (its file is missing or damaged), or it gives what is no detection."""
