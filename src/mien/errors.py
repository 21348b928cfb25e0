"""The error tree. Everything that Mien raises on purpose is a MienError whose text is one clear line.

MienError
├── ConfigError        an option, recipe or argument is wrong
│   └── MissingExtraError  an optional part is not installed
├── ImageError         a picture cannot be read, or is refused
│   ├── ImageFormatError   it is of no format that is decoded
│   └── ImageTooLargeError it has more pixels than are decoded
├── DataError          a dataset, or one row of it, is malformed
├── StorageError       files cannot be listed, read or written where they lie
├── ModelError         weights, a checkpoint or a model card cannot be used
└── DetectorError      a face detector cannot be had
"""

from __future__ import annotations


class MienError(Exception):
    """The base of all errors that Mien raises on purpose."""


class ConfigError(MienError):
    """An option, a recipe's field or an argument has a value that cannot be used."""


class MissingExtraError(ConfigError):
    """A part of Mien that was asked for is not installed; the message holds the command that installs it."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs an optional part of Mien: pip install 'mien[{extra}]'")
        self.extra = extra


class ImageError(MienError):
    """A picture cannot be found, decoded or accepted."""


class ImageFormatError(ImageError):
    """A file is no picture, or of a format that is not decoded."""


class ImageTooLargeError(ImageError):
    """A picture has more pixels than are decoded."""


class DataError(MienError):
    """A dataset, or one row of it, is malformed; the message names file, row and reason."""


class StorageError(MienError):
    """Files cannot be listed, read or written where they lie: a disk, a share, an object store."""


class ModelError(MienError):
    """Weights, a checkpoint or a model card cannot be used."""


class DetectorError(MienError):
    """A face detector cannot be had: its file is missing, damaged or not what it should be."""
